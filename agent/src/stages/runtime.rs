//! `runtime`: the container runtime runs and answers, on this boot and on later ones.

use std::fs;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use nkd_contract::{Cause, Runtime};

use super::{Fault, Node};
use crate::system::files::remove;
use crate::system::{Command, Root};

/// `systemctl` waits for a unit, which systemd gives 90 s unless it says otherwise.
const START: Duration = Duration::from_secs(120);
/// How long a running runtime may take to open its socket.
const SOCKET: Duration = Duration::from_secs(30);

pub(super) fn run(node: &mut Node<'_>) -> Result<(), Fault> {
    let runtime = node.plan.runtime;
    repair(node)?;
    for unit in runtime.units() {
        node.root
            .command("systemctl")
            .args(["enable", "--now", unit])
            .timeout(START)
            .run()
            .map_err(|error| Fault::of_command(Cause::RuntimeStart, &error))?;
    }
    let socket = runtime.answers_at();
    node.poll(SOCKET, |node| {
        UnixStream::connect(node.root.path(socket))
            .map_err(|error| Fault::new(Cause::RuntimeSocket, format!("{socket}: {error}")))
    })?;
    client(node.root, runtime)
        .args(["version"])
        .read()
        .map(drop)
        .map_err(|error| Fault::of_command(Cause::RuntimeSocket, &error))
}

/// containerd's id of itself. It writes the file without syncing it, and answers no request while it is
/// empty (containerd, `services/introspection`); a missing one it makes anew.
const CONTAINERD_ID: &str = "/var/lib/containerd/io.containerd.grpc.v1.introspection/uuid";

/// Removes what a power cut has left empty and the runtime would stumble over.
fn repair(node: &mut Node<'_>) -> Result<(), Fault> {
    if node.plan.runtime != Runtime::Containerd {
        return Ok(());
    }
    let path = node.root.path(CONTAINERD_ID);
    let id = fs::read(&path);
    // A file system may have kept the length of what it lost.
    if !id.is_ok_and(|bytes| bytes.iter().all(|byte| *byte == 0)) {
        return Ok(());
    }
    remove(&path)
        .map_err(|error| Fault::new(Cause::RuntimeStart, format!("{CONTAINERD_ID}: {error}")))?;
    let message = format!("removed {CONTAINERD_ID}, which a power cut had left empty");
    node.progress(message, None);
    Ok(())
}

/// The program that asks a runtime. kubeadm needs crictl for every one but Docker by itself.
pub(super) const fn client_program(runtime: Runtime) -> &'static str {
    match runtime {
        Runtime::Containerd => "ctr",
        Runtime::Crio | Runtime::Isulad | Runtime::CriDockerd => "crictl",
        Runtime::Docker => "docker",
    }
}

/// That program, told whom to ask; its `version` is an answer of the runtime itself.
pub(crate) fn client(root: &Root, runtime: Runtime) -> Command {
    let command = root.command(client_program(runtime));
    let socket = runtime.answers_at();
    match runtime {
        Runtime::Containerd => command.args(["--address", socket]),
        Runtime::Crio | Runtime::Isulad | Runtime::CriDockerd => {
            command.args(["--runtime-endpoint", &format!("unix://{socket}")])
        }
        Runtime::Docker => command.args(["--host", &format!("unix://{socket}")]),
    }
}
