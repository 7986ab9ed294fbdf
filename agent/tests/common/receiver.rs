//! A receiver of callbacks: a small HTTP server that does as it is told.

use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver as Channel, Sender};
use std::thread;
use std::time::{Duration, Instant};

use nkd_contract::ReportTarget;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// Longer than anything takes that comes at all.
const PATIENCE: Duration = Duration::from_secs(60);

/// The key all these receivers know; base64 of "the signing key of the node".
pub const KEY: &str = "whsec_dGhlIHNpZ25pbmcga2V5IG9mIHRoZSBub2Rl";

/// What it does with a request.
#[derive(Debug, Clone, Copy)]
pub enum Answer {
    /// Answers with a status.
    Status(u16),
    /// Answers with a status and a header.
    With(u16, &'static str),
    /// Answers with 200 and a body. The worker's tests alone need it.
    #[allow(dead_code)]
    Body(&'static str),
    /// Takes the request and never answers.
    Silence,
    /// Hangs up instead of answering.
    HangUp,
}

/// What somebody sent.
#[derive(Debug)]
pub struct Request {
    /// When its head had come.
    pub at: Instant,
    pub line: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Request {
    pub fn header(&self, name: &str) -> &str {
        let mut headers = self.headers.iter();
        &headers
            .find(|header| header.0.eq_ignore_ascii_case(name))
            .unwrap()
            .1
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The place in the log of the event that was sent.
    pub fn sequence(&self) -> u64 {
        self.json()["data"]["sequence"].as_u64().unwrap()
    }
}

/// The receiver.
pub struct Receiver {
    pub address: SocketAddr,
    requests: Channel<Request>,
}

impl Receiver {
    /// A receiver without TLS that gives these answers, and afterwards accepts everything.
    pub fn start(answers: &[Answer]) -> Self {
        Self::listen("127.0.0.1:0".parse().unwrap(), answers, None)
    }

    pub fn listen(address: SocketAddr, answers: &[Answer], tls: Option<&Authority>) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        let mut answers: VecDeque<_> = answers.iter().copied().collect();
        let tls = tls.map(Authority::server);
        let (sender, requests) = mpsc::channel();
        thread::spawn(move || {
            // Connections that get no answer are kept open.
            let mut silent = Vec::new();
            for stream in listener.incoming() {
                let stream = stream.unwrap();
                let served = match &tls {
                    Some(tls) => serve(tls_stream(stream, tls), &sender, &mut answers),
                    None => serve(stream, &sender, &mut answers),
                };
                silent.extend(served.unwrap_or_default());
            }
        });
        Self { address, requests }
    }

    /// The next request; panics when none comes.
    pub fn next(&self) -> Request {
        self.requests.recv_timeout(PATIENCE).unwrap()
    }

    /// The places in the log of the next events.
    pub fn sequences(&self, count: usize) -> Vec<u64> {
        (0..count).map(|_| self.next().sequence()).collect()
    }

    /// Whether nothing has come that wasn't asked for.
    pub fn is_idle(&self) -> bool {
        self.requests.try_recv().is_err()
    }

    /// This receiver as a target.
    pub fn target(&self) -> ReportTarget {
        target(self.address)
    }
}

/// A receiver without TLS as a target.
pub fn target(address: SocketAddr) -> ReportTarget {
    ReportTarget {
        url: format!("http://{address}/hook"),
        certificate_authority: None,
        signing_key: KEY.into(),
    }
}

trait Stream: Read + Write + Send {}
impl<T: Read + Write + Send> Stream for T {}

fn tls_stream(stream: TcpStream, tls: &Arc<ServerConfig>) -> impl Stream + 'static {
    StreamOwned::new(ServerConnection::new(Arc::clone(tls)).unwrap(), stream)
}

/// Takes one request; gives the connection back when it is to stay open without an answer.
fn serve<S: Stream + 'static>(
    stream: S,
    requests: &Sender<Request>,
    answers: &mut VecDeque<Answer>,
) -> io::Result<Option<Box<dyn Stream>>> {
    let mut stream = BufReader::new(stream);
    let request = read(&mut stream)?;
    let answer = answers.pop_front().unwrap_or(Answer::Status(204));
    let _ = requests.send(request);
    let (status, header, body) = match answer {
        Answer::Status(status) => (status, "X-Nothing: more", "sorry\n"),
        Answer::With(status, header) => (status, header, "sorry\n"),
        Answer::Body(body) => (200, "Content-Type: application/json", body),
        Answer::Silence => return Ok(Some(Box::new(stream.into_inner()))),
        Answer::HangUp => return Ok(None),
    };
    let head = format!("HTTP/1.1 {status} Something\r\n{header}\r\n");
    let stream = stream.get_mut();
    if status == 204 {
        write!(stream, "{head}Connection: close\r\n\r\n")?;
    } else {
        let length = body.len();
        write!(
            stream,
            "{head}Connection: close\r\nContent-Length: {length}\r\n\r\n{body}"
        )?;
    }
    stream.flush()?;
    Ok(None)
}

/// Reads a request with its body.
pub fn read(stream: &mut impl BufRead) -> io::Result<Request> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if line.trim_end().is_empty() {
            break;
        }
        lines.push(line.trim_end().to_owned());
    }
    let line = lines.remove(0);
    let headers = lines.iter().filter_map(|line| line.split_once(": "));
    let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let mut request = Request {
        at: Instant::now(),
        line,
        headers: headers.collect(),
        body: Vec::new(),
    };
    let length = request.headers.iter();
    let length = length.filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let length = length.map(|(_, value)| value.parse().unwrap()).next();
    let length: usize = length.unwrap_or_default();
    request.body.resize(length, 0);
    stream.read_exact(&mut request.body)?;
    Ok(request)
}

/// A certificate authority and a server's certificate of it.
pub struct Authority {
    pub pem: String,
    certificate: CertificateDer<'static>,
    key: KeyPair,
}

impl Authority {
    pub fn new() -> Self {
        Self::with_key(&Self::parameters(), KeyPair::generate().unwrap())
    }

    /// The parameters of an authority's certificate.
    pub fn parameters() -> CertificateParams {
        let mut parameters = CertificateParams::new(Vec::new()).unwrap();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters
    }

    /// An authority with a key and parameters of the test's choice.
    pub fn with_key(parameters: &CertificateParams, ca_key: KeyPair) -> Self {
        let pem = parameters.self_signed(&ca_key).unwrap().pem();
        let issuer = Issuer::from_params(parameters, ca_key);
        let key = KeyPair::generate().unwrap();
        let leaf = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        let certificate = leaf.signed_by(&key, &issuer).unwrap();
        Self {
            pem,
            certificate: certificate.der().clone(),
            key,
        }
    }

    /// A server that is its own authority. The reporter's tests alone need it.
    #[allow(dead_code)]
    pub fn of_itself(parameters: &CertificateParams) -> Self {
        let key = KeyPair::generate().unwrap();
        let certificate = parameters.self_signed(&key).unwrap();
        Self {
            pem: certificate.pem(),
            certificate: certificate.der().clone(),
            key,
        }
    }

    /// What a server needs to be believed by those who trust this authority.
    pub fn server(&self) -> Arc<ServerConfig> {
        let key = PrivatePkcs8KeyDer::from(self.key.serialize_der());
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![self.certificate.clone()], key.into())
            .unwrap();
        Arc::new(config)
    }
}
