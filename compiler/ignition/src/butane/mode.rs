use crate::check::Warning;
use crate::tree::{entry, list, whole};
use nkd_document::Code;
use nkd_document::yaml::Node;

/// Decimal modes that would be common modes if they were octal.
pub fn warnings(config: &Node) -> Vec<Warning> {
    let kinds = [("files", false), ("directories", true)];
    let decimal = kinds.into_iter().flat_map(|(kind, is_directory)| {
        let nodes = list(config, &["storage", kind]).iter();
        nodes.filter_map(move |node| {
            let mode = whole(node, "mode")?;
            let meant = i64::from_str_radix(&mode.to_string(), 8).ok()?;
            let strange = !is_usual(mode, is_directory) && is_usual(meant, is_directory);
            strange.then(|| Warning {
                code: Code::DecimalMode,
                span: entry(node, "mode").map_or(node.span, |entry| entry.node.span),
                message: format!("mode {mode} is a decimal number, which is 0{mode:o} in octal"),
            })
        })
    });
    decimal.collect()
}

/// Whether a mode is a common one: the group has no more rights than the owner, and others no more than
/// the group; and everyone who may write or execute may also read.
fn is_usual(mode: i64, is_directory: bool) -> bool {
    if mode == 0 {
        return true;
    }
    let classes = [mode & 7, mode >> 3 & 7, mode >> 6 & 7];
    let narrower = |two: &[i64]| two[0] & !two[1] == 0;
    let readable = |class: &i64| *class == 0 || class & 4 != 0;
    let executes = |two: &[i64]| two[1] & 1 == 0 || two[0] & 4 == 0 || two[0] & 1 != 0;
    let any = classes[0] | classes[1] | classes[2];
    let plain = mode < 0o10000
        && any & 4 != 0
        && classes.windows(2).all(narrower)
        && classes.iter().all(readable)
        && classes.windows(2).all(executes);
    let special = if is_directory {
        any & 1 != 0 && mode & 0o4000 == 0 && (mode & 0o3000 == 0 || any & 2 != 0)
    } else {
        mode & 0o1000 == 0 && (mode & 0o6000 == 0 || (any & 1 != 0 && mode & 2 == 0))
    };
    plain && special
}

#[cfg(test)]
mod tests {
    use super::is_usual;

    #[test]
    fn modes_people_give_are_usual_and_decimal_ones_are_not() {
        for mode in [0o644, 0o600, 0o755, 0o640, 0o440, 0o4755, 0] {
            assert!(is_usual(mode, false), "{mode:o}");
        }
        for mode in [0o755, 0o700, 0o1777, 0o2775] {
            assert!(is_usual(mode, true), "{mode:o}");
        }
        for mode in [644, 600, 755, 0o066, 0o1644, 0o300] {
            assert!(!is_usual(mode, false), "{mode:o}");
        }
        for mode in [755, 700, 0o644, 0o4755] {
            assert!(!is_usual(mode, true), "{mode:o}");
        }
    }
}
