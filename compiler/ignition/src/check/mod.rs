//! Checks a config for what Ignition would refuse at boot: the rules of Ignition about values and about
//! their combination, and a few more rules where Ignition would fail later. The positions are those of
//! the tree, so that an error in a generated value is shown at the key that led to it.

mod resource;
mod storage;
mod unit;
mod url;

use std::collections::{HashMap, HashSet};

use super::spec::{CONFIG, Item, Joining, Kind, Object};
use super::tree::{entry, is_true, key, list, text, whole};
use nkd_document::yaml::Node;
use nkd_document::{Code, Diagnostics, Span};

/// Where Ignition writes units.
pub const UNITS: &str = "/etc/systemd/system";

/// A warning: something that is allowed but probably not intended.
#[derive(Clone)]
pub struct Warning {
    /// The code.
    pub code: Code,
    /// The position.
    pub span: Span,
    /// The message.
    pub message: String,
}

/// Checks a config whose keys and types are valid, by the rules of version 3.`minor`.0.
pub fn config(node: &Node, minor: u8, to: &mut Diagnostics) {
    Checker { minor, to }.object(node, &CONFIG);
    no_path_below_a_link(node, to);
}

/// The parts that Ignition 3.`minor`.0 would ignore.
pub fn warnings(config: &Node, minor: u8) -> Vec<Warning> {
    let warning = |span, message| Warning {
        code: Code::IgnitionIdle,
        span,
        message,
    };
    let mut warnings = Vec::new();
    for kind in ["files", "directories"] {
        for node in list(config, &["storage", kind]) {
            let special = whole(node, "mode").is_some_and(|mode| (0o1000..0o10000).contains(&mode));
            if let Some(mode) = entry(node, "mode").filter(|_| special && minor < 6) {
                let message = "setuid, setgid and sticky bits require Ignition 3.6.0; older \
                               versions ignore them";
                warnings.push(warning(mode.node.span, message.to_owned()));
            }
        }
    }
    for unit in list(config, &["systemd", "units"]) {
        if is_true(unit, "enabled") && unit::can_not_be_enabled(unit) {
            let name = text(unit, "name").unwrap_or_default();
            let message =
                format!("`{name}` has no `[Install]` section, so `enabled` has no effect");
            let place = entry(unit, "enabled").map_or(unit.span, |entry| entry.key_span);
            warnings.push(warning(place, message));
        }
    }
    warnings
}

struct Checker<'a> {
    minor: u8,
    to: &'a mut Diagnostics,
}

