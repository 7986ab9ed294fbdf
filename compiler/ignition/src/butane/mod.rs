//! Translates Butane configs into Ignition configs, as Butane's documentation of the variants `fcos` and
//! `nestos` specifies. Each generated value keeps the position of the key that led to it, so that an
//! error in the result is shown where the user wrote it.

mod boot_device;
mod format;
mod grub;
mod local;
mod mode;
mod mount_unit;
mod resources;
mod sugar;
mod tree;
mod version;

use std::path::Path;

use crate::check::{self, Warning};
use crate::{merge, read, tree as node};
use local::LocalFiles;
use nkd_document::yaml::{self, Node, Value};
use nkd_document::{Code, Diagnostics, Reported, SourceId, Span};
pub use version::Version;

/// The result of a translation.
pub struct Translation {
    /// The Ignition config.
    pub config: Node,
    /// The variant and version of the Butane config.
    pub version: Version,
    /// The warnings that Butane would print.
    warnings: Vec<Warning>,
}

impl Translation {
    /// All warnings, if Ignition 3.`minor`.0 reads the config.
    pub fn warnings(&self, minor: u8) -> Vec<Warning> {
        let mut warnings = self.warnings.clone();
        let places: Vec<Span> = warnings.iter().map(|warning| warning.span).collect();
        // A decimal mode often is a strange one, too.
        let further = check::warnings(&self.config, minor).into_iter();
        warnings.extend(further.filter(|warning| !places.contains(&warning.span)));
        warnings
    }
}

/// Translates a source. Local files are read from a directory and the directories below it.
///
/// # Errors
/// The source has an error.
pub fn translate(
    source: SourceId,
    directory: Option<&Path>,
    to: &mut Diagnostics,
) -> Result<Translation, Reported> {
    let before = to.len();
    let document = document(source, to)?;
    let version = Version::of(&document, to)?;
    let format = format::Butane { version };
    let mut config = read::config(&document, &format, to)?;
    let local = LocalFiles::new(directory);
    resources::resolve(&mut config, version, &local, to);
    let mut warnings = mode::warnings(&config);
    let config = desugar(config, version, &local, to);
    check::config(&config, version.ignition, to);
    warnings.extend(boot_device::warnings(&config));
    to.as_result_since(before)?;
    Ok(Translation {
        config,
        version,
        warnings,
    })
}

/// The only document of a source.
fn document(source: SourceId, to: &mut Diagnostics) -> Result<Node, Reported> {
    const BEGINNING: &str = "begin the file with `variant: nestos` and `version: 1.0.0`";
    let mut documents = yaml::documents(source, to)?;
    documents.retain(|document| document.value != Value::Null);
    if let Some(second) = documents.get(1) {
        let message = "a Butane config must be one document, but a second one begins here";
        let help = "remove the `---` and everything after it, or move it to another file; Butane would ignore it";
        return Err(to.report_with_help(Code::Documents, second.span, message, help));
    }
    let Some(document) = documents.pop() else {
        let span = Span::new(source, 0..0);
        return Err(to.report_with_help(Code::Empty, span, "the file is empty", BEGINNING));
    };
    Ok(document)
}

/// Replaces the fields that only Butane has with fields of Ignition.
fn desugar(
    mut config: Node,
    version: Version,
    local: &LocalFiles<'_>,
    to: &mut Diagnostics,
) -> Node {
    for key in ["variant", "version"] {
        node::take(&mut config, key);
    }
    let boot_device = node::take(&mut config, "boot_device");
    let grub = node::take(&mut config, "grub");
    let trees =
        node::child_mut(&mut config, "storage").and_then(|storage| node::take(storage, "trees"));
    if let Some(units) = mount_unit::rendered(&mut config, version, to) {
        config = merge::merge(&units, &config);
    }
    if let Some(trees) = trees {
        tree::embed(&mut config, &trees.node, local, to);
    }
    // What the user says about generated things comes on top of them.
    if let Some(rendered) = boot_device.and_then(|entry| boot_device::rendered(&entry, version, to))
    {
        config = merge::merge(&rendered, &config);
    }
    if let Some(rendered) = grub.and_then(|entry| grub::rendered(&entry, to)) {
        config = merge::merge(&rendered, &config);
    }
    if let Some(ignition) = node::mappings(&mut config, &["ignition"], version.span) {
        let written = format!("3.{}.0", version.ignition);
        node::set(ignition, node::pair(version.span, "version", written));
    }
    config
}
