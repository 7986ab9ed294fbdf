//! The operating system and nkd-agent's own parts.

use nkd_contract::{Cause, Runtime};

use super::super::image::Execution;
use super::super::report::Severity;
use super::good_image::{GoodImage, plan};
use super::{error, only, warning};

const UNITS: &str = "/usr/lib/systemd/system";

#[test]
fn a_part_of_the_agent_is_missing() {
    error(
        |image| image.remove("/usr/bin/nkd-agent"),
        None,
        "the image has no /usr/bin/nkd-agent",
    );
    for unit in [
        "nkd-agent.service",
        "nkd-reporter.service",
        "nkd-node-ready.target",
    ] {
        error(
            |image| image.remove(&format!("{UNITS}/{unit}")),
            None,
            &format!("the image has no unit {unit}"),
        );
    }
    for (path, consequence) in [
        (
            "/usr/lib/sysusers.d/nkd.conf",
            "the reporter has no user and does not start",
        ),
        (
            "/usr/share/dbus-1/system.d/org.openeuler.nkd1.conf",
            "the reporter may not use the system bus",
        ),
    ] {
        warning(
            |image| image.remove(path),
            None,
            &format!("the image has no {path}: {consequence}"),
        );
    }
}

#[test]
fn a_unit_of_the_agent_does_not_start() {
    error(
        |image| image.link("/etc/systemd/system/nkd-agent.service", "/dev/null"),
        None,
        "the unit nkd-agent.service is masked",
    );
    for (unit, target) in [
        ("nkd-agent.service", "multi-user.target"),
        ("nkd-clock.service", "sysinit.target"),
    ] {
        let link = format!("{UNITS}/{target}.wants/{unit}");
        let message = format!("no target starts {unit}: it is not in {target}.wants");
        error(|image| image.remove(&link), None, &message);
        // `systemctl enable` makes this link.
        let image = GoodImage::new();
        image.remove(&link);
        let enabled = format!("/etc/systemd/system/{target}.wants/{unit}");
        image.link(&enabled, &format!("{UNITS}/{unit}"));
        assert_eq!(image.check().findings.len(), 0);
    }
}

#[test]
fn a_system_extension_starts_the_agent_in_its_own_way() {
    let image = GoodImage::new();
    image.remove(&format!("{UNITS}/multi-user.target.wants"));
    image.remove(&format!("{UNITS}/sysinit.target.wants"));
    assert!(!image.check().is_good());
    let parts = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../packages/sysext/usr/lib/systemd/system"
    );
    for name in ["nkd.target", "multi-user.target.d/10-nkd.conf"] {
        let text = std::fs::read_to_string(format!("{parts}/{name}")).unwrap();
        image.write(&format!("{UNITS}/{name}"), &text);
    }
    assert_eq!(image.check().to_string(), "0 errors, 0 warnings\n");
}

#[test]
fn an_image_without_cni_plugins() {
    warning(
        |image| image.remove("/opt"),
        Cause::ReadyNoNetwork,
        "the image has no CNI plugins",
    );
    warning(
        |image| {
            image.remove("/opt");
            image.write("/usr/lib/cni/loopback", "");
        },
        Cause::ReadyNoNetwork,
        "the CNI plugins are in /usr/lib/cni, but containerd looks for them in /opt/cni/bin",
    );
}

#[test]
fn the_directory_of_cni_plugins_is_writable_and_stays() {
    let report = |change: fn(&GoodImage)| {
        let image = GoodImage::new();
        image.ostree();
        change(&image);
        image.check()
    };
    let cause = Some(Cause::ReadyNoNetwork);
    let elsewhere =
        "the CNI plugins are in /usr/libexec/cni, but containerd looks for them in /opt/cni/bin";
    only(&report(|_| {}), Severity::Warning, cause, elsewhere);
    let lost = report(|image| image.write("/var/opt/cni/bin/loopback", ""));
    let message = "the image has plugins in /var/opt/cni/bin, but OSTree does not update /var: nodes do not have \
                   these files";
    only(&lost, Severity::Error, cause, message);
    let in_image = report(|image| {
        image.remove("/opt");
        image.write("/opt/cni/bin/loopback", "");
    });
    let message = "/opt/cni/bin is not writable: /opt is a directory, not a link to /var/opt";
    only(&in_image, Severity::Warning, cause, message);
    let composed = report(|image| {
        image.remove("/opt");
        image.write("/opt/cni/bin/loopback", "");
        image.write("/sysroot/ostree/repo/config", "");
    });
    only(&composed, Severity::Error, cause, message);
    let in_usr = report(|image| {
        image.remove("/opt");
        image.link("/opt/cni/bin", "/usr/libexec/cni");
    });
    let message =
        "/opt/cni/bin is /usr/libexec/cni: network add-ons cannot write there if /usr is read-only";
    only(&in_usr, Severity::Error, cause, message);
    // Without `OSTree`, /usr may be writable.
    let image = GoodImage::new();
    image.remove("/opt");
    image.link("/opt/cni/bin", "/usr/lib/cni");
    only(
        &image.check(),
        Severity::Warning,
        cause,
        "/opt/cni/bin is /usr/lib/cni: network add-ons cannot write there if /usr is read-only",
    );
}

