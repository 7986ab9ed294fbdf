//! `boot_device`: the root disk mirrored, encrypted or both. The partitions replicate those of the
//! OS image; sizes and types are those of Butane's documentation and of the Discoverable
//! Partitions Specification.

use super::version::Version;
use crate::check::Warning;
use crate::tree::{self, entry, is_true, list, pair, text, whole};
use nkd_document::yaml::{Entry, Node};
use nkd_document::{Code, Diagnostics, Span};

const BIOS: (&str, u32, &str) = ("bios", 1, "21686148-6449-6E6F-744E-656564454649");
const PREP: (&str, u32, &str) = ("prep", 4, "9E1A2D38-C612-4316-AA26-8B49521E5A8B");
const ESP: (&str, u32, &str) = ("esp", 127, "C12A7328-F81F-11D2-BA4B-00A0C93EC93B");
/// A partition that keeps the number of each later partition as in the image.
const RESERVED: (&str, u32, &str) = ("reserved", 1, "8DA63339-0007-60C0-C436-083AC8230908");
const BOOT_MIB: u32 = 384;

const LAYOUTS: [&str; 3] = ["aarch64", "ppc64le", "x86_64"];
/// The layouts since `fcos` 1.6.0. Each has what the device of the boot disk begins with, if it must be
/// named, and the number of its root partition.
const S390X: [(&str, Option<(&str, &str)>); 3] = [
    ("s390x-eckd", Some(("/dev/dasd", "2"))),
    ("s390x-virt", None),
    ("s390x-zfcp", Some(("/dev/sd", "4"))),
];

/// The config with `boot_device` replaced by the disks, arrays and filesystems that it stands for.
pub fn rendered(boot_device: &Entry, version: Version, to: &mut Diagnostics) -> Option<Node> {
    let (all, sugar) = (boot_device.key_span, &boot_device.node);
    let layout = text(sugar, "layout").unwrap_or("x86_64");
    let devices = list(sugar, &["mirror", "devices"]);
    if let Some(layout) = entry(sugar, "layout")
        && let Some(message) = layout_problem(sugar, version)
    {
        to.report(Code::ButaneConflict, layout.node.span, message);
    }
    if version.minor >= 7 {
        check_completeness(sugar, to);
    }
    if let [device] = devices {
        let message = "a mirror needs at least two devices";
        to.report(Code::ButaneConflict, device.span, message);
    }
    let luks = entry(sugar, "luks").filter(|luks| is_unlocked(&luks.node));
    if devices.is_empty() && luks.is_none() {
        return None;
    }
    let (mut storage, mut filesystems) = (Vec::new(), Vec::new());
    if !devices.is_empty() {
        let span = entry(sugar, "mirror").map_or(all, |entry| entry.key_span);
        mirror(devices, layout, span, &mut storage, &mut filesystems);
    }
    let mirrored = !devices.is_empty();
    if let Some(luks) = luks {
        storage.push(pair(
            luks.key_span,
            "luks",
            vec![encryption(luks, &root_partition(sugar, mirrored))],
        ));
    }
    let root = match (luks, mirrored) {
        (Some(_), _) => "/dev/mapper/root",
        _ => "/dev/md/md-root",
    };
    filesystems.push(filesystem(all, root, "xfs", "root"));
    storage.push(pair(all, "filesystems", filesystems));
    Some(tree::node(all, vec![pair(all, "storage", storage)]))
}

