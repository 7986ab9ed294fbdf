//! `nkd-agent check-image`: reports what an OS image lacks to become a node, before a machine boots from it.
//! Each check has one file. No check changes anything.

mod agent;
mod cgroups;
mod cni;
mod ignition;
mod image;
mod kernel;
mod kubelet;
mod leftovers;
mod programs;
mod release;
mod report;
mod runtime;
mod selinux;
mod swap;
#[cfg(test)]
mod tests;
mod tree;
mod units;
mod versions;
mod writable;

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use nkd_contract::Plan;

use crate::requirements::Version;
use crate::system::Root;
use image::Image;
use report::Report;

/// A check adds what it finds to the report.
type Check = fn(&Image, &mut Report);

const CHECKS: [Check; 13] = [
    agent::check,
    programs::check,
    kubelet::check,
    versions::check,
    runtime::check,
    cni::check,
    kernel::check,
    cgroups::check,
    swap::check,
    selinux::check,
    writable::check,
    leftovers::check,
    ignition::check,
];

const EXAMPLES: &str = "\
Examples:
  RUN nkd-agent check-image
      in a Containerfile, after everything is installed
  nkd-agent check-image --root \"$BUILDROOT\" --kubernetes 1.31.2
      as root on the builder of the image, for nodes of Kubernetes 1.31.2
  nkd-agent check-image --root TREE --json | jq --raw-output '.findings[].message'
      the messages only";

/// Report what an OS image lacks to become a node.
///
/// Run this command while the image is built: in a container build without options, or on the builder
/// with --root. It also runs on a machine. It changes nothing and needs neither a plan nor a network. All
/// findings are printed at once, each with the cause that nkd-agent would report on a node, and with what
/// to do.
///
/// An error prevents the installation of a node. A warning does so only in some clusters. What cannot be
/// seen in the image is listed as not checked. With --root, programs are run by chroot(8) to find out their
/// versions, which needs root and an image for the architecture of this machine.
///
/// Exit status: 0 if there are no errors, 1 otherwise.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct CheckImage {
    /// Check for the Kubernetes version, the container runtime and the role in this plan, the file
    /// /etc/nkd/plan.json of a compiled node.
    #[arg(long, value_name = "FILE", conflicts_with = "kubernetes")]
    plan: Option<PathBuf>,
    /// Check for this version of Kubernetes, such as 1.31.2. The default is the version of the image's
    /// kubeadm.
    #[arg(long, value_name = "VERSION", value_parser = version)]
    kubernetes: Option<Version>,
    /// Print JSON: one object with all findings.
    #[arg(long)]
    json: bool,
}

fn version(text: &str) -> Result<Version, String> {
    let message = || "write a version with three numbers, such as 1.31.2".to_owned();
    Version::find(text).ok_or_else(message)
}

impl CheckImage {
    /// Writes the report to standard output, and returns whether the image has no errors.
    ///
    /// # Errors
    /// The plan cannot be read, the image is not a directory, or the report cannot be written.
    pub(crate) fn run(&self, root: &Root) -> anyhow::Result<bool> {
        let directory: &Path = root.as_ref();
        let what = || directory.display().to_string();
        let metadata = fs::metadata(directory).with_context(what)?;
        anyhow::ensure!(metadata.is_dir(), "{} is not a directory", what());
        let plan = self.plan.as_deref().map(|path| {
            let json = fs::read(path).with_context(|| path.display().to_string())?;
            Plan::parse(&json).with_context(|| path.display().to_string())
        });
        let image = Image::open(root, plan.transpose()?, self.kubernetes);
        let report = check(&image);
        let text = if self.json {
            serde_json::to_string(&report)? + "\n"
        } else {
            report.to_string()
        };
        match io::stdout().lock().write_all(text.as_bytes()) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
            _ => Ok(report.is_good()),
        }
    }
}

/// Runs all checks.
fn check(image: &Image) -> Report {
    let mut report = Report::default();
    for check in CHECKS {
        check(image, &mut report);
    }
    report
}
