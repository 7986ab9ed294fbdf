//! One node's Ignition config: what nkd puts on it, and the user's own configs merged into it.

pub mod check;
mod data_url;
mod hooks;
pub mod json;
pub mod merge;
pub mod needs;
mod overridden;
pub mod read;
pub mod spec;
pub mod tree;
pub mod user;
pub mod users;

use nkd_contract::paths;
use serde_json::{Value, json};

pub use data_url::{decode, encode, encode_as_is, gzip, plain};
use user::UserConfig;

use crate::diagnostics::Span;
use crate::yaml;

/// The spec version of every config nkd writes: the newest that Ignition 2.14, NestOS's oldest,
/// reads.
pub const SPEC: &str = "3.3.0";
/// The minor number of [`SPEC`].
pub const SPEC_MINOR: u8 = 3;

/// Mode of files that only root may read.
pub const PRIVATE: u32 = 0o600;
/// Mode of files that anyone may read.
pub const PUBLIC: u32 = 0o644;

/// A file on a node.
pub struct File {
    /// Its full path.
    pub path: String,
    /// Its permission bits.
    pub mode: u32,
    /// Its content.
    pub content: String,
}

/// A systemd unit on a node.
pub struct Unit {
    /// Its name, with suffix.
    pub name: &'static str,
    /// Its text.
    pub content: &'static str,
    /// Drop-ins: name and text.
    pub dropins: Vec<(&'static str, String)>,
}

/// What nkd puts on one node.
#[derive(Default)]
pub struct Config {
    /// Files, in order.
    pub files: Vec<File>,
    /// Directories whose own mode matters: path and mode.
    pub directories: Vec<(String, u32)>,
    /// Units, in order; all are enabled.
    pub units: Vec<Unit>,
    /// Users, as in `passwd.users`.
    pub users: Vec<Value>,
    /// Kernel arguments, for `kernelArguments.shouldExist`.
    pub kernel_arguments: Vec<String>,
    /// The disk the system is installed to, if that is known.
    pub disk: Option<String>,
}

impl Config {
    /// Adds a file.
    pub fn file(&mut self, path: impl Into<String>, mode: u32, content: impl Into<String>) {
        self.files.push(File {
            path: path.into(),
            mode,
            content: content.into(),
        });
    }

    /// The config as Ignition reads it, merged as Ignition would: nkd's part is the child of the
    /// users' configs, and each of those of the one before. So nkd's part wins, but for the
    /// `overrides`, of which it is the parent. The users' configs have to be looked at for
    /// [collisions](Self::collisions) first. `own` is this config as JSON. Nothing if there are no
    /// users' configs.
    pub fn merged(own: &Value, users: &[&UserConfig], overrides: &[&str]) -> Option<yaml::Node> {
        let own = tree::from_json(own, users.first()?.config.span);
        let (base, top) = overridden::split(own, overrides);
        let merged = users
            .iter()
            .fold(base, |parent, user| merge::merge(&parent, &user.config));
        Some(merge::merge(&merged, &top))
    }

    /// The config as Ignition reads it, nkd's part alone.
    pub fn to_json(&self) -> Value {
        let files = self.files.iter().map(|file| {
            let contents = resource(&file.content);
            json!({"path": file.path, "mode": file.mode, "overwrite": true, "contents": contents})
        });
        let directories = self
            .directories
            .iter()
            .map(|(path, mode)| json!({"path": path, "mode": mode}));
        let units = self.units.iter().map(|unit| {
            let dropins = unit
                .dropins
                .iter()
                .map(|(name, text)| json!({"name": name, "contents": text}));
            json!({
                "name": unit.name,
                "enabled": true,
                "contents": unit.content,
                "dropins": dropins.collect::<Vec<_>>(),
            })
        });
        let mut config = json!({
            "ignition": {"version": SPEC},
            "storage": {
                "directories": directories.collect::<Vec<_>>(),
                "files": files.collect::<Vec<_>>(),
            },
            "systemd": {"units": units.collect::<Vec<_>>()},
        });
        if !self.users.is_empty() {
            config["passwd"] = json!({"users": self.users});
        }
        if !self.kernel_arguments.is_empty() {
            config["kernelArguments"] = json!({"shouldExist": self.kernel_arguments});
        }
        config
    }

