//! The units of systemd in an image.

use super::tree::Tree;

/// Where systemd finds units, the first place before the others (systemd.unit(5)). /run is empty in an image.
pub(super) const DIRECTORIES: [&str; 3] = [
    "/etc/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
];

/// A unit's file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Absent,
    Masked,
    Text(String),
}

impl Unit {
    /// The file of a unit that systemd uses.
    pub(super) fn of(tree: &Tree, name: &str) -> Self {
        for directory in DIRECTORIES {
            let path = format!("{directory}/{name}");
            if tree.resolve(&path) == "/dev/null" {
                return Self::Masked;
            }
            if tree.exists(&path) {
                return match tree.read(&path) {
                    text if text.is_empty() => Self::Masked,
                    text => Self::Text(text),
                };
            }
        }
        Self::Absent
    }
}

/// Whether a target pulls a unit in, through a link in its `.wants` directory.
pub(super) fn is_wanted(tree: &Tree, target: &str, unit: &str) -> bool {
    let mut directories = DIRECTORIES.into_iter();
    directories.any(|directory| tree.is_link(&format!("{directory}/{target}.wants/{unit}")))
}

/// The drop-ins of a unit, each with its path and text, in the order in which systemd reads them. Of drop-ins
/// with the same name, systemd reads only the first.
pub(super) fn drop_ins(tree: &Tree, unit: &str) -> Vec<(String, String)> {
    let mut all: Vec<(String, String)> = Vec::new();
    for directory in DIRECTORIES {
        let directory = format!("{directory}/{unit}.d");
        for name in tree.names_with(&directory, "conf") {
            if all.iter().all(|(other, _)| *other != name) {
                let path = format!("{directory}/{name}");
                all.push((name, path));
            }
        }
    }
    all.sort();
    let read = |(_, path): (String, String)| {
        let text = tree.read(&path);
        (path, text)
    };
    all.into_iter().map(read).collect()
}

/// The program of the last `ExecStart=` of a unit, without the characters that change how systemd starts it.
pub(super) fn program(text: &str) -> Option<&str> {
    let mut lines = text.lines().rev();
    let command = lines
        .find_map(|line| line.strip_prefix("ExecStart="))?
        .trim_start_matches(['@', '-', ':', '+', '!']);
    command.split_whitespace().next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_of_a_unit_is_the_first_word_of_its_command() {
        let text =
            "[Service]\nExecStartPre=-/sbin/modprobe overlay\nExecStart=-/usr/bin/containerd --x\n";
        assert_eq!(program(text), Some("/usr/bin/containerd"));
        assert_eq!(program("[Service]\nExecStart=\n"), None);
    }
}
