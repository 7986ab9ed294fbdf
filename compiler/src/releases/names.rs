use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;

use super::fields::forever;
use super::file::data;

pub(super) const TEXT: &str = include_str!("../../releases/kubeadm-names.yaml");

static NAMES: LazyLock<Names> = LazyLock::new(|| data(TEXT));

/// Names in kubeadm's configuration that are more than text. Phases and checks are those of all releases together.
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
    /// The feature gates of kubeadm, by their names.
    pub feature_gates: BTreeMap<String, Gate>,
}

/// The minor versions that have a feature gate.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gate {
    /// The first one.
    #[serde(default)]
    pub since: u32,
    /// The last one.
    #[serde(default = "forever")]
    pub until: u32,
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
