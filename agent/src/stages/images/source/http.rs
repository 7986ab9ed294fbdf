use std::io::{self, Read};
use std::time::Duration;

use nkd_bundle::Source;
use nkd_contract::{Bundle, Cause, Urls};
use ureq::http::Uri;
use ureq::http::header::{CONTENT_LENGTH, CONTENT_RANGE, RANGE};
use ureq::tls::TlsConfig;
use ureq::{Agent, Body, BodyReader};

use super::super::worst;
use super::Fault;
use crate::stages::OrFault as _;
use crate::system::{Backoff, tls};

/// The time limit for connecting.
const CONNECT: Duration = Duration::from_secs(10);
/// The time limit for a server that sends nothing.
const SILENCE: Duration = Duration::from_secs(30);
/// The longest delay between two attempts.
const WAIT: Duration = Duration::from_secs(10);
/// The number of consecutive attempts without a single byte, for each server, after which reading fails.
const TRIES: usize = 4;

/// A file that is read from servers. If one server ends the answer too early, the next one continues.
pub(super) struct Download {
    agent: Agent,
    urls: Vec<Uri>,
    /// The index of the current server.
    current: usize,
    size: u64,
    at: u64,
    body: Option<BodyReader<'static>>,
    /// The number of consecutive attempts without a byte.
    vain: usize,
    /// The fault of the last attempt.
    last: Option<Fault>,
    /// The faults of servers that have another file.
    others: Vec<Fault>,
    backoff: Backoff,
}

impl Download {
    pub(super) fn new(urls: &Urls, bundle: &Bundle) -> Result<Self, Fault> {
        let roots = tls::roots(urls.certificate_authority.as_deref());
        let roots = roots.or_fault(Cause::PlanInvalid)?;
        let agent = Agent::config_builder()
            .timeout_connect(Some(CONNECT))
            .timeout_recv_response(Some(SILENCE))
            .timeout_per_read(Some(SILENCE))
            .http_status_as_error(false)
            .proxy(None)
            .user_agent(concat!("nkd-agent/", env!("CARGO_PKG_VERSION")))
            .tls_config(TlsConfig::builder().root_certs(roots).build())
            .build()
            .new_agent();
        let file = &bundle.file;
        let urls = urls.urls.iter().map(|url| format!("{url}/{file}").parse());
        let urls = urls.collect::<Result<_, _>>();
        let mut download = Self {
            agent,
            urls: urls.or_fault(Cause::PlanInvalid)?,
            current: 0,
            size: bundle.size,
            at: 0,
            body: None,
            vain: 0,
            last: None,
            others: Vec::new(),
            backoff: Backoff::new(WAIT),
        };
        // The first request is made here, so that an unreachable server is reported as such.
        while download.body.is_none() {
            if let Err(fault) = download.ask() {
                download.go_on(fault)?;
            }
        }
        Ok(download)
    }

    /// The place of the file, for people. Passwords in URLs are left out.
    pub(super) fn place(&self) -> String {
        self.urls.get(self.current).map_or_else(String::new, public)
    }

    /// Switches to the next server, with a pause after all servers were tried. Fails after too many
    /// consecutive attempts without a byte.
    fn go_on(&mut self, fault: Fault) -> Result<(), Fault> {
        let fault = fault.context(self.place());
        log::warn!("{fault}");
        self.body = None;
        self.vain += 1;
        if fault.cause == Cause::ImagesSource {
            self.current += 1;
            self.last = Some(fault);
        } else {
            // Waiting doesn't turn another file into the plan's bundle.
            self.urls.remove(self.current);
            self.others.push(fault);
        }
        self.current %= self.urls.len().max(1);
        if self.vain >= TRIES * self.urls.len() {
            let mut faults = std::mem::take(&mut self.others);
            faults.extend(self.last.take());
            return Err(worst(&faults).unwrap_or_else(|| unreachable("the plan names no server")));
        }
        // The next server isn't to be waited for.
        if self.vain.is_multiple_of(self.urls.len()) {
            std::thread::sleep(self.backoff.next(None));
        }
        Ok(())
    }