fn mirror(
    devices: &[Node],
    layout: &str,
    span: Span,
    storage: &mut Vec<Entry>,
    filesystems: &mut Vec<Node>,
) {
    let mut disks = Vec::new();
    for (index, device) in (1..).zip(devices) {
        disks.push(disk(device, layout, index));
        if layout != "ppc64le" {
            let label = format!("esp-{index}");
            let path = format!("/dev/disk/by-partlabel/{label}");
            filesystems.push(filesystem(device.span, &path, "vfat", &label));
        }
    }
    let array = |name: &str, options: &[&str]| {
        let parts = (1..=devices.len()).map(|index| {
            let path = format!("/dev/disk/by-partlabel/{name}-{index}");
            tree::node(span, path)
        });
        let options: Vec<Node> = options
            .iter()
            .map(|option| tree::node(span, *option))
            .collect();
        let entries = vec![
            pair(span, "devices", parts.collect::<Vec<_>>()),
            pair(span, "level", "raid1"),
            pair(span, "name", format!("md-{name}")),
            pair(span, "options", options),
        ];
        tree::node(span, entries)
    };
    // GRUB finds the boot filesystem where it would be without an array: the superblock is at
    // the end.
    let arrays = vec![array("boot", &["--metadata=1.0"]), array("root", &[])];
    storage.push(pair(span, "disks", disks));
    storage.push(pair(span, "raid", arrays));
    filesystems.push(filesystem(span, "/dev/md/md-boot", "ext4", "boot"));
}

/// One disk of the mirror, with the four partitions of the image.
fn disk(device: &Node, layout: &str, index: usize) -> Node {
    let span = device.span;
    let (first, second) = match layout {
        "aarch64" => (RESERVED, ESP),
        "ppc64le" => (PREP, RESERVED),
        _ => (BIOS, ESP),
    };
    let partition = |name: &str, size: Option<u32>, kind: Option<&str>| {
        let mut entries = vec![pair(span, "label", format!("{name}-{index}"))];
        entries.extend(size.map(|size| pair(span, "sizeMiB", size)));
        entries.extend(kind.map(|kind| pair(span, "typeGuid", kind)));
        tree::node(span, entries)
    };
    let partitions = vec![
        partition(first.0, Some(first.1), Some(first.2)),
        partition(second.0, Some(second.1), Some(second.2)),
        partition("boot", Some(BOOT_MIB), None),
        partition("root", None, None),
    ];
    let entries = vec![
        pair(span, "device", device.as_text().unwrap_or_default()),
        pair(span, "partitions", partitions),
        pair(span, "wipeTable", true),
    ];
    tree::node(span, entries)
}

fn filesystem(span: Span, device: &str, format: &str, label: &str) -> Node {
    let entries = vec![
        pair(span, "device", device),
        pair(span, "format", format),
        pair(span, "label", label),
        pair(span, "wipeFilesystem", true),
    ];
    tree::node(span, entries)
}

/// Why a layout cannot be used.
fn layout_problem(sugar: &Node, version: Version) -> Option<String> {
    let layout = text(sugar, "layout").unwrap_or_default();
    if LAYOUTS.contains(&layout) {
        return None;
    }
    let s390x = S390X.iter().find(|known| known.0 == layout);
    let Some((_, disk)) = s390x.filter(|_| version.minor >= 6) else {
        let more = if version.minor < 6 {
            ""
        } else {
            ", or `s390x-eckd`, `s390x-virt` or `s390x-zfcp`"
        };
        return Some(format!(
            "`layout` must be `aarch64`, `ppc64le` or `x86_64`{more}"
        ));
    };
    if !list(sugar, &["mirror", "devices"]).is_empty() {
        return Some(format!("layout `{layout}` cannot be mirrored"));
    }
    let device = luks_device(sugar).unwrap_or_default();
    let (start, _) = (*disk)?;
    let is_disk = device.strip_prefix(start).is_some_and(|name| {
        name.len() == 1 && name.starts_with(|letter: char| letter.is_ascii_lowercase())
    });
    (!is_disk).then(|| format!("layout `{layout}` requires a `luks.device` such as {start}a"))
}

