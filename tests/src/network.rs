//! Sockets in the network namespace of a lab.

use std::fs::File;
use std::io;
use std::net::TcpListener;
use std::path::Path;
use std::thread;

use anyhow::{Context, Result, anyhow};
use nix::sched::{CloneFlags, setns};

/// Does something in a network namespace. A socket stays in the namespace it was made in, so every
/// thread may use it later.
pub(crate) fn inside<T: Send>(
    network: &Path,
    act: impl FnOnce() -> io::Result<T> + Send,
) -> Result<T> {
    let file = File::open(network).with_context(|| format!("can't open {}", network.display()))?;
    let enter = || {
        setns(&file, CloneFlags::CLONE_NEWNET).map_err(io::Error::from)?;
        act()
    };
    // In a thread of its own, which takes the namespace with it.
    thread::scope(|scope| scope.spawn(enter).join())
        .map_err(|_| anyhow!("the thread is gone"))
        .and_then(|made: io::Result<_>| Ok(made?))
}

/// Listens in a network namespace.
pub(crate) fn listen(network: &Path, address: (&str, u16)) -> Result<TcpListener> {
    inside(network, || {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    })
    .with_context(|| format!("can't listen on {}:{}", address.0, address.1))
}
