//! The user's own Ignition and Butane configs.

use nkd_document::Span;
use nkd_document::yaml;
use nkd_ignition::check;
use nkd_ignition::lists::{LISTS, id};
use nkd_ignition::tree::{self, entry, list, text};

/// A config that Ignition would accept, in the version that nkd writes, with positions in the user's
/// file.
pub struct UserConfig {
    /// The config.
    pub config: yaml::Node,
}

/// A file, directory or link.
pub struct UserPath<'a> {
    /// The absolute path.
    pub path: &'a str,
    /// Where the path is written.
    pub span: Span,
    /// Whether it is a directory.
    pub is_directory: bool,
}

/// The changes of a config to a unit.
pub struct UserUnit<'a> {
    /// The unit's name.
    pub name: &'a str,
    /// Where the name is written.
    pub span: Span,
    /// Whether the config only adds drop-ins.
    pub only_dropins: bool,
    /// The names of the drop-ins, and where they are written.
    pub dropins: Vec<(&'a str, Span)>,
}

impl UserConfig {
    /// All files, directories and links of the config.
    pub fn paths(&self) -> impl Iterator<Item = UserPath<'_>> {
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

    /// The users that the config creates or changes, and where their names are written.
    pub fn users(&self) -> impl Iterator<Item = (&str, Span)> {
        let users = list(&self.config, &["passwd", "users"]).iter();
        users.filter_map(|user| name(user, "name"))
    }

    /// The disks whose partition tables the config wipes, and where they are written.
    pub fn wiped_disks(&self) -> impl Iterator<Item = (&str, Span)> {
        let disks = list(&self.config, &["storage", "disks"]).iter();
        let wiped = disks.filter(|disk| tree::is_true(disk, "wipeTable"));
        wiped.filter_map(|disk| name(disk, "device"))
    }

    /// The places of everything that the config creates or changes on a node, by its [`id`].
    pub fn places(&self) -> Vec<(String, Span)> {
        let items = LISTS.iter().flat_map(|of| {
            let nodes = list(&self.config, &[of.section, of.name]).iter();
            nodes.filter_map(|node| {
                let (item, span) = match of.field {
                    Some(field) => name(node, field)?,
                    None => (node.as_text()?, node.span),
                };
                Some((id(of.kind, item), span))
            })
        });
        let units = self.units().flat_map(|unit| {
            let path = format!("{}/{}", check::UNITS, unit.name);
            let dropins = unit.dropins.into_iter();
            let dropins: Vec<_> = dropins
                .map(|(name, span)| (format!("{path}.d/{name}"), span))
                .collect();
            let own = (!unit.only_dropins).then_some((path, unit.span));
            dropins.into_iter().chain(own)
        });
        items.chain(units).collect()
    }

    /// Whether the config sets a path, a unit, a user, or a drop-in given as `UNIT.d/NAME`, or wipes a
    /// disk.
    pub fn sets(&self, name: &str) -> bool {
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

    /// The changes of the config to units.
    pub fn units(&self) -> impl Iterator<Item = UserUnit<'_>> {
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

fn name<'a>(node: &'a yaml::Node, key: &str) -> Option<(&'a str, Span)> {
    let span = entry(node, key)?.node.span;
    Some((text(node, key)?, span))
}
