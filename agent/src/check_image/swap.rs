//! Swap, which kubelet refuses by default. The agent turns it off at first boot, and for later boots.

use nkd_contract::Cause;

use super::image::Image;
use super::report::Report;
use super::units::{self, Unit};

/// The generator that makes a swap device of memory, and its configuration (zram-generator.conf(5)).
const ZRAM_GENERATOR: &str = "/usr/lib/systemd/system-generators/zram-generator";
const ZRAM_CONFIGS: [&str; 3] = [
    "/etc/systemd/zram-generator.conf",
    "/usr/local/lib/systemd/zram-generator.conf",
    "/usr/lib/systemd/zram-generator.conf",
];

pub(super) fn check(image: &Image, report: &mut Report) {
    let is_kept = image
        .plan
        .as_ref()
        .is_some_and(|plan| plan.machine.keep_swap);
    if is_kept || Unit::of(&image.tree, "swap.target") == Unit::Masked {
        return;
    }
    for place in places(image) {
        report.warning(
            Cause::HostSwap,
            format!("{place} turns swap on; nkd-agent turns it off at first boot and masks swap.target"),
            "remove it, or mask swap.target in the image, unless kubelet is configured to accept swap",
        );
    }
}

fn places(image: &Image) -> Vec<String> {
    let tree = &image.tree;
    let mut places = Vec::new();
    let table = tree.read("/etc/fstab");
    // The third column is the type (fstab(5)).
    let is_swap = |line: &&str| {
        let line = line.trim_start();
        !line.starts_with('#') && line.split_whitespace().nth(2) == Some("swap")
    };
    if table.lines().any(|line| is_swap(&line)) {
        places.push("/etc/fstab".to_owned());
    }
    // The first file that exists replaces the others. An empty one turns the generator off.
    let config = ZRAM_CONFIGS.into_iter().find(|path| tree.exists(path));
    if tree.is_executable(ZRAM_GENERATOR) {
        places.extend(
            config
                .filter(|path| tree.read(path).contains("[zram"))
                .map(str::to_owned),
        );
    }
    for directory in units::DIRECTORIES {
        for name in tree.names_with(directory, "swap") {
            let targets = ["swap.target", "multi-user.target"];
            if targets
                .iter()
                .any(|target| units::is_wanted(tree, target, &name))
            {
                places.push(format!("the unit {name}"));
            }
        }
    }
    places
}
