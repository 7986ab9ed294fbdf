//! The parts of nkd-agent itself, which its packages install.

use super::image::Image;
use super::report::Report;
use super::tree::Tree;
use super::units::{self, Unit};

const PROGRAM: &str = "/usr/bin/nkd-agent";

/// The units that must start by themselves, each with the target that pulls it in.
const ENABLED: [(&str, &str); 5] = [
    ("nkd-agent.service", "multi-user.target"),
    ("nkd-clock.service", "sysinit.target"),
    ("nkd-node-ready.path", "multi-user.target"),
    ("nkd-reporter.service", "multi-user.target"),
    ("nkd-tokens.timer", "multi-user.target"),
];

/// The units that other units of nkd-agent start.
const STARTED: [&str; 2] = ["nkd-node-ready.target", "nkd-tokens.service"];

/// The target of the system extension, which wants all units that must start by themselves.
const EXTENSION: &str = "nkd.target";

/// Other files, each with what fails without it.
const FILES: [(&str, &str); 5] = [
    (
        "/usr/lib/sysusers.d/nkd.conf",
        "the reporter has no user and does not start",
    ),
    (
        "/usr/lib/tmpfiles.d/nkd.conf",
        "the reporter cannot watch the event log",
    ),
    (
        "/usr/share/dbus-1/system.d/org.openeuler.nkd1.conf",
        "the reporter may not use the system bus",
    ),
    (
        "/usr/lib/systemd/catalog/nkd.catalog",
        "the journal has no explanations",
    ),
    (
        "/usr/lib/dracut/modules.d/60nkd/module-setup.sh",
        "nothing reports why Ignition has failed",
    ),
];

const HELP: &str =
    "install the package nkd-agent, or copy the whole tree of nkd-agent into the image";

pub(super) fn check(image: &Image, report: &mut Report) {
    let tree = &image.tree;
    if !tree.is_executable(PROGRAM) {
        report.error(None, format!("the image has no {PROGRAM}"), HELP);
    }
    for name in ENABLED.iter().map(|(name, _)| *name).chain(STARTED) {
        match Unit::of(tree, name) {
            Unit::Text(_) => {}
            Unit::Absent => report.error(None, format!("the image has no unit {name}"), HELP),
            Unit::Masked => {
                let help = format!("remove the mask: `systemctl --root=ROOT unmask {name}`");
                report.error(None, format!("the unit {name} is masked"), help);
            }
        }
    }
    for (name, target) in ENABLED {
        let has_unit = matches!(Unit::of(tree, name), Unit::Text(_));
        if has_unit && !is_enabled(tree, name, target) {
            let message = format!("no target starts {name}: it is not in {target}.wants");
            let help = format!(
                "restore /usr/lib/systemd/system/{target}.wants/{name}, a link to ../{name}"
            );
            report.error(None, message, help);
        }
    }
    for (path, consequence) in FILES {
        if !tree.exists(path) {
            report.warning(
                None,
                format!("the image has no {path}: {consequence}"),
                HELP,
            );
        }
    }
}

fn is_enabled(tree: &Tree, unit: &str, target: &str) -> bool {
    units::is_wanted(tree, target, unit) || is_wanted_by_extension(tree, unit)
}

fn is_wanted_by_extension(tree: &Tree, unit: &str) -> bool {
    let upholds = format!("Upholds={EXTENSION}");
    let drop_ins = units::drop_ins(tree, "multi-user.target");
    let Unit::Text(extension) = Unit::of(tree, EXTENSION) else {
        return false;
    };
    let mut wanted = extension
        .lines()
        .filter_map(|line| line.strip_prefix("Wants="))
        .flat_map(str::split_whitespace);
    drop_ins.iter().any(|(_, text)| text.contains(&upholds)) && wanted.any(|name| name == unit)
}
