//! containerd on the nodes: further releases from Debian, and checks of the images in a node's
//! containerd.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use nkd_contract::{ImageSource, Plan, paths};

use crate::Machine;
use crate::cache::{Cache, Recipe};

/// `ctr` in the namespace that CRI uses.
pub const CTR: [&str; 3] = ["ctr", "--namespace", "k8s.io"];

/// A release series of containerd that runs on the node's system and comes from a newer suite of Debian.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContainerdSeries {
    /// 1.7, the last series with CRI's v1alpha2, from Debian 13.
    V1_7,
    /// 2, with CRI's v1 alone, from Debian's unstable suite, which moves on.
    V2,
}

impl ContainerdSeries {
    const fn suite(self) -> &'static str {
        match self {
            Self::V1_7 => "trixie",
            Self::V2 => "sid",
        }
    }

    /// How its versions begin.
    pub const fn series(self) -> &'static str {
        match self {
            Self::V1_7 => "1.7",
            Self::V2 => "2",
        }
    }

    /// The files that are laid over the node's system.
    pub(crate) fn layer(self, cache: &Cache) -> Result<PathBuf> {
        let entry = cache.entry(&Recipe {
            name: "containerd",
            script: include_str!("../recipes/containerd.sh"),
            variables: &[("SUITE", self.suite()), ("SERIES", self.series())],
            ..Recipe::default()
        })?;
        Ok(entry.join("root"))
    }
}

/// Fails unless containerd has every image of a node's plan with the digest that the plan pins, labelled
/// so that the kubelet's garbage collector leaves it alone.
pub fn has_what_the_plan_pins(machine: &Machine) -> Result<()> {
    let plan = Plan::parse(machine.read(paths::PLAN)?.as_bytes())?;
    ensure!(matches!(plan.images.source, ImageSource::Bundles(_)));
    let listed = machine.check(CTR.into_iter().chain(["images", "list"]))?;
    for image in &plan.images.required {
        let name = &image.name;
        let mut rows = listed
            .lines()
            .map(|row| row.split_whitespace().collect::<Vec<_>>());
        let row = rows
            .find(|row| row.first() == Some(&name.as_str()))
            .with_context(|| format!("{name} isn't there\n{listed}"))?;
        let digest = row.get(2).copied();
        ensure!(
            image.digest.is_some() && digest == image.digest.as_deref(),
            "{name} is {digest:?}\n{listed}"
        );
        let pinned = "io.cri-containerd.pinned=pinned";
        ensure!(
            row.last().is_some_and(|labels| labels.contains(pinned)),
            "{name} isn't pinned\n{listed}"
        );
    }
    Ok(())
}
