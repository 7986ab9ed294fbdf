//! A load balancer for the API of several control planes, outside of the cluster. It passes each
//! connection to the first control plane that accepts it.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use nix::sched::{CloneFlags, setns};

use crate::lab::Lab;

/// The port of the balancer, which often differs from that of the API servers.
const PORT: u16 = 7443;
const API_PORT: u16 = 6443;
const CONNECT: Duration = Duration::from_millis(500);

/// A balancer at the lab's gateway; it ends when it is dropped.
#[derive(Debug)]
pub struct Balancer {
    ended: Arc<AtomicBool>,
}

impl Balancer {
    /// Balances in a network namespace among control planes by their addresses.
    pub(crate) fn start(network: &Path, control_planes: &[&str]) -> Result<Self> {
        let network =
            File::open(network).with_context(|| format!("can't open {}", network.display()))?;
        let targets = control_planes
            .iter()
            .map(|address| Ok(SocketAddr::new(address.parse()?, API_PORT)))
            .collect::<Result<Arc<[SocketAddr]>>>()?;
        let ended = Arc::new(AtomicBool::new(false));
        let end = ended.clone();
        // Its thread and those it starts stay in the network.
        let opening: JoinHandle<io::Result<()>> = thread::spawn(move || {
            setns(&network, CloneFlags::CLONE_NEWNET)?;
            let listener = TcpListener::bind((Lab::GATEWAY, PORT))?;
            listener.set_nonblocking(true)?;
            thread::spawn(move || serve(&listener, &targets, &end));
            Ok(())
        });
        let outcome = opening
            .join()
            .map_err(|_| anyhow!("the balancer's thread is gone"))?;
        outcome.with_context(|| format!("can't listen on {}:{PORT}", Lab::GATEWAY))?;
        Ok(Self { ended })
    }

    /// The host and port to which nodes and clients connect: `spec.kubernetes.endpoint`.
    pub fn endpoint(&self) -> String {
        format!("{}:{PORT}", Lab::GATEWAY)
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
    }
}

fn serve(listener: &TcpListener, targets: &Arc<[SocketAddr]>, ended: &AtomicBool) {
    while !ended.load(Ordering::Relaxed) {
        match listener.accept() {
            Ok((client, _)) => {
                let targets = targets.clone();
                thread::spawn(move || forward(&client, &targets));
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                thread::sleep(Duration::from_millis(20));
            }
            Err(_) => return,
        }
    }
}

/// Passes bytes in both directions until either side closes. An error only ends this connection.
fn forward(client: &TcpStream, targets: &[SocketAddr]) {
    let mut connections = targets
        .iter()
        .filter_map(|target| TcpStream::connect_timeout(target, CONNECT).ok());
    let Some(server) = connections.next() else {
        return;
    };
    let _ = client.set_nonblocking(false);
    thread::scope(|scope| {
        scope.spawn(|| pass(client, &server));
        pass(&server, client);
    });
}

fn pass(mut from: &TcpStream, mut to: &TcpStream) {
    let _ = io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Write);
}
