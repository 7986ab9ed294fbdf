//! One node's Ignition config: what nkd puts on it, and the user's own configs merged into it.

pub mod check;
mod data_url;
pub mod json;
pub mod merge;
pub mod read;
pub mod spec;
pub mod tree;
pub mod user;

use nkd_contract::paths;
use serde_json::{Value, json};

pub use data_url::{decode, encode, encode_as_is, gzip, plain};
use user::UserConfig;

/// The spec version of every config nkd writes: the newest that Ignition 2.14, NestOS's oldest,
/// reads.
pub const SPEC: &str = "3.3.0";

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

    /// The config as Ignition reads it. What the user's configs say wins over it, so they have to
    /// be looked at for [collisions](Self::collisions) first.
    pub fn to_json(&self, users: &[&UserConfig]) -> Value {
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
        let mut ignition = json!({"version": SPEC});
        if !users.is_empty() {
            let merge: Vec<_> = users.iter().map(|user| resource(&user.text)).collect();
            ignition["config"] = json!({ "merge": merge });
        }
        let mut config = json!({
            "ignition": ignition,
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

    /// What of the user's config collides with this one: the word that says it there, and what
    /// is wrong with it.
    /// Drop-ins to nkd's units are the user's right.
    pub fn collisions(&self, user: &UserConfig) -> Vec<(String, String)> {
        let paths = user.paths.iter().filter_map(|path| {
            let taken = self.paths().find(|mine| conflicts(mine, path));
            let reserved = || RESERVED.iter().find(|root| is_under(&path.path, root));
            let path = &path.path;
            let why = match taken {
                Some(mine) if mine == *path => format!("`{path}` is nkd's"),
                Some(mine) => format!("`{path}` stands in the way of nkd's {mine}"),
                None => format!("`{path}` is in {}, which is nkd's", reserved()?),
            };
            Some((path.clone(), why))
        });
        let units = user.units.iter().filter(|unit| {
            let mine = self.units.iter().any(|mine| mine.name == unit.name);
            !unit.only_dropins && (mine || RESERVED_UNITS.contains(&unit.name.as_str()))
        });
        let units = units.map(|unit| {
            let why = format!("`{}` is nkd's; only drop-ins can be added to it", unit.name);
            (unit.name.clone(), why)
        });
        let dropins = self.units.iter().flat_map(|mine| {
            let theirs = user.units.iter().filter(|unit| unit.name == mine.name);
            theirs
                .flat_map(|unit| &unit.dropins)
                .filter(|name| mine.has_dropin(name))
                .map(|name| (name.clone(), format!("`{name}` of {} is nkd's", mine.name)))
        });
        paths.chain(units).chain(dropins).collect()
    }

    /// The paths of all files, those of units among them.
    fn paths(&self) -> impl Iterator<Item = String> {
        let files = self.files.iter().map(|file| file.path.clone());
        let units = self.units.iter().flat_map(|unit| {
            let path = format!("/etc/systemd/system/{}", unit.name);
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
fn conflicts(mine: &str, user: &user::UserPath) -> bool {
    user.path == mine || (!user.is_directory && is_under(mine, &user.path))
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
