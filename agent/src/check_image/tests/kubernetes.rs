//! Kubernetes' programs and the container runtime.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use nkd_contract::{Cause, ImageSource, Role, Runtime};

use super::super::image::Execution;
use super::super::report::Severity;
use super::good_image::{GoodImage, plan};
use super::{error, only, warning};
use crate::requirements::Version;

#[test]
fn a_program_that_the_agent_runs_is_missing() {
    error(
        |image| image.remove("/usr/bin/systemctl"),
        Cause::HostProgram,
        "the image has no program systemctl",
    );
    let image = GoodImage::new();
    image.remove("/usr/bin/kubeadm");
    let kubernetes = Version::find("1.30.1");
    let report = image.check_for(None, kubernetes);
    let message = "the image has no program kubeadm";
    only(&report, Severity::Error, Some(Cause::HostProgram), message);
}

#[test]
fn kubelet_is_where_the_unit_of_nkd_starts_it() {
    error(
        |image| image.remove("/usr/bin/kubelet"),
        Cause::HostProgram,
        "the image has no /usr/bin/kubelet",
    );
    error(
        |image| {
            image.remove("/usr/bin/kubelet");
            image.executable("/usr/local/bin/kubelet", "echo Kubernetes v1.30.1");
        },
        Cause::HostProgram,
        "kubelet is /usr/local/bin/kubelet, not /usr/bin/kubelet",
    );
    error(
        |image| {
            let mode = fs::Permissions::from_mode(0o644);
            fs::set_permissions(image.path("/usr/bin/kubelet"), mode).unwrap();
        },
        Cause::HostProgram,
        "the image has no /usr/bin/kubelet",
    );
}

#[test]
fn a_drop_in_of_kubelet_takes_precedence_over_that_of_nkd() {
    let drop_in = |name: &str| {
        let path = format!("/usr/lib/systemd/system/kubelet.service.d/{name}");
        move |image: &GoodImage| {
            image.write(&path, "[Service]\nExecStart=\nExecStart=/usr/bin/kubelet\n");
        }
    };
    warning(
        drop_in("20-image.conf"),
        Cause::KubeadmTimeout,
        "/usr/lib/systemd/system/kubelet.service.d/20-image.conf sets ExecStart=, and systemd reads it after \
         10-kubeadm.conf of nkd: kubelet runs without nkd's arguments",
    );
    let image = GoodImage::new();
    drop_in("10-kubeadm.conf")(&image);
    drop_in("00-image.conf")(&image);
    assert_eq!(image.check().findings.len(), 0);
}

#[test]
fn kubectl_is_for_the_init_node() {
    let message = "the image has no program kubectl, with which the init node applies add-ons";
    warning(
        |image| image.remove("/usr/bin/kubectl"),
        Cause::HostProgram,
        message,
    );
    let image = GoodImage::new();
    image.remove("/usr/bin/kubectl");
    let mut init = plan("v1.30.1", Runtime::Containerd);
    init.addons = vec!["/etc/nkd/addons/00.yaml".into()];
    let report = image.check_for(Some(init.clone()), None);
    only(&report, Severity::Error, Some(Cause::HostProgram), message);
    init.role = Role::JoinWorker;
    assert_eq!(image.check_for(Some(init), None).findings.len(), 0);
}

#[test]
fn kubeadm_requires_programs_that_depend_on_its_version() {
    for name in ["crictl", "conntrack", "iptables"] {
        error(
            |image| image.remove(&format!("/usr/bin/{name}")),
            Cause::KubeadmPreflight,
            &format!("the image has no program {name}, which kubeadm 1.30 requires"),
        );
    }
    warning(
        |image| image.remove("/usr/bin/socat"),
        Cause::KubeadmPreflight,
        "the image has no program socat; kubeadm 1.30 prints a warning",
    );
    let image = GoodImage::new();
    image.kubernetes("1.33.0");
    for name in ["crictl", "conntrack", "iptables", "socat", "nsenter"] {
        image.remove(&format!("/usr/bin/{name}"));
    }
    assert_eq!(image.check().to_string(), "0 errors, 0 warnings\n");
    image.remove("/usr/bin/losetup");
    let message = "the image has no program losetup, which kubeadm 1.33 requires";
    let report = image.check();
    only(
        &report,
        Severity::Error,
        Some(Cause::KubeadmPreflight),
        message,
    );
}

