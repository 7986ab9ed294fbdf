//! One node's Ignition config: what nkd puts on it, and the user's own configs merged into it.

mod collisions;
mod hooks;
pub(crate) mod needs;
mod overridden;
pub mod user;

use serde_json::{Value, json};

pub(crate) use collisions::Collision;
use nkd_document::yaml;
use nkd_ignition::{encode, merge, tree};
use nkd_model::UserConfig;

/// The version of every config that nkd writes: the newest one that Ignition 2.14 reads, the Ignition of
/// the oldest NestOS.
pub(crate) const SPEC: &str = "3.3.0";
/// The minor number of `SPEC`.
pub const SPEC_MINOR: u8 = 3;

/// The mode of files that only root can read.
pub(crate) const PRIVATE: u32 = 0o600;
/// The mode of files that every user can read.
pub(crate) const PUBLIC: u32 = 0o644;

/// A file on a node.
pub(crate) struct File {
    /// The absolute path.
    pub path: String,
    /// The permission bits.
    pub mode: u32,
    /// The content.
    pub content: String,
    /// The key of the cluster file that asks for it, as [`origin::of`](crate::origin::of) takes it. Files without one are on
    /// every node.
    pub key: Option<&'static str>,
}

impl File {
    /// Notes the key of the cluster file that asks for it.
    pub fn from(&mut self, key: &'static str) {
        self.key = Some(key);
    }
}

/// A directory on a node whose own mode matters.
pub(crate) struct Directory {
    /// Its full path.
    pub path: &'static str,
    /// Its permission bits.
    pub mode: u32,
    /// The key of the cluster file that asks for it.
    pub key: &'static str,
}

/// A systemd unit on a node.
pub(crate) struct Unit {
    /// The name, with its suffix.
    pub name: &'static str,
    /// The text of the unit file.
    pub content: &'static str,
    /// The drop-ins: name and text.
    pub dropins: Vec<(&'static str, String)>,
    /// The key of the cluster file that asks for it and its drop-ins.
    pub key: &'static str,
}

/// What nkd puts on one node.
#[derive(Default)]
pub(crate) struct Config {
    /// Files, in order.
    pub files: Vec<File>,
    /// Directories, in order.
    pub directories: Vec<Directory>,
    /// Units, in order; all are enabled.
    pub units: Vec<Unit>,
    /// Users, as in `passwd.users`.
    pub users: Vec<Value>,
    /// Kernel arguments, for `kernelArguments.shouldExist`.
    pub kernel_arguments: Vec<String>,
    /// The disk on which the OS is installed, if the cluster file has it.
    pub disk: Option<String>,
    /// Whether kubelet is configured to accept swap.
    pub keep_swap: bool,
    /// A directory of nkd in which the user may have files too.
    pub shared: Option<&'static str>,
}

impl Config {
    /// Adds a file.
    pub fn file(
        &mut self,
        path: impl Into<String>,
        mode: u32,
        content: impl Into<String>,
    ) -> &mut File {
        let index = self.files.len();
        self.files.push(File {
            path: path.into(),
            mode,
            content: content.into(),
            key: None,
        });
        &mut self.files[index]
    }

    /// The path of each file, directory, unit and drop-in, with the key of the cluster file that asks for it.
    pub fn keys(&self) -> impl Iterator<Item = (String, &'static str)> {
        let files = self.files.iter();
        let files = files.filter_map(|file| Some((file.path.clone(), file.key?)));
        let directories = self.directories.iter();
        let directories = directories.map(|directory| (directory.path.to_owned(), directory.key));
        let units = self.units.iter();
        let units = units.flat_map(|unit| unit.paths().map(|path| (path, unit.key)));
        files.chain(directories).chain(units)
    }

    /// The key of the cluster file that asks for something at a path.
    pub fn key(&self, path: &str) -> Option<&'static str> {
        let is_disk = self.disk.as_deref() == Some(path);
        let key = || self.keys().find(|(own, _)| own == path).map(|(_, key)| key);
        if is_disk { Some("installDisk") } else { key() }
    }

    /// The merged config, or `None` if the user has no configs. As in Ignition, each config is the child
    /// of the one before it, and nkd's part is the child of the last one. So nkd's part takes precedence,
    /// except for the `overrides`, for which it is the parent. The users' configs must have been checked
    /// for [collisions](Self::collisions). `own` is this config as JSON.
    pub fn merged(own: &Value, users: &[&UserConfig], overrides: &[&str]) -> Option<yaml::Node> {
        let own = tree::from_json(own, users.first()?.config.span);
        let (base, top) = overridden::split(own, overrides);
        let merged = users
            .iter()
            .fold(base, |parent, user| merge::merge(&parent, &user.config));
        Some(merge::merge(&merged, &top))
    }

    /// nkd's part of the config, as Ignition reads it.
    pub fn to_json(&self) -> Value {
        let files = self.files.iter().map(|file| {
            let contents = resource(&file.content);
            json!({"path": file.path, "mode": file.mode, "overwrite": true, "contents": contents})
        });
        let directories = self.directories.iter();
        let directories =
            directories.map(|directory| json!({"path": directory.path, "mode": directory.mode}));
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
}

/// A text as a data URL. `compression` is always set, so that a value in another config for the same file
/// cannot be inherited.
fn resource(text: &str) -> Value {
    let (source, compression) = encode(text);
    json!({"source": source, "compression": compression})
}
