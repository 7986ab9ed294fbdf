//! Takes the parts that the user may override out of nkd's config, so that the user's configs take
//! precedence over them.

use super::spec::SPEC;
use nkd_document::yaml::{self, Value};
use nkd_ignition::tree::{self, pair, text};

/// Splits nkd's part into the overridden parts and the rest.
pub fn split(mut own: yaml::Node, overrides: &[&str]) -> (yaml::Node, yaml::Node) {
    let span = own.span;
    let mut below = Vec::new();
    for (section, list, key) in [
        ("passwd", "users", "name"),
        ("storage", "files", "path"),
        ("systemd", "units", "name"),
    ] {
        let Some(target) = tree::child_mut(&mut own, section) else {
            continue;
        };
        let all = tree::take(target, list).map_or(Value::Null, |entry| entry.node.value);
        let (mut base, mut top) = (Vec::new(), Vec::new());
        for node in tree::node(span, all).items() {
            let name = text(node, key).unwrap_or_default();
            let is_overridden = overrides.contains(&name);
            if list == "units" {
                let (lower, upper) = unit(node, name, is_overridden, overrides);
                base.extend(lower);
                top.extend(upper);
            } else if is_overridden {
                base.push(node.clone());
            } else {
                top.push(node.clone());
            }
        }
        tree::set(target, pair(span, list, top));
        below.push(pair(span, section, vec![pair(span, list, base)]));
    }
    let version = vec![pair(span, "version", SPEC)];
    below.push(pair(span, "ignition", version));
    (tree::node(span, below), own)
}

/// The overridden part of a unit and the rest. Both may have drop-ins.
fn unit(
    unit: &yaml::Node,
    name: &str,
    is_overridden: bool,
    overrides: &[&str],
) -> (Option<yaml::Node>, Option<yaml::Node>) {
    let span = unit.span;
    let (lower, upper) = tree::list(unit, &["dropins"])
        .iter()
        .cloned()
        .partition::<Vec<yaml::Node>, _>(|dropin| {
            let path = format!("{name}.d/{}", text(dropin, "name").unwrap_or_default());
            overrides.contains(&path.as_str())
        });
    let whole = |dropins: Vec<yaml::Node>| {
        let mut unit = unit.clone();
        tree::set(&mut unit, pair(span, "dropins", dropins));
        Some(unit)
    };
    let bare = |dropins: Vec<yaml::Node>| {
        let entries = vec![pair(span, "name", name), pair(span, "dropins", dropins)];
        Some(tree::node(span, entries))
    };
    let bare = |dropins: Vec<yaml::Node>| {
        if dropins.is_empty() {
            None
        } else {
            bare(dropins)
        }
    };
    if is_overridden {
        (whole(lower), bare(upper))
    } else {
        (bare(lower), whole(upper))
    }
}