#[test]
fn a_kernel_module_is_missing() {
    let list = "/usr/lib/modules/6.6.0/modules.dep";
    let without = |module: &'static str| {
        move |image: &GoodImage| {
            let text = std::fs::read_to_string(image.path(list)).unwrap();
            image.write(list, &text.replace(&format!("/{module}.ko"), "/other.ko"));
        }
    };
    error(
        without("br_netfilter"),
        Cause::HostKernel,
        "the kernel 6.6.0 lacks the module br_netfilter",
    );
    error(
        |image| {
            let built_in = "kernel/drivers/net/veth.ko\n";
            image.write("/usr/lib/modules/6.6.0/modules.builtin", built_in);
        },
        Cause::HostKernel,
        "the kernel 6.6.0 lacks the module overlay",
    );
    warning(
        without("vxlan"),
        Cause::HostKernel,
        "the kernel 6.6.0 lacks the module vxlan: many network add-ons connect nodes with it",
    );
}

#[test]
fn the_configuration_of_the_kernel_is_missing() {
    let built_in = "/usr/lib/modules/6.6.0/modules.builtin";
    warning(
        |image| image.remove(GoodImage::KERNEL_CONFIG),
        Cause::KubeadmPreflight,
        "the configuration of the kernel 6.6.0 is missing, and kubeadm verifies it",
    );
    let image = GoodImage::new();
    image.remove(GoodImage::KERNEL_CONFIG);
    let text = std::fs::read_to_string(image.path(built_in)).unwrap();
    image.write(built_in, &format!("{text}kernel/kernel/configs.ko\n"));
    assert_eq!(
        image.check().to_string(),
        GoodImage::new().check().to_string()
    );
}

#[test]
fn an_image_without_a_kernel_says_nothing_about_modules() {
    let image = GoodImage::new();
    image.remove("/usr/lib/modules");
    let message = "the kernel, because the image has none in /usr/lib/modules";
    only(&image.check(), Severity::NotChecked, None, message);
}

#[test]
fn cgroups_v1_is_refused_by_newer_kubelets() {
    let argument = "systemd.unified_cgroup_hierarchy=0";
    let path = "/usr/lib/bootc/kargs.d/10-cgroups.toml";
    let image = GoodImage::new();
    image.write(path, &format!("kargs = [\"{argument}\"]\n"));
    let message = format!(
        "{path} has the kernel argument {argument}, and kubelet 1.35 and later refuses cgroups v1"
    );
    let cause = Some(Cause::HostCgroups);
    only(&image.check(), Severity::Warning, cause, &message);
    image.kubernetes("1.35.0");
    only(&image.check(), Severity::Error, cause, &message);
    let mut tolerant = plan("v1.35.0", Runtime::Containerd);
    let report = image.check_for(Some(tolerant.clone()), None);
    only(&report, Severity::Warning, cause, &message);
    tolerant.machine.cgroups = vec![2];
    let report = image.check_for(Some(tolerant), None);
    only(&report, Severity::Error, cause, &message);
}

#[test]
fn a_running_machine_shows_its_cgroups() {
    let image = GoodImage::new();
    image.kubernetes("1.35.0");
    let booted = || image.run(Execution::Here, true, None, None);
    let message = "this machine uses cgroups v1, which this version of kubelet refuses";
    only(
        &booted(),
        Severity::Error,
        Some(Cause::HostCgroups),
        message,
    );
    image.write("/sys/fs/cgroup/cgroup.controllers", "cpu memory\n");
    assert_eq!(booted().findings.len(), 0);
}

#[test]
fn swap_is_turned_on() {
    let config = "/usr/lib/systemd/zram-generator.conf";
    let zram = |image: &GoodImage| {
        image.executable("/usr/lib/systemd/system-generators/zram-generator", "");
        image.write(config, "[zram0]\n");
    };
    let turned_on = |place: &str| {
        format!("{place} turns swap on; nkd-agent turns it off at first boot and masks swap.target")
    };
    warning(zram, Cause::HostSwap, &turned_on(config));
    warning(
        |image| image.write("/etc/fstab", "# none\n/dev/vda3 none swap sw 0 0\n"),
        Cause::HostSwap,
        &turned_on("/etc/fstab"),
    );
    warning(
        |image| {
            image.write(
                &format!("{UNITS}/swapfile.swap"),
                "[Swap]\nWhat=/swapfile\n",
            );
            image.link(
                &format!("{UNITS}/swap.target.wants/swapfile.swap"),
                "../swapfile.swap",
            );
        },
        Cause::HostSwap,
        &turned_on("the unit swapfile.swap"),
    );
    // What is masked or turned off, and what a plan accepts.
    let image = GoodImage::new();
    zram(&image);
    let mut plan = plan("v1.30.1", Runtime::Containerd);
    plan.machine.keep_swap = true;
    assert_eq!(image.check_for(Some(plan), None).findings.len(), 0);
    image.write("/etc/systemd/zram-generator.conf", "");
    assert_eq!(image.check().findings.len(), 0);
    image.write("/etc/fstab", "/dev/vda3 none swap sw 0 0\n");
    image.link("/etc/systemd/system/swap.target", "/dev/null");
    assert_eq!(image.check().findings.len(), 0);
}

