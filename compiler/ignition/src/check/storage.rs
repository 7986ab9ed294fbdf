//! Checks disks, partitions, arrays and filesystems.

use std::collections::HashMap;

use super::{Checker, is_clean, url};
use crate::tree::{self, entry, is_true, list, text, whole};
use nkd_document::yaml::{Entry, Node, Value};

impl Checker<'_> {
    pub(super) fn disk(&mut self, node: &Node) {
        self.path(node, "device");
        let partitions = list(node, &["partitions"]);
        let mut labels = HashMap::new();
        for partition in partitions {
            let Some(label) = entry(partition, "label") else {
                continue;
            };
            let name = label.node.as_text().unwrap_or_default();
            let earlier = labels.insert(name, partition);
            // Two without a number have the same key, and are reported as such.
            if earlier.is_some_and(|partition_before| {
                !has_no_number(partition_before) || !has_no_number(partition)
            }) {
                let message = format!("duplicate label `{name}`");
                self.refuse(label.node.span, message);
            }
        }
        for partition in overlapping(partitions) {
            self.refuse(partition.span, "this partition overlaps another one");
        }
        if partitions.iter().any(has_no_number)
            && let Some(gone) = partitions.iter().find(|partition| is_gone(partition))
        {
            let message = "`shouldExist: false` is not allowed on a disk that has partitions without a number";
            self.refuse(gone.span, message);
        }
    }

    pub(super) fn partition(&mut self, node: &Node) {
        let label = |label: &str| label.len() <= 36 && !label.contains(':');
        self.each(
            node,
            "label",
            label,
            "is not a partition label (at most 36 characters, without `:`)",
        );
        for guid in ["guid", "typeGuid"] {
            self.each(node, guid, is_guid, "is not a GUID");
        }
        if has_no_number(node) && entry(node, "label").is_none() {
            self.refuse(node.span, "a partition must have a `number` or a `label`");
        }
        let others = ["label", "typeGuid", "guid", "startMiB", "sizeMiB"];
        if is_gone(node) && others.iter().any(|name| entry(node, name).is_some()) {
            self.refuse(
                node.span,
                "a partition with `shouldExist: false` must not have other properties",
            );
        }
    }

    pub(super) fn raid(&mut self, node: &Node) {
        const LEVELS: [&str; 15] = [
            "linear", "raid0", "0", "stripe", "raid1", "1", "mirror", "raid4", "4", "raid5", "5",
            "raid6", "6", "raid10", "10",
        ];
        self.each(node, "name", |text| !text.is_empty(), "is not a valid name");
        let level = |level: &str| LEVELS.contains(&level);
        self.each(node, "level", level, "is not a RAID level");
        self.needs(node, "level");
        if list(node, &["devices"]).is_empty() {
            self.refuse(node.span, "a RAID array must have at least one device");
        }
        let spares = whole(node, "spares").unwrap_or(0) != 0;
        let level = text(node, "level").unwrap_or_default();
        if spares && ["linear", "raid0", "0", "stripe"].contains(&level) {
            self.refuse(
                node.span,
                format!("`spares` is not supported with level `{level}`"),
            );
        }
        for device in list(node, &["devices"]) {
            if !device.as_text().is_some_and(is_clean) {
                self.refuse(
                    device.span,
                    "a device must be an absolute path in its shortest form",
                );
            }
        }
    }

    pub(super) fn filesystem(&mut self, node: &Node) {
        const FORMATS: [&str; 6] = ["ext4", "btrfs", "xfs", "vfat", "swap", ""];
        self.path(node, "device");
        let path = |path: &str| path.is_empty() || is_clean(path);
        self.each(
            node,
            "path",
            path,
            "is not an absolute path in its shortest form",
        );
        let (format, what) = if self.minor < 3 {
            let what = "is not a file system format; use ext4, btrfs, xfs, vfat or swap";
            (
                (|format| FORMATS.contains(&format)) as fn(&str) -> bool,
                what,
            )
        } else {
            let what = "is not a file system format; use ext4, btrfs, xfs, vfat, swap or none";
            (
                (|format| format == "none" || FORMATS.contains(&format)) as fn(&str) -> bool,
                what,
            )
        };
        self.each(node, "format", format, what);
        if let Some(label) = entry(node, "label") {
            let most = label_length(text(node, "format").unwrap_or_default());
            if label.node.as_text().is_some_and(|label| label.len() > most) {
                let message = format!("a label of this format must have at most {most} characters");
                self.refuse(label.node.span, message);
            }
        }
        let has_text = |name: &&str| text(node, name).is_some_and(|text| !text.is_empty());
        let has_options = |name: &&str| !list(node, &[*name]).is_empty();
        let needed = ["path", "label", "uuid"].iter().any(has_text)
            || ["options", "mountOptions"].iter().any(has_options)
            || is_true(node, "wipeFilesystem");
        if needed && text(node, "format").is_none_or(str::is_empty) {
            self.refuse(node.span, "`format` is missing");
        }
    }

    pub(super) fn luks(&mut self, node: &Node) {
        self.each(
            node,
            "name",
            |name| !name.is_empty() && !name.contains('/'),
            "is not a valid name: it must not be empty or contain `/`",
        );
        self.each(
            node,
            "label",
            |name| name.len() <= 47,
            "is longer than 47 characters",
        );
        let device = |device: &str| device.is_empty() || is_clean(device);
        self.each(
            node,
            "device",
            device,
            "is not an absolute path in its shortest form",
        );
        self.needs(node, "device");
        self.cex(node);
        let Some(clevis) = entry(node, "clevis").map(|entry| &entry.node) else {
            return;
        };
        let others = is_true(clevis, "tpm2")
            || whole(clevis, "threshold").unwrap_or(0) != 0
            || !list(clevis, &["tang"]).is_empty();
        if let Some(custom) =
            entry(clevis, "custom").filter(|entry| others && !is_empty(&entry.node))
        {
            self.refuse(
                custom.key_span,
                "`custom` cannot be used together with other `clevis` settings",
            );
        }
    }

    /// A volume that is unlocked by a Crypto Express card is unlocked by nothing else.
    fn cex(&mut self, luks: &Node) {
        let Some(cex) = entry(luks, "cex").filter(|cex| is_true(&cex.node, "enabled")) else {
            return;
        };
        let has_key = tree::at(luks, &["keyFile", "source"])
            .and_then(Node::as_text)
            .is_some_and(|source| !source.is_empty());
        let is_object =
            |entry: &Entry| matches!(&entry.node.value, Value::Map(fields) if !fields.is_empty());
        if has_key || entry(luks, "clevis").is_some_and(is_object) {
            self.refuse(
                cex.key_span,
                "`cex` cannot be used together with `clevis` or `keyFile`",
            );
        }
    }

    pub(super) fn tang(&mut self, node: &Node) {
        self.each(node, "url", url::is_http, "is not an http or https URL");
        self.needs(node, "thumbprint");
    }

    pub(super) fn pin(&mut self, node: &Node) {
        const PINS: [&str; 3] = ["tpm2", "tang", "sss"];
        if is_empty(node) {
            return;
        }
        self.needs(node, "pin");
        self.needs(node, "config");
        self.each(
            node,
            "pin",
            |pin| pin.is_empty() || PINS.contains(&pin),
            "is not a clevis pin; use tpm2, tang or sss",
        );
    }
}

