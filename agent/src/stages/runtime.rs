//! `runtime`: the container runtime runs and answers, on this boot and on later ones.

use std::os::unix::net::UnixStream;
use std::time::Duration;

use nkd_contract::{Cause, Runtime};

use super::{Fault, Node};

/// `systemctl` waits for the unit, which systemd gives 90 s unless it says otherwise.
const START: Duration = Duration::from_secs(120);
/// How long a running runtime may take to open its socket.
const SOCKET: Duration = Duration::from_secs(30);

pub(super) fn run(node: &mut Node<'_>) -> Result<(), Fault> {
    let runtime = node.plan.runtime;
    node.root
        .command("systemctl")
        .args(["enable", "--now", runtime.unit()])
        .timeout(START)
        .run()
        .map_err(|error| Fault::of_command(Cause::RuntimeStart, &error))?;
    node.poll(SOCKET, |node| {
        UnixStream::connect(node.root.path(runtime.socket())).map_err(|error| {
            Fault::new(
                Cause::RuntimeSocket,
                format!("{}: {error}", runtime.socket()),
            )
        })
    })?;
    match runtime {
        Runtime::Containerd => node
            .root
            .command("ctr")
            .args(["--address", runtime.socket(), "version"])
            .read(),
    }
    .map(drop)
    .map_err(|error| Fault::of_command(Cause::RuntimeSocket, &error))
}
