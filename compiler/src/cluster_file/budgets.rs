//! `spec.budgets`: how long stages of the installation may keep failing.

use std::borrow::Cow;

use nkd_contract::Stage;
use nkd_document::yaml::Pairs;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::checks::Text;
use super::patterns;

/// `spec.budgets`: a key for each stage.
#[derive(Default, Deserialize)]
#[serde(transparent)]
pub struct Budgets(Pairs);

impl Budgets {
    /// The budgets in the cluster file, each with its stage.
    pub fn by_stage(&self) -> impl Iterator<Item = (Stage, &Text)> {
        let stage = |name: &str| Stage::ALL.into_iter().find(|stage| stage.name() == name);
        self.0
            .0
            .iter()
            .filter_map(move |(name, text)| Some((stage(&name.value)?, text)))
    }
}

/// The documentation of a stage's key.
const fn meaning(stage: Stage) -> &'static str {
    match stage {
        Stage::Clock => {
            "For getting the time from a time server. When this budget is used up, the agent continues without one."
        }
        Stage::Pivot => "For deploying the release image and booting it.",
        Stage::Host => "For getting addresses and a name server, and for preparing the machine.",
        Stage::Runtime => "For starting the container runtime.",
        Stage::Images => "For loading all images.",
        Stage::Gate => {
            "For waiting until the node can join the cluster. The agent waits for each earlier control plane for at \
             most a sixth of this budget."
        }
        Stage::Kubeadm => "For initializing or joining the cluster.",
        Stage::Addons => "For applying the manifests.",
        Stage::Ready => "For waiting until the node is Ready.",
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
                "pattern": patterns::DURATION,
                "default": default,
                "examples": ["30m"],
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