/// A custom Clevis pin without settings.
fn is_empty(pin: &Node) -> bool {
    let has_text = |name: &&str| text(pin, name).is_some_and(|text| !text.is_empty());
    !["pin", "config"].iter().any(has_text) && !is_true(pin, "needsNetwork")
}

fn has_no_number(partition: &Node) -> bool {
    whole(partition, "number").unwrap_or(0) == 0
}

fn is_gone(partition: &Node) -> bool {
    entry(partition, "shouldExist").is_some_and(|entry| entry.node.value == Value::Bool(false))
}

/// The partitions that overlap an earlier one. Partitions without a start or a size are not checked,
/// because they get free space.
fn overlapping(partitions: &[Node]) -> Vec<&Node> {
    let place = |partition| {
        let start = whole(partition, "startMiB").filter(|start| *start != 0)?;
        // A size of 0 is all there is room for.
        let size = whole(partition, "sizeMiB")?.max(1);
        Some((start, start.saturating_add(size), partition))
    };
    let mut placed: Vec<_> = partitions.iter().filter_map(place).collect();
    placed.sort_by_key(|place| place.0);
    let mut free = i64::MIN;
    let mut overlapping = Vec::new();
    for (start, end, partition) in placed {
        if start < free {
            overlapping.push(partition);
        }
        free = free.max(end);
    }
    overlapping
}

/// The longest label of each filesystem format (see its `mkfs`).
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

fn is_guid(guid: &str) -> bool {
    let parts: Vec<&str> = guid.split('-').collect();
    let hex = |part: &&str| part.bytes().all(|byte| byte.is_ascii_hexdigit());
    guid.is_empty()
        || (parts.iter().map(|part| part.len()).eq([8, 4, 4, 4, 12]) && parts.iter().all(hex))
}
