//! Starts the automatic updates of the OS when the node is Ready. Updates reboot the machine, so
//! conditions in drop-ins of the OS image prevent them until then. A power cut cannot undo these
//! conditions.

use crate::system::Root;

/// The units that are prevented from starting, and that no timer starts. The drop-ins are
/// `systemd/usr/lib/systemd/system/UNIT.d/50-nkd.conf`.
pub(crate) const HELD: [&str; 1] = ["zincati.service"];

/// The directories of units.
const UNITS: [&str; 2] = ["/etc/systemd/system", "/usr/lib/systemd/system"];

/// Starts those of these units that are enabled. If this is interrupted, the next boot starts them.
pub(crate) fn release(root: &Root) {
    let systemctl = |words: &[&str]| root.command("systemctl").args(words).run();
    for unit in HELD {
        let is_there = UNITS
            .iter()
            .any(|directory| root.path(directory).join(unit).exists());
        if is_there
            && systemctl(&["--quiet", "is-enabled", unit]).is_ok()
            && let Err(error) = systemctl(&["--no-block", "start", unit])
        {
            log::warn!(
                "{unit} could not be started: {:#}",
                anyhow::Error::from(error)
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;

    use super::*;

    /// The calls of systemctl on a machine that has the unit, and on which it may be enabled.
    fn calls(is_there: bool, is_enabled: bool) -> String {
        let directory = tempfile::tempdir().unwrap();
        let root = Root::new(directory.path().to_owned());
        let write = |path: &str, text: &str| {
            let path = root.path(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, text).unwrap();
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        };
        let calls = root.path("/calls");
        let status = u8::from(!is_enabled);
        let script = format!(
            "#!/bin/sh\necho \"$*\" >> {}\ncase $2 in is-enabled) exit {status};; esac\n",
            calls.display()
        );
        write("/usr/bin/systemctl", &script);
        if is_there {
            write("/usr/lib/systemd/system/zincati.service", "");
        }
        release(&root);
        fs::read_to_string(calls).unwrap_or_default()
    }

    #[test]
    fn what_is_enabled_is_started_when_the_node_is_ready_and_nothing_else() {
        let asked = "--quiet is-enabled zincati.service\n";
        let started = "--no-block start zincati.service\n";
        assert_eq!(calls(true, true), format!("{asked}{started}"));
        assert_eq!(calls(true, false), asked);
        assert_eq!(calls(false, true), "");
    }

    #[test]
    fn every_unit_that_is_let_go_is_held_by_the_image() {
        let units = Path::new(env!("CARGO_MANIFEST_DIR")).join("../systemd/usr/lib/systemd/system");
        for unit in HELD {
            let dropin = fs::read_to_string(units.join(format!("{unit}.d/50-nkd.conf"))).unwrap();
            let held_until = format!("ConditionPathExists=|{}", nkd_contract::paths::COMPLETE);
            assert!(dropin.lines().any(|line| line == held_until), "{dropin}");
        }
    }
}
