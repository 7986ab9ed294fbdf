//! One node's Ignition config: what nkd puts on it, and the user's own configs underneath.

mod data_url;
pub mod user;

use nkd_contract::paths;
use serde_json::{Value, json};

pub use data_url::{decode, encode};
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

    /// The config as Ignition reads it, with the user's configs underneath.
    pub fn to_json(&self, users: &[&UserConfig]) -> Value {
        let files: Vec<_> = self
            .files
            .iter()
            .map(|file| {
                json!({
                    "path": file.path,
                    "mode": file.mode,
                    "overwrite": true,
                    "contents": resource(&file.content),
                })
            })
            .collect();
        let units: Vec<_> = self
            .units
            .iter()
            .map(|unit| {
                let dropins: Vec<_> = unit
                    .dropins
                    .iter()
                    .map(|(name, text)| json!({"name": name, "contents": text}))
                    .collect();
                json!({
                    "name": unit.name,
                    "enabled": true,
                    "contents": unit.content,
                    "dropins": dropins,
                })
            })
            .collect();
        let directories: Vec<_> = self
            .directories
            .iter()
            .map(|(path, mode)| json!({"path": path, "mode": mode}))
            .collect();
        let mut ignition = json!({"version": SPEC});
        if !users.is_empty() {
            let merge: Vec<_> = users.iter().map(|user| resource(&user.text)).collect();
            ignition["config"] = json!({ "merge": merge });
        }
        json!({
            "ignition": ignition,
            "storage": {"directories": directories, "files": files},
            "systemd": {"units": units},
        })
    }

    /// What of the user's config collides with this one: the place in it, and why. Drop-ins to
    /// nkd's units are the user's right.
    pub fn collisions(&self, user: &UserConfig) -> Vec<(String, String)> {
        let mut collisions = Vec::new();
        for path in &user.paths {
            let mine = self.files.iter().find(|file| conflicts(&file.path, path));
            if let Some(file) = mine {
                collisions.push((path.path.clone(), format!("{} is nkd's", file.path)));
            } else if let Some(root) = RESERVED.iter().find(|root| is_under(&path.path, root)) {
                collisions.push((
                    path.path.clone(),
                    format!("everything under {root} is nkd's"),
                ));
            } else if self.units.iter().any(|unit| is_unit_file(&path.path, unit)) {
                collisions.push((path.path.clone(), "this unit is nkd's".to_owned()));
            }
        }
        for unit in &user.units {
            let mine = self.units.iter().find(|it| it.name == unit.name);
            let reserved = mine.is_some() || RESERVED_UNITS.contains(&unit.name.as_str());
            if reserved && !unit.only_dropins {
                let why = "the unit is nkd's; only drop-ins can be added to it";
                collisions.push((unit.name.clone(), why.to_owned()));
            }
            let taken = mine.into_iter().flat_map(|mine| &mine.dropins);
            for (name, _) in taken.filter(|(name, _)| unit.dropins.contains(&(*name).to_owned())) {
                let why = format!("the drop-in {name} of {} is nkd's", unit.name);
                collisions.push(((*name).to_owned(), why));
            }
        }
        collisions
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

fn is_unit_file(path: &str, unit: &Unit) -> bool {
    let base = format!("/etc/systemd/system/{}", unit.name);
    path == base
        || unit
            .dropins
            .iter()
            .any(|(name, _)| path == format!("{base}.d/{name}"))
}

/// A text as a data URL. `compression` is always given, so that nothing can be inherited from
/// another config's value for the same file.
fn resource(text: &str) -> Value {
    let (source, compression) = encode(text);
    json!({"source": source, "compression": compression})
}
