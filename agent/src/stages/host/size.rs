//! Checks the processors, the memory and the disk space.

use std::fs;
use std::os::linux::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use nix::sys::statvfs::statvfs;
use nkd_contract::{Cause, Stage};

use super::super::{Fault, Node, kubeadm};

const MEBIBYTE: u64 = 1 << 20;

pub(super) fn check(node: &Node<'_>) -> Result<(), Fault> {
    let wanted = &node.plan.machine;
    let mut short = Vec::new();
    if let Some(cpus) = cpus(node).filter(|cpus| *cpus < wanted.min_cpus) {
        short.push(format!(
            "{cpus} processors ({} are required)",
            wanted.min_cpus
        ));
    }
    if let Some(memory) = memory(node).filter(|memory| *memory < wanted.min_memory) {
        short.push(format!(
            "{memory} MiB of memory ({} MiB are required)",
            wanted.min_memory
        ));
    }
    if !short.is_empty() {
        let message = format!("this machine has {}", short.join(" and "));
        return Err(Fault::new(Cause::HostTooSmall, message));
    }
    disk(node)
}

/// The number of processors that are online, or `None` if it cannot be read.
fn cpus(node: &Node<'_>) -> Option<u64> {
    let online = fs::read_to_string(node.root.path("/sys/devices/system/cpu/online")).ok()?;
    count(online.trim())
}

/// The number of values in a list of ranges, such as `0-3,8`.
fn count(ranges: &str) -> Option<u64> {
    let range = |range: &str| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last) = (first.parse::<u64>().ok()?, last.parse::<u64>().ok()?);
        last.checked_sub(first)?.checked_add(1)
    };
    ranges.split(',').map(range).sum()
}

/// The total memory in MiB, counted as kubeadm does, or `None` if it cannot be read.
fn memory(node: &Node<'_>) -> Option<u64> {
    let table = fs::read_to_string(node.root.path("/proc/meminfo")).ok()?;
    let total = table
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes = total.trim().strip_suffix("kB")?.trim();
    Some(kibibytes.parse::<u64>().ok()? / 1024)
}

/// Checks the free space, unless images or an earlier attempt of kubeadm already use it.
fn disk(node: &Node<'_>) -> Result<(), Fault> {
    let wanted = node.plan.machine.min_disk;
    if node.was_due(Stage::Images) || kubeadm::has_begun(node) {
        return Ok(());
    }
    let mut seen = Vec::new();
    for path in ["/var/lib", node.plan.runtime.store(), "/var/lib/kubelet"] {
        let place = nearest(&node.root.path(path));
        let Ok(device) = fs::metadata(&place).map(|metadata| metadata.st_dev()) else {
            continue;
        };
        if seen.contains(&device) {
            continue;
        }
        seen.push(device);
        let Ok(status) = statvfs(&place) else {
            continue;
        };
        let free = status.blocks_available() * status.fragment_size() / MEBIBYTE;
        if free < wanted {
            let message = format!("{path} has {free} MiB free, but {wanted} MiB are required");
            return Err(Fault::new(Cause::HostDisk, message));
        }
    }
    Ok(())
}

/// The path, or the nearest directory above it that exists.
fn nearest(path: &Path) -> PathBuf {
    let there = path.ancestors().find(|ancestor| ancestor.exists());
    there.unwrap_or(Path::new("/")).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors_are_counted_as_the_kernel_lists_them() {
        assert_eq!(count("0"), Some(1));
        assert_eq!(count("0-3,8,10-11"), Some(7));
        for odd in ["", "3-1", "a-b", "0-18446744073709551615"] {
            assert_eq!(count(odd), None, "{odd}");
        }
    }
}
