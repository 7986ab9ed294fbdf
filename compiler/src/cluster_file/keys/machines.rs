//! Nodes, pools, and their operating system.

use super::{
    EFFECTS, MAX_PODS, MTU, ROLES, SELINUX, map, mapping, maps, number, pairs, text, texts, word,
};
use nkd_document::yaml::{Key, Mapping};

pub(super) static OS: Mapping = mapping(
    "os",
    &[&[
        texts(
            "ignition",
            "Files of your own Ignition config, merged with nkd's part.",
        ),
        texts("butane", "Files of your own Butane config, likewise."),
        texts(
            "override",
            "What your configs may change of nkd's: paths, units, drop-ins as UNIT.d/NAME, users.",
        ),
        maps("users", &USER, "Users of the system."),
        text(
            "releaseImage",
            "The OS image the machine boots into first, as REPOSITORY@sha256:DIGEST; needs rpm-ostree.",
        ),
        texts("kernelArguments", "Arguments of the kernel, one each."),
        texts("ntp", "Time servers."),
        map(
            "proxy",
            &PROXY,
            "The proxy of the container runtime and kubelet.",
        ),
        maps("hosts", &HOST, "Lines of `/etc/hosts`."),
        texts(
            "trust",
            "Files of PEM certificates that the whole system trusts.",
        ),
        word(
            "selinux",
            &SELINUX,
            "Has the container runtime give each container an SELinux label of its own; the control plane's pods get the type spc_t, for they need the host's files. Without it the runtime's own default holds. Control planes need Kubernetes 1.22.",
        ),
    ]],
);

static USER: Mapping = mapping(
    "user",
    &[&[
        text("name", "The login name.").needed(),
        texts(
            "sshAuthorizedKeys",
            "Public SSH keys, each a line of a .pub file.",
        ),
        text(
            "passwordHash",
            "The hash of a password, as `mkpasswd` prints it.",
        ),
        texts("groups", "Further groups."),
    ]],
);

static PROXY: Mapping = mapping(
    "proxy",
    &[&[
        text("http", "The proxy for http, a URL."),
        text("https", "The proxy for https, a URL."),
        texts(
            "noProxy",
            "What else is reached without it than the node itself, the endpoint, and the networks of pods and services.",
        ),
    ]],
);

static HOST: Mapping = mapping(
    "host",
    &[&[
        text("address", "The address.").needed(),
        texts("names", "Its names; at least one."),
    ]],
);

pub(super) static POOL: Mapping = mapping(
    "pool",
    &[
        &[
            text("name", "The pool's name.").needed(),
            word(
                "role",
                &ROLES,
                "What its nodes are in the cluster, unless they say otherwise.",
            ),
        ],
        SETTINGS,
    ],
);

pub(super) static NODE: Mapping = mapping(
    "node",
    &[
        &[
            text("name", "Its hostname and its name in Kubernetes, a DNS name.").needed(),
            text("pool", "The pool it belongs to."),
            word("role", &ROLES, "What it is in the cluster; by default what its pool says.").needed_without("pool"),
            text("address", "Its address; in clusters of both IP versions one of each, with a comma between them.").needed(),
            text("mac", "The MAC address of the interface it boots from, for PXE."),
            maps("interfaces", &INTERFACE, "Its network interfaces, where DHCP doesn't set them up."),
        ],
        SETTINGS,
    ],
);

const SETTINGS: &[Key] = &[
    pairs("labels", "Labels the nodes set on themselves."),
    maps(
        "taints",
        &TAINT,
        "Taints the nodes set on themselves. Without the key control planes have kubeadm's; an empty list means none.",
    ),
    map("kubelet", &KUBELET, "Settings of kubelet."),
    texts(
        "kubeadm",
        "Files of kubeadm configuration, laid over the cluster's field by field. InitConfiguration and \
         JoinConfiguration go to the nodes here that read them. From Kubernetes 1.25 KubeletConfiguration changes \
         kubelet here alone; before, use kubelet.extraArgs. kubeadm has one ClusterConfiguration and one \
         KubeProxyConfiguration for all nodes.",
    ),
    text(
        "installDisk",
        "The disk an installer writes the OS to, such as /dev/sda.",
    ),
    map(
        "os",
        &OS,
        "The operating system, besides what all nodes have.",
    ),
];

static KUBELET: Mapping = mapping(
    "kubelet",
    &[&[
        number(
            "maxPods",
            MAX_PODS,
            "How many pods a node runs at most; by default kubelet's own 110.",
        ),
        pairs(
            "systemReserved",
            "Resources kept for the system: cpu, memory, ephemeral-storage and pid, each a quantity.",
        ),
        pairs(
            "kubeReserved",
            "Resources kept for Kubernetes itself, likewise.",
        ),
        pairs(
            "extraArgs",
            "Further arguments of kubelet, by their names without dashes.",
        ),
    ]],
);

static TAINT: Mapping = mapping(
    "taint",
    &[&[
        text("key", "The taint's key.").needed(),
        text("value", "The taint's value; by default none."),
        word("effect", &EFFECTS, "What it does.").needed(),
    ]],
);

static INTERFACE: Mapping = mapping(
    "interface",
    &[&[
        text("name", "Its name, such as eth0.").needed(),
        text("mac", "Its MAC address, if it shall be found by that."),
        texts(
            "addresses",
            "Its addresses with the prefix length, such as 10.200.0.12/24; without them DHCP.",
        ),
        texts(
            "gateways",
            "Where what isn't for its networks goes; one for each IP version at most.",
        ),
        texts("dns", "DNS servers."),
        number("mtu", MTU, "The largest packet."),
    ]],
);
