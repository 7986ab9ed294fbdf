//! An image that lacks nothing.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::PathBuf;
use std::process::Command;

use nkd_contract::{ImageSource, Images, Machine, Plan, Role, Runtime, SCHEMA, Timestamp};
use tempfile::TempDir;

use super::super::check;
use super::super::image::{Execution, Image};
use super::super::report::Report;
use crate::requirements::Version;
use crate::system::Root;

pub(super) struct GoodImage {
    root: TempDir,
}

impl GoodImage {
    /// An image with Kubernetes 1.30.1 and containerd.
    pub(super) fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let image = Self { root };
        let parts = concat!(env!("CARGO_MANIFEST_DIR"), "/../systemd/.");
        let mut copy = Command::new("cp");
        copy.args(["--recursive", "--no-dereference", parts]);
        assert!(copy.arg(image.root.path()).status().unwrap().success());
        for name in [
            "nkd-agent",
            "systemctl",
            "ctr",
            "runc",
            "crictl",
            "conntrack",
            "ip",
            "iptables",
            "nsenter",
            "mount",
            "losetup",
            "cp",
            "ethtool",
            "tc",
            "touch",
            "socat",
            "ebtables",
        ] {
            image.program(name, "");
        }
        image.kubernetes("1.30.1");
        image.program(
            "containerd",
            "echo containerd example.org/containerd v1.7.2 0cae52",
        );
        let unit = "[Service]\nExecStart=/usr/bin/containerd\n";
        image.write("/usr/lib/systemd/system/containerd.service", unit);
        image.write("/opt/cni/bin/loopback", "");
        let built_in = "kernel/fs/overlayfs/overlay.ko\nkernel/drivers/net/veth.ko\n";
        image.write("/usr/lib/modules/6.6.0/modules.builtin", built_in);
        let loadable = "kernel/net/bridge/br_netfilter.ko.xz: kernel/net/bridge/bridge.ko.xz\n\
                        kernel/drivers/net/vxlan/vxlan.ko.xz:\nkernel/net/netfilter/nf_nat.ko.xz:\n\
                        kernel/net/netfilter/nf_conntrack.ko.xz:\nkernel/net/netfilter/ipvs/ip_vs.ko.xz:\n";
        image.write("/usr/lib/modules/6.6.0/modules.dep", loadable);
        image.write(Self::KERNEL_CONFIG, "");
        image.write(
            "/etc/selinux/config",
            "SELINUX=enforcing\nSELINUXTYPE=targeted\n",
        );
        let contexts = "/usr/bin/containerd.* -- system_u:object_r:container_runtime_exec_t:s0\n\
                        /var/lib/containerd(/.*)? system_u:object_r:container_var_lib_t:s0\n\
                        /etc/kubernetes(/.*)? system_u:object_r:kubernetes_file_t:s0\n\
                        /usr/bin/kubelet.* -- system_u:object_r:kubelet_exec_t:s0\n";
        image.write(Self::CONTEXTS, contexts);
        image.write("/usr/lib/dracut/modules.d/30ignition/module-setup.sh", "");
        image
    }

    pub(super) const KERNEL_CONFIG: &str = "/usr/lib/modules/6.6.0/config";
    pub(super) const CONTEXTS: &str = "/etc/selinux/targeted/contexts/files/file_contexts";

    pub(super) fn path(&self, absolute: &str) -> PathBuf {
        self.root.path().join(absolute.trim_start_matches('/'))
    }

    pub(super) fn write(&self, absolute: &str, text: &str) {
        let path = self.path(absolute);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// A program in /usr/bin.
    pub(super) fn program(&self, name: &str, script: &str) {
        self.executable(&format!("/usr/bin/{name}"), script);
    }

    pub(super) fn executable(&self, path: &str, script: &str) {
        self.write(path, &format!("#!/bin/sh\n{script}\n"));
        fs::set_permissions(self.path(path), fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// kubeadm, kubelet and kubectl of a version.
    pub(super) fn kubernetes(&self, version: &str) {
        self.program("kubeadm", &format!("echo v{version}"));
        self.program("kubelet", &format!("echo Kubernetes v{version}"));
        let client = format!(r#"echo '{{"clientVersion": {{"gitVersion": "v{version}"}}}}'"#);
        self.program("kubectl", &client);
    }

    pub(super) fn link(&self, absolute: &str, target: &str) {
        let path = self.path(absolute);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        symlink(target, path).unwrap();
    }

    pub(super) fn remove(&self, absolute: &str) {
        let path = self.path(absolute);
        let is_directory = path.symlink_metadata().unwrap().is_dir();
        if is_directory {
            fs::remove_dir_all(path).unwrap();
        } else {
            fs::remove_file(path).unwrap();
        }
    }

    /// Makes the image one of `OSTree`, and moves the plugins out of /opt.
    pub(super) fn ostree(&self) {
        self.program("rpm-ostree", "");
        self.remove("/opt");
        self.link("/opt", "var/opt");
        self.write("/usr/libexec/cni/loopback", "");
    }

    pub(super) fn check(&self) -> Report {
        self.check_for(None, None)
    }

    pub(super) fn check_for(&self, plan: Option<Plan>, kubernetes: Option<Version>) -> Report {
        self.run(Execution::Here, false, plan, kubernetes)
    }

    /// Checks the image with its programs run in a certain way.
    pub(super) fn run(
        &self,
        execution: Execution,
        is_booted: bool,
        plan: Option<Plan>,
        kubernetes: Option<Version>,
    ) -> Report {
        let root = Root::new(self.root.path().to_owned());
        check(&Image::with(&root, execution, is_booted, plan, kubernetes))
    }
}

/// A plan for a version of Kubernetes.
pub(super) fn plan(version: &str, runtime: Runtime) -> Plan {
    Plan {
        schema: SCHEMA,
        requires: Vec::new(),
        cluster: "demo".into(),
        node: "cp1".into(),
        pool: None,
        patches_argument: None,
        role: Role::Init,
        clock_floor: Timestamp::from_unix(1_700_000_000),
        kubernetes_version: version.into(),
        runtime,
        endpoint: "127.0.0.1:1".into(),
        control_planes_before: Vec::new(),
        control_planes_after: Vec::new(),
        runs_etcd: false,
        kubeadm: None,
        certificate_authority: String::new(),
        machine: Machine::default(),
        os_image: None,
        images: Images {
            source: ImageSource::Directory("/images".into()),
            required: Vec::new(),
        },
        addons: Vec::new(),
        join_spread: 0,
        budgets: [].into(),
    }
}
