//! Checks units. Ignition parses their text before it writes them, and refuses a text that it cannot
//! parse.

use super::Checker;
use crate::tree::{entry, list, text};
use nkd_document::yaml::Node;

impl Checker<'_> {
    pub(super) fn unit(&mut self, node: &Node, object: &str) {
        if object == "unit" {
            self.each(node, "name", is_unit, "is not the name of a systemd unit");
        } else {
            let is_conf = |name: &str| is_file_name(name) && name.strip_suffix(".conf").is_some();
            let what = "is not the name of a drop-in: it must end in `.conf`";
            self.each(node, "name", is_conf, what);
        }
        if let Some(contents) = entry(node, "contents")
            && let Some(text) = contents.node.as_text()
            && let Err(problem) = options(text)
        {
            let message = format!("the unit file is not valid: {problem}");
            self.refuse(contents.node.span, message);
        }
    }
}

/// Whether a unit has a text without an `[Install]` section.
pub(super) fn can_not_be_enabled(unit: &Node) -> bool {
    let Some(own) = text(unit, "contents").filter(|text| !text.is_empty()) else {
        return false;
    };
    let dropins = list(unit, &["dropins"]).iter();
    let mut texts = dropins
        .filter_map(|dropin| text(dropin, "contents"))
        .chain([own]);
    !texts.any(|text| options(text).is_ok_and(|sections| sections.contains(&"Install")))
}

fn is_file_name(name: &str) -> bool {
    !name.is_empty() && !name.contains('/')
}

/// The unit types of systemd (systemd.unit(5)).
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

/// The section of each option in a text, parsed as Ignition does: text before the first section is
/// ignored, and with a `\` at the end of a line the value continues on the next line.
fn options(text: &str) -> Result<Vec<&str>, &'static str> {
    let mut sections = Vec::new();
    let mut section = None;
    let mut rest = text;
    loop {
        rest = rest.trim_start();
        let Some(first) = rest.chars().next() else {
            return Ok(sections);
        };
        if first == '[' {
            let (name, after) = rest[1..].split_once(']').ok_or("a `[` is not closed")?;
            let (garbage, after) = line(after);
            if !garbage.trim().is_empty() {
                return Err("a section header is followed by other text on its line");
            }
            (section, rest) = (Some(name), after);
        } else if "#;".contains(first) {
            let ends_with = |line: &str| line.strip_suffix(' ').unwrap_or(line).ends_with('\\');
            rest = after_continued(rest, ends_with);
        } else if let Some(section) = section {
            let (name, value) = rest.split_once('=').unwrap_or((rest, ""));
            if name.len() == rest.len() || name.contains(['\n', '\r']) {
                return Err("a line has no `=`");
            }
            sections.push(section);
            rest = after_continued(value, |line| line.contains('\\'));
        } else {
            rest = &rest[first.len_utf8()..];
        }
    }
}

/// The first line, and the text after it.
fn line(text: &str) -> (&str, &str) {
    text.split_once('\n').unwrap_or((text, ""))
}

/// The text after a line and its continuation lines.
fn after_continued(text: &str, goes_on: impl Fn(&str) -> bool) -> &str {
    let mut rest = text;
    loop {
        let (first, after) = line(rest);
        rest = after;
        if !goes_on(first) || rest.is_empty() {
            return rest;
        }
    }
}
