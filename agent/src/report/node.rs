use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use nkd_contract::{NodeStatus, Word};
use zbus::Variant;
use zbus::interface;
use zbus::object_server::SignalEmitter;

/// `org.openeuler.nkd1.Node`: what the event log adds up to, to be read by anybody.
///
/// D-Bus knows no absent values: an empty string, 0 or `(0, 0, "")` stands for one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Node {
    status: NodeStatus,
}

impl Node {
    pub(super) fn new(status: NodeStatus) -> Self {
        Self { status }
    }

    /// All properties by their names; what changes is told by comparing them.
    fn values(&self) -> [(&'static str, Variant<'_>); 11] {
        [
            ("Cluster", self.cluster().into()),
            ("Name", self.name().into()),
            ("Role", self.role().into()),
            ("State", self.state().into()),
            ("Stage", self.stage().into()),
            ("Attempt", self.attempt().into()),
            ("Progress", self.progress().into()),
            ("Cause", self.cause().into()),
            ("Message", self.message().into()),
            ("PlanDigest", self.plan_digest().into()),
            ("Since", self.since().into()),
        ]
    }

    /// The properties that are not as they were in `before`.
    pub(super) fn changes<'a>(&'a self, before: &Self) -> HashMap<&'static str, Variant<'a>> {
        self.values()
            .into_iter()
            .zip(before.values())
            .filter(|(new, old)| new != old)
            .map(|(new, _)| new)
            .collect()
    }
}

/// State of this node's installation. Empty strings and zeroes stand for what there isn't.
#[interface(name = "org.openeuler.nkd1.Node")]
impl Node {
    /// Name of the cluster.
    #[zbus(property)]
    fn cluster(&self) -> &str {
        self.status.cluster.as_deref().unwrap_or_default()
    }

    /// Name of the node.
    #[zbus(property)]
    fn name(&self) -> &str {
        &self.status.node
    }

    /// What the node is to do: init, join-control-plane or join-worker.
    #[zbus(property)]
    fn role(&self) -> &str {
        self.status.role.as_ref().map_or("", Word::as_str)
    }

    /// The whole of it in one word: waiting, installing, retrying, ready or failed.
    #[zbus(property)]
    fn state(&self) -> &str {
        self.status.state.as_str()
    }

    /// The stage it is in, or stopped in.
    #[zbus(property)]
    fn stage(&self) -> &str {
        self.status.stage.as_ref().map_or("", Word::as_str)
    }

    /// The attempt at that stage, from 1.
    #[zbus(property)]
    fn attempt(&self) -> u32 {
        self.status.attempt
    }

    /// How far the stage is: done, of how many, of what.
    #[zbus(property)]
    fn progress(&self) -> (u64, u64, &str) {
        let progress = self.status.progress.as_ref();
        progress.map_or((0, 0, ""), |progress| {
            (progress.done, progress.total, progress.unit.as_str())
        })
    }

    /// Code of why the last attempt failed, until the next succeeds.
    #[zbus(property)]
    fn cause(&self) -> &str {
        self.status.cause.as_ref().map_or("", Word::as_str)
    }

    /// The last message, for a person.
    #[zbus(property)]
    fn message(&self) -> &str {
        &self.status.message
    }

    /// SHA-256 of the plan's file, in hexadecimal.
    #[zbus(property)]
    fn plan_digest(&self) -> &str {
        self.status.plan.as_deref().unwrap_or_default()
    }

    /// When State last changed, in microseconds since 1970-01-01 UTC.
    #[zbus(property)]
    fn since(&self) -> u64 {
        self.status.since.map_or(0, |since| {
            let since_epoch = SystemTime::from(since)
                .duration_since(SystemTime::UNIX_EPOCH)
                .unwrap_or(Duration::ZERO);
            u64::try_from(since_epoch.as_micros()).unwrap_or(u64::MAX)
        })
    }

    /// The node has become Ready.
    #[zbus(signal)]
    pub(super) async fn ready(emitter: &SignalEmitter<'_>) -> zbus::Result<()>;

    /// The installation has failed: a person is needed, or the stage's budget is used up.
    #[zbus(signal)]
    pub(super) async fn failed(
        emitter: &SignalEmitter<'_>,
        cause: &str,
        message: &str,
    ) -> zbus::Result<()>;
}

#[cfg(test)]
mod tests {
    use nkd_contract::Kind;

    use super::*;
    use crate::events::tests::event;

    #[test]
    fn only_what_changed_is_told() {
        let mut status = NodeStatus::default();
        status.apply(&event(1, Kind::Started));
        let before = Node::new(status.clone());
        status.apply(&event(2, Kind::Progress));
        assert!(Node::new(status.clone()).changes(&before).is_empty());

        status.apply(&event(3, Kind::Ready));
        let after = Node::new(status);
        let mut names: Vec<_> = after.changes(&before).into_keys().collect();
        names.sort_unstable();
        assert_eq!(names, ["Since", "State"]);
    }
}
