//! The container runtime.

use std::ops::RangeInclusive;

use nkd_contract::{Cause, ImageSource, Runtime};

use super::image::Image;
use super::release::Release;
use super::report::{Report, Severity};
use super::tree::Tree;
use super::units::{self, Unit};
use crate::runtimes;

/// The first version with dockershim outside of kubelet, as cri-dockerd.
const WITHOUT_DOCKERSHIM: u32 = 24;

/// Programs that run containers; a runtime needs one of them.
const LOW_LEVEL: [&str; 2] = ["runc", "crun"];

pub(super) fn check(image: &Image, report: &mut Report) {
    let candidates = candidates(image);
    let lacks: Vec<_> = candidates
        .iter()
        .map(|runtime| (*runtime, lacking(&image.tree, *runtime)))
        .collect();
    let complete: Vec<_> = lacks
        .iter()
        .filter(|(_, lacking)| lacking.is_empty())
        .map(|(runtime, _)| *runtime)
        .collect();
    if complete.is_empty() {
        missing(image, &lacks, report);
    }
    for runtime in complete {
        version(image, runtime, report);
        if runtime == Runtime::Crio {
            skopeo(image, report);
        }
    }
}

/// The runtimes of which the image must have one.
fn candidates(image: &Image) -> Vec<Runtime> {
    if let Some(plan) = &image.plan {
        return vec![plan.runtime];
    }
    let minor = image.minor();
    let fits = |runtime: &Runtime| match (runtime, minor) {
        (Runtime::Docker, Some(minor)) => minor < WITHOUT_DOCKERSHIM,
        (Runtime::CriDockerd, Some(minor)) => minor >= WITHOUT_DOCKERSHIM,
        _ => true,
    };
    Runtime::ALL.into_iter().filter(fits).collect()
}

/// What the image lacks to run a container runtime.
fn lacking(tree: &Tree, runtime: Runtime) -> Vec<String> {
    let mut lacking = Vec::new();
    for unit in runtime.units() {
        let text = match Unit::of(tree, unit) {
            Unit::Absent => {
                lacking.push((*unit).to_owned());
                continue;
            }
            Unit::Masked => {
                lacking.push(format!("{unit}, which is masked"));
                continue;
            }
            Unit::Text(text) => text,
        };
        let Some(program) = units::program(&text) else {
            continue;
        };
        let is_there = if program.starts_with('/') {
            tree.is_executable(program)
        } else {
            tree.program(program).is_some()
        };
        if !is_there {
            lacking.push(format!("{program}, which {unit} starts"));
        }
    }
    let client = runtimes::of(runtime).client_program();
    if tree.program(client).is_none() {
        lacking.push(client.to_owned());
    }
    if runtime != Runtime::Crio && LOW_LEVEL.iter().all(|name| tree.program(name).is_none()) {
        lacking.push("runc or crun".to_owned());
    }
    lacking
}

/// Reports that no runtime is complete. A runtime whose unit is in the image is probably the one that is meant.
fn missing(image: &Image, lacks: &[(Runtime, Vec<String>)], report: &mut Report) {
    let is_meant = |runtime: Runtime| {
        let is_planned = image.plan.is_some();
        let mut units = runtime.units().iter().rev();
        let main = units.next();
        is_planned || main.is_some_and(|unit| Unit::of(&image.tree, unit) != Unit::Absent)
    };
    let meant: Vec<_> = lacks
        .iter()
        .filter(|(runtime, _)| is_meant(*runtime))
        .collect();
    for (runtime, lacking) in &meant {
        report.error(
            Cause::HostProgram,
            format!(
                "the container runtime {runtime} lacks {}",
                lacking.join(", ")
            ),
            format!("install the whole package of {runtime}, and crictl of cri-tools"),
        );
    }
    if meant.is_empty() {
        let names: Vec<_> = lacks.iter().map(|(runtime, _)| runtime.name()).collect();
        report.error(
            Cause::HostProgram,
            "the image has no container runtime",
            format!("install one of {}", names.join(", ")),
        );
    }
}

/// skopeo copies images of bundles and archives into the storage of CRI-O.
fn skopeo(image: &Image, report: &mut Report) {
    if image.tree.program("skopeo").is_some() {
        return;
    }
    let severity = match image.plan.as_ref().map(|plan| &plan.images.source) {
        Some(ImageSource::Registry) => return,
        Some(_) => Severity::Error,
        None => Severity::Warning,
    };
    report.add(
        severity,
        Some(Cause::HostProgram),
        "the image has no program skopeo, with which nodes with CRI-O load images without a registry",
        "install skopeo",
    );
}

/// Which versions of a runtime some minor versions of Kubernetes work with.
struct Rule {
    runtime: Runtime,
    minors: RangeInclusive<u32>,
    fits: fn(Release) -> bool,
    severity: Severity,
    /// The rule, for people.
    text: &'static str,
}

const RULES: [Rule; 5] = [
    Rule {
        runtime: Runtime::Containerd,
        minors: 0..=22,
        fits: |release| release < Release(2, 0, 0),
        severity: Severity::Error,
        text: "kubelet before 1.23 needs CRI v1alpha2, which containerd 2 does not have",
    },
    Rule {
        runtime: Runtime::Containerd,
        minors: 0..=25,
        fits: |release| release >= Release(1, 6, 0),
        severity: Severity::Warning,
        text: "nkd is tested with containerd 1.6 and later",
    },
    Rule {
        runtime: Runtime::Containerd,
        minors: 26..=u32::MAX,
        fits: |release| release >= Release(1, 6, 0),
        severity: Severity::Error,
        text: "kubelet from 1.26 on needs CRI v1, which containerd has from 1.6 on",
    },
    Rule {
        runtime: Runtime::Containerd,
        minors: 36..=u32::MAX,
        fits: |release| release >= Release(2, 0, 0),
        severity: Severity::Warning,
        text: "kubelet from 1.36 on supports containerd 2.0 and later only",
    },
    Rule {
        runtime: Runtime::Isulad,
        minors: 26..=u32::MAX,
        fits: |release| release >= Release(2, 1, 5),
        severity: Severity::Error,
        text: "kubelet from 1.26 on needs CRI v1, which iSulad has from 2.1.5 on",
    },
];

fn version(image: &Image, runtime: Runtime, report: &mut Report) {
    let mut rules = RULES.iter().filter(|rule| rule.runtime == runtime);
    if rules.clone().next().is_none() {
        return;
    }
    let release = image.release(runtime.name());
    let (Ok(Some(release)), Some(minor)) = (&release, image.minor()) else {
        let reason = match release {
            Err(reason) => reason,
            Ok(Some(_)) => "the version of Kubernetes is unknown".to_owned(),
            Ok(None) => format!("{runtime} does not print it"),
        };
        report.not_checked(
            format!("whether the version of {runtime} fits: {reason}"),
            "run this command in the image itself, with --kubernetes VERSION",
        );
        return;
    };
    let broken = rules.find(|rule| rule.minors.contains(&minor) && !(rule.fits)(*release));
    if let Some(rule) = broken {
        let message = format!(
            "the image has {runtime} {release} for Kubernetes 1.{minor}: {}",
            rule.text
        );
        let help = format!("install another version of {runtime}");
        report.add(rule.severity, Some(Cause::RuntimeSocket), message, help);
    }
}
