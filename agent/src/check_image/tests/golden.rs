//! The output, as text and as JSON.

use snapbox::{assert_data_eq, file};

use super::good_image::GoodImage;

/// An image with many faults at once.
fn bad_image() -> GoodImage {
    let image = GoodImage::new();
    image.ostree();
    image.remove("/usr/bin/kubeadm");
    image.program("kubelet", "echo Kubernetes v1.29.4");
    image.remove("/usr/lib/systemd/system/containerd.service");
    image.remove("/usr/libexec/cni");
    image.link("/var/lib/etcd", "/usr/lib/etcd");
    image
}

#[test]
fn a_bad_image_is_reported_as_text() {
    let report = bad_image().check_for(None, crate::requirements::Version::find("1.30.1"));
    assert_data_eq!(report.to_string(), file!["golden/bad.txt"]);
}

#[test]
fn a_bad_image_is_reported_as_json() {
    let report = bad_image().check_for(None, crate::requirements::Version::find("1.30.1"));
    let json = serde_json::to_string_pretty(&report).unwrap() + "\n";
    assert_data_eq!(json, file!["golden/bad.json"]);
}
