//! `addons`: the init node applies the plan's manifests; doing so again changes nothing.

use std::time::Duration;

use nkd_contract::{Cause, Progress, Role, Unit};

use super::{Fault, Node};

const APPLY: Duration = Duration::from_secs(120);
const ADMIN: &str = "/etc/kubernetes/admin.conf";

pub(super) fn run(node: &mut Node<'_>) -> Result<(), Fault> {
    if node.plan.role != Role::Init {
        return Ok(());
    }
    let plan = node.plan;
    let total = plan.addons.len() as u64;
    for (done, manifest) in (0..).zip(&plan.addons) {
        node.count_left(total - done);
        let unit = Unit::Manifests;
        node.progress(
            format!("applying {manifest}"),
            Some(Progress { done, total, unit }),
        );
        node.root
            .command("kubectl")
            .args(["--kubeconfig", ADMIN, "apply", "--filename", manifest])
            .timeout(APPLY)
            .run()
            .map_err(|error| Fault::of_command(Cause::AddonsApply, &error))?;
    }
    Ok(())
}
