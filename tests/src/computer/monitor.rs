//! The buttons of a computer: QEMU's machine protocol (QMP).

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(10);

/// A connection to QEMU.
pub(super) struct Monitor(BufReader<UnixStream>);

impl Monitor {
    /// Connects at QEMU's socket.
    pub(super) fn connect(socket: &Path) -> Result<Self> {
        let stream = UnixStream::connect(socket).context("QEMU doesn't answer")?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut monitor = Self(BufReader::new(stream));
        let greeting = monitor.message()?;
        ensure!(greeting.get("QMP").is_some(), "not QEMU: {greeting}");
        monitor.execute("qmp_capabilities")?;
        Ok(monitor)
    }

    /// Runs a command without arguments.
    pub(super) fn execute(&mut self, command: &str) -> Result<()> {
        let line = format!("{}\n", json!({ "execute": command }));
        self.0.get_mut().write_all(line.as_bytes())?;
        // Events may come before the answer.
        loop {
            let message = self.message()?;
            if let Some(error) = message.get("error") {
                bail!("QEMU refuses {command}: {error}");
            }
            if message.get("return").is_some() {
                return Ok(());
            }
        }
    }

    fn message(&mut self) -> Result<Value> {
        let mut line = String::new();
        let length = self.0.read_line(&mut line)?;
        ensure!(length > 0, "QEMU has ended");
        Ok(serde_json::from_str(&line)?)
    }
}
