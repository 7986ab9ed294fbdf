//! The files and units that bring a node's system extensions into use.

use std::fmt::Write as _;

use nkd_model::{Extension, ExtensionSource};

use crate::config::{Config, EXECUTABLE, Fetched, PUBLIC, Unit};
use crate::fragments;

/// The list of a node's extensions, which the script reads.
pub const LIST: &str = "/etc/nkd/extensions";
const SCRIPT: &str = "/etc/nkd/merge-extensions";
const KEY: &str = "os.extensions";

/// Adds what a node with extensions needs.
pub(super) fn add(config: &mut Config, extensions: &[Extension]) {
    if extensions.is_empty() {
        return;
    }
    let (mut lines, mut with_copies) = (String::new(), false);
    for extension in extensions {
        let source = match &extension.source {
            ExtensionSource::Url {
                url,
                certificate_authority,
            } => {
                config.fetched.push(Fetched {
                    path: extension.path(),
                    url: url.clone(),
                    sha256: extension.sha256.clone(),
                    key: KEY,
                });
                // Ignition refuses duplicate entries.
                let authority = certificate_authority.iter();
                let new = authority.filter(|pem| !config.authorities.contains(*pem));
                config.authorities.extend(new.cloned().collect::<Vec<_>>());
                "ignition".to_owned()
            }
            ExtensionSource::Disk(label) => format!("disk={label}"),
            ExtensionSource::Directory(path) => format!("directory={path}"),
        };
        with_copies |= !matches!(extension.source, ExtensionSource::Url { .. });
        let (name, architecture) = (&extension.name, extension.architecture.name());
        let _ = writeln!(lines, "{name} {architecture} {} {source}", extension.sha256);
    }
    config.file(LIST, PUBLIC, lines).from(KEY);
    let script = fragments::MERGE_EXTENSIONS;
    config.file(SCRIPT, EXECUTABLE, script).from(KEY);
    let files = (
        "nkd-extension-files.service",
        Some(fragments::EXTENSION_FILES_UNIT),
    );
    let units = [
        ("nkd-extensions.service", Some(fragments::EXTENSIONS_UNIT)),
        // The presets of NestOS and Fedora CoreOS disable it.
        ("systemd-sysext.service", None),
    ];
    for (name, content) in with_copies.then_some(files).into_iter().chain(units) {
        config.units.push(Unit {
            name,
            content,
            dropins: Vec::new(),
            key: KEY,
        });
    }
}
