//! Ignition, which runs in the initramfs. The image itself shows only what the initramfs is made from.

use nkd_contract::Cause;

use super::image::Image;
use super::release::Release;
use super::report::Report;

const DRACUT: &str = "/usr/lib/dracut/modules.d";

/// The first version that reads the version of nkd's configs (Ignition, "Configuration specifications").
const OLDEST: Release = Release(2, 11, 0);
/// The version of nkd's configs.
const CONFIG: &str = "3.3.0";

pub(super) fn check(image: &Image, report: &mut Report) {
    let mut modules = image.tree.names(DRACUT).into_iter();
    // The name begins with two digits, such as 30ignition.
    let module =
        modules.find(|name| name.trim_start_matches(|c: char| c.is_ascii_digit()) == "ignition");
    let Some(module) = module else {
        // A running machine may have an initramfs that was made elsewhere.
        if !image.is_booted {
            report.warning(
                Cause::PlanMissing,
                format!("there is no Ignition for the initramfs in {DRACUT}"),
                format!("install Ignition {OLDEST} or later, and make the initramfs again; without it, no machine gets a plan"),
            );
        }
        return;
    };
    let program = format!("{DRACUT}/{module}/ignition");
    if !image.tree.is_executable(&program) {
        return;
    }
    match image.release(&program) {
        Ok(Some(release)) if release < OLDEST => report.error(
            Cause::PlanMissing,
            format!(
                "Ignition {release} does not read configs of version {CONFIG}, which nkd writes"
            ),
            format!("install Ignition {OLDEST} or later, and make the initramfs again"),
        ),
        Ok(_) => {}
        Err(reason) => report.not_checked(
            format!("the version of Ignition: {reason}"),
            format!("Ignition must be of version {OLDEST} or later"),
        ),
    }
}