    fn read_some(&mut self, into: &mut [u8]) -> Result<usize, Fault> {
        if self.body.is_none() {
            self.ask()?;
        }
        let body = self.body.as_mut().map_or(Ok(0), |body| body.read(into));
        let fault = match body {
            Ok(0) => unreachable("the server ended the answer too early"),
            Ok(read) => return Ok(read),
            Err(error) => Fault::of(Cause::ImagesSource, error),
        };
        Err(fault.context(format!("after {} bytes", self.at)))
    }

    fn ask(&mut self) -> Result<(), Fault> {
        let url = self.urls.get(self.current);
        let url = url.ok_or_else(|| unreachable("the plan names no server"))?;
        let request = self.agent.get(url);
        let request = match self.at {
            0 => request,
            at => request.header(RANGE, format!("bytes={at}-")),
        };
        let response = request.call().or_fault(Cause::ImagesSource)?;
        let status = response.status().as_u16();
        let header = |name| {
            let value = response.headers().get(name);
            value
                .and_then(|value| value.to_str().ok())
                .unwrap_or_default()
        };
        let from = match status {
            200 => {
                let length = header(CONTENT_LENGTH).parse();
                length.map_or(Ok(()), |length| super::is_as_long(length, self.size))?;
                0
            }
            206 => range_start(header(CONTENT_RANGE))
                .filter(|from| *from == self.at)
                .ok_or_else(|| {
                    unreachable("the server sent another range than the requested one")
                })?,
            _ => return Err(unreachable(format!("the server answers {status}"))),
        };
        let (_, body): (_, Body) = response.into_parts();
        let mut body = body.into_reader();
        // A server without ranges sends the file from its start.
        let again = self.at - from;
        let skipped = io::copy(&mut (&mut body).take(again), &mut io::sink());
        let skipped = skipped.or_fault(Cause::ImagesSource)?;
        if skipped < again {
            return Err(unreachable("the server ended the answer too early"));
        }
        self.body = Some(body);
        Ok(())
    }
}

fn unreachable(why: impl Into<String>) -> Fault {
    Fault::new(Cause::ImagesSource, why)
}

/// Parses the header `Content-Range`, such as `bytes 100-199/200`.
fn range_start(header: &str) -> Option<u64> {
    header
        .strip_prefix("bytes ")?
        .split('-')
        .next()?
        .parse()
        .ok()
}

/// A URL without user and password.
fn public(url: &Uri) -> String {
    let authority = url.authority().map_or("", |authority| authority.as_str());
    let host = authority.rsplit('@').next().unwrap_or_default();
    let scheme = url.scheme_str().unwrap_or_default();
    format!("{scheme}://{host}{}", url.path())
}

impl Read for Download {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let left = self.size - self.at;
        let most = usize::try_from(left).unwrap_or(into.len()).min(into.len());
        let Some(into) = into.get_mut(..most).filter(|into| !into.is_empty()) else {
            return Ok(0);
        };
        loop {
            match self.read_some(into) {
                Ok(read) => {
                    self.at += read as u64;
                    self.vain = 0;
                    self.last = None;
                    self.backoff = Backoff::new(WAIT);
                    return Ok(read);
                }
                Err(fault) => self
                    .go_on(fault)
                    .map_err(|fault| io::Error::other(fault.message()))?,
            }
        }
    }
}

impl Source for Download {
    /// Skips bytes. If there are many, they are not requested from the server.
    fn skip(&mut self, bytes: u64) -> io::Result<()> {
        const WORTH: u64 = 4 << 20;
        if bytes < WORTH {
            return io::copy(&mut self.take(bytes), &mut io::sink()).map(drop);
        }
        self.body = None;
        self.at = self.size.min(self.at + bytes);
        Ok(())
    }
}
