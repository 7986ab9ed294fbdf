//! Reads the user's own configs, Ignition and Butane.

use std::path::Path;

use nkd_document::json;
use nkd_document::yaml;
use nkd_document::{Code, Diagnostics, Reported, SourceId};
use nkd_ignition::spec::NEWEST;
use nkd_ignition::tree::{self, entry};
use nkd_ignition::{butane, check, read as reading};
use nkd_model::UserConfig;

use super::accounts;
use super::spec::{SPEC, SPEC_MINOR};

/// Reads an Ignition config.
///
/// # Errors
/// The config has an error, or Ignition would print a warning about it, which nobody would read.
pub fn read(source: SourceId, to: &mut Diagnostics) -> Result<UserConfig, Reported> {
    let before = to.len();
    let node = json::parse(source, to)?;
    let format = reading::Json {
        minor: minor(&node, to)?,
        target: SPEC_MINOR,
    };
    let config = reading::config(&node, &format, to)?;
    check::config(&config, format.minor.min(SPEC_MINOR), to);
    report(check::warnings(&config, SPEC_MINOR), to);
    let user = checked(config, to);
    to.as_result_since(before)?;
    Ok(user)
}

/// Reads a Butane config. Its local files are in a directory or below it.
///
/// # Errors
/// The config has an error or a warning.
pub fn read_butane(
    source: SourceId,
    directory: Option<&Path>,
    to: &mut Diagnostics,
) -> Result<UserConfig, Reported> {
    let before = to.len();
    let translation = butane::translate(source, directory, to)?;
    report(translation.warnings(SPEC_MINOR), to);
    // The places are still those of the Butane file; so are those of newer fields.
    let format = reading::Json {
        minor: translation.version.ignition,
        target: SPEC_MINOR,
    };
    let config = reading::config(&translation.config, &format, to)?;
    if translation.version.ignition > SPEC_MINOR {
        check::config(&config, SPEC_MINOR, to);
    }
    let user = checked(config, to);
    to.as_result_since(before)?;
    Ok(user)
}

/// Wraps a checked config, whose version is not newer than the one that nkd writes.
fn checked(mut config: yaml::Node, to: &mut Diagnostics) -> UserConfig {
    refuse_references(&config, to);
    accounts::check(&config, to);
    // Every field of an older version means the same in a newer one.
    if let Some(version) = tree::child_mut(&mut config, "ignition")
        .and_then(|ignition| tree::child_mut(ignition, "version"))
    {
        version.value = SPEC.into();
    }
    UserConfig { config }
}

fn report(warnings: Vec<check::Warning>, to: &mut Diagnostics) {
    for warning in warnings {
        to.report(warning.code, warning.span, warning.message);
    }
}

/// The minor version of a config.
fn minor(node: &yaml::Node, to: &mut Diagnostics) -> Result<u8, Reported> {
    let version = tree::at(node, &["ignition", "version"]);
    let span = version.map_or(node.span, |version| version.span);
    let text = version.and_then(yaml::Node::as_text).unwrap_or_default();
    let mut minors = 0..=NEWEST;
    let minor = minors.find(|minor| text == format!("3.{minor}.0"));
    minor.ok_or_else(|| {
        let message = match text {
            "" => "`ignition.version` is missing".to_owned(),
            _ => format!("Ignition config version `{text}` is not supported"),
        };
        to.report(Code::IgnitionInvalid, span, message)
    })
}

/// Refuses references to other configs. A config that is fetched at boot cannot be checked at compile
/// time, and a nested config not easily.
fn refuse_references(config: &yaml::Node, to: &mut Diagnostics) {
    for key in ["merge", "replace"] {
        let references = tree::at(config, &["ignition", "config"]);
        if let Some(found) = references.and_then(|references| entry(references, key)) {
            let message = format!("`ignition.config.{key}` refers to another config");
            to.report(Code::IgnitionReference, found.key_span, message);
        }
    }
}
