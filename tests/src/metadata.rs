//! A cloud's metadata server, as a stand-in: the requests of Ignition, answered as the clouds document it.
//!
//! - `OpenStack`: nova, "Metadata service".
//! - AWS: EC2 user guide, "Use the Instance Metadata Service" with version 2 required.
//! - Google: Compute Engine, "About VM metadata".
//! - Azure: "Azure Instance Metadata Service", "User data".

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::lab::Lab;
use crate::network;

const PORT: u16 = 80;
const MOST_HEADERS: usize = 32;
const PATIENCE: Duration = Duration::from_secs(10);
/// The session token of AWS.
const TOKEN: &str = "AQAEALr8TRK0kkjhYE2dfLDEhcmQWCMUgQHU6K1Dsfz7Fi";
const TOKEN_LIFE: &str = "x-aws-ec2-metadata-token-ttl-seconds";
/// The longest life of such a token, in seconds.
const LONGEST_LIFE: u32 = 21_600;
/// AWS: where the machine is.
const IDENTITY: &str = r#"{"region":"eu-central-1","availabilityZone":"eu-central-1a"}"#;

/// A cloud with a metadata server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cloud {
    /// The metadata service of `OpenStack`.
    OpenStack,
    /// AWS, which accepts only requests with a session token.
    Aws,
    /// Google Compute Engine.
    Gcp,
    /// Azure.
    Azure,
}

impl Cloud {
    /// The name of the cloud: nkd's carrier and Ignition's platform.
    pub const fn name(self) -> &'static str {
        match self {
            Self::OpenStack => "openstack",
            Self::Aws => "aws",
            Self::Gcp => "gcp",
            Self::Azure => "azure",
        }
    }

    fn answer(self, user_data: Option<&[u8]>, request: &Request) -> Answer {
        let path_and_query = request.target.split_once('?');
        let (path, query) = path_and_query.unwrap_or((&request.target, ""));
        match self {
            Self::OpenStack => match path {
                "/openstack/latest/user_data" => Answer::found(user_data),
                _ => Answer::status(404),
            },
            Self::Aws => aws(user_data, request, path),
            Self::Gcp => match path {
                _ if request.header("metadata-flavor") != "Google" => Answer::status(403),
                "/computeMetadata/v1/instance/attributes/user-data" => Answer::found(user_data),
                _ => Answer::status(404),
            },
            Self::Azure => match path {
                _ if request.header("metadata") != "true" => Answer::status(400),
                _ if !query
                    .split('&')
                    .any(|word| word.starts_with("api-version=")) =>
                {
                    Answer::status(400)
                }
                // A machine without user data gets an empty answer.
                "/metadata/instance/compute/userData" if query.contains("format=text") => {
                    Answer::ok(STANDARD.encode(user_data.unwrap_or_default()))
                }
                _ => Answer::status(404),
            },
        }
    }
}

fn aws(user_data: Option<&[u8]>, request: &Request, path: &str) -> Answer {
    if (&*request.method, path) == ("PUT", "/latest/api/token") {
        let life = request.header(TOKEN_LIFE);
        if !(1..=LONGEST_LIFE).contains(&life.parse().unwrap_or(0)) {
            return Answer::status(400);
        }
        return Answer(200, format!("{TOKEN_LIFE}: {life}\r\n"), TOKEN.into());
    }
    match path {
        _ if request.header("x-aws-ec2-metadata-token") != TOKEN => Answer::status(401),
        "/2019-10-01/user-data" => Answer::found(user_data),
        "/latest/dynamic/instance-identity/document" => Answer::ok(IDENTITY),
        _ => Answer::status(404),
    }
}

/// A metadata server; it ends when it is dropped.
#[derive(Debug)]
pub struct MetadataServer {
    shared: Arc<Shared>,
    server: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    cloud: Cloud,
    user_data: Option<Vec<u8>>,
    has_ended: AtomicBool,
    requests: Mutex<Vec<String>>,
}

