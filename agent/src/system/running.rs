//! A child process that runs while the agent continues, and to whose input the agent can write.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd;
use std::process::{Child, Stdio};
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::command::{Command, CommandError, keep, read_lines};
use super::{Redactor, TICK, alive};

/// The size of the pipe. It is larger than the default, so that the child wakes up less often, and the
/// largest that the kernel allows to all users (pipe(7)).
const PIPE: i32 = 1 << 20;
/// How often the state of a child is checked while the agent waits for it.
const LOOK: Duration = Duration::from_millis(10);

/// A child that was [started](Command::start). It is killed when this value is dropped.
#[derive(Debug)]
pub(crate) struct Running {
    command: Command,
    child: Child,
    /// The pipe to its input, until it is closed.
    input: Option<File>,
    lines: Receiver<String>,
    redactor: Redactor,
    tail: VecDeque<String>,
    /// The time at which the child last read data, or began.
    taken: Instant,
    done: bool,
}

/// The input of a child.
#[derive(Debug)]
pub(crate) enum Input {
    /// No input.
    Nothing,
    /// The data of [`Running::feed`].
    Fed,
    /// A file, from its current position.
    File(File),
}

impl Command {
    /// Starts it.
    ///
    /// # Errors
    /// The command cannot be run.
    pub(crate) fn start(self, input: Input) -> Result<Running, CommandError> {
        let (reader, writer) = io::pipe().map_err(|source| self.io(source))?;
        let stderr = writer.try_clone().map_err(|source| self.io(source))?;
        let (stdin, input) = match input {
            Input::Nothing => (Stdio::null(), None),
            Input::File(file) => (file.into(), None),
            Input::Fed => {
                let (stdin, input) = io::pipe().map_err(|source| self.io(source))?;
                let input = File::from(std::os::fd::OwnedFd::from(input));
                // A smaller pipe is slower, and no fault.
                let _ = fcntl(&input, FcntlArg::F_SETPIPE_SZ(PIPE));
                fcntl(&input, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))
                    .map_err(|error| self.io(error.into()))?;
                (stdin.into(), Some(input))
            }
        };
        let child = self.spawn(stdin, writer.into(), stderr.into())?;
        Ok(Running {
            command: self,
            child,
            input,
            lines: read_lines(reader),
            redactor: Redactor::default(),
            tail: VecDeque::new(),
            taken: Instant::now(),
            done: false,
        })
    }
}

