//! `spec.budgets`: how long stages of the installation may keep failing.

use std::borrow::Cow;

use nkd_contract::Stage;
use nkd_document::yaml::Pairs;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::checks::Text;

/// `spec.budgets`: a key for each stage.
#[derive(Default, Deserialize)]
#[serde(transparent)]
pub struct Budgets(Pairs);

impl Budgets {
    /// The budgets that are written, each with its stage.
    pub fn by_stage(&self) -> impl Iterator<Item = (Stage, &Text)> {
        let stage = |name: &str| Stage::ALL.into_iter().find(|stage| stage.name() == name);
        self.0
            .0
            .iter()
            .filter_map(move |(name, text)| Some((stage(&name.value)?, text)))
    }
}

/// What a stage does, as the documentation of its key.
const fn meaning(stage: Stage) -> &'static str {
    match stage {
        Stage::Clock => "To get the time from a time server. Then the agent continues without one.",
        Stage::Pivot => "To deploy the release image and to boot it.",
        Stage::Host => "To get addresses and a name server, and to prepare the machine.",
        Stage::Runtime => "To start the container runtime.",
        Stage::Images => "To get all images.",
        Stage::Gate => {
            "To wait for the cluster that the node joins. The agent waits a sixth of it for each control plane \
             that joins earlier and does not come up."
        }
        Stage::Kubeadm => "To initialize or join the cluster.",
        Stage::Addons => "To apply the manifests.",
        Stage::Ready => "To see the node Ready.",
    }
}

impl JsonSchema for Budgets {
    fn schema_name() -> Cow<'static, str> {
        "Budgets".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let property = |stage: Stage| {
            let default = humantime::format_duration(stage.default_budget()).to_string();
            let value = json!({
                "description": meaning(stage),
                "type": ["string", "null"],
                "default": default,
            });
            (stage.name().to_owned(), value)
        };
        let properties: Map<String, Value> = Stage::ALL.into_iter().map(property).collect();
        json_schema!({
            "description": "`spec.budgets`",
            "type": "object",
            "properties": properties,
        })
    }
}
