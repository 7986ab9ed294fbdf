//! `pivot`: the machine runs the OS image with the digest in the plan. rpm-ostree deploys the image, the
//! machine reboots, and the installation continues in the new OS after a check of the digest.

use std::collections::BTreeSet;
use std::io;
use std::time::Duration;

use anyhow::Context as _;
use nkd_contract::{Cause, paths};
use serde::{Deserialize, Serialize};

use super::{Fault, Node, OrFault as _};
use crate::system;
use crate::system::files::{read_if_exists, remove, write_atomic};

/// The time limit for rpm-ostree, which may fetch gigabytes over a slow connection.
const REBASE: Duration = Duration::from_secs(30 * 60);
/// The time limit for a machine to stop its services.
const REBOOT: Duration = Duration::from_secs(5 * 60);
/// The number of reboots after which the stage fails. A power cut between deployment and shutdown loses
/// the deployment, so one reboot does not prove that the image does not boot.
const REBOOTS: usize = 3;
/// The prefix of an image from a registry that is verified by its digest only (ostree-rs-ext,
/// "`ContainerImageReference`").
const TRANSPORT: &str = "ostree-unverified-registry:";

pub(super) fn run(node: &mut Node<'_>) -> Result<(), Fault> {
    let Some(image) = node.plan.os_image.as_deref() else {
        return Ok(());
    };
    let deployments = deployments(node)?;
    let booted = deployments.iter().find(|deployment| deployment.booted);
    if booted.is_some_and(|deployment| deployment.is_of(image)) {
        node.progress(format!("the machine runs {image}"), None);
        return Ok(());
    }
    let reboots = Reboots::load(node, image);
    if reboots.done() >= REBOOTS {
        let running = booted.map_or("something else", |deployment| deployment.name());
        let message = format!(
            "after {} reboots into {image}, the machine still runs {running}",
            reboots.done()
        );
        // An administrator who retries the stage has removed the cause.
        remove(&node.root.path(paths::PIVOT)).map_err(unkept)?;
        return Err(Fault::new(Cause::PivotNotBooted, message));
    }
    // The first deployment is the one that boots next.
    if !deployments
        .first()
        .is_some_and(|deployment| deployment.is_of(image))
    {
        rebase(node, image)?;
    }
    reboot(node, image, reboots)
}

/// `rpm-ostree status --json`
#[derive(Deserialize)]
struct RpmOstreeStatus {
    deployments: Vec<Deployment>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Deployment {
    booted: bool,
    #[serde(default)]
    container_image_reference: Option<String>,
    #[serde(default)]
    container_image_reference_digest: Option<String>,
    #[serde(default)]
    checksum: String,
}

impl Deployment {
    /// Whether a deployment is the image: compares the reference with which it was deployed, or the
    /// digest to which that led.
    fn is_of(&self, image: &str) -> bool {
        let digest = image.rsplit_once('@').map(|(_, digest)| digest);
        let reference = self.container_image_reference.as_deref();
        reference.is_some_and(|reference| reference.strip_prefix(TRANSPORT) == Some(image))
            || digest.is_some() && digest == self.container_image_reference_digest.as_deref()
    }

    fn name(&self) -> &str {
        let reference = self.container_image_reference.as_deref();
        reference.unwrap_or(&self.checksum)
    }
}

fn deployments(node: &Node<'_>) -> Result<Vec<Deployment>, Fault> {
    let status = node.root.command("rpm-ostree").args(["status", "--json"]);
    let json = status
        .read()
        .map_err(|error| Fault::of_command(Cause::PivotRebase, error))?;
    let status: RpmOstreeStatus = serde_json::from_str(&json)
        .context("rpm-ostree status --json")
        .or_fault(Cause::PivotRebase)?;
    Ok(status.deployments)
}

fn rebase(node: &mut Node<'_>, image: &str) -> Result<(), Fault> {
    node.progress(format!("deploying {image}"), None);
    node.root
        .command("rpm-ostree")
        // Older ones call containers experimental; zincati, the driver, waits for the node.
        .args(["rebase", "--experimental", "--bypass-driver"])
        .args([format!("{TRANSPORT}{image}")])
        .timeout(REBASE)
        .run()
        .map_err(|error| Fault::of_command(Cause::PivotRebase, error))
}

/// `/var/lib/nkd/pivot.json`; `/var` is the same in every deployment.
#[derive(Default, Serialize, Deserialize)]
struct Reboots {
    image: String,
    /// The boots on which a reboot was requested.
    boots: BTreeSet<String>,
}

impl Reboots {
    /// The record for an image.
    fn load(node: &Node<'_>, image: &str) -> Self {
        let json = read_if_exists(&node.root.path(paths::PIVOT)).ok().flatten();
        let saved = json.and_then(|json| serde_json::from_slice::<Self>(&json).ok());
        saved
            .filter(|saved| saved.image == image)
            .unwrap_or_else(|| Self {
                image: image.to_owned(),
                ..Self::default()
            })
    }

    /// How often the machine was rebooted for the image.
    fn done(&self) -> usize {
        let this = system::boot_id();
        self.boots.iter().filter(|boot| **boot != this).count()
    }

    fn order(mut self, node: &Node<'_>) -> Result<(), Fault> {
        self.boots.insert(system::boot_id());
        let json = serde_json::to_vec(&self).unwrap_or_default();
        let saved = write_atomic(&node.root.path(paths::PIVOT), &json, 0o600);
        saved.map_err(unkept)
    }
}

fn unkept(error: io::Error) -> Fault {
    Fault::of(Cause::PivotReboot, error).context(paths::PIVOT)
}

/// Reboots the machine. The function only returns if the reboot fails.
fn reboot(node: &mut Node<'_>, image: &str, reboots: Reboots) -> Result<(), Fault> {
    reboots.order(node)?;
    node.progress(format!("rebooting into {image}"), None);
    node.root
        .command("systemctl")
        .args(["reboot"])
        .run()
        .map_err(|error| Fault::of_command(Cause::PivotReboot, error))?;
    // systemd ends the agent with the machine.
    let patience = REBOOT.min(node.plan.budget(node.stage));
    system::sleep(patience);
    let seconds = patience.as_secs();
    let message = format!("the machine still runs {seconds} s after the request to reboot");
    Err(Fault::new(Cause::PivotReboot, message))
}
