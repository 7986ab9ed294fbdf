//! What a node needs from its operating system on every boot. The agent corrects most of it at the first
//! boot only. So the user's own config must not take any of it away, not even with an override.

use nkd_contract::names;

use nkd_document::Span;
use nkd_document::yaml;
use nkd_ignition::check::UNITS;
use nkd_ignition::decode;
use nkd_ignition::tree::{entry, is_true, list, text};

/// Without these settings, no pod is reachable (Kubernetes, "Container Runtimes", "Network
/// configuration").
const SETTINGS: [&str; 3] = [
    "net.ipv4.ip_forward",
    "net.bridge.bridge-nf-call-iptables",
    "net.bridge.bridge-nf-call-ip6tables",
];
/// The modules that image layers and these settings need.
const MODULES: [&str; 2] = ["overlay", "br_netfilter"];
/// The kernel has two names for forwarding everywhere (its `ip-sysctl.rst`).
const ALIAS: (&str, &str) = ("net.ipv4.conf.all.forwarding", SETTINGS[0]);

const SWAP: &str = "kubelet does not start while swap is enabled, unless a KubeletConfiguration in `spec.kubernetes.kubeadm` sets \
     `failSwapOn: false`";

/// The units that bring system extensions into use.
const EXTENSIONS: [&str; 3] = [
    "nkd-extension-files.service",
    "nkd-extensions.service",
    "systemd-sysext.service",
];

/// The needs of one node.
pub struct Needs<'a> {
    /// The node's name. Empty for an open pool, because each of its machines has another name.
    pub node: &'a str,
    /// The container runtime's units.
    pub runtime: &'a [&'a str],
    /// Whether the node has system extensions.
    pub has_extensions: bool,
    /// Whether kubelet is configured to accept swap.
    pub takes_swap: bool,
}

/// A place in a config that takes something away from the node, with the message for it.
pub type Violation = (Span, String);

impl Needs<'_> {
    /// The places in a merged config that take away what the node needs.
    pub fn check(&self, config: &yaml::Node) -> Vec<Violation> {
        let mut violations = Vec::new();
        let mut refuse = |span, message: String| violations.push((span, message));
        self.units(config, &mut refuse);
        if !self.takes_swap {
            swap(config, &mut refuse);
        }
        if let Some((name, span)) = file(config, "/etc/hostname")
            && name.trim() != self.node
        {
            // Without the node's name, so that a file of a thousand nodes is reported once.
            let message = format!(
                "`/etc/hostname` contains `{}`, which is not the name of each node that has this file",
                name.trim()
            );
            refuse(span, message);
        }
        lines(config, "/etc/sysctl.d/", &SETTINGS, setting, &mut refuse);
        lines(
            config,
            "/etc/modules-load.d/",
            &MODULES,
            module,
            &mut refuse,
        );
        violations
    }

    /// Checks that no needed unit is masked, in any of the ways that systemd.unit(5) describes.
    fn units(&self, config: &yaml::Node, refuse: &mut impl FnMut(Span, String)) {
        let own = [
            "kubelet.service",
            "nkd-agent.service",
            "nkd-clock.service",
            "nkd-reporter.service",
            names::READY_TARGET,
        ];
        let extensions: &[&str] = if self.has_extensions {
            &EXTENSIONS
        } else {
            &[]
        };
        for unit in own.iter().chain(extensions).chain(self.runtime) {
            let path = format!("{UNITS}/{unit}");
            let units = list(config, &["systemd", "units"]).iter();
            let masks = units
                .filter(|node| text(node, "name") == Some(unit) && is_true(node, "mask"))
                .filter_map(|node| Some(entry(node, "mask")?.key_span));
            let links = list(config, &["storage", "links"]).iter();
            let null_links = links
                .filter(|link| text(link, "path") == Some(&path))
                .filter(|link| text(link, "target") == Some("/dev/null"))
                .map(|link| link.span);
            let empty = file(config, &path)
                .filter(|(content, _)| content.is_empty())
                .map(|(_, place)| place);
            for span in masks.chain(null_links).chain(empty) {
                refuse(span, format!("this masks `{unit}`, which a node needs"));
            }
        }
    }
}

