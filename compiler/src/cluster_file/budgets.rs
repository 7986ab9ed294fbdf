//! `spec.budgets`: how long stages of the installation may go on failing.

use nkd_contract::Stage;

use nkd_document::yaml::{Fields, Key, Kind, Mapping};
use nkd_document::{Diagnostics, Spanned};

const fn budget(stage: Stage, default: &'static str, meaning: &'static str) -> Key {
    Key::new(stage.name(), Kind::Text, meaning).or(default)
}

/// A key for each stage.
pub static BUDGETS: Mapping = Mapping {
    name: "budgets",
    groups: &[&[
        budget(
            Stage::Clock,
            "1m",
            "How long to wait for a time server; then the node goes on without.",
        ),
        budget(
            Stage::Pivot,
            "30m",
            "To deploy the release image and boot it.",
        ),
        budget(
            Stage::Host,
            "10m",
            "To have addresses, a name server, and the machine in order.",
        ),
        budget(Stage::Runtime, "5m", "To start the container runtime."),
        budget(Stage::Images, "30m", "To have all images."),
        budget(
            Stage::Gate,
            "1h",
            "To wait for the cluster that is joined. A sixth of it is given to each control plane that joins earlier and doesn't come up.",
        ),
        budget(Stage::Kubeadm, "30m", "To make or join the cluster."),
        budget(Stage::Addons, "5m", "To apply the manifests."),
        budget(Stage::Ready, "15m", "To see the node Ready."),
    ]],
};

/// Those that are written, each with its stage.
pub fn read(fields: &mut Fields<'_>, to: &mut Diagnostics) -> Vec<(Stage, Spanned<String>)> {
    let mut written = |stage: Stage| Some((stage, fields.text(stage.name(), to)?));
    Stage::ALL.into_iter().filter_map(&mut written).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use nkd_document::yaml::Needed;

    #[test]
    fn the_documented_defaults_are_the_stages_own() {
        let keys: Vec<_> = BUDGETS.keys().collect();
        assert_eq!(keys.len(), Stage::ALL.len());
        for (key, stage) in keys.into_iter().zip(Stage::ALL) {
            assert_eq!(key.name, stage.name());
            assert!(key.needed == Needed::No);
            let default = humantime::parse_duration(key.default.unwrap()).unwrap();
            assert_eq!(default, stage.default_budget(), "{stage}");
        }
    }
}
