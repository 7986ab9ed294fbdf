//! Child processes with limits on time and output, whose output is read line by line. Neither arguments
//! nor output contain secrets.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io::{self, BufRead, BufReader, PipeReader, Read};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use super::{Redactor, TICK, alive};

/// The number of a command's last lines that an error contains.
const TAIL_LINES: usize = 5;
/// Longer lines are split, so that they do not fill the memory.
const LINE_BYTES: u64 = 4096;
/// The maximum output of [`Command::read`], in bytes.
const READ_BYTES: usize = 1 << 20;
/// The time limit for a killed command to end.
const GRACE: Duration = Duration::from_secs(5);

/// A command to run. Its arguments must not contain secrets.
#[derive(Debug)]
pub(crate) struct Command {
    name: String,
    program: Option<PathBuf>,
    path: OsString,
    arguments: Vec<OsString>,
    environment: Vec<(&'static str, String)>,
    timeout: Duration,
}

/// Why a command failed.
#[derive(Debug)]
pub(crate) enum CommandError {
    /// There is no such program.
    Missing {
        /// Its name.
        program: String,
    },
    /// The command could not be started, or its output could not be read.
    Io {
        /// Its name.
        program: String,
        /// The error of the system.
        source: io::Error,
    },
    /// The command ended with another status than 0.
    Failed {
        /// Its name.
        program: String,
        /// The status.
        status: ExitStatus,
        /// The last lines it wrote, without secrets.
        tail: Vec<String>,
    },
    /// The command was killed because it took too long.
    TimedOut {
        /// Its name.
        program: String,
        /// The time limit.
        timeout: Duration,
        /// The last lines it wrote, without secrets.
        tail: Vec<String>,
    },
}

impl CommandError {
    /// The last lines the command wrote, without secrets.
    pub(crate) fn tail(&self) -> &[String] {
        match self {
            Self::Missing { .. } | Self::Io { .. } => &[],
            Self::Failed { tail, .. } | Self::TimedOut { tail, .. } => tail,
        }
    }
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { program } => write!(f, "there is no program {program}")?,
            Self::Io { program, .. } => write!(f, "running {program}")?,
            Self::Failed {
                program, status, ..
            } => write!(f, "{program} ended with {status}")?,
            Self::TimedOut {
                program, timeout, ..
            } => write!(f, "{program} was stopped after {} s", timeout.as_secs())?,
        }
        let tail = self.tail();
        if tail.is_empty() {
            Ok(())
        } else {
            write!(f, ": {}", tail.join(" | "))
        }
    }
}

impl std::error::Error for CommandError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}

impl Command {
    /// Made by [`Root::command`](super::Root::command).
    pub(super) fn new(name: &str, program: Option<PathBuf>, path: OsString) -> Self {
        Self {
            name: name.to_owned(),
            program,
            path,
            arguments: Vec::new(),
            environment: Vec::new(),
            timeout: Duration::from_secs(60),
        }
    }

    /// Adds arguments.
    #[must_use]
    pub(crate) fn args<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(mut self, arguments: I) -> Self {
        self.arguments.extend(
            arguments
                .into_iter()
                .map(|argument| argument.as_ref().to_owned()),
        );
        self
    }

    /// Adds a variable to its environment, which is otherwise the same for all commands.
    #[must_use]
    pub(crate) fn env(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.environment.push((name, value.into()));
        self
    }

    /// Sets how long the command may run before it and its children are killed; the default is a minute.
    #[must_use]
    pub(crate) fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Runs the command to its end. Each line of its output is logged.
    ///
    /// # Errors
    /// The command cannot be run, fails or takes too long.
    pub(crate) fn run(&self) -> Result<(), CommandError> {
        self.each_line(|line| log::info!("{}: {line}", self.name))
    }

    /// Runs the command to its end, and passes each line of its output, without secrets, to the caller.
    ///
    /// # Errors
    /// The command cannot be run, fails or takes too long.
    pub(crate) fn each_line(&self, heard: impl FnMut(&str)) -> Result<(), CommandError> {
        let (reader, writer) = io::pipe().map_err(|source| self.io(source))?;
        let stderr = writer.try_clone().map_err(|source| self.io(source))?;
        let child = self.spawn(Stdio::null(), writer.into(), stderr.into())?;
        self.supervise(child, reader, heard)
    }

