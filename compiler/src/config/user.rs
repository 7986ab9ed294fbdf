//! The user's own configs, Ignition and Butane.

use std::path::Path;

use super::{SPEC, SPEC_MINOR};
use nkd_document::json;
use nkd_document::yaml::Node;
use nkd_document::{Code, Diagnostics, Reported, SourceId, Span};
use nkd_ignition::spec::NEWEST;
use nkd_ignition::tree::{self, entry, list, text};
use nkd_ignition::{butane, check, read};

/// A config that Ignition would take, in the version nkd writes, with the places of the user's
/// file.
pub struct UserConfig {
    /// The config.
    pub config: Node,
}

/// A file, directory or link.
pub(crate) struct UserPath<'a> {
    /// Its full path.
    pub path: &'a str,
    /// Where the path is written.
    pub span: Span,
    /// Whether it is a directory.
    pub is_directory: bool,
}

/// What is done to a unit.
pub(crate) struct UserUnit<'a> {
    /// Its name.
    pub name: &'a str,
    /// Where the name is written.
    pub span: Span,
    /// Whether nothing but drop-ins is added.
    pub only_dropins: bool,
    /// Names of the drop-ins, and where they are written.
    pub dropins: Vec<(&'a str, Span)>,
}

impl UserConfig {
    /// Reads an Ignition config.
    ///
    /// # Errors
    /// When anything is wrong with it, or Ignition would warn of it, where nobody looks.
    pub fn read(source: SourceId, to: &mut Diagnostics) -> Result<Self, Reported> {
        let before = to.len();
        let node = json::parse(source, to)?;
        let format = read::Json {
            minor: minor(&node, to)?,
            target: SPEC_MINOR,
        };
        let config = read::config(&node, &format, to)?;
        check::config(&config, format.minor.min(SPEC_MINOR), to);
        report(check::warnings(&config, SPEC_MINOR), to);
        let user = Self::new(config, to);
        to.as_result_since(before)?;
        Ok(user)
    }

    /// Reads a Butane config, whose local files are below a directory.
    ///
    /// # Errors
    /// When anything is wrong with it, or most likely not meant.
    pub(crate) fn read_butane(
        source: SourceId,
        directory: Option<&Path>,
        to: &mut Diagnostics,
    ) -> Result<Self, Reported> {
        let before = to.len();
        let translation = butane::translate(source, directory, to)?;
        report(translation.warnings(SPEC_MINOR), to);
        // The places are still those of the Butane file; so are those of newer fields.
        let format = read::Json {
            minor: translation.version.ignition,
            target: SPEC_MINOR,
        };
        let config = read::config(&translation.config, &format, to)?;
        if translation.version.ignition > SPEC_MINOR {
            check::config(&config, SPEC_MINOR, to);
        }
        let user = Self::new(config, to);
        to.as_result_since(before)?;
        Ok(user)
    }

    /// Takes a checked config of a version that is not newer than nkd's.
    pub(crate) fn new(mut config: Node, to: &mut Diagnostics) -> Self {
        refuse_references(&config, to);
        // Every field of an older version means the same in a newer one.
        if let Some(version) = tree::child_mut(&mut config, "ignition")
            .and_then(|ignition| tree::child_mut(ignition, "version"))
        {
            version.value = SPEC.into();
        }
        Self { config }
    }

    /// Everything it puts into the file system.
    pub(crate) fn paths(&self) -> impl Iterator<Item = UserPath<'_>> {
        let kinds = [("files", false), ("links", false), ("directories", true)];
        kinds.into_iter().flat_map(move |(kind, is_directory)| {
            let nodes = list(&self.config, &["storage", kind]).iter();
            nodes.filter_map(move |node| {
                let (path, span) = name(node, "path")?;
                Some(UserPath {
                    path,
                    span,
                    is_directory,
                })
            })
        })
    }

    /// The users it makes or changes, and where their names are written.
    pub(crate) fn users(&self) -> impl Iterator<Item = (&str, Span)> {
        let users = list(&self.config, &["passwd", "users"]).iter();
        users.filter_map(|user| name(user, "name"))
    }

    /// The disks whose partition tables it wipes, and where they are written.
    pub(crate) fn wiped_disks(&self) -> impl Iterator<Item = (&str, Span)> {
        let disks = list(&self.config, &["storage", "disks"]).iter();
        let wiped = disks.filter(|disk| tree::is_true(disk, "wipeTable"));
        wiped.filter_map(|disk| name(disk, "device"))
    }

    /// Where each path on a node is written that it puts something at.
    pub(crate) fn places(&self) -> Vec<(String, Span)> {
        let paths = self.paths().map(|path| (path.path.to_owned(), path.span));
        let units = self.units().flat_map(|unit| {
            let path = format!("{}/{}", check::UNITS, unit.name);
            let dropins = unit.dropins.into_iter();
            let dropins: Vec<_> = dropins
                .map(|(name, span)| (format!("{path}.d/{name}"), span))
                .collect();
            let own = (!unit.only_dropins).then_some((path, unit.span));
            dropins.into_iter().chain(own)
        });
        paths.chain(units).collect()
    }

    /// Whether it sets a path, a unit, a user, or a drop-in given as `UNIT.d/NAME`, or wipes a disk.
    pub(crate) fn sets(&self, name: &str) -> bool {
        let dropin = |unit: &UserUnit<'_>| {
            let (unit, dropins) = (unit.name, &unit.dropins);
            let mut paths = dropins.iter().map(|(name, _)| format!("{unit}.d/{name}"));
            paths.any(|path| path == name)
        };
        let unit = |unit: &UserUnit<'_>| unit.name == name && !unit.only_dropins;
        self.paths().any(|path| path.path == name)
            || self.users().any(|(user, _)| user == name)
            || self.wiped_disks().any(|(disk, _)| disk == name)
            || self.units().any(|one| unit(&one) || dropin(&one))
    }

    /// Everything it does to units.
    pub(crate) fn units(&self) -> impl Iterator<Item = UserUnit<'_>> {
        let units = list(&self.config, &["systemd", "units"]).iter();
        units.filter_map(|unit| {
            let (unit_name, span) = name(unit, "name")?;
            let dropins = list(unit, &["dropins"]).iter();
            Some(UserUnit {
                name: unit_name,
                span,
                only_dropins: ["contents", "enabled", "mask"]
                    .iter()
                    .all(|key| entry(unit, key).is_none()),
                dropins: dropins.filter_map(|dropin| name(dropin, "name")).collect(),
            })
        })
    }
}

fn report(warnings: Vec<check::Warning>, to: &mut Diagnostics) {
    for warning in warnings {
        to.report(warning.code, warning.span, warning.message);
    }
}

fn name<'a>(node: &'a Node, key: &str) -> Option<(&'a str, Span)> {
    let span = entry(node, key)?.node.span;
    Some((text(node, key)?, span))
}

/// The minor number of a config's version.
fn minor(node: &Node, to: &mut Diagnostics) -> Result<u8, Reported> {
    let version = tree::at(node, &["ignition", "version"]);
    let span = version.map_or(node.span, |version| version.span);
    let text = version.and_then(Node::as_text).unwrap_or_default();
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

/// A config that is fetched at boot can't be checked now, and one that is nested not easily.
fn refuse_references(config: &Node, to: &mut Diagnostics) {
    for key in ["merge", "replace"] {
        let references = tree::at(config, &["ignition", "config"]);
        if let Some(found) = references.and_then(|references| entry(references, key)) {
            let message = format!("`ignition.config.{key}` refers to another config");
            to.report(Code::IgnitionReference, found.key_span, message);
        }
    }
}
