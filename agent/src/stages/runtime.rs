//! `runtime`: the container runtime runs and answers, on this boot and on later ones.

use std::os::unix::net::UnixStream;
use std::time::Duration;

use nkd_contract::{Cause, Runtime};

use super::{Fault, Node};
use crate::system::{Command, Root};

/// `systemctl` waits for a unit, which systemd gives 90 s unless it says otherwise.
const START: Duration = Duration::from_secs(120);
/// How long a running runtime may take to open its socket.
const SOCKET: Duration = Duration::from_secs(30);

pub(super) fn run(node: &mut Node<'_>) -> Result<(), Fault> {
    let runtime = node.plan.runtime;
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
