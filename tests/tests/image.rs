//! `nkd-agent check-image`, on the image that the machines boot.
#![allow(clippy::unwrap_used)]

use testbed::{Cache, Kubernetes, OsImage, Programs};

#[test]
fn the_image_of_the_machines_passes_the_agents_own_check() {
    let cache = Cache::open().unwrap();
    let kubernetes = Kubernetes::chosen(&cache).unwrap();
    let programs = Programs::build().unwrap();
    let image = OsImage::build(&cache, &kubernetes, &programs).unwrap();
    let check = [
        "check-image",
        "--kubernetes",
        kubernetes.version(),
        "--root",
    ];
    let report = image.inspect(&programs.agent, check).unwrap();
    // Its programs were run, in their own root directory, and are of the version that was asked for.
    assert!(!report.contains("host.kubernetes-version"), "{report}");
    assert!(!report.contains("not checked: the versions"), "{report}");
    // The machines use the kernel of the host, and Ignition runs outside of them.
    let expected = "not checked: the kernel, because the image has none in /usr/lib/modules\n";
    assert!(report.contains(expected), "{report}");
    assert!(report.contains("\n0 errors, "), "{report}");

    let plain = OsImage::without_product(&cache, &kubernetes).unwrap();
    let error = plain.inspect(&programs.agent, check).unwrap_err();
    let message = format!("{error:#}");
    assert!(message.contains("exit status: 1"), "{message}");
}