#[test]
fn without_a_version_the_required_programs_are_unknown() {
    let image = GoodImage::new();
    let report = image.run(Execution::Forbidden, false, None, None);
    let messages = report.findings.iter().map(|finding| {
        assert_eq!(finding.severity, Severity::NotChecked);
        finding.message.as_str()
    });
    assert_eq!(
        messages.collect::<Vec<_>>(),
        [
            "the programs that kubeadm requires, because its version is unknown",
            "the versions of Kubernetes' programs: only root can run programs of another root directory",
            "whether the version of containerd fits: only root can run programs of another root directory",
        ]
    );
    assert!(report.is_good());
}

#[test]
fn programs_of_another_architecture_are_not_run() {
    let image = GoodImage::new();
    let mut header = [0; 64];
    header[..4].copy_from_slice(b"\x7fELF");
    // No machine has this number.
    header[18..20].copy_from_slice(&[0xff, 0xfe]);
    for name in ["kubeadm", "kubelet", "kubectl"] {
        fs::write(image.path(&format!("/usr/bin/{name}")), header).unwrap();
    }
    let report = image.check_for(None, Version::find("1.30.1"));
    let reason = |name| format!("/usr/bin/{name} is for another architecture than this machine");
    let reasons = ["kubeadm", "kubelet", "kubectl"].map(reason).join("; ");
    let message = format!("the versions of Kubernetes' programs: {reasons}");
    only(&report, Severity::NotChecked, None, &message);
}

#[test]
fn a_program_that_prints_no_version_is_not_compared() {
    let image = GoodImage::new();
    image.program("kubelet", "echo Kubernetes v0.0.0-master");
    let message =
        "the versions of Kubernetes' programs: kubelet does not print a version of Kubernetes";
    only(&image.check(), Severity::NotChecked, None, message);
}

#[test]
fn kubeadm_and_kubelet_are_of_one_version() {
    error(
        |image| image.program("kubelet", "echo Kubernetes v1.30.0"),
        Cause::HostVersion,
        "kubeadm is of version v1.30.1, but kubelet is of version v1.30.0",
    );
}