/// Reports what `fcos` 1.7.0 and later require.
fn check_completeness(sugar: &Node, to: &mut Diagnostics) {
    let layout = text(sugar, "layout");
    if let Some(mirror) = entry(sugar, "mirror")
        && !list(sugar, &["mirror", "devices"]).is_empty()
        && layout.is_none()
    {
        let message = "a mirror requires `layout`, such as `x86_64`";
        to.report(Code::ButaneConflict, mirror.key_span, message);
    }
    let Some(luks) = entry(sugar, "luks") else {
        return;
    };
    let is_s390x = layout.is_some_and(|layout| S390X.iter().any(|known| known.0 == layout));
    if has_cex(&luks.node) && !is_s390x {
        let message = "`cex` requires a layout for s390x, such as `s390x-eckd`";
        to.report(Code::ButaneConflict, luks.key_span, message);
    }
    if luks_device(sugar).is_some_and(|device| !device.is_empty()) && !is_unlocked(&luks.node) {
        let message = "`luks.device` requires `tang`, `tpm2` or `cex`";
        to.report(Code::ButaneConflict, luks.key_span, message);
    }
}

fn luks_device(sugar: &Node) -> Option<&str> {
    tree::at(sugar, &["luks", "device"])?.as_text()
}

/// The partition or array to encrypt.
fn root_partition(sugar: &Node, mirrored: bool) -> String {
    let layout = text(sugar, "layout").unwrap_or_default();
    let disk = S390X.iter().find(|known| known.0 == layout);
    if let Some((_, Some((_, number)))) = disk {
        let device = luks_device(sugar).unwrap_or_default();
        return format!("{device}{number}");
    }
    let partition = if mirrored {
        "/dev/md/md-root"
    } else {
        "/dev/disk/by-partlabel/root"
    };
    partition.to_owned()
}

/// Whether something unlocks the volume.
fn is_unlocked(luks: &Node) -> bool {
    is_true(luks, "tpm2") || !list(luks, &["tang"]).is_empty() || has_cex(luks)
}

fn has_cex(luks: &Node) -> bool {
    entry(luks, "cex").is_some_and(|cex| is_true(&cex.node, "enabled"))
}

fn encryption(luks: &Entry, device: &str) -> Node {
    let span = luks.key_span;
    let own = |key: &str| entry(&luks.node, key).cloned();
    let clevis = || -> Vec<Entry> {
        let keys = ["tang", "threshold", "tpm2"].into_iter();
        keys.filter_map(own).collect()
    };
    let unlocking = own("cex").filter(|_| has_cex(&luks.node));
    let mut entries = vec![
        unlocking.unwrap_or_else(|| pair(span, "clevis", clevis())),
        pair(span, "device", device),
        pair(span, "label", "luks-root"),
        pair(span, "name", "root"),
        pair(span, "wipeVolume", true),
    ];
    entries.extend(own("discard"));
    tree::node(span, entries)
}

/// Partitions that have the label of a partition in the image, but another number. Ignition would create
/// a second partition with that label.
pub fn warnings(config: &Node) -> Vec<Warning> {
    const NUMBERS: [(&str, i64); 5] = [
        ("BIOS-BOOT", 1),
        ("PowerPC-PReP-boot", 1),
        ("EFI-SYSTEM", 2),
        ("boot", 3),
        ("root", 4),
    ];
    let disks = list(config, &["storage", "disks"]).iter();
    let kept = disks.filter(|disk| !is_true(disk, "wipeTable"));
    let partitions = kept.flat_map(|disk| list(disk, &["partitions"]));
    let wrong = partitions.filter_map(|partition| {
        let label = entry(partition, "label")?;
        let name = label.node.as_text()?;
        let (_, number) = NUMBERS.iter().find(|label| label.0 == name)?;
        let differs = whole(partition, "number").unwrap_or(0) != *number;
        differs.then(|| Warning {
            code: Code::ButaneConflict,
            span: label.node.span,
            message: format!(
                "`{name}` is the label of partition {number} of the OS image; this entry would create a second partition with that label"
            ),
        })
    });
    wrong.collect()
}