impl Checker<'_> {
    fn object(&mut self, node: &Node, object: &'static Object) {
        self.values(node, object.name);
        let mut shared = HashMap::new();
        for field in object.fields {
            let Some(found) = entry(node, field.name) else {
                continue;
            };
            match field.kind {
                Kind::Object(object) => self.object(&found.node, object),
                Kind::List(item, joining) => {
                    let mut own = HashMap::new();
                    let seen = if object.shared.contains(&field.name) {
                        &mut shared
                    } else {
                        &mut own
                    };
                    if joining == Joining::ByKey {
                        self.no_duplicates(found.node.items(), item, seen);
                    }
                    if let Item::Object(object) = item {
                        for element in found.node.items() {
                            self.object(element, object);
                        }
                    }
                }
                Kind::Text | Kind::Whole | Kind::Bool => {}
            }
        }
    }

    fn no_duplicates(&mut self, nodes: &[Node], item: Item, seen: &mut HashMap<String, Span>) {
        for node in nodes {
            let name = key(node, item);
            let place = named(node, item);
            if seen.insert(name.clone(), place).is_some() {
                let name = name.rsplit_once(':').map_or(name.as_str(), |(kind, rest)| {
                    if ["number", "label"].contains(&kind) {
                        rest
                    } else {
                        &name
                    }
                });
                self.refuse(place, format!("duplicate entry `{}`", short(name)));
            }
        }
    }

    fn refuse(&mut self, span: Span, message: impl AsRef<str>) {
        self.to.report(Code::IgnitionRefused, span, message);
    }

    /// Reports an error unless the value of a key is valid or absent.
    fn each(&mut self, node: &Node, name: &str, good: impl Fn(&str) -> bool, what: &str) {
        if let Some(entry) = entry(node, name)
            && let Some(text) = entry.node.as_text()
            && !good(text)
        {
            self.refuse(entry.node.span, format!("`{}` {what}", short(text)));
        }
    }

    fn values(&mut self, node: &Node, object: &str) {
        match object {
            "file" => {
                self.path(node, "path");
                self.mode(node);
                let has_source = entry(node, "contents")
                    .is_some_and(|contents| entry(&contents.node, "source").is_some());
                if is_true(node, "overwrite") && !has_source {
                    self.refuse(
                        node.span,
                        "`overwrite` is set, but the file has no contents",
                    );
                }
            }
            "directory" => {
                self.path(node, "path");
                self.mode(node);
            }
            "link" => {
                self.path(node, "path");
                self.needs(node, "target");
            }
            "owner" if entry(node, "id").is_some() && entry(node, "name").is_some() => {
                self.refuse(node.span, "`id` and `name` cannot be used together");
            }
            "proxy" => {
                for name in ["httpProxy", "httpsProxy"] {
                    self.each(node, name, url::is_http, "is not an http or https URL");
                }
            }
            "tls" => {
                for authority in list(node, &["certificateAuthorities"]) {
                    self.needs(authority, "source");
                }
            }
            "resource" | "reference" => self.resource(node),
            "header" => self.header(node),
            "tang" => self.tang(node),
            "clevis pin" => self.pin(node),
            "disk" => self.disk(node),
            "partition" => self.partition(node),
            "raid" => self.raid(node),
            "filesystem" => self.filesystem(node),
            "luks" => self.luks(node),
            "unit" | "dropin" => self.unit(node, object),
            "user" | "group" => {
                self.each(node, "name", |text| !text.is_empty(), "is not a valid name");
            }
            _ => {}
        }
    }

    fn needs(&mut self, node: &Node, name: &str) {
        if entry(node, name).is_none_or(|entry| entry.node.as_text() == Some("")) {
            self.refuse(node.span, format!("`{name}` is missing"));
        }
    }

    /// Checks that a value is an absolute path in its shortest form.
    fn path(&mut self, node: &Node, name: &str) {
        self.each(
            node,
            name,
            is_clean,
            "is not an absolute path in its shortest form",
        );
    }

    fn mode(&mut self, node: &Node) {
        if let Some(mode) = whole(node, "mode")
            && !(0..=0o7777).contains(&mode)
            && let Some(entry) = entry(node, "mode")
        {
            let message = format!("mode {mode} is not between 0 and 07777 (octal)");
            self.refuse(entry.node.span, message);
        }
    }
}

/// Reports paths below a symbolic link. Ignition does not follow links when it writes, so it cannot write
/// these paths.
fn no_path_below_a_link(config: &Node, to: &mut Diagnostics) {
    let paths = |kind| list(config, &["storage", kind]).iter();
    let links: HashSet<&str> = paths("links")
        .filter_map(|link| text(link, "path"))
        .collect();
    for node in ["files", "directories", "links"]
        .into_iter()
        .flat_map(paths)
    {
        let Some(path) = text(node, "path") else {
            continue;
        };
        let mut above = path.match_indices('/').map(|(at, _)| &path[..at]);
        if let Some(link) = above.find(|path| links.contains(path)) {
            let place = entry(node, "path").map_or(node.span, |entry| entry.node.span);
            let message = format!("this path is below the symbolic link `{link}`");
            to.report(Code::IgnitionRefused, place, message);
        }
    }
}

/// The position of the key of a list item.
fn named(node: &Node, item: Item) -> Span {
    let Item::Object(object) = item else {
        return node.span;
    };
    let names: &[&str] = match object.key {
        super::spec::Key::Field(name) => &[name],
        _ => &["number", "label"],
    };
    let found = names.iter().find_map(|name| entry(node, name));
    found.map_or(node.span, |entry| entry.node.span)
}

/// A short form for messages: values may be long, and data URLs may contain secrets.
fn short(text: &str) -> &str {
    match text.char_indices().nth(60) {
        _ if text.starts_with("data:") => "data:…",
        Some((at, _)) => &text[..at],
        None => text,
    }
}

/// Whether a path is absolute, in its shortest form, and without zero bytes.
pub fn is_clean(path: &str) -> bool {
    path == "/"
        || path.strip_prefix('/').is_some_and(|rest| {
            rest.split('/')
                .all(|part| !part.is_empty() && part != "." && part != ".." && !part.contains('\0'))
        })
}