#[test]
fn kubectl_is_within_the_skew() {
    let client = |version: &str| format!(r#"echo '{{"gitVersion": "{version}"}}'"#);
    warning(
        |image| image.program("kubectl", &client("v1.28.0")),
        Cause::AddonsApply,
        "kubectl v1.28.0 does not support Kubernetes v1.30.1",
    );
    let image = GoodImage::new();
    image.program("kubectl", &client("v1.31.9"));
    assert_eq!(image.check().findings.len(), 0);
}

#[test]
fn the_image_is_of_the_version_of_the_plan() {
    let image = GoodImage::new();
    let messages = |report: super::Report| {
        let findings = report.findings.into_iter();
        let text = findings.map(|finding| {
            assert_eq!(finding.cause, Some(Cause::HostVersion));
            (finding.severity, finding.message)
        });
        text.collect::<Vec<_>>()
    };
    let expected = |severity, wanted: &str| {
        ["kubeadm", "kubelet"].map(|name| {
            let message =
                format!("{name} is of version v1.30.1, but the cluster is of version {wanted}");
            (severity, message)
        })
    };
    let newer = plan("v1.31.1", Runtime::Containerd);
    let found = messages(image.check_for(Some(newer), None));
    assert_eq!(found, expected(Severity::Error, "v1.31.1"));
    let found = messages(image.check_for(None, Version::find("1.30.2")));
    assert_eq!(found, expected(Severity::Warning, "v1.30.2"));
}

#[test]
fn an_image_without_a_container_runtime() {
    error(
        |image| image.remove("/usr/lib/systemd/system/containerd.service"),
        Cause::HostProgram,
        "the image has no container runtime",
    );
}

#[test]
fn a_part_of_the_container_runtime_is_missing() {
    let lacks = |what: &str| format!("the container runtime containerd lacks {what}");
    for (name, what) in [
        ("ctr", "ctr"),
        ("runc", "runc or crun"),
        (
            "containerd",
            "/usr/bin/containerd, which containerd.service starts",
        ),
    ] {
        error(
            |image| image.remove(&format!("/usr/bin/{name}")),
            Cause::HostProgram,
            &lacks(what),
        );
    }
    error(
        |image| image.link("/etc/systemd/system/containerd.service", "/dev/null"),
        Cause::HostProgram,
        &lacks("containerd.service, which is masked"),
    );
}

#[test]
fn the_runtime_is_that_of_the_plan() {
    let image = GoodImage::new();
    let report = image.check_for(Some(plan("v1.30.1", Runtime::Crio)), None);
    let message = "the container runtime crio lacks crio.service";
    only(&report, Severity::Error, Some(Cause::HostProgram), message);
}

/// An image with CRI-O instead of containerd.
fn crio() -> GoodImage {
    let image = GoodImage::new();
    image.remove("/usr/lib/systemd/system/containerd.service");
    let unit = "[Service]\nExecStart=/usr/bin/crio $OPTIONS\n";
    image.write("/usr/lib/systemd/system/crio.service", unit);
    image.program("crio", "");
    image
}

#[test]
fn crio_loads_images_with_skopeo() {
    let image = crio();
    let message = "the image has no program skopeo, with which nodes with CRI-O load images without a registry";
    let cause = Some(Cause::HostProgram);
    only(&image.check(), Severity::Warning, cause, message);
    let mut plan = plan("v1.30.1", Runtime::Crio);
    let report = image.check_for(Some(plan.clone()), None);
    only(&report, Severity::Error, cause, message);
    plan.images.source = ImageSource::Registry;
    assert_eq!(image.check_for(Some(plan), None).findings.len(), 0);
    image.program("skopeo", "");
    assert_eq!(image.check().findings.len(), 0);
}

#[test]
fn docker_needs_cri_dockerd_where_kubelet_has_no_dockershim() {
    let image = GoodImage::new();
    image.remove("/usr/lib/systemd/system/containerd.service");
    let unit = "[Service]\nExecStart=/usr/bin/dockerd -H fd://\n";
    image.write("/usr/lib/systemd/system/docker.service", unit);
    image.program("dockerd", "");
    image.program("docker", "");
    let message = "the image has no container runtime";
    let cause = Some(Cause::HostProgram);
    only(&image.check(), Severity::Error, cause, message);
    image.kubernetes("1.23.4");
    assert_eq!(image.check().findings.len(), 0);
}

#[test]
fn the_version_of_the_runtime_fits_kubernetes() {
    let report = |containerd: &str, kubernetes: &str| {
        let image = GoodImage::new();
        image.kubernetes(kubernetes);
        image.program("containerd", &format!("echo containerd x {containerd} y"));
        image.check()
    };
    let cause = Some(Cause::RuntimeSocket);
    let old = "the image has containerd 1.5.9 for Kubernetes 1.26: kubelet from 1.26 on needs CRI v1, which \
               containerd has from 1.6 on";
    only(&report("1.5.9~ds1", "1.26.0"), Severity::Error, cause, old);
    let untested = "the image has containerd 1.4.13 for Kubernetes 1.20: nkd is tested with containerd 1.6 and later";
    only(
        &report("v1.4.13", "1.20.2"),
        Severity::Warning,
        cause,
        untested,
    );
    let new = "the image has containerd 2.1.0 for Kubernetes 1.22: kubelet before 1.23 needs CRI v1alpha2, which \
               containerd 2 does not have";
    only(&report("v2.1.0", "1.22.0"), Severity::Error, cause, new);
    let unsupported = "the image has containerd 1.7.2 for Kubernetes 1.36: kubelet from 1.36 on supports containerd \
                       2.0 and later only";
    only(
        &report("v1.7.2", "1.36.0"),
        Severity::Warning,
        cause,
        unsupported,
    );
    assert_eq!(report("v2.1.0", "1.36.0").findings.len(), 0);
}

#[test]
fn isulad_is_new_enough() {
    let image = GoodImage::new();
    image.remove("/usr/lib/systemd/system/containerd.service");
    let unit = "[Service]\nExecStart=/usr/bin/isulad $OPTIONS\n";
    image.write("/usr/lib/systemd/system/isulad.service", unit);
    image.program("isulad", "echo 'Version 2.0.18, commit abc'");
    let message = "the image has isulad 2.0.18 for Kubernetes 1.30: kubelet from 1.26 on needs CRI v1, which iSulad \
                   has from 2.1.5 on";
    let cause = Some(Cause::RuntimeSocket);
    only(&image.check(), Severity::Error, cause, message);
    image.program("isulad", "echo 'Version 2.1.5, commit abc'");
    assert_eq!(image.check().findings.len(), 0);
}

#[test]
fn programs_in_var_are_lost_in_an_image_of_ostree() {
    let image = GoodImage::new();
    image.ostree();
    image.remove("/usr/bin/kubeadm");
    image.link("/usr/local", "../var/usrlocal");
    image.executable("/var/usrlocal/bin/kubeadm", "echo v1.30.1");
    let report = image.check();
    let errors = report
        .findings
        .iter()
        .filter(|finding| finding.severity == Severity::Error);
    let messages: Vec<_> = errors.map(|finding| finding.message.as_str()).collect();
    let expected =
        "/usr/local/bin/kubeadm is /var/usrlocal/bin/kubeadm, but OSTree does not update /var";
    assert_eq!(messages, [expected]);
}
