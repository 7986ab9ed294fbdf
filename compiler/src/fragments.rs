//! The readable files under `ignition-fragments/`, and the code that fills their placeholders `${…}`.

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
    /// Further kernel parameters of nodes with an IPv6 address.
    SYSCTL_IPV6 "host/sysctl-ipv6.conf";
    /// Kernel modules.
    MODULES "host/modules.conf";
    /// chrony's configuration.
    CHRONY "host/chrony.conf";
    /// systemd-timesyncd's configuration.
    TIMESYNCD "host/timesyncd.conf";
    /// The head of `/etc/hosts`.
    HOSTS "host/hosts";
    /// The unit that makes the system trust the delivered authorities.
    TRUST_UNIT "host/nkd-trust.service";
    /// The script that brings system extensions into use.
    MERGE_EXTENSIONS "extensions/merge-extensions";
    /// The unit that copies system extensions from disks and directories.
    EXTENSION_FILES_UNIT "extensions/nkd-extension-files.service";
    /// The unit that verifies system extensions, and starts their units.
    EXTENSIONS_UNIT "extensions/nkd-extensions.service";
    /// containerd's configuration.
    CONTAINERD "runtime/containerd/config.toml";
    /// CRI-O's configuration.
    CRIO "runtime/crio/90-nkd.conf";
    /// Images that CRI-O pins.
    CRIO_PINNED "runtime/crio/91-nkd-pinned.conf";
    /// The file that makes CRI-O separate containers with SELinux.
    CRIO_SELINUX "runtime/crio/92-nkd-selinux.conf";
    /// The registries of CRI-O.
    CRIO_REGISTRIES "runtime/crio/registries.conf";
    /// iSulad's configuration.
    ISULAD "runtime/isulad/daemon.json";
    /// Docker's configuration.
    DOCKER "runtime/docker/daemon.json";
    /// The arguments of cri-dockerd.
    CRI_DOCKERD "runtime/cri-dockerd/10-nkd.conf";
    /// kubelet's unit.
    KUBELET_UNIT "kubelet/kubelet.service";
    /// kubeadm's drop-in for kubelet.
    KUBELET_DROPIN "kubelet/10-kubeadm.conf";
    /// kubelet's drop-in for the credentials of registries.
    KUBELET_REGISTRIES "kubelet/20-registries.conf";
    /// The static pod of kube-vip.
    KUBE_VIP "kube-vip/kube-vip.yaml";
    /// kubeadm's documents for the init node.
    KUBEADM_INIT "kubeadm/init.yaml";
    /// kubeadm's documents for joining nodes.
    KUBEADM_JOIN "kubeadm/join.yaml";
    /// The patch for static pods on nodes where SELinux separates containers.
    KUBEADM_SPC "kubeadm/spc.yaml";
}

/// Fills the placeholders of a text. Every placeholder must have a value.
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

/// Fills the placeholders in all texts of a document. The document is already parsed, so no value can
/// change its structure.
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
