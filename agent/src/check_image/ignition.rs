//! Ignition, which runs in the initramfs. The image itself shows only what the initramfs is made from.

use nkd_contract::Cause;

use super::image::Image;
use super::report::Report;

const DRACUT: &str = "/usr/lib/dracut/modules.d";

pub(super) fn check(image: &Image, report: &mut Report) {
    let modules = image.tree.names(DRACUT);
    // The name begins with two digits, such as 30ignition.
    let is_there = modules
        .iter()
        .any(|name| name.trim_start_matches(|c: char| c.is_ascii_digit()) == "ignition");
    if !is_there && !image.is_booted {
        report.warning(
            Cause::PlanMissing,
            format!("there is no Ignition for the initramfs in {DRACUT}"),
            "install Ignition 2.11 or later, which reads the version 3.3.0 of nkd's configs, and make the initramfs again; no machine gets a plan without it",
        );
    }
}
