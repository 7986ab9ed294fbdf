//! kubelet's garbage collection of images, where no registry brings back what it removes.

use serde_json::{Value, json};

use crate::runtime;
use nkd_contract::Runtime;
use nkd_model::version::Version;
use nkd_model::{ImagesFrom, Overlay};

/// The threshold at which kubelet collects no images (kubelet, `StartGarbageCollection`).
const NEVER: u64 = 100;

/// The threshold of kubelet itself (kubelet, `SetDefaults_KubeletConfiguration`).
const DEFAULT: u64 = 85;

/// Whether nkd turns the collection off, as far as overlays allow it.
pub fn is_off(images_from: &ImagesFrom, runtime: Runtime, version: Version) -> bool {
    images_from.is_closed() && !runtime::pins_images(runtime, version)
}

/// The high threshold of nodes for which no overlay sets it.
pub const fn high_threshold(is_off: bool) -> u64 {
    if is_off { NEVER } else { DEFAULT }
}

/// When less than this is free, kubelet removes unused images all the same, before it evicts pods. Its own
/// defaults are 15 percent of the images' file system and 10 of its own. The former is reached at the same
/// moment as the collection's threshold, so turning the collection off alone would change nothing (kubelet,
/// `eviction.buildSignalToNodeReclaimFuncs`).
const FREE_SPACE: &str = "5%";

/// Turns the collection off and lowers the eviction thresholds at which unused images are removed, as far as
/// no overlay sets these fields. `evictionHard` replaces all of kubelet's defaults, so it repeats those for
/// memory and inodes.
pub(super) fn turn_off<'a>(kubelet: &mut Value, overlays: impl Iterator<Item = &'a Overlay>) {
    let of_kubelet: Vec<_> = overlays
        .filter(|overlay| overlay.is_of_kubelet())
        .map(Overlay::to_json)
        .collect();
    let is_set = |field: &str| of_kubelet.iter().any(|overlay| !overlay[field].is_null());
    if is_set("imageGCHighThresholdPercent") {
        return;
    }
    kubelet["imageGCHighThresholdPercent"] = json!(NEVER);
    if !is_set("evictionHard") {
        kubelet["evictionHard"] = json!({
            "imagefs.available": FREE_SPACE,
            "imagefs.inodesFree": "5%",
            "memory.available": "100Mi",
            "nodefs.available": FREE_SPACE,
            "nodefs.inodesFree": "5%",
        });
    }
}
