//! A server at the cluster's endpoint that is not the cluster's API, for tests of waiting nodes.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::Result;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::lab::Lab;
use crate::{authority, network};

const PORT: u16 = 6443;

/// What stands at the endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guise<'a> {
    /// Takes connections and says nothing.
    Silent,
    /// The API of another cluster, with certificates of another authority.
    OtherCluster,
    /// The cluster's own API server, by the certificate and key of its authority in this
    /// directory (`ca.crt`, `ca.key`), while it isn't ready: answers 503.
    NotReady(&'a Path),
}

/// An impostor at the lab's gateway; it is gone when it is dropped.
#[derive(Debug)]
pub struct Impostor {
    ended: Arc<AtomicBool>,
    server: Option<JoinHandle<()>>,
}

impl Impostor {
    /// What nodes connect to: `spec.kubernetes.endpoint`.
    pub fn endpoint() -> String {
        format!("{}:{PORT}", Lab::GATEWAY)
    }

    pub(crate) fn start(network: &Path, directory: &Path, guise: Guise) -> Result<Self> {
        let tls = match guise {
            Guise::Silent => None,
            Guise::OtherCluster => Some(authority::new(directory, Lab::GATEWAY)?.server),
            Guise::NotReady(pki) => {
                let authority: [PathBuf; 2] = ["ca.crt", "ca.key"].map(|name| pki.join(name));
                let authority = (&*authority[0], &*authority[1]);
                Some(authority::server(directory, authority, Lab::GATEWAY)?)
            }
        };
        let listener = network::listen(network, (Lab::GATEWAY, PORT))?;
        let ended = Arc::new(AtomicBool::new(false));
        let end = ended.clone();
        let server = Some(thread::spawn(move || serve(&listener, tls.as_ref(), &end)));
        Ok(Self { ended, server })
    }
}

impl Drop for Impostor {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        // The address is free for another one afterwards.
        let _ = self.server.take().map(JoinHandle::join);
    }
}

fn serve(listener: &TcpListener, tls: Option<&Arc<ServerConfig>>, ended: &AtomicBool) {
    let mut silent = Vec::new();
    while !ended.load(Ordering::Relaxed) {
        let Ok((stream, _)) = listener.accept() else {
            thread::sleep(Duration::from_millis(20));
            continue;
        };
        match tls.cloned() {
            None => silent.push(stream),
            // Whoever doesn't believe the certificate hangs up.
            Some(tls) => drop(thread::spawn(move || refuse(stream, tls))),
        }
    }
}

/// Answers 503 to a connection's first request.
fn refuse(stream: TcpStream, tls: Arc<ServerConfig>) -> Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut stream = StreamOwned::new(ServerConnection::new(tls)?, stream);
    let mut request = [0; 4096];
    let _ = stream.read(&mut request)?;
    stream.write_all(
        b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
    )?;
    stream.conn.send_close_notify();
    Ok(stream.flush()?)
}
