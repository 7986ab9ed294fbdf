//! Kernel modules.

/// A kernel module without which a node does not work.
#[derive(Debug)]
pub(crate) struct Module {
    /// Its name.
    pub(crate) name: &'static str,
    /// A file that exists if the module is loaded.
    pub(crate) sign: &'static str,
}

/// The kernel modules that every node needs. `/etc/modules-load.d/kubernetes.conf` loads them on later boots.
pub(crate) const MODULES: [Module; 2] = [
    Module {
        name: "br_netfilter",
        sign: "/proc/sys/net/bridge/bridge-nf-call-iptables",
    },
    Module {
        name: "overlay",
        sign: "/sys/module/overlay",
    },
];

/// Kernel modules that most clusters need, each with what needs it. The kernel loads them on demand.
pub(crate) const USEFUL_MODULES: [(&str, &str); 5] = [
    ("ip_vs", "kube-proxy needs it in its mode ipvs"),
    ("nf_conntrack", "kube-proxy needs it"),
    ("nf_nat", "kube-proxy and the plugin portmap need it"),
    ("veth", "network add-ons connect pods with it"),
    ("vxlan", "many network add-ons connect nodes with it"),
];
