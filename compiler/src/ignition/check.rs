//! What Ignition would refuse at boot, found now: its own rules about values and about what may
//! stand together. The place of what is wrong comes with the tree, so that something generated is
//! shown where it was asked for.

use std::collections::HashMap;

use super::spec::{CONFIG, Item, Joining, Kind, Object};
use super::tree::{entry, is_true, items, key, list, text, whole};
use crate::diagnostics::{Code, Diagnostics, Span};
use crate::yaml::{Node, Value};

/// Checks a config whose keys and types are right.
pub fn config(node: &Node, to: &mut Diagnostics) {
    Checker { to }.object(node, &CONFIG);
    no_path_below_a_link(node, to);
}

struct Checker<'a> {
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
                        self.no_duplicates(items(&found.node), item, seen);
                    }
                    if let Item::Object(object) = item {
                        for it in items(&found.node) {
                            self.object(it, object);
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
                self.refuse(place, format!("`{}` is given twice", short(name)));
            }
        }
    }

    fn refuse(&mut self, span: Span, message: impl AsRef<str>) {
        self.to.report(Code::IgnitionRefused, span, message);
    }

    /// Refuses a key's value unless it is good; an absent one is.
    fn each(&mut self, node: &Node, name: &str, good: fn(&str) -> bool, what: &str) {
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
                    self.refuse(node.span, "`overwrite` without contents");
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
                self.refuse(node.span, "`id` and `name` exclude each other");
            }
            "resource" | "reference" => self.resource(node),
            "header" => self.each(node, "name", |it| !it.is_empty(), "is not a header's name"),
            "tang" => self.needs(node, "thumbprint"),
            "clevis pin" => self.pin(node),
            "disk" => self.path(node, "device"),
            "partition" => self.partition(node),
            "raid" => self.raid(node),
            "filesystem" => self.filesystem(node),
            "luks" => self.luks(node),
            "unit" => self.each(node, "name", is_unit, "is not a unit's name"),
            "dropin" => {
                let conf = |name: &str| is_file_name(name) && name.strip_suffix(".conf").is_some();
                self.each(
                    node,
                    "name",
                    conf,
                    "is not a drop-in's name: it must end in .conf",
                );
            }
            "user" | "group" => {
                self.each(node, "name", |it| !it.is_empty(), "is not a name");
            }
            _ => {}
        }
    }

    fn needs(&mut self, node: &Node, name: &str) {
        if entry(node, name).is_none_or(|it| it.node.as_text() == Some("")) {
            self.refuse(node.span, format!("`{name}` is missing"));
        }
    }

    /// A full path, written in the one simplest way.
    fn path(&mut self, node: &Node, name: &str) {
        self.each(node, name, is_clean, "is not a full and simple path");
    }

    fn mode(&mut self, node: &Node) {
        if let Some(mode) = whole(node, "mode")
            && !(0..=0o7777).contains(&mode)
            && let Some(entry) = entry(node, "mode")
        {
            let message = format!("{mode} is not a mode: it must be from 0 to 07777");
            self.refuse(entry.node.span, message);
        }
    }

    fn resource(&mut self, node: &Node) {
        const COMPRESSIONS: [&str; 2] = ["", "gzip"];
        self.each(
            node,
            "compression",
            |it| COMPRESSIONS.contains(&it),
            "is not a compression: only `gzip` is",
        );
        self.each(node, "source", is_source, "is not a URL Ignition fetches");
        let Some(source) = text(node, "source") else {
            if let Some(hash) = entry(node, "verification") {
                self.refuse(hash.key_span, "`verification` without a source");
            }
            return;
        };
        if let Some(hash) = entry(node, "verification") {
            self.each(
                &hash.node,
                "hash",
                is_hash,
                "is not a hash: write sha256- or sha512- and its hexadecimal digits",
            );
        }
        let headers = entry(node, "httpHeaders").filter(|it| !items(&it.node).is_empty());
        let is_http = source.starts_with("http://") || source.starts_with("https://");
        if let Some(headers) = headers.filter(|_| !is_http) {
            self.refuse(headers.key_span, "headers need an http or https source");
        }
    }

    fn pin(&mut self, node: &Node) {
        const PINS: [&str; 3] = ["tpm2", "tang", "sss"];
        self.needs(node, "pin");
        self.needs(node, "config");
        self.each(
            node,
            "pin",
            |it| PINS.contains(&it),
            "is not a pin of clevis: tpm2, tang and sss are",
        );
    }

    fn partition(&mut self, node: &Node) {
        let label = |label: &str| label.len() <= 36 && !label.contains(':');
        self.each(
            node,
            "label",
            label,
            "is not a label: at most 36 characters, and no `:`",
        );
        for guid in ["guid", "typeGuid"] {
            self.each(node, guid, is_guid, "is not a GUID");
        }
        if whole(node, "number").unwrap_or(0) == 0 && entry(node, "label").is_none() {
            self.refuse(node.span, "a partition needs a number or a label");
        }
        let gone = entry(node, "shouldExist").is_some_and(|it| it.node.value == Value::Bool(false));
        let others = ["label", "typeGuid", "guid", "startMiB", "sizeMiB"];
        if gone && others.iter().any(|name| entry(node, name).is_some()) {
            self.refuse(node.span, "a partition that shall not exist has properties");
        }
    }

    fn raid(&mut self, node: &Node) {
        const LEVELS: [&str; 12] = [
            "linear", "raid0", "0", "stripe", "raid1", "1", "mirror", "raid4", "raid5", "raid6",
            "raid10", "10",
        ];
        let level = |level: &str| LEVELS.contains(&level) || ["4", "5", "6"].contains(&level);
        self.each(node, "level", level, "is not a level of redundancy");
        self.needs(node, "level");
        if list(node, &["devices"]).is_empty() {
            self.refuse(node.span, "an array needs devices");
        }
        let spares = whole(node, "spares").unwrap_or(0) != 0;
        let level = text(node, "level").unwrap_or_default();
        if spares && ["linear", "raid0", "0", "stripe"].contains(&level) {
            self.refuse(node.span, format!("`{level}` has no spares"));
        }
        for device in list(node, &["devices"]) {
            if !device.as_text().is_some_and(is_clean) {
                self.refuse(device.span, "a device must be a full and simple path");
            }
        }
    }

    fn filesystem(&mut self, node: &Node) {
        const FORMATS: [&str; 7] = ["ext4", "btrfs", "xfs", "vfat", "swap", "none", ""];
        self.path(node, "device");
        self.path(node, "path");
        self.each(
            node,
            "format",
            |it| FORMATS.contains(&it),
            "is not a format: ext4, btrfs, xfs, vfat, swap and none are",
        );
        if let Some(label) = entry(node, "label") {
            let most = label_length(text(node, "format").unwrap_or_default());
            if label.node.as_text().is_some_and(|it| it.len() > most) {
                let message = format!("labels of this format have at most {most} characters");
                self.refuse(label.node.span, message);
            }
        }
        let given = |name: &&str| entry(node, name).is_some();
        let needs = [
            "path",
            "label",
            "uuid",
            "options",
            "mountOptions",
            "wipeFilesystem",
        ];
        if entry(node, "format").is_none() && needs.iter().any(given) {
            self.refuse(node.span, "`format` is missing");
        }
    }

    fn luks(&mut self, node: &Node) {
        self.each(
            node,
            "name",
            |it| !it.contains('/'),
            "is not a name: it has a `/`",
        );
        self.each(
            node,
            "label",
            |it| it.len() <= 47,
            "is longer than 47 characters",
        );
        self.path(node, "device");
        self.needs(node, "device");
        let clevis = entry(node, "clevis").map(|it| &it.node);
        let custom = clevis.and_then(|it| entry(it, "custom"));
        let others = |clevis: &Node| {
            ["tang", "threshold", "tpm2"]
                .iter()
                .any(|name| entry(clevis, name).is_some())
        };
        if let Some(custom) = custom.filter(|_| clevis.is_some_and(others)) {
            self.refuse(custom.key_span, "`custom` excludes the rest of clevis");
        }
    }
}

