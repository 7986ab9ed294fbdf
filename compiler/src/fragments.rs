//! The readable files under `ignition-fragments/`, and the filling of their `${…}` places.

use anyhow::{Result, bail};
use serde_json::Value;

macro_rules! fragments {
    ($($(#[$doc:meta])* $name:ident $file:literal;)*) => {
        $($(#[$doc])*
        pub const $name: &str =
            include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../ignition-fragments/", $file));)*
    };
}

fragments! {
    /// Kernel parameters.
    SYSCTL "host/sysctl.conf";
    /// Further ones of nodes with an IPv6 address.
    SYSCTL_IPV6 "host/sysctl-ipv6.conf";
    /// Kernel modules.
    MODULES "host/modules.conf";
    /// chrony's configuration.
    CHRONY "host/chrony.conf";
    /// systemd-timesyncd's configuration.
    TIMESYNCD "host/timesyncd.conf";
    /// Names of hosts.
    HOSTS "host/hosts";
    /// The unit that makes delivered authorities trusted.
    TRUST_UNIT "host/nkd-trust.service";
    /// containerd's configuration.
    CONTAINERD "runtime/containerd/config.toml";
    /// CRI-O's configuration.
    CRIO "runtime/crio/90-nkd.conf";
    /// Images that CRI-O pins.
    CRIO_PINNED "runtime/crio/91-nkd-pinned.conf";
    /// CRI-O's separation of containers by SELinux.
    CRIO_SELINUX "runtime/crio/92-nkd-selinux.conf";
    /// Where CRI-O looks for images.
    CRIO_REGISTRIES "runtime/crio/registries.conf";
    /// iSulad's configuration.
    ISULAD "runtime/isulad/daemon.json";
    /// Docker's configuration.
    DOCKER "runtime/docker/daemon.json";
    /// How cri-dockerd is started.
    CRI_DOCKERD "runtime/cri-dockerd/10-nkd.conf";
    /// kubelet's unit.
    KUBELET_UNIT "kubelet/kubelet.service";
    /// How kubeadm starts kubelet.
    KUBELET_DROPIN "kubelet/10-kubeadm.conf";
    /// Where kubelet finds credentials of registries.
    KUBELET_REGISTRIES "kubelet/20-registries.conf";
    /// The static pod of kube-vip.
    KUBE_VIP "kube-vip/kube-vip.yaml";
    /// kubeadm's documents for the init node.
    KUBEADM_INIT "kubeadm/init.yaml";
    /// kubeadm's documents for joining nodes.
    KUBEADM_JOIN "kubeadm/join.yaml";
    /// The patch of static pods where containers are separated by SELinux.
    KUBEADM_SPC "kubeadm/spc.yaml";
}

/// Fills the places of a text. Every place must have a value.
pub fn fill(text: &str, values: &[(&str, &str)]) -> Result<String> {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        let Some(length) = rest[start..].find('}') else {
            bail!("a fragment has `${{` without `}}`")
        };
        let name = &rest[start + 2..start + length];
        let Some((_, value)) = values.iter().find(|(known, _)| *known == name) else {
            bail!("a fragment has an unknown place `{name}`");
        };
        filled.push_str(&rest[..start]);
        filled.push_str(value);
        rest = &rest[start + length + 1..];
    }
    filled.push_str(rest);
    Ok(filled)
}

/// Fills the places in all texts of a document. It is parsed already, so no value can change its
/// structure.
pub fn fill_document(document: &mut Value, values: &[(&str, &str)]) -> Result<()> {
    match document {
        Value::String(text) => *text = fill(text, values)?,
        Value::Array(items) => {
            for item in items {
                fill_document(item, values)?;
            }
        }
        Value::Object(map) => {
            for value in map.values_mut() {
                fill_document(value, values)?;
            }
        }
        _ => {}
    }
    Ok(())
}