/// Checks that nothing turns on swap at the next boot: no unit, `fstab` or zram-generator.
fn swap(config: &yaml::Node, refuse: &mut impl FnMut(Span, String)) {
    for unit in list(config, &["systemd", "units"]) {
        let is_swap = text(unit, "name").is_some_and(|name| name.strip_suffix(".swap").is_some());
        if is_swap && is_true(unit, "enabled") && !is_true(unit, "mask") {
            refuse(unit.span, SWAP.to_owned());
        }
    }
    let is_swap = |line: &str| line.split_whitespace().nth(2) == Some("swap");
    let is_device = |line: &str| line.starts_with("[zram");
    for (path, makes_swap) in [
        ("/etc/fstab", &is_swap as &dyn Fn(&str) -> bool),
        ("/etc/systemd/zram-generator.conf", &is_device),
    ] {
        if let Some((text, span)) = file(config, path)
            && significant(&text).any(makes_swap)
        {
            refuse(span, SWAP.to_owned());
        }
    }
}

/// Reads a line of a configuration file: a name, and whether it has the needed value.
type Line = fn(&str) -> Option<(String, bool)>;

fn setting(line: &str) -> Option<(String, bool)> {
    let (name, value) = line.split_once('=')?;
    let name = name.trim().trim_start_matches('-').replace('/', ".");
    let name = if name == ALIAS.0 { ALIAS.1 } else { &name };
    Some((name.to_owned(), value.trim() == "1"))
}

fn module(line: &str) -> Option<(String, bool)> {
    let name = line.split_whitespace().next()?;
    Some((name.replace('-', "_"), true))
}

/// Checks the files in a directory, which are read in the order of their names: the last line for each
/// name must have the needed value.
fn lines(
    config: &yaml::Node,
    directory: &str,
    needed: &[&str],
    line: Line,
    refuse: &mut impl FnMut(Span, String),
) {
    let mut files: Vec<(&str, &yaml::Node)> = list(config, &["storage", "files"])
        .iter()
        .filter_map(|file| Some((text(file, "path")?.strip_prefix(directory)?, file)))
        .filter(|(name, _)| {
            name.strip_suffix(".conf")
                .is_some_and(|stem| !stem.contains('/'))
        })
        .collect();
    files.sort_by_key(|(name, _)| *name);
    for name in needed {
        let mut last = None;
        for (file, node) in &files {
            let text: String = parts(node).flatten().collect();
            let settings = significant(&text).filter_map(line);
            let setting = settings.filter(|(key, _)| key == name).last();
            last = setting.map(|(_, on)| (on, *file, place(node))).or(last);
        }
        match last {
            Some((true, ..)) => {}
            Some((false, _, span)) => {
                refuse(
                    span,
                    format!("`{name}` must be 1; otherwise pods are not reachable"),
                );
            }
            // Only an override can remove nkd's own file.
            None => {
                let span = files.first().map_or(config.span, |(_, node)| place(node));
                refuse(span, format!("no file in `{directory}` contains `{name}`"));
            }
        }
    }
}

fn significant(text: &str) -> impl Iterator<Item = &str> {
    let lines = text.lines().map(str::trim);
    lines.filter(|line| !line.is_empty() && !line.starts_with(['#', ';']))
}

/// A file's text and place, if the text is not fetched at boot.
fn file(config: &yaml::Node, path: &str) -> Option<(String, Span)> {
    let mut files = list(config, &["storage", "files"]).iter();
    let file = files.find(|file| text(file, "path") == Some(path))?;
    Some((content(file)?, place(file)))
}

/// A file's text, unless a part of it is fetched at boot.
pub(super) fn content(file: &yaml::Node) -> Option<String> {
    parts(file).collect()
}

/// The parts of a file's text, in their order; `None` for a part that is fetched at boot.
fn parts(file: &yaml::Node) -> impl Iterator<Item = Option<String>> {
    let contents = entry(file, "contents").map(|entry| &entry.node);
    let parts = contents.into_iter().chain(list(file, &["append"]));
    parts.map(|resource| {
        let source = text(resource, "source")?;
        let compression = text(resource, "compression").unwrap_or_default();
        String::from_utf8(decode(source, compression)?).ok()
    })
}

/// The place of a file's path. The place of the contents would be wrong if they are nkd's and the user's
/// config only appends to them.
fn place(file: &yaml::Node) -> Span {
    entry(file, "path").map_or(file.span, |entry| entry.node.span)
}
