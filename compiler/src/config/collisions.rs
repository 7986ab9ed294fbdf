//! Collisions between a user's config and nkd's part.

use nkd_contract::names;

use super::generated::{Config, Unit};
use super::places::is_pki;
use super::{hooks, kept};
use nkd_document::Span;
use nkd_ignition::check::UNITS;
use nkd_model::{UserConfig, UserPath};

/// The directories and files that only nkd and nkd-agent may write.
const RESERVED: [&str; 6] = [
    "/etc/nkd",
    "/var/lib/nkd",
    "/var/lib/nkd-reporter",
    "/etc/kubernetes/nkd-member.crt",
    "/etc/kubernetes/nkd-quorum-repair",
    "/etc/kubernetes/nkd-init-repair",
];

/// The units of the agent, which are in the OS image.
const RESERVED_UNITS: [&str; 6] = [
    "nkd-agent.service",
    "nkd-clock.service",
    "nkd-tokens.service",
    "nkd-tokens.timer",
    "nkd-reporter.service",
    names::READY_TARGET,
];

/// A part of the user's config that collides with nkd's part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Collision {
    /// Where the user wrote it.
    pub span: Span,
    /// The message.
    pub why: String,
    /// The path of nkd with which the config collides, if there is one.
    pub with: String,
}

impl Config {
    /// The places where the user's config collides with this one. The user may add drop-ins to nkd's
    /// units, and change what `os.override` lists.
    pub fn collisions(&self, user: &UserConfig, overrides: &[&str]) -> Vec<Collision> {
        let mut found = Vec::new();
        self.colliding_paths(user, overrides, &mut found);
        self.colliding_units(user, overrides, &mut found);
        let users = user.users().filter(|(name, _)| {
            let mine = self.users.iter().any(|user| user["name"] == *name);
            mine && !overrides.contains(name)
        });
        found.extend(users.map(|(name, span)| {
            let why = format!("the user `{name}` is also in `os.users` of the cluster file");
            let with = String::new();
            Collision { span, why, with }
        }));
        let wiped = user.wiped_disks().filter(|(device, _)| {
            self.disk.as_deref() == Some(*device) && !overrides.contains(device)
        });
        found.extend(wiped.map(|(device, span)| {
            let why =
                format!("this would erase `{device}`, on which the operating system is installed");
            let with = device.to_owned();
            Collision { span, why, with }
        }));
        found
    }

    fn colliding_paths(&self, user: &UserConfig, overrides: &[&str], to: &mut Vec<Collision>) {
        to.extend(user.paths().filter_map(|path| {
            let copy = kept::copy(path.path).filter(|_| !is_pki(path.path));
            let mut paths = self.paths();
            let taken = paths.find(|mine| conflicts(mine, &path) || Some(mine) == copy.as_ref());
            let reserved = RESERVED.iter().find(|root| is_under(path.path, root));
            let is_shared = self.shared.is_some_and(|root| is_under(path.path, root));
            let reserved = reserved.filter(|_| !hooks::may_be_at(path.path) && !is_shared);
            let (name, span) = (path.path, path.span);
            let why = match (reserved, &taken) {
                _ if RESERVED_UNITS.iter().any(|unit| unit_path(unit) == name) => {
                    format!("nkd manages `{name}`")
                }
                (Some(root), None) if *root == name => format!("nkd manages `{name}`"),
                (Some(root), None) => format!("`{name}` is in `{root}`, which nkd manages"),
                (None, Some(mine)) if overrides.contains(&mine.as_str()) => return None,
                (_, Some(mine)) if mine == name => format!("nkd manages `{name}`"),
                (_, Some(mine)) => format!("`{name}` conflicts with nkd's file `{mine}`"),
                (None, None) => return None,
            };
            let with = taken.unwrap_or_default();
            Some(Collision { span, why, with })
        }));
    }

    fn colliding_units(&self, user: &UserConfig, overrides: &[&str], to: &mut Vec<Collision>) {
        let units = user.units().filter(|unit| {
            // The user may also enable a unit of the OS image, or change it.
            let is_mine = |mine: &Unit| mine.name == unit.name && mine.content.is_some();
            let mine = self.units.iter().any(is_mine);
            let free = overrides.contains(&unit.name);
            !unit.only_dropins && (mine && !free || RESERVED_UNITS.contains(&unit.name))
        });
        to.extend(units.map(|unit| Collision {
            span: unit.span,
            why: format!("nkd manages `{}`", unit.name),
            with: unit_path(unit.name),
        }));
        self.colliding_dropins(user, to);
        for mine in &self.units {
            let theirs = user.units().filter(|unit| unit.name == mine.name);
            let dropins = theirs.flat_map(|unit| unit.dropins).filter(|(name, _)| {
                let free = format!("{}.d/{name}", mine.name);
                mine.has_dropin(name) && !overrides.contains(&free.as_str())
            });
            to.extend(dropins.map(|(name, span)| Collision {
                span,
                why: format!("nkd sets `{name}` of `{}`", mine.name),
                with: unit_path(mine.name),
            }));
        }
    }

    /// Drop-ins that nkd writes as files, for units of the OS image. An entry of `os.override` names the
    /// path of the file.
    fn colliding_dropins(&self, user: &UserConfig, to: &mut Vec<Collision>) {
        for unit in user.units() {
            for (name, span) in unit.dropins {
                let with = format!("{}.d/{name}", unit_path(unit.name));
                if self.files.iter().any(|file| file.path == with) {
                    let why = format!("nkd sets `{name}` of `{}`", unit.name);
                    to.push(Collision { span, why, with });
                }
            }
        }
    }

    /// Whether a name is that of a file, unit, drop-in, user or disk that the user may override.
    pub fn can_override(&self, name: &str) -> bool {
        let reserved = RESERVED.iter().any(|root| is_under(name, root));
        let files = self.files.iter().any(|file| file.path == name);
        let units = self.units.iter().any(|unit| {
            let dropin = name
                .strip_prefix(unit.name)
                .and_then(|rest| rest.strip_prefix(".d/"));
            unit.name == name || dropin.is_some_and(|dropin| unit.has_dropin(dropin))
        });
        let users = self.users.iter().any(|user| user["name"] == name);
        let disk = self.disk.as_deref() == Some(name);
        !reserved && (files || units || users || disk)
    }

    /// The paths of all files, including those of units.
    fn paths(&self) -> impl Iterator<Item = String> {
        let files = self.files.iter().map(|file| file.path.clone());
        let fetched = self.fetched.iter().map(|file| file.path.clone());
        let units = self.units.iter().flat_map(Unit::paths);
        files.chain(fetched).chain(units)
    }
}

impl Unit {
    /// The paths of its drop-ins and of the unit itself.
    pub(super) fn paths(&self) -> impl Iterator<Item = String> {
        let path = unit_path(self.name);
        let dropins = self.dropins.iter();
        let dropins = dropins.map(|(name, _)| format!("{}.d/{name}", unit_path(self.name)));
        dropins.chain(self.content.map(|_| path))
    }

    fn has_dropin(&self, name: &str) -> bool {
        self.dropins.iter().any(|(mine, _)| *mine == name)
    }
}

fn unit_path(name: &str) -> String {
    format!("{UNITS}/{name}")
}

/// Whether an entry of the user conflicts with a path of nkd: an entry with the same path does, and also
/// a file or link with the path of a directory above it.
fn conflicts(mine: &str, user: &UserPath<'_>) -> bool {
    user.path == mine || (!user.is_directory && is_under(mine, user.path))
}

pub(super) fn is_under(path: &str, root: &str) -> bool {
    path.strip_prefix(root)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
