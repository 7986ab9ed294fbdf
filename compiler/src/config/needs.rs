//! What a node needs of its operating system on every boot. The agent sees to most of it at the
//! first one, and at no later one: so the user's own config takes none of it away, override or
//! not.

use nkd_contract::names;

use nkd_document::Span;
use nkd_document::yaml;
use nkd_ignition::check::UNITS;
use nkd_ignition::decode;
use nkd_ignition::tree::{entry, is_true, list, text};

/// Without these no pod is reached (Kubernetes, "Container Runtimes", "Network configuration").
const SETTINGS: [&str; 3] = [
    "net.ipv4.ip_forward",
    "net.bridge.bridge-nf-call-iptables",
    "net.bridge.bridge-nf-call-ip6tables",
];
/// What image layers and those settings are of.
const MODULES: [&str; 2] = ["overlay", "br_netfilter"];
/// The kernel has two names for forwarding everywhere (its `ip-sysctl.rst`).
const ALIAS: (&str, &str) = ("net.ipv4.conf.all.forwarding", SETTINGS[0]);

const SWAP: &str = "kubelet does not start while swap is enabled, unless a KubeletConfiguration in `spec.kubernetes.kubeadm` sets \
     `failSwapOn: false`";

/// One node's needs.
pub struct Needs<'a> {
    /// Its name.
    pub node: &'a str,
    /// The container runtime's units.
    pub runtime: &'a [&'a str],
    /// Whether kubelet was told to put up with swap.
    pub takes_swap: bool,
}

/// What takes something away, and how.
pub type Violation = (Span, String);

impl Needs<'_> {
    /// What of a whole config takes away what is needed.
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

    /// Nothing that has to run is masked, in any of the ways there are (systemd.unit).
    fn units(&self, config: &yaml::Node, refuse: &mut impl FnMut(Span, String)) {
        let own = [
            "kubelet.service",
            "nkd-agent.service",
            "nkd-clock.service",
            "nkd-reporter.service",
            names::READY_TARGET,
        ];
        for unit in own.iter().chain(self.runtime) {
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

/// No swap is made that would be there at the next boot: by a unit, `fstab` or systemd's generator
/// for memory that is compressed.
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

/// What a line of a file in a directory says: a name, and whether that is what is needed.
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

/// Of the files in a directory, which are read in the order of their names, the last word about
/// each name has to be what is needed.
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
                refuse(span, format!("pods are only reachable with `{name} = 1`"));
            }
            // Only an override takes away nkd's own file.
            None => {
                let span = files.first().map_or(config.span, |(_, node)| place(node));
                refuse(span, format!("no file in `{directory}` sets `{name}`"));
            }
        }
    }
}

fn significant(text: &str) -> impl Iterator<Item = &str> {
    let lines = text.lines().map(str::trim);
    lines.filter(|line| !line.is_empty() && !line.starts_with(['#', ';']))
}

/// A file's text and place, if it can be known now.
fn file(config: &yaml::Node, path: &str) -> Option<(String, Span)> {
    let mut files = list(config, &["storage", "files"]).iter();
    let file = files.find(|file| text(file, "path") == Some(path))?;
    Some((content(file)?, place(file)))
}

/// A file's text, unless some of it is fetched at boot.
fn content(file: &yaml::Node) -> Option<String> {
    parts(file).collect()
}

/// What a file's text is made of, one after the other; nothing for what is fetched.
fn parts(file: &yaml::Node) -> impl Iterator<Item = Option<String>> {
    let contents = entry(file, "contents").map(|entry| &entry.node);
    let parts = contents.into_iter().chain(list(file, &["append"]));
    parts.map(|resource| {
        let source = text(resource, "source")?;
        let compression = text(resource, "compression").unwrap_or_default();
        String::from_utf8(decode(source, compression)?).ok()
    })
}

/// Where a file's path is written last: its contents may be nkd's, and only what is appended not.
fn place(file: &yaml::Node) -> Span {
    entry(file, "path").map_or(file.span, |entry| entry.node.span)
}