    /// Runs the command to its end, and returns its standard output. Its standard error is logged.
    ///
    /// # Errors
    /// The command cannot be run, fails, takes too long, or writes more than 1 MiB or other text
    /// than UTF-8.
    pub(crate) fn read(&self) -> Result<String, CommandError> {
        let (stdout, writer) = io::pipe().map_err(|source| self.io(source))?;
        let (stderr, error_writer) = io::pipe().map_err(|source| self.io(source))?;
        let child = self.spawn(Stdio::null(), writer.into(), error_writer.into())?;
        let output = read_pieces(stdout);
        self.supervise(child, stderr, |line| log::info!("{}: {line}", self.name))?;
        // A process that outlives the child may hold the pipe open.
        let deadline = Instant::now() + TICK;
        let mut bytes = Vec::new();
        while let Ok(piece) = output.recv_timeout(deadline - Instant::now()) {
            bytes.extend(piece);
        }
        let text = if bytes.len() > READ_BYTES {
            let message = format!("the program wrote more than {READ_BYTES} bytes");
            Err(io::Error::new(io::ErrorKind::FileTooLarge, message))
        } else {
            String::from_utf8(bytes).map_err(io::Error::other)
        };
        text.map_err(|source| self.io(source))
    }

    /// Its name.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The time limit.
    pub(super) fn time(&self) -> Duration {
        self.timeout
    }

    pub(super) fn io(&self, source: io::Error) -> CommandError {
        CommandError::Io {
            program: self.name.clone(),
            source,
        }
    }

    pub(super) fn spawn(
        &self,
        stdin: Stdio,
        stdout: Stdio,
        stderr: Stdio,
    ) -> Result<Child, CommandError> {
        let Some(program) = &self.program else {
            return Err(CommandError::Missing {
                program: self.name.clone(),
            });
        };
        let mut command = std::process::Command::new(program);
        command
            .args(&self.arguments)
            .env_clear()
            .env("PATH", &self.path)
            .env("HOME", "/root")
            .env("LANG", "C.UTF-8")
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(stdin)
            .stdout(stdout)
            .stderr(stderr)
            .process_group(0);
        die_with_parent(&mut command);
        command.spawn().map_err(|source| self.io(source))
    }

    /// Reads the output of the child to its end, then waits for the child.
    fn supervise(
        &self,
        mut child: Child,
        output: PipeReader,
        mut heard: impl FnMut(&str),
    ) -> Result<(), CommandError> {
        let lines = read_lines(output);
        let deadline = Instant::now() + self.timeout;
        let mut redactor = Redactor::default();
        let mut tail = VecDeque::new();
        let (mut heard_out, mut ended) = (false, None);
        // A child that has closed its output mostly ends at once.
        let mut look = Duration::from_millis(1);
        loop {
            alive();
            let mut silent = heard_out;
            if heard_out {
                thread::sleep(look);
                look = (look * 2).min(Duration::from_millis(50));
            } else {
                match lines.recv_timeout(TICK) {
                    Ok(line) => {
                        let line = redactor.line(&line);
                        heard(&line);
                        keep(line, &mut tail);
                    }
                    Err(RecvTimeoutError::Timeout) => silent = true,
                    Err(RecvTimeoutError::Disconnected) => (heard_out, silent) = (true, true),
                }
            }
            if ended.is_none() {
                let status = child.try_wait().map_err(|source| self.io(source))?;
                ended = status.map(|status| (status, Instant::now()));
            }
            match ended {
                // Another process may outlive the child, keep the pipe open and go on writing.
                Some((status, at)) if silent || at.elapsed() >= TICK => {
                    return self.judge(status, tail.into());
                }
                None if Instant::now() >= deadline => {
                    self.kill(&mut child);
                    return Err(self.timed_out(tail.into()));
                }
                _ => {}
            }
        }
    }

    pub(super) fn timed_out(&self, tail: Vec<String>) -> CommandError {
        CommandError::TimedOut {
            program: self.name.clone(),
            timeout: self.timeout,
            tail,
        }
    }

    pub(super) fn judge(&self, status: ExitStatus, tail: Vec<String>) -> Result<(), CommandError> {
        if status.success() {
            return Ok(());
        }
        Err(CommandError::Failed {
            program: self.name.clone(),
            status,
            tail,
        })
    }

    /// Kills the whole process group. An error means that it has already ended.
    pub(super) fn kill(&self, child: &mut Child) {
        if let Ok(group) = i32::try_from(child.id()) {
            let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
        }
        let deadline = Instant::now() + GRACE;
        while Instant::now() < deadline {
            if matches!(child.try_wait(), Ok(Some(_)) | Err(_)) {
                return;
            }
            thread::sleep(Duration::from_millis(10));
        }
        log::warn!("cannot kill {}", self.name);
    }
}

pub(super) fn keep(line: String, tail: &mut VecDeque<String>) {
    if line.trim().is_empty() {
        return;
    }
    if tail.len() == TAIL_LINES {
        tail.pop_front();
    }
    tail.push_back(line);
}

/// The output of a child. It is read to its end even if it is not used, so that a full pipe does not
/// block the child. Only slightly more than [`READ_BYTES`] is kept.
fn read_pieces(mut output: PipeReader) -> Receiver<Vec<u8>> {
    let (sender, pieces) = mpsc::channel();
    thread::spawn(move || {
        let (mut piece, mut total) = (vec![0; 64 << 10], 0);
        while let Ok(length @ 1..) = output.read(&mut piece) {
            if total <= READ_BYTES {
                let read = piece.get(..length).unwrap_or_default();
                let _ = sender.send(read.to_vec());
            }
            total += length;
        }
    });
    pieces
}

