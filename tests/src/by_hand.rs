//! A shell script such as people write, with which nkd is compared.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use anyhow::Result;

use crate::machine::Machine;

const UNITS: [&str; 2] = ["nkd-agent.service", "nkd-reporter.service"];
const SCRIPT: &str = "/etc/nkd-testbed/by-hand.sh";

/// Makes a machine run a script instead of nkd-agent at its next boot, when it is on the network. The
/// machine must not have been started.
pub fn instead_of_nkd(machine: &Machine, script: &str, arguments: &str) -> Result<()> {
    let units = machine.root().join("etc/systemd/system");
    for unit in UNITS {
        symlink("/dev/null", units.join(unit))?;
    }
    machine.write(SCRIPT, script)?;
    let path = machine.root().join(&SCRIPT[1..]);
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
    let unit = format!(
        "[Unit]\nWants=network-online.target\nAfter=network-online.target\n\n\
         [Service]\nExecStart={SCRIPT} {arguments}\n"
    );
    fs::write(units.join("by-hand.service"), unit)?;
    let wanted = units.join("multi-user.target.wants");
    fs::create_dir_all(&wanted)?;
    symlink("../by-hand.service", wanted.join("by-hand.service"))?;
    Ok(())
}

/// The median.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = |at: usize| values.get(at).copied().unwrap_or_default();
    let half = values.len() / 2;
    f64::midpoint(middle(half), middle(values.len().saturating_sub(1) / 2))
}
