use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::message::Message;
use super::{Inbox, Mood};
use crate::network::listen;

const MOST_HEADERS: usize = 32;
const LARGEST: usize = 1 << 20;
const SLOWNESS: Duration = Duration::from_secs(2);

/// Listens in a network namespace and serves from a thread.
pub(super) fn start(
    network: &Path,
    address: (&'static str, u16),
    tls: Arc<ServerConfig>,
    inbox: Arc<Inbox>,
) -> Result<()> {
    let network = network.to_owned();
    let listener = listen(&network, address)?;
    thread::Builder::new()
        .name("callbacks".into())
        .spawn(move || serve(Some(listener), || listen(&network, address), &tls, &inbox))?;
    Ok(())
}

/// Takes connections, each in a thread of its own, until the receiver has ended.
fn serve(
    mut listener: Option<TcpListener>,
    listen: impl Fn() -> Result<TcpListener>,
    tls: &Arc<ServerConfig>,
    inbox: &Arc<Inbox>,
) {
    loop {
        let mood = inbox.lock().mood;
        match mood {
            Mood::Ended => return,
            Mood::Down => listener = None,
            _ if listener.is_none() => listener = listen().ok(),
            _ => {}
        }
        let Some(Ok((stream, _))) = listener.as_ref().map(TcpListener::accept) else {
            thread::sleep(Duration::from_millis(20));
            continue;
        };
        let (tls, inbox) = (tls.clone(), inbox.clone());
        thread::spawn(move || {
            if let Err(error) = converse(stream, tls, &inbox) {
                inbox.lock().refused.push(format!("{error:#}"));
            }
        });
    }
}

/// Answers the messages of one connection.
fn converse(stream: TcpStream, tls: Arc<ServerConfig>, inbox: &Inbox) -> Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    let mut stream = StreamOwned::new(ServerConnection::new(tls)?, stream);
    let mut unread = Vec::new();
    while let Some(message) = read(&mut stream, &mut unread)? {
        if inbox.lock().mood == Mood::Slow {
            thread::sleep(SLOWNESS);
        }
        let status = match inbox.take(&message) {
            204 => "204 No Content",
            503 => "503 Service Unavailable",
            _ => "401 Unauthorized",
        };
        write!(stream, "HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n")?;
        stream.flush()?;
        if matches!(inbox.lock().mood, Mood::Down | Mood::Ended) {
            break;
        }
    }
    Ok(())
}

/// Reads the next message; `None` when the other side is done.
fn read(stream: &mut impl Read, unread: &mut Vec<u8>) -> Result<Option<Message>> {
    let mut chunk = [0; 16 * 1024];
    loop {
        if let Some((message, length)) = parse(unread)? {
            unread.drain(..length);
            return Ok(Some(message));
        }
        match stream.read(&mut chunk) {
            Ok(0) => return Ok(None),
            Ok(count) => unread.extend_from_slice(&chunk[..count]),
            // A client that keeps its connection for later, or goes without a word.
            Err(_) if unread.is_empty() => return Ok(None),
            Err(error) => return Err(error).context("a message broke off"),
        }
        if unread.len() > LARGEST {
            bail!("a message of more than {LARGEST} bytes");
        }
    }
}

/// The message at the start of what was read, and its length; `None` while it isn't complete.
fn parse(bytes: &[u8]) -> Result<Option<(Message, usize)>> {
    let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    let httparse::Status::Complete(start) = request.parse(bytes)? else {
        return Ok(None);
    };
    let headers: BTreeMap<String, String> = request
        .headers
        .iter()
        .map(|header| {
            let value = String::from_utf8_lossy(header.value).into_owned();
            (header.name.to_lowercase(), value)
        })
        .collect();
    let length: usize = match headers.get("content-length") {
        Some(length) => length.parse().context("content-length")?,
        None => bail!("a request without content-length"),
    };
    let Some(body) = bytes[start..].get(..length) else {
        return Ok(None);
    };
    let body = body.to_vec();
    Ok(Some((Message { headers, body }, start + length)))
}