/// The lines of a child, which are read in a thread, so that waiting for a line can time out.
pub(super) fn read_lines(output: PipeReader) -> Receiver<String> {
    let (sender, lines) = mpsc::sync_channel(64);
    thread::spawn(move || {
        let mut output = BufReader::new(output);
        let mut line = Vec::new();
        while let Ok(1..) = output
            .by_ref()
            .take(LINE_BYTES)
            .read_until(b'\n', &mut line)
        {
            let text = String::from_utf8_lossy(&line).trim_end().to_owned();
            line.clear();
            if sender.send(text).is_err() {
                return;
            }
        }
    });
    lines
}

/// Kills the child when the agent is killed, because the next agent starts the command again.
#[allow(unsafe_code)]
fn die_with_parent(command: &mut std::process::Command) {
    // SAFETY: between fork and exec only prctl(2) is called, which is async-signal-safe, and
    // nothing is allocated.
    unsafe {
        command
            .pre_exec(|| nix::sys::prctl::set_pdeathsig(Signal::SIGKILL).map_err(io::Error::from));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        Command::new("sh", Some("/bin/sh".into()), "/usr/bin:/bin".into()).args(["-c", script])
    }

    #[test]
    fn a_failure_carries_the_last_lines_without_secrets() {
        let error = shell("seq 9; echo token abcdef.0123456789abcdef >&2; exit 3")
            .run()
            .unwrap_err();
        let CommandError::Failed { status, tail, .. } = &error else {
            panic!("{error}");
        };
        assert_eq!(status.code(), Some(3));
        assert_eq!(*tail, ["6", "7", "8", "9", "token (secret)"]);
    }

    #[test]
    fn who_outlives_a_command_and_talks_on_does_not_hold_it_up() {
        let before = Instant::now();
        shell("(for i in $(seq 300); do echo still here; sleep 0.1; done) & echo done")
            .run()
            .unwrap();
        assert!(before.elapsed() < Duration::from_secs(10));
    }

    #[test]
    fn a_command_that_hangs_is_killed_with_its_children() {
        let mut child = String::new();
        let error = shell("sleep 60 & echo $!; wait")
            .timeout(Duration::from_secs(1))
            .each_line(|line| line.clone_into(&mut child))
            .unwrap_err();
        assert!(matches!(error, CommandError::TimedOut { .. }), "{error}");
        // Its new parent may leave it as a zombie, which has no command line.
        let command_line = format!("/proc/{}/cmdline", child.parse::<u32>().unwrap());
        let deadline = Instant::now() + Duration::from_secs(10);
        while std::fs::read(&command_line).is_ok_and(|line| !line.is_empty()) {
            assert!(Instant::now() < deadline, "process {child} lives on");
            thread::sleep(Duration::from_millis(10));
        }
    }

    #[test]
    fn a_daemon_left_behind_does_not_hold_the_command_up() {
        let before = Instant::now();
        shell("sleep 30 & exit 0").run().unwrap();
        assert!(before.elapsed() < Duration::from_secs(10));
    }

    #[test]
    fn what_is_read_does_not_wait_for_a_daemon_that_holds_the_pipe() {
        let before = Instant::now();
        let output = shell("echo said; sleep 30 2>/dev/null & exit 0").read();
        assert_eq!(output.unwrap(), "said\n");
        assert!(before.elapsed() < Duration::from_secs(10));
    }

    #[test]
    fn a_command_that_writes_too_much_is_heard_out_and_then_refused() {
        let error = shell("head -c 3000000 /dev/zero && echo its end >&2").read();
        let error = error.unwrap_err();
        assert!(matches!(error, CommandError::Io { .. }), "{error}");
        let source = std::error::Error::source(&error).unwrap().to_string();
        assert!(source.contains("more than 1048576 bytes"), "{source}");
    }

    #[test]
    fn the_environment_is_clean_and_there_is_no_input() {
        let output = shell("env | sed 's/=.*//' | sort | tr '\\n' ' '; cat")
            .read()
            .unwrap();
        assert_eq!(output.trim(), "HOME LANG PATH PWD");
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let command = Command::new("kubeadm", None, OsString::new());
        assert_eq!(
            command.run().unwrap_err().to_string(),
            "there is no program kubeadm"
        );
    }

    #[test]
    fn a_line_without_end_does_not_fill_the_memory() {
        let mut lengths = Vec::new();
        shell("head -c 100000 /dev/zero | tr '\\0' x")
            .each_line(|line| lengths.push(line.len()))
            .unwrap();
        assert_eq!(lengths.iter().sum::<usize>(), 100_000);
        assert!(lengths.iter().all(|length| *length <= 4096), "{lengths:?}");
    }
}