impl Running {
    /// Writes all bytes to the input of the child.
    ///
    /// # Errors
    /// The child has ended, or reads nothing for as long as its time limit.
    pub(crate) fn feed(&mut self, mut bytes: &[u8]) -> Result<(), CommandError> {
        while !bytes.is_empty() {
            let Some(input) = &mut self.input else {
                let source = io::Error::other("the program has no input that can be written to");
                return Err(self.command.io(source));
            };
            match input.write(bytes) {
                Ok(written) => {
                    bytes = bytes.get(written..).unwrap_or_default();
                    self.taken = Instant::now();
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.wait_for_room()?,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::BrokenPipe => return Err(self.ended()),
                Err(error) => return Err(self.command.io(error)),
            }
        }
        Ok(())
    }

    fn wait_for_room(&mut self) -> Result<(), CommandError> {
        alive();
        if let Some(input) = &self.input {
            let room = PollFd::new(input.as_fd(), PollFlags::POLLOUT);
            let tick = PollTimeout::try_from(TICK).unwrap_or(PollTimeout::ZERO);
            let _ = poll(&mut [room], tick);
        }
        self.read_lines();
        self.in_time()
    }

    /// The reason why the child ended before it had read all of its input.
    fn ended(&mut self) -> CommandError {
        self.input = None;
        loop {
            match self.poll() {
                Ok(None) => {
                    alive();
                    std::thread::sleep(LOOK);
                }
                Ok(Some(())) => {
                    let source =
                        io::Error::other("the program ended before it had read all of its input");
                    return self.command.io(source);
                }
                Err(error) => return error,
            }
        }
    }

    /// Closes the child's input.
    pub(crate) fn close(&mut self) {
        self.input = None;
        self.taken = Instant::now();
    }

    /// Whether the child has ended with success.
    ///
    /// # Errors
    /// The child has failed, or takes too long.
    pub(crate) fn poll(&mut self) -> Result<Option<()>, CommandError> {
        if self.done {
            return Ok(Some(()));
        }
        self.read_lines();
        let status = self.child.try_wait();
        let Some(status) = status.map_err(|source| self.command.io(source))? else {
            return self.in_time().map(|()| None);
        };
        self.done = true;
        // The last lines may still be in the pipe, and a process that outlives the child may write for ever.
        let deadline = Instant::now() + TICK;
        while let Ok(line) = self.lines.recv_timeout(deadline - Instant::now()) {
            self.keep_line(&line);
        }
        let tail = std::mem::take(&mut self.tail);
        self.command.judge(status, tail.into()).map(Some)
    }

    /// Waits until the child has ended with success.
    ///
    /// # Errors
    /// The child has failed, or takes too long.
    pub(crate) fn wait(&mut self) -> Result<(), CommandError> {
        while self.poll()?.is_none() {
            alive();
            std::thread::sleep(LOOK);
        }
        Ok(())
    }

    fn in_time(&mut self) -> Result<(), CommandError> {
        if self.taken.elapsed() < self.command.time() {
            return Ok(());
        }
        self.done = true;
        self.command.kill(&mut self.child);
        let tail = std::mem::take(&mut self.tail);
        Err(self.command.timed_out(tail.into()))
    }

    fn read_lines(&mut self) {
        while let Ok(line) = self.lines.try_recv() {
            self.keep_line(&line);
        }
    }

    fn keep_line(&mut self, line: &str) {
        let line = self.redactor.line(line);
        log::debug!("{}: {line}", self.command.name());
        keep(line, &mut self.tail);
    }
}

impl Drop for Running {
    /// Kills the child, which could otherwise mistake the end of its input for the end of its work.
    fn drop(&mut self) {
        if !self.done {
            self.command.kill(&mut self.child);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Seek as _, SeekFrom};

    use super::*;
    use crate::system::Root;

    fn shell(script: &str) -> Command {
        Root::new("/".into()).command("sh").args(["-c", script])
    }

    #[test]
    fn it_takes_more_than_a_pipe_holds() {
        let mut running = shell("[ $(wc -c) = 5000000 ]").start(Input::Fed).unwrap();
        running.feed(&vec![7; 5_000_000]).unwrap();
        running.close();
        running.wait().unwrap();
    }

    #[test]
    fn it_reads_a_file_from_where_that_is() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"not this, but this").unwrap();
        file.seek(SeekFrom::Start(10)).unwrap();
        let running = shell("[ \"$(cat)\" = 'but this' ]");
        running.start(Input::File(file)).unwrap().wait().unwrap();
    }

    #[test]
    fn a_child_that_ends_early_says_why() {
        let running = shell("echo no more of abcdef.0123456789abcdef >&2; exit 3");
        let mut running = running.start(Input::Fed).unwrap();
        let error = running.feed(&vec![7; 5_000_000]).unwrap_err().to_string();
        assert!(error.contains("no more of (secret)"), "{error}");
    }

    #[test]
    fn a_child_that_takes_nothing_is_stopped() {
        let command = shell("sleep 100").timeout(Duration::ZERO);
        let error = command.start(Input::Fed).unwrap().feed(&vec![7; 5_000_000]);
        assert!(matches!(error, Err(CommandError::TimedOut { .. })));
    }

    #[test]
    fn a_dropped_child_never_sees_the_end_of_its_input() {
        let directory = tempfile::tempdir().unwrap();
        let seen = directory.path().join("seen");
        let script = format!("cat >/dev/null; touch {}", seen.display());
        let mut running = shell(&script).start(Input::Fed).unwrap();
        running.feed(b"half").unwrap();
        drop(running);
        std::thread::sleep(Duration::from_millis(100));
        assert!(!seen.exists());
    }
}