/// Ignition writes through links nowhere: what is below one can't be written.
fn no_path_below_a_link(config: &Node, to: &mut Diagnostics) {
    let paths = |kind| list(config, &["storage", kind]).iter();
    for link in paths("links").filter_map(|link| text(link, "path")) {
        for node in ["files", "directories", "links"]
            .into_iter()
            .flat_map(paths)
        {
            let below = text(node, "path").and_then(|path| path.strip_prefix(link));
            if below.is_some_and(|rest| rest.starts_with('/')) {
                let place = entry(node, "path").map_or(node.span, |it| it.node.span);
                let message = format!("this is below the link {link}");
                to.report(Code::IgnitionRefused, place, message);
            }
        }
    }
}

/// How long labels of filesystems can be (`mkfs` of each).
fn label_length(format: &str) -> usize {
    match format {
        "ext4" => 16,
        "btrfs" => 256,
        "xfs" => 12,
        "swap" => 15,
        "vfat" => 11,
        _ => usize::MAX,
    }
}

/// Where the key of a list's item is.
fn named(node: &Node, item: Item) -> Span {
    let Item::Object(object) = item else {
        return node.span;
    };
    let names: &[&str] = match object.key {
        super::spec::Key::Field(name) => &[name],
        _ => &["number", "label"],
    };
    let found = names.iter().find_map(|name| entry(node, name));
    found.map_or(node.span, |it| it.node.span)
}

