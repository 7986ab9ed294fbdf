//! The resources that a process of a machine has used. They are read on the host, so that the measurement
//! does not use the machine's processors.

use std::fs;
use std::time::Duration;

use nix::unistd::{Pid, SysconfVar, sysconf};

use crate::{Machine, cgroup};

/// The command line of nkd-agent's worker.
pub const WORKER: &str = "/usr/bin/nkd-agent install";
/// The command line of nkd-agent's reporter.
pub const REPORTER: &str = "/usr/bin/nkd-agent report";

/// What a process has used so far.
#[derive(Debug, Clone, Copy, Default)]
pub struct Usage {
    /// Processor time of its own.
    pub processor: Duration,
    /// Processor time of its children, as far as they have ended.
    pub children: Duration,
    /// The peak of its resident memory, in KiB.
    pub memory: u64,
}

/// A process of a machine, by the host's number.
#[derive(Debug, Clone, Copy)]
pub struct Process(Pid);

impl Machine {
    /// The process whose command line begins with these words.
    pub fn process(&self, command: &str) -> Option<Process> {
        let is_it = |process: &Pid| {
            let line = fs::read_to_string(format!("/proc/{process}/cmdline")).unwrap_or_default();
            let line = line.replace('\0', " ");
            let rest = line.strip_prefix(command);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
        };
        let mut processes = cgroup::processes(&self.group()).ok()?.into_iter();
        processes.find(is_it).map(Process)
    }
}

impl Process {
    /// The processor time of its threads, more exact than that of `usage`: including what systemd has done in this
    /// process before it ran the program. `None` once it has ended.
    pub fn scheduled(self) -> Option<Duration> {
        let threads = fs::read_dir(format!("/proc/{}/task", self.0)).ok()?;
        let nanoseconds = threads.map(|thread| {
            let schedstat = fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
            schedstat.split_whitespace().next()?.parse::<u64>().ok()
        });
        nanoseconds.sum::<Option<u64>>().map(Duration::from_nanos)
    }

    /// What it has used; `None` once it has ended.
    pub fn usage(self) -> Option<Usage> {
        let read = |name| fs::read_to_string(format!("/proc/{}/{name}", self.0)).ok();
        let (stat, status) = (read("stat")?, read("status")?);
        let peak = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))?;
        // After the name, which may have spaces (proc_pid_stat(5)): utime is the 12th.
        let (_, numbers) = stat.rsplit_once(')')?;
        let ticks: Vec<u64> = numbers
            .split_whitespace()
            .skip(11)
            .take(4)
            .map_while(|number| number.parse().ok())
            .collect();
        let [user, system, children_user, children_system] = ticks[..] else {
            return None;
        };
        Some(Usage {
            processor: time(user + system)?,
            children: time(children_user + children_system)?,
            memory: peak.split_whitespace().next()?.parse().ok()?,
        })
    }
}

fn time(ticks: u64) -> Option<Duration> {
    let a_second = u64::try_from(sysconf(SysconfVar::CLK_TCK).ok()??).ok()?;
    Some(Duration::from_millis(ticks * 1000 / a_second))
}