    /// What of the user's config collides with this one: where it says it, and what is wrong
    /// with it. Drop-ins to nkd's units are the user's right, and so is what they override.
    pub fn collisions(&self, user: &UserConfig, overrides: &[&str]) -> Vec<Collision> {
        let paths = user.paths().filter_map(|path| {
            let taken = self.paths().find(|mine| conflicts(mine, &path));
            let reserved = RESERVED.iter().find(|root| is_under(path.path, root));
            let reserved = reserved.filter(|_| !hooks::may_be_at(path.path));
            let (name, span) = (path.path, path.span);
            let why = match (reserved, &taken) {
                _ if RESERVED_UNITS.iter().any(|it| unit_path(it) == name) => {
                    format!("`{name}` is nkd's")
                }
                (Some(root), None) => format!("`{name}` is in {root}, which is nkd's"),
                (None, Some(mine)) if overrides.contains(&mine.as_str()) => return None,
                (_, Some(mine)) if mine == name => format!("`{name}` is nkd's"),
                (_, Some(mine)) => format!("`{name}` stands in the way of nkd's {mine}"),
                (None, None) => return None,
            };
            let with = taken.unwrap_or_default();
            Some(Collision { span, why, with })
        });
        let units = user.units().filter(|unit| {
            let mine = self.units.iter().any(|mine| mine.name == unit.name);
            let free = overrides.contains(&unit.name);
            !unit.only_dropins && (mine && !free || RESERVED_UNITS.contains(&unit.name))
        });
        let units = units.map(|unit| {
            let why = format!("`{}` is nkd's", unit.name);
            Collision {
                span: unit.span,
                why,
                with: unit_path(unit.name),
            }
        });
        let dropins = self.units.iter().flat_map(|mine| {
            let theirs = user.units().filter(|unit| unit.name == mine.name);
            theirs
                .flat_map(|unit| unit.dropins)
                .filter(|(name, _)| {
                    let free = format!("{}.d/{name}", mine.name);
                    mine.has_dropin(name) && !overrides.contains(&free.as_str())
                })
                .map(|(name, span)| Collision {
                    span,
                    why: format!("`{name}` of {} is nkd's", mine.name),
                    with: unit_path(mine.name),
                })
                .collect::<Vec<_>>()
        });
        let users = user.users().filter(|(name, _)| {
            let mine = self.users.iter().any(|user| user["name"] == *name);
            mine && !overrides.contains(name)
        });
        let users = users.map(|(name, span)| {
            let why = format!("the user `{name}` is in the cluster file's `os.users` too");
            let with = String::new();
            Collision { span, why, with }
        });
        let wiped = user.wiped_disks().filter(|(device, _)| {
            self.disk.as_deref() == Some(*device) && !overrides.contains(device)
        });
        let wiped = wiped.map(|(device, span)| {
            let why = format!("the system is installed on `{device}`, and this wipes it");
            let with = device.to_owned();
            Collision { span, why, with }
        });
        let units = units.chain(dropins);
        paths.chain(units).chain(users).chain(wiped).collect()
    }

    /// Whether a name is that of a file, unit, drop-in, user or disk which the user may override.
    pub fn can_override(&self, name: &str) -> bool {
        let reserved = RESERVED.iter().any(|root| is_under(name, root));
        let files = self.files.iter().any(|file| file.path == name);
        let units = self.units.iter().any(|unit| {
            let dropin = name
                .strip_prefix(unit.name)
                .and_then(|it| it.strip_prefix(".d/"));
            unit.name == name || dropin.is_some_and(|it| unit.has_dropin(it))
        });
        let users = self.users.iter().any(|user| user["name"] == name);
        let disk = self.disk.as_deref() == Some(name);
        !reserved && (files || units || users || disk)
    }

    /// The paths of all files, those of units among them.
    fn paths(&self) -> impl Iterator<Item = String> {
        let files = self.files.iter().map(|file| file.path.clone());
        let units = self.units.iter().flat_map(|unit| {
            let path = unit_path(unit.name);
            let dropins = unit
                .dropins
                .iter()
                .map(|(name, _)| format!("{path}.d/{name}"));
            dropins.chain([path.clone()]).collect::<Vec<_>>()
        });
        files.chain(units)
    }
}

impl Unit {
    fn has_dropin(&self, name: &str) -> bool {
        self.dropins.iter().any(|(mine, _)| *mine == name)
    }
}

/// Something of the user's that meets something of nkd's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Collision {
    /// Where the user wrote it.
    pub span: Span,
    /// What is wrong.
    pub why: String,
    /// The path of nkd's that is met, if there is one.
    pub with: String,
}

fn unit_path(name: &str) -> String {
    format!("{}/{name}", check::UNITS)
}

/// Where nobody but nkd, its agent and kubeadm may put anything.
const RESERVED: [&str; 4] = [
    "/etc/nkd",
    "/var/lib/nkd",
    "/var/lib/nkd-reporter",
    paths::KUBERNETES_PKI,
];

/// The agent's units, which come with the image.
const RESERVED_UNITS: [&str; 3] = [
    "nkd-agent.service",
    "nkd-reporter.service",
    nkd_contract::names::READY_TARGET,
];

/// Anything at the path itself, and anything but a directory above it.
fn conflicts(mine: &str, user: &user::UserPath<'_>) -> bool {
    user.path == mine || (!user.is_directory && is_under(mine, user.path))
}

fn is_under(path: &str, root: &str) -> bool {
    path.strip_prefix(root)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// A text as a data URL. `compression` is always given, so that nothing can be inherited from
/// another config's value for the same file.
fn resource(text: &str) -> Value {
    let (source, compression) = encode(text);
    json!({"source": source, "compression": compression})
}