#[test]
fn the_selinux_policy_lacks_types_of_containers() {
    warning(
        |image| {
            let contexts = std::fs::read_to_string(image.path(GoodImage::CONTEXTS)).unwrap();
            let contexts = contexts.replace("kubelet_exec_t", "bin_t");
            image.write(GoodImage::CONTEXTS, &contexts);
        },
        Cause::KubeadmControlPlane,
        "the SELinux policy has no type kubelet_exec_t for /usr/bin/kubelet",
    );
    let path = GoodImage::CONTEXTS;
    let message = format!("/etc/selinux/config enables SELinux, but {path} is missing or empty");
    warning(
        |image| image.remove(path),
        Cause::KubeadmControlPlane,
        &message,
    );
    let image = GoodImage::new();
    image.remove(path);
    image.write(
        "/etc/selinux/config",
        "SELINUX=disabled\nSELINUXTYPE=targeted\n",
    );
    assert_eq!(image.check().findings.len(), 0);
}

#[test]
fn a_place_that_must_be_written_to_is_read_only() {
    for (place, cause) in [
        ("/etc/kubernetes", Cause::KubeadmFailed),
        ("/var/lib/kubelet", Cause::KubeadmFailed),
        ("/var/lib/etcd", Cause::KubeadmControlPlane),
        ("/var/lib/nkd", Cause::AgentState),
        ("/var/lib/containerd", Cause::RuntimeStart),
    ] {
        error(
            |image| image.link(place, "/usr/share/place"),
            cause,
            &format!("{place} is /usr/share/place, which is read-only on a machine"),
        );
    }
    error(
        |image| image.write("/var/lib/kubelet", ""),
        Cause::KubeadmFailed,
        "/var/lib/kubelet cannot be a directory: /var/lib/kubelet is a file",
    );
    let image = GoodImage::new();
    image.link("/var/lib/containerd", "/data/containerd");
    assert_eq!(image.check().findings.len(), 0);
}

#[test]
fn an_image_of_an_installed_node() {
    for (path, cause) in [
        ("/var/lib/nkd/complete", Cause::PlanVarKept),
        ("/var/lib/nkd/state.json", Cause::PlanVarKept),
        ("/etc/kubernetes/kubelet.conf", Cause::KubeadmPreflight),
        ("/var/lib/kubelet/config.yaml", Cause::KubeadmPreflight),
    ] {
        error(
            |image| image.write(path, ""),
            cause,
            &format!("the image has {path}, which an installation makes"),
        );
    }
    for (directory, file, cause) in [
        ("/etc/nkd", "plan.json", Cause::PlanChanged),
        ("/etc/kubernetes/pki", "ca.crt", Cause::KubeadmPreflight),
        (
            "/etc/kubernetes/manifests",
            "etcd.yaml",
            Cause::KubeadmPreflight,
        ),
        ("/var/lib/etcd", "member/snap/db", Cause::KubeadmPreflight),
    ] {
        error(
            |image| image.write(&format!("{directory}/{file}"), ""),
            cause,
            &format!("the image has {directory}, which an installation makes"),
        );
        let image = GoodImage::new();
        std::fs::create_dir_all(image.path(directory)).unwrap();
        assert_eq!(image.check().findings.len(), 0);
    }
}

#[test]
fn an_initramfs_without_ignition() {
    warning(
        |image| image.remove("/usr/lib/dracut/modules.d/30ignition"),
        Cause::PlanMissing,
        "there is no Ignition for the initramfs in /usr/lib/dracut/modules.d",
    );
}

#[test]
fn an_ignition_that_is_too_old_for_the_configs_of_nkd() {
    let program = "/usr/lib/dracut/modules.d/30ignition/ignition";
    error(
        |image| image.executable(program, "echo Ignition 2.9.0"),
        Cause::PlanMissing,
        "Ignition 2.9.0 does not read configs of version 3.3.0, which nkd writes",
    );
    let image = GoodImage::new();
    image.executable(program, "echo Ignition 2.14.0");
    assert_eq!(image.check().findings.len(), 0);
}
