use std::sync::LazyLock;

use serde::Deserialize;

use super::file::data;

pub(super) const TEXT: &str = include_str!("../../releases/kubeadm-names.yaml");

static NAMES: LazyLock<Names> = LazyLock::new(|| data(TEXT));

/// Names in kubeadm's configuration that are more than text, of all releases together.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Names {
    /// The phases of `kubeadm init`, without their sub-phases.
    pub init_phases: Vec<String>,
    /// The phases of `kubeadm join`, without their sub-phases.
    pub join_phases: Vec<String>,
    /// The preflight checks; kubeadm compares them without case.
    pub preflight_checks: Vec<String>,
    /// What the names of further preflight checks begin with.
    pub preflight_check_prefixes: Vec<String>,
}

/// The names.
pub fn names() -> &'static Names {
    &NAMES
}

#[cfg(test)]
mod tests {
    use super::{Names, TEXT};
    use crate::releases::file::parse;

    #[test]
    fn the_names_can_be_read_and_none_is_twice() {
        let names: Names = parse(TEXT).unwrap();
        for list in [
            names.init_phases,
            names.join_phases,
            names.preflight_checks,
            names.preflight_check_prefixes,
        ] {
            let mut sorted = list.clone();
            sorted.sort();
            sorted.dedup();
            assert_eq!(sorted.len(), list.len(), "{list:?}");
            assert!(!list.is_empty());
        }
    }
}
