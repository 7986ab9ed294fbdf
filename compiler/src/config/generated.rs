//! nkd's part of a node's config.

use std::cell::RefCell;
use std::collections::HashMap;

use nkd_ignition::encode;
use serde_json::{Value, json};

use super::spec::SPEC;

/// Mode of scripts that anyone may run.
pub(crate) const EXECUTABLE: u32 = 0o755;
/// Mode of files that only root may read.
pub(crate) const PRIVATE: u32 = 0o600;
/// Mode of files that anyone may read.
pub(crate) const PUBLIC: u32 = 0o644;

/// A file on a node.
pub(crate) struct File {
    /// Its full path.
    pub path: String,
    /// Its permission bits.
    pub mode: u32,
    /// Its content.
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

/// A file that Ignition fetches.
pub(crate) struct Fetched {
    /// Its full path.
    pub path: String,
    /// The URL.
    pub url: String,
    /// The SHA-256 of its content, in hexadecimal.
    pub sha256: String,
    /// The key of the cluster file that asks for it.
    pub key: &'static str,
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
    /// Its name, with suffix.
    pub name: &'static str,
    /// Its text. `None` for a unit of the OS image that is only enabled.
    pub content: Option<&'static str>,
    /// Drop-ins: name and text.
    pub dropins: Vec<(&'static str, String)>,
    /// The key of the cluster file that asks for it and its drop-ins.
    pub key: &'static str,
}

/// What nkd puts on one node.
#[derive(Default)]
pub(crate) struct Config {
    /// Files, in order.
    pub files: Vec<File>,
    /// Files that Ignition fetches, in order.
    pub fetched: Vec<Fetched>,
    /// PEM certificates by which Ignition verifies servers, besides those of the OS image.
    pub authorities: Vec<String>,
    /// Directories, in order.
    pub directories: Vec<Directory>,
    /// Units, in order; all are enabled.
    pub units: Vec<Unit>,
    /// Users, as in `passwd.users`.
    pub users: Vec<Value>,
    /// Kernel arguments, for `kernelArguments.shouldExist`.
    pub kernel_arguments: Vec<String>,
    /// The disk the system is installed to, if that is known.
    pub disk: Option<String>,
    /// Whether kubelet was told to put up with swap.
    pub keep_swap: bool,
    /// The preflight checks that kubeadm ignores, in lower case.
    pub ignored_checks: Vec<String>,
    /// A directory of nkd's in which files of the user's own may be as well.
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
        let fetched = self.fetched.iter();
        let fetched = fetched.map(|file| (file.path.clone(), file.key));
        let directories = self.directories.iter();
        let directories = directories.map(|directory| (directory.path.to_owned(), directory.key));
        let units = self.units.iter();
        let units = units.flat_map(|unit| unit.paths().map(|path| (path, unit.key)));
        files.chain(fetched).chain(directories).chain(units)
    }

    /// The key of the cluster file that asks for something at a path.
    pub fn key(&self, path: &str) -> Option<&'static str> {
        let is_disk = self.disk.as_deref() == Some(path);
        let key = || self.keys().find(|(own, _)| own == path).map(|(_, key)| key);
        if is_disk { Some("installDisk") } else { key() }
    }

    /// The config as Ignition reads it, nkd's part alone.
    pub fn to_json(&self) -> Value {
        let files = self.files.iter().map(|file| {
            let contents = resource(&file.content);
            json!({"path": file.path, "mode": file.mode, "overwrite": true, "contents": contents})
        });
        let fetched = self.fetched.iter().map(|file| {
            let verification = json!({"hash": format!("sha256-{}", file.sha256)});
            let contents = json!({"source": file.url, "verification": verification});
            json!({"path": file.path, "mode": PUBLIC, "overwrite": true, "contents": contents})
        });
        let directories = self.directories.iter();
        let directories =
            directories.map(|directory| json!({"path": directory.path, "mode": directory.mode}));
        let units = self.units.iter().map(|unit| {
            let dropins = unit
                .dropins
                .iter()
                .map(|(name, text)| json!({"name": name, "contents": text}));
            let mut json = json!({
                "name": unit.name,
                "enabled": true,
                "dropins": dropins.collect::<Vec<_>>(),
            });
            if let Some(content) = unit.content {
                json["contents"] = json!(content);
            }
            json
        });
        let mut config = json!({
            "ignition": {"version": SPEC},
            "storage": {
                "directories": directories.collect::<Vec<_>>(),
                "files": files.chain(fetched).collect::<Vec<_>>(),
            },
            "systemd": {"units": units.collect::<Vec<_>>()},
        });
        if !self.authorities.is_empty() {
            let authorities: Vec<_> = self.authorities.iter().map(|pem| resource(pem)).collect();
            config["ignition"]["security"] =
                json!({"tls": {"certificateAuthorities": authorities}});
        }
        if !self.users.is_empty() {
            config["passwd"] = json!({"users": self.users});
        }
        if !self.kernel_arguments.is_empty() {
            config["kernelArguments"] = json!({"shouldExist": self.kernel_arguments});
        }
        config
    }
}

thread_local! {
    /// The texts that were encoded last. Most files are the same on all nodes of a role, and compressing them
    /// takes longer than everything else that is done for a node.
    static ENCODED: RefCell<HashMap<String, Value>> = RefCell::default();
}

/// The number of texts that each thread remembers.
const REMEMBERED: usize = 64;

/// A text as a data URL. `compression` is always given, so that nothing can be inherited from
/// another config's value for the same file.
fn resource(text: &str) -> Value {
    ENCODED.with_borrow_mut(|encoded| {
        if let Some(resource) = encoded.get(text) {
            return resource.clone();
        }
        let (source, compression) = encode(text);
        let resource = json!({"source": source, "compression": compression});
        if encoded.len() >= REMEMBERED {
            encoded.clear();
        }
        encoded.insert(text.to_owned(), resource.clone());
        resource
    })
}
