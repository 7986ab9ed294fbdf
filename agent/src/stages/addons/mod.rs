//! `addons`: the init node applies the plan's manifests. It applies each manifest until that has
//! succeeded once. After that, only people and controllers of the cluster change the objects.

mod applied;
mod coredns;

use std::fs;
use std::time::Duration;

use anyhow::Context as _;
use nkd_contract::{Cause, Progress, Role, Unit};

use super::{ADMIN_CONFIG, Fault, Node, OrFault as _};
use crate::system::{Command, CommandError};
pub(super) use applied::Applied;

const APPLY: Duration = Duration::from_secs(120);
/// The field manager of server-side apply, which the API server records as the owner of the fields.
const FIELD_MANAGER: &str = "nkd-agent";
/// The beginning of the API server's message when it refuses an annotation of more than 256 KiB, such as
/// the one in which `kubectl apply` stores an object (`ValidateAnnotations` in Kubernetes'
/// `apimachinery`). The rest of the message differs between versions.
const ANNOTATION_TOO_LONG: &str = "metadata.annotations: Too long";

pub(super) fn run(node: &mut Node<'_>) -> Result<(), Fault> {
    if node.plan.role != Role::Init {
        return Ok(());
    }
    let mut applied = Applied::read(node.root);
    coredns::tolerate_no_name_server(node, &mut applied)?;
    let plan = node.plan;
    let total = plan.addons.len() as u64;
    for (done, manifest) in (0..).zip(&plan.addons) {
        node.count_left(total - done);
        let contents = fs::read(node.root.path(manifest))
            .with_context(|| manifest.clone())
            .or_fault(Cause::AddonsApply)?;
        if applied.has(manifest, &contents) {
            node.progress(format!("{manifest} has already been applied"), None);
            continue;
        }
        let progress = Progress::new(done, total, Unit::Manifests);
        node.progress(format!("applying {manifest}"), Some(progress));
        apply(node, manifest).map_err(|error| Fault::of_command(Cause::AddonsApply, error))?;
        let recorded = applied.add(manifest, &contents);
        recorded.or_fault(Cause::AddonsApply)?;
    }
    Ok(())
}

/// Applies a manifest client-side, as people do, or server-side if one of its objects is too large for
/// that.
fn apply(node: &Node<'_>, manifest: &str) -> Result<(), CommandError> {
    let mut too_long = false;
    let client_side = kubectl(node).args(["apply", "--filename", manifest]);
    let applied = client_side.each_line(|line| {
        log::info!("kubectl: {line}");
        too_long |= line.contains(ANNOTATION_TOO_LONG);
    });
    if !too_long {
        return applied;
    }
    log::info!("{manifest} has an object that is too large for client-side apply");
    kubectl(node)
        .args(["apply", "--filename", manifest, "--server-side"])
        // As with client-side apply, the manifest may change what kubeadm and controllers have set.
        .args(["--force-conflicts", "--field-manager", FIELD_MANAGER])
        .run()
}

/// kubectl with the credentials of the cluster's administrator.
fn kubectl(node: &Node<'_>) -> Command {
    let kubectl = node.root.command("kubectl");
    kubectl.args(["--kubeconfig", ADMIN_CONFIG]).timeout(APPLY)
}
