//! Turns swap off, because kubelet refuses to run with swap unless it is configured to accept it.

use std::fs;

use nkd_contract::Cause;

use super::super::{Fault, Node};

/// The target through which fstab, GPT partitions and zram all turn swap on at a later boot, when the
/// agent no longer runs (`systemd.special(7)`).
const TARGET: &str = "swap.target";

pub(super) fn check(node: &Node<'_>) -> Result<(), Fault> {
    if node.plan.machine.keep_swap || areas(node).is_empty() {
        return Ok(());
    }
    let failed = |error| Fault::of_command(Cause::HostSwap, error);
    let mask = node.root.command("systemctl").args(["mask", TARGET]);
    mask.run().map_err(failed)?;
    let off = node.root.command("swapoff").args(["--all"]);
    off.run().map_err(failed)?;
    let left = areas(node);
    if left.is_empty() {
        return Ok(());
    }
    let message = format!("swap is still on: {}", left.join(", "));
    Err(Fault::new(Cause::HostSwap, message))
}

/// The name and the size of each swap area in use.
fn areas(node: &Node<'_>) -> Vec<String> {
    let table = fs::read_to_string(node.root.path("/proc/swaps")).unwrap_or_default();
    // The first line is the heading: filename, type, size in KiB, …
    let rows = table.lines().skip(1);
    rows.filter_map(|row| {
        let mut columns = row.split_whitespace();
        let (name, size) = (columns.next()?, columns.nth(1)?);
        let mebibytes = size.parse::<u64>().unwrap_or_default() / 1024;
        Some(format!("{name} ({mebibytes} MiB)"))
    })
    .collect()
}
