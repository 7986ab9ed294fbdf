//! `runtime`: the container runtime runs and answers, on this boot and on later ones.

use std::os::unix::net::UnixStream;
use std::time::Duration;

use anyhow::Context as _;
use nkd_contract::Cause;

use super::{Fault, Node, OrFault as _};
use crate::runtimes;

/// The time limit for starting a unit. `systemctl` waits for the unit, for which systemd's default limit
/// is 90 s.
const START: Duration = Duration::from_secs(120);
/// The time limit for a running runtime to open its socket.
const SOCKET: Duration = Duration::from_secs(30);

pub(super) fn run(node: &mut Node<'_>) -> Result<(), Fault> {
    let container_runtime = runtimes::of(node.plan.runtime);
    let removed = container_runtime.repair(node.root);
    if let Some(path) = removed.or_fault(Cause::RuntimeStart)? {
        let message = format!("removed {path}, which a power cut had left empty");
        node.progress(message, None);
    }
    for unit in node.plan.runtime.units() {
        node.root
            .command("systemctl")
            .args(["enable", "--now", unit])
            .timeout(START)
            .run()
            .map_err(|error| Fault::of_command(Cause::RuntimeStart, error))?;
    }
    let socket = node.plan.runtime.answers_at();
    node.poll(SOCKET, |node| {
        UnixStream::connect(node.root.path(socket))
            .context(socket)
            .or_fault(Cause::RuntimeSocket)
    })?;
    container_runtime
        .client(node.root)
        .args(["version"])
        .read()
        .map(drop)
        .map_err(|error| Fault::of_command(Cause::RuntimeSocket, error))
}
