//! Programs that run beside the machines, in the lab's network: what an operator's site has.

use std::ffi::OsStr;
use std::fs::File;
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::lab::Lab;
use crate::{cgroup, network, teardown};
use packages::command;

/// Puts itself into cgroups, and becomes the program in the lab's network.
const START: &str = r#"
set -eu
groups=$1 network=$2
shift 2
for group in $groups; do echo $$ > "$group/cgroup.procs"; done
exec nsenter --net="$network" "$@"
"#;

const PATIENCE: Duration = Duration::from_secs(20);

/// A running program; it is killed when this is dropped, and with the lab when nobody drops it.
#[derive(Debug)]
pub(crate) struct Daemon(Child);

impl Daemon {
    /// Starts a program and waits until it takes connections at a port of the lab's gateway. What
    /// it says goes to a file in the directory.
    pub(crate) fn start<S: AsRef<OsStr>>(
        lab: &Lab,
        directory: &Path,
        words: impl IntoIterator<Item = S>,
        port: u16,
    ) -> Result<Self> {
        let groups = cgroup::create(&lab.name(), "daemons")?;
        let groups: Vec<_> = groups.iter().map(|group| group.to_string_lossy()).collect();
        let path = directory.join("daemon.log");
        let log = File::create(&path)?;
        let child = Command::new("sh")
            .args(["-c", START, "sh"])
            .arg(groups.join(" "))
            .arg(lab.namespace())
            .args(words)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        let mut daemon = Self(child);
        let answers = teardown::retry(PATIENCE, || {
            ensure!(daemon.0.try_wait()?.is_none(), "it has ended");
            network::inside(&lab.namespace(), || {
                TcpStream::connect((Lab::GATEWAY, port))
            })
            .map(drop)
        });
        answers.with_context(|| {
            let said = std::fs::read_to_string(&path).unwrap_or_default();
            format!(
                "nobody answers at port {port}\n{}",
                command::tail(&said, 20)
            )
        })?;
        Ok(daemon)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