impl MetadataServer {
    /// The address of all these servers. Machines reach it through their gateway.
    pub const ADDRESS: &str = "169.254.169.254";

    pub(crate) fn start(lab: &Lab, cloud: Cloud, user_data: Option<&[u8]>) -> Result<Self> {
        Self::take_address(lab)?;
        let listener = network::listen(&lab.namespace(), (Self::ADDRESS, PORT))?;
        let shared = Arc::new(Shared {
            cloud,
            user_data: user_data.map(<[u8]>::to_vec),
            has_ended: AtomicBool::new(false),
            requests: Mutex::default(),
        });
        let for_server = shared.clone();
        let server = Some(thread::spawn(move || for_server.serve(&listener)));
        Ok(Self { shared, server })
    }

    /// Gives the lab's gateway the address, without a server: connections are refused.
    pub(crate) fn take_address(lab: &Lab) -> Result<()> {
        let address = format!("{}/32", Self::ADDRESS);
        lab.ip(&["address", "replace", &address, "dev", "br0"])
            .map(drop)
    }

    /// The requests so far, with the status of the answer.
    pub fn requests(&self) -> Vec<String> {
        let requests = self.shared.requests.lock();
        requests.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for MetadataServer {
    fn drop(&mut self) {
        self.shared.has_ended.store(true, Ordering::Relaxed);
        let _ = self.server.take().map(JoinHandle::join);
    }
}

impl Shared {
    fn serve(self: &Arc<Self>, listener: &TcpListener) {
        while !self.has_ended.load(Ordering::Relaxed) {
            let Ok((stream, _)) = listener.accept() else {
                thread::sleep(Duration::from_millis(20));
                continue;
            };
            let shared = self.clone();
            // A client that hangs up gets no answer.
            thread::spawn(move || drop(shared.converse(stream)));
        }
    }

    /// Answers one request.
    fn converse(&self, mut stream: TcpStream) -> Result<()> {
        stream.set_nonblocking(false)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let request = Request::read(&mut stream)?;
        let user_data = self.user_data.as_deref();
        let Answer(status, headers, body) = self.cloud.answer(user_data, &request);
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        requests.push(format!("{} {}: {status}", request.method, request.target));
        drop(requests);
        let length = body.len();
        write!(
            stream,
            "HTTP/1.1 {status} \r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n"
        )?;
        Ok(stream.write_all(&body)?)
    }
}

/// A status, the lines of further headers, and a body.
struct Answer(u16, String, Vec<u8>);

impl Answer {
    fn ok(body: impl Into<Vec<u8>>) -> Self {
        Self(200, String::new(), body.into())
    }

    const fn status(status: u16) -> Self {
        Self(status, String::new(), Vec::new())
    }

    fn found(data: Option<&[u8]>) -> Self {
        data.map_or(Self::status(404), Self::ok)
    }
}

/// A request without a body.
struct Request {
    method: String,
    target: String,
    headers: BTreeMap<String, String>,
}

impl Request {
    fn read(stream: &mut impl Read) -> Result<Self> {
        let mut bytes = Vec::new();
        let mut chunk = [0; 4096];
        loop {
            let count = stream.read(&mut chunk)?;
            if count == 0 {
                bail!("the request has no end");
            }
            bytes.extend_from_slice(&chunk[..count]);
            let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
            let mut request = httparse::Request::new(&mut headers);
            if request.parse(&bytes)?.is_complete() {
                return Self::new(&request);
            }
        }
    }

    fn new(request: &httparse::Request) -> Result<Self> {
        let headers = request.headers.iter().map(|header| {
            let value = String::from_utf8_lossy(header.value).into_owned();
            (header.name.to_lowercase(), value)
        });
        Ok(Self {
            method: request.method.context("no method")?.to_owned(),
            target: request.path.context("no target")?.to_owned(),
            headers: headers.collect(),
        })
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}
