//! One cgroup per machine in every hierarchy, so that machines don't share the groups their
//! systemd makes, and all of a machine's processes can be found and ended.
//!
//! They are `NAME/MACHINE` below each hierarchy's root, with the lab's name.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill as send};
use nix::unistd::Pid;

const ROOT: &str = "/sys/fs/cgroup";
/// How long a disk may keep a process from freezing.
const FROZEN: Duration = Duration::from_secs(20);

/// The hierarchies mounted here: those of version 1, and the unified one.
fn hierarchies() -> Result<Vec<PathBuf>> {
    let mounts = fs::read_to_string("/proc/self/mounts")?;
    Ok(mounts
        .lines()
        .filter_map(|line| {
            let mut words = line.split(' ').skip(1);
            let path = words.next()?;
            let hierarchy = words.next()?.starts_with("cgroup") && path.starts_with(ROOT);
            hierarchy.then(|| PathBuf::from(path))
        })
        .collect())
}

/// Makes a machine's cgroups; a process written to each one's `cgroup.procs` is in it.
pub(crate) fn create(lab: &str, machine: &str) -> Result<Vec<PathBuf>> {
    hierarchies()?
        .into_iter()
        .map(|hierarchy| {
            let (parent, group) = (hierarchy.join(lab), hierarchy.join(lab).join(machine));
            fs::create_dir_all(&group)
                .with_context(|| format!("can't create {}", group.display()))?;
            for directory in [&parent, &group] {
                inherit_cpuset(directory)?;
            }
            Ok(group)
        })
        .collect()
}

/// A cgroup of version 1's cpuset takes no process before it is given processors and memory.
fn inherit_cpuset(group: &Path) -> Result<()> {
    for file in ["cpuset.cpus", "cpuset.mems"] {
        let (own, parent) = (group.join(file), group.join("..").join(file));
        if own.exists() && parent.exists() && fs::read_to_string(&own)?.trim().is_empty() {
            fs::write(&own, fs::read_to_string(&parent)?)
                .with_context(|| format!("can't write {}", own.display()))?;
        }
    }
    Ok(())
}

/// The processes in a lab's cgroups, or in one machine's when the path goes on to it.
pub(crate) fn processes(group: &str) -> Result<Vec<Pid>> {
    let mut all = Vec::new();
    for hierarchy in hierarchies()? {
        for directory in tree(&hierarchy.join(group)) {
            let text = fs::read_to_string(directory.join("cgroup.procs")).unwrap_or_default();
            all.extend(
                text.lines()
                    .filter_map(|line| line.parse().ok())
                    .map(Pid::from_raw),
            );
        }
    }
    all.retain(|pid| pid.as_raw() > 0);
    all.sort_unstable();
    all.dedup();
    Ok(all)
}

/// Stops every process in a machine's cgroups where it is; one that waits for a disk, when it has
/// its answer. SIGKILL still ends them.
pub(crate) fn freeze(group: &str) -> Result<()> {
    for hierarchy in hierarchies()? {
        let group = hierarchy.join(group);
        // The unified hierarchy has it, and every process is in that one too.
        let (freeze, events) = (group.join("cgroup.freeze"), group.join("cgroup.events"));
        if !freeze.exists() {
            continue;
        }
        fs::write(&freeze, "1").with_context(|| format!("can't write {}", freeze.display()))?;
        return crate::teardown::retry(FROZEN, || {
            let events = fs::read_to_string(&events)?;
            anyhow::ensure!(
                events.lines().any(|line| line == "frozen 1"),
                "{} doesn't freeze",
                group.display()
            );
            Ok(())
        });
    }
    bail!("no cgroup hierarchy of version 2 is mounted below {ROOT}")
}

/// Kills every process in the cgroups, and waits until they are gone.
pub(crate) fn kill(group: &str) -> Result<()> {
    crate::teardown::retry(Duration::from_secs(10), || {
        thaw(group)?;
        let processes = processes(group)?;
        for pid in &processes {
            // It may be gone by now.
            let _ = send(*pid, Signal::SIGKILL);
        }
        anyhow::ensure!(
            processes.is_empty(),
            "{group} still has {} processes",
            processes.len()
        );
        Ok(())
    })
}

/// Thaws the groups of version 1. runc freezes a container to change it, and may be killed before it thaws it again.
/// In version 1 a frozen process takes no signal, not even SIGKILL.
fn thaw(group: &str) -> Result<()> {
    for hierarchy in hierarchies()? {
        for directory in tree(&hierarchy.join(group)) {
            let state = directory.join("freezer.state");
            let is_frozen = fs::read_to_string(&state).is_ok_and(|text| text.trim() != "THAWED");
            if is_frozen {
                fs::write(&state, "THAWED")
                    .with_context(|| format!("can't write {}", state.display()))?;
            }
        }
    }
    Ok(())
}

/// Removes the cgroups, which must be empty.
pub(crate) fn remove(group: &str) -> Result<()> {
    for hierarchy in hierarchies()? {
        for directory in tree(&hierarchy.join(group)).iter().rev() {
            fs::remove_dir(directory)
                .with_context(|| format!("can't remove {}", directory.display()))?;
        }
    }
    Ok(())
}

/// A directory and all below it, parents first; nothing when there is none.
fn tree(top: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![top.to_owned()];
    while let Some(directory) = open.pop() {
        let Ok(entries) = fs::read_dir(&directory) else {
            continue;
        };
        let directories = entries.flatten().filter(|entry| entry.path().is_dir());
        open.extend(directories.map(|entry| entry.path()));
        found.push(directory);
    }
    found
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn processes_that_runc_left_frozen_are_killed() {
        let freezer = Path::new(ROOT).join("freezer");
        if !freezer.join("cgroup.procs").exists() {
            eprintln!("no hierarchy of version 1 has the freezer here");
            return;
        }
        let name = format!("nkd-freezer-{}", std::process::id());
        let group = freezer.join(&name).join("w1/container");
        fs::create_dir_all(&group).unwrap();
        let mut process = Command::new("sleep").arg("600").spawn().unwrap();
        fs::write(group.join("cgroup.procs"), process.id().to_string()).unwrap();
        fs::write(group.join("freezer.state"), "FROZEN").unwrap();
        // The dead process leaves its group when its parent has waited for it.
        let waiting = std::thread::spawn(move || process.wait());
        kill(&name).unwrap();
        waiting.join().unwrap().unwrap();
        remove(&name).unwrap();
    }
}
