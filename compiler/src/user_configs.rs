//! Merges nkd's part of each config with all of the user's configs for the node.

use serde_json::Value;

use crate::config::kept;
use crate::config::needs::{Needs, Violation};
use crate::config::places::{Misplaced, Places};
use crate::config::{Collision, Config, SPEC_MINOR};
use crate::kubeadm::files::{self, Written};
use crate::origin::{self, Origin};
use nkd_document::yaml;
use nkd_document::{Code, Diagnostics, Span, Spanned};
use nkd_ignition::{check, tree};
use nkd_model::UserConfig;
use nkd_model::{Cluster, Node, NodeRole};

/// The user's configs of a cluster, and the state of their checks.
pub struct UserConfigs<'a> {
    cluster: &'a Cluster,
    reported: Vec<Collision>,
    needed: Vec<Violation>,
    misplaced: Vec<Misplaced>,
    effective: Vec<&'a Spanned<String>>,
    named_files: Vec<Span>,
}

impl<'a> UserConfigs<'a> {
    /// No checks have run yet.
    pub fn new(cluster: &'a Cluster) -> Self {
        Self {
            cluster,
            reported: Vec::new(),
            needed: Vec::new(),
            misplaced: Vec::new(),
            effective: Vec::new(),
            named_files: Vec::new(),
        }
    }

    fn configs(cluster: &'a Cluster, node: &'a Node) -> Vec<&'a UserConfig> {
        cluster.own_of(node).flat_map(|own| &own.configs).collect()
    }

    /// The places in the user's configs that led to files on a node, by path.
    pub fn places(&self, node: &'a Node) -> impl Iterator<Item = (String, Span)> {
        let configs = Self::configs(self.cluster, node).into_iter();
        configs.flat_map(UserConfig::places).flat_map(|(id, span)| {
            let copy = kept::copy(&id).map(|copy| (copy, span));
            [(id, span)].into_iter().chain(copy)
        })
    }

    /// Whether a node has no configs of the user.
    pub fn leave_alone(cluster: &Cluster, node: &Node) -> bool {
        cluster.own_of(node).all(|own| own.configs.is_empty())
    }

    /// The merged config of a node; `json` is nkd's part. Reports collisions. A collision in a config
    /// that nodes share is reported only once.
    pub fn merge(
        &mut self,
        own: &Config,
        json: Value,
        node: &'a Node,
        to: &mut Diagnostics,
    ) -> Value {
        let cluster = self.cluster;
        let users = Self::configs(cluster, node);
        let overrides: Vec<&Spanned<String>> = cluster
            .own_of(node)
            .flat_map(|own| &own.overrides)
            .filter(|name| own.can_override(&name.value))
            .filter(|name| users.iter().any(|user| user.sets(&name.value)))
            .collect();
        let names: Vec<&str> = overrides.iter().map(|name| name.value.as_str()).collect();
        for user in &users {
            for found in own.collisions(user, &names) {
                if !self.reported.contains(&found) {
                    let key = own.key(&found.with);
                    let from = key.map(|key| asked_for_by(key, node, cluster));
                    let message = format!("{}{}", found.why, from.unwrap_or_default());
                    to.report(Code::IgnitionCollision, found.span, message);
                    self.reported.push(found);
                }
            }
        }
        self.effective.extend(overrides);
        let Some(merged) = Config::merged(&json, &users, &names) else {
            return json;
        };
        // Two valid configs can make an invalid one.
        if to.is_empty() {
            check::config(&merged, SPEC_MINOR, to);
        }
        self.check_places(own, node, &merged, to);
        if !self.reported.is_empty() {
            return tree::to_json(&merged);
        }
        let needs = Needs {
            node: if node.is_open() { "" } else { &node.name },
            runtime: cluster.runtime.units(),
            has_extensions: !node.os.extensions.is_empty(),
            takes_swap: own.keep_swap,
        };
        for found in needs.check(&merged) {
            if !self.needed.contains(&found) {
                to.report(Code::Needed, found.0, &found.1);
                self.needed.push(found);
            }
        }
        tree::to_json(&merged)
    }

    /// Reports files that an overlay names, but that a node does not have.
    pub fn check_named_files(&mut self, node: &'a Node, to: &mut Diagnostics) {
        let configs = Self::configs(self.cluster, node);
        let paths = configs.iter().flat_map(|config| config.paths());
        let written = Written {
            paths: paths.map(|path| path.path).collect(),
        };
        files::check(self.cluster, node, &written, &mut self.named_files, to);
    }

    fn check_places(
        &mut self,
        own: &Config,
        node: &Node,
        merged: &yaml::Node,
        to: &mut Diagnostics,
    ) {
        let places = Places {
            is_control_plane: node.role == NodeRole::ControlPlane,
            runs_etcd: self.cluster.runs_etcd(node),
            ignored_checks: &own.ignored_checks,
        };
        for found in places.check(merged) {
            if !self.misplaced.contains(&found) {
                report_misplaced(&found, to);
                self.misplaced.push(found);
            }
        }
    }

    /// Reports overrides that have had no effect on any node, because they are probably misspelled.
    pub fn report_idle_overrides(&self, to: &mut Diagnostics) {
        for name in self.cluster.all_own().flat_map(|own| &own.overrides) {
            if !self
                .effective
                .iter()
                .any(|known| std::ptr::eq(*known, name))
            {
                let message = format!("`{}` in `os.override` has no effect", name.value);
                to.report(Code::Override, name.span, message);
            }
        }
    }
}

fn report_misplaced(found: &Misplaced, to: &mut Diagnostics) {
    match found.help {
        Some(help) => drop(to.report_with_help(found.code, found.span, &found.message, help)),
        None => to.warn(found.code, found.span, &found.message),
    }
}

/// The keys of the cluster file that led to nkd's side of a collision, with their lines.
fn asked_for_by(key: &str, node: &Node, cluster: &Cluster) -> String {
    let pool = cluster.pool_of(node).map(|pool| &*pool.name);
    let origins = origin::of(key, &node.name, pool, &cluster.lines);
    let texts = origins.iter().map(|Origin { key, line }| match line {
        Some(line) => format!("`{key}` in line {line} of the cluster file"),
        None => format!("the default of `{key}`"),
    });
    let texts: Vec<_> = texts.collect();
    if texts.is_empty() {
        return String::new();
    }
    format!(" (see {})", texts.join(" and "))
}
