//! What the tests run the reporter in.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use nkd_contract::{Event, Kind, ReportTarget, Role, Stage, Timestamp, paths};
use tempfile::TempDir;

/// Longer than anything takes that comes at all.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until something is so.
pub fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// A machine of files.
pub struct Machine {
    pub root: TempDir,
}

impl Machine {
    pub fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("var/lib/nkd")).unwrap();
        fs::create_dir_all(root.path().join("credentials")).unwrap();
        Self { root }
    }

    /// A machine whose events go somewhere.
    pub fn reporting_to(target: &ReportTarget) -> Self {
        let machine = Self::new();
        let json = serde_json::to_vec(target).unwrap();
        fs::write(machine.root.path().join("credentials/report.json"), json).unwrap();
        machine
    }

    pub fn path(&self, absolute: &str) -> PathBuf {
        self.root.path().join(absolute.trim_start_matches('/'))
    }

    /// Adds events to the log in one write, so that followers see them at once.
    pub fn log(&self, events: &[Event]) {
        let lines: String = events
            .iter()
            .map(|event| serde_json::to_string(event).unwrap() + "\n")
            .collect();
        let path = self.path(paths::EVENTS);
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .unwrap();
        file.write_all(lines.as_bytes()).unwrap();
    }

    /// Adds an event to the log as another release of the worker writes it.
    pub fn log_json(&self, event: &serde_json::Value) {
        let path = self.path(paths::EVENTS);
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .unwrap();
        writeln!(file, "{event}").unwrap();
    }

    /// Starts the reporter, on the message bus at a socket.
    pub fn report(&self, bus: &Path) -> Reporter {
        let journal = self.path("/journal");
        let stderr = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&journal)
            .unwrap();
        let child = super::agent::agent()
            .arg("--root")
            .arg(self.root.path())
            .arg("report")
            .env(
                "DBUS_SYSTEM_BUS_ADDRESS",
                format!("unix:path={}", bus.display()),
            )
            .env("CREDENTIALS_DIRECTORY", self.path("/credentials"))
            .env("NOTIFY_SOCKET", self.path("/notify"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(stderr)
            .spawn()
            .unwrap();
        Reporter { child, journal }
    }

    /// Starts the reporter where there is no message bus.
    pub fn report_without_bus(&self) -> Reporter {
        self.report(&self.path("/no-bus"))
    }

    /// The sequence of the last event that the reporter noted as done with.
    pub fn cursor(&self) -> u64 {
        fs::read(self.path(paths::DELIVERED)).map_or(0, |json| {
            let delivered: serde_json::Value = serde_json::from_slice(&json).unwrap();
            delivered["sequence"].as_u64().unwrap()
        })
    }
}

/// A running reporter; killed at the end.
pub struct Reporter {
    child: Child,
    journal: PathBuf,
}

impl Reporter {
    /// All it has said.
    pub fn journal(&self) -> String {
        fs::read_to_string(&self.journal).unwrap()
    }

    pub fn wait_for_line(&self, text: &str) {
        wait_until(text, || self.journal().contains(text));
    }

    /// Asks it to end, as systemd does.
    pub fn stop(mut self) -> ExitStatus {
        let pid = Pid::from_raw(self.child.id().try_into().unwrap());
        kill(pid, Signal::SIGTERM).unwrap();
        self.child.wait().unwrap()
    }

    /// Waits until it ends by itself.
    pub fn end(mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }
}

impl Drop for Reporter {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A message bus of one's own; ends with the value.
pub struct Bus {
    daemon: Child,
    pub socket: PathBuf,
}

/// A bus on which anybody may do anything.
const OPEN: &str = r#"
  <policy context="default">
    <allow own="*"/>
    <allow send_destination="*" eavesdrop="true"/>
    <allow receive_sender="*"/>
  </policy>"#;

impl Bus {
    pub fn start(socket: &Path) -> Self {
        Self::with_policy(socket, OPEN)
    }

    pub fn with_policy(socket: &Path, policy: &str) -> Self {
        let _ = fs::remove_file(socket);
        let config = socket.with_extension("conf");
        let text = format!(
            r#"<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <listen>unix:path={}</listen>
  <auth>EXTERNAL</auth>
  {policy}
</busconfig>
"#,
            socket.display()
        );
        fs::write(&config, text).unwrap();
        let daemon = Command::new("dbus-daemon")
            .arg("--nofork")
            .arg("--nopidfile")
            .arg(format!("--config-file={}", config.display()))
            .stderr(File::create(socket.with_extension("log")).unwrap())
            .spawn()
            .expect("these tests need dbus-daemon, of the package dbus");
        wait_until("the bus listens", || {
            std::os::unix::net::UnixStream::connect(socket).is_ok()
        });
        Self {
            daemon,
            socket: socket.to_owned(),
        }
    }
}

impl Drop for Bus {
    fn drop(&mut self) {
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}

/// An event like the worker's.
pub fn event(sequence: u64, kind: Kind) -> Event {
    Event {
        sequence,
        id: format!("0b5ac1b2-0000-4000-8000-{sequence:012}"),
        time: Timestamp::from_unix(1_700_000_000 + sequence),
        boot: "f0b0".into(),
        cluster: Some("demo".into()),
        node: "cp1".into(),
        pool: None,
        role: Some(Role::Init.into()),
        plan: Some("5".repeat(64)),
        kind: kind.into(),
        stage: Some(Stage::Images.into()),
        attempt: 1,
        progress: None,
        cause: None,
        message: format!("message {sequence}"),
        retry_after: None,
        unknown_fields: serde_json::Map::new(),
    }
}

/// An event of a later worker, of this kind, with words and fields that no release has had.
pub fn newer(sequence: u64, kind: &str) -> serde_json::Value {
    let mut newer = serde_json::to_value(event(sequence, Kind::Progress)).unwrap();
    newer["kind"] = kind.into();
    newer["role"] = "observe".into();
    newer["stage"] = "upgrade".into();
    newer["cause"] = "upgrade.held-back".into();
    newer["progress"] =
        serde_json::json!({ "done": 1, "total": 2, "unit": "volumes", "rate": 0.5 });
    newer["action"] = serde_json::json!({ "name": "drain", "since": [1, null] });
    newer
}