/// Data URLs and keys may be long, and hold secrets.
fn short(text: &str) -> &str {
    match text.char_indices().nth(60) {
        Some(_) if text.starts_with("data:") => "data:…",
        Some((at, _)) => &text[..at],
        None => text,
    }
}

/// Whether a path is full and has nothing in it that could be left out.
pub fn is_clean(path: &str) -> bool {
    path == "/"
        || path.strip_prefix('/').is_some_and(|rest| {
            rest.split('/')
                .all(|part| !part.is_empty() && part != "." && part != "..")
        })
}

fn is_file_name(name: &str) -> bool {
    !name.is_empty() && !name.contains('/')
}

/// systemd's types of units (systemd.unit).
fn is_unit(name: &str) -> bool {
    const TYPES: [&str; 11] = [
        "service",
        "socket",
        "device",
        "mount",
        "automount",
        "swap",
        "target",
        "path",
        "timer",
        "slice",
        "scope",
    ];
    let stem = name.rsplit_once('.');
    is_file_name(name) && stem.is_some_and(|(stem, kind)| !stem.is_empty() && TYPES.contains(&kind))
}

fn is_source(source: &str) -> bool {
    const SCHEMES: [&str; 7] = ["http", "https", "tftp", "s3", "arn", "gs", "data"];
    let scheme = source.split_once(':').map(|(scheme, _)| scheme);
    match scheme {
        Some("data") => super::decode(source, "").is_some(),
        Some(scheme) => SCHEMES.contains(&scheme),
        None => source.is_empty(),
    }
}

fn is_hash(hash: &str) -> bool {
    hash.split_once('-').is_some_and(|(kind, digits)| {
        let length = match kind {
            "sha256" => 64,
            "sha512" => 128,
            _ => return false,
        };
        digits.len() == length && digits.bytes().all(|b| b.is_ascii_hexdigit())
    })
}

fn is_guid(guid: &str) -> bool {
    let parts: Vec<&str> = guid.split('-').collect();
    let hex = |part: &&str| part.bytes().all(|b| b.is_ascii_hexdigit());
    guid.is_empty()
        || (parts.iter().map(|it| it.len()).eq([8, 4, 4, 4, 12]) && parts.iter().all(hex))
}
