//! The keys of the cluster file that led to an entry on a node.

use nkd_model::lines::{Lines, level};

/// Keys whose values of cluster, pool and node are put together. Of all other keys the innermost value applies.
const JOINED: [&str; 4] = ["kubeadm", "os.extensions", "os.hosts", "os.trust"];

/// A key of the cluster file, and its line if it is written there.
#[derive(Debug, PartialEq, Eq)]
pub struct Origin {
    /// The key from the document's root, such as `spec.nodes[cp1].os.ntp`.
    pub key: String,
    /// Its line in the cluster file. Without one, the default of the key applies.
    pub line: Option<usize>,
}

/// The origins of what `key` asks for on a node, the innermost first. `key` is relative to where it may be
/// written: the node's entry, its pool's, and `spec`. An empty key is the node's entry itself, or that of the open
/// pool.
pub fn of(key: &str, node: &str, pool: Option<&str>, lines: &Lines) -> Vec<Origin> {
    let entry = level("nodes", node);
    let entries = [Some(entry), pool.map(|pool| level("pools", pool))];
    let entries = entries.into_iter().flatten();
    let levels: Vec<String> = match key {
        "" => entries.collect(),
        _ => entries
            .chain(["spec".to_owned()])
            .map(|level| format!("{level}.{key}"))
            .collect(),
    };
    let mut written: Vec<Origin> = levels
        .iter()
        .filter_map(|key| {
            let line = Some(*lines.get(key)?);
            let key = key.clone();
            Some(Origin { key, line })
        })
        .collect();
    if !JOINED.contains(&key) {
        written.truncate(1);
    }
    if written.is_empty() {
        written.extend(
            levels
                .into_iter()
                .next_back()
                .map(|key| Origin { key, line: None }),
        );
    }
    written
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::of;
    use nkd_document::Diagnostics;
    use nkd_document::yaml::documents;
    use nkd_model::lines::lines;

    #[test]
    fn the_innermost_level_that_has_the_key_is_named_and_all_levels_of_joined_keys() {
        let text = "\
spec:
  os:
    ntp: [a]
    hosts: []
    kernelArguments:
    - quiet
  pools:
  - name: p
    os:
      ntp: [b]
      users:
      - name: core
  nodes:
  - {name: w1, pool: p, os: {hosts: [], kernelArguments: [quiet]}}
";
        let mut diagnostics = Diagnostics::new();
        let source = diagnostics.add(Path::new("a.yaml"), text.to_owned());
        let document = &documents(source, &mut diagnostics).unwrap()[0];
        let lines = lines(document, text);
        let origins = |key: &str| {
            of(key, "w1", Some("p"), &lines)
                .into_iter()
                .map(|origin| (origin.key, origin.line))
                .collect::<Vec<_>>()
        };
        let one = |key: &str, line| vec![(key.to_owned(), line)];
        assert_eq!(origins(""), one("spec.nodes[w1]", Some(14)));
        assert_eq!(origins("os.ntp"), one("spec.pools[p].os.ntp", Some(10)));
        assert_eq!(
            origins("os.users[core]"),
            one("spec.pools[p].os.users[core]", Some(12))
        );
        let argument = "os.kernelArguments[quiet]";
        assert_eq!(
            origins(argument),
            one(&format!("spec.nodes[w1].{argument}"), Some(14))
        );
        assert_eq!(
            origins("os.hosts"),
            [
                ("spec.nodes[w1].os.hosts".to_owned(), Some(14)),
                ("spec.os.hosts".to_owned(), Some(4))
            ]
        );
        assert_eq!(origins("report"), one("spec.report", None));
    }
}
