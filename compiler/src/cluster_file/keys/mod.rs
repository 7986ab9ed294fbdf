//! Every key of the cluster file: what it takes, what it is by default, and what it means.

mod images;
mod machines;

use std::ops::RangeInclusive;

use images::{AIRGAP, RUNTIME};
use machines::{NODE, OS, POOL};

use super::budgets;
pub use super::defaults::*;
use super::endpoint::KUBE_VIP_IMAGE;
use crate::model::{Algorithm, Role};
use nkd_document::yaml::{Key, Kind, Mapping};

const ROLES: [&str; 2] = [Role::ControlPlane.name(), Role::Worker.name()];
const ALGORITHMS: [&str; 4] = [
    Algorithm::EcdsaP256.name(),
    Algorithm::Rsa2048.name(),
    Algorithm::Rsa3072.name(),
    Algorithm::Rsa4096.name(),
];

const fn text(name: &'static str, meaning: &'static str) -> Key {
    Key::new(name, Kind::Text, meaning)
}

const fn word(name: &'static str, words: &'static [&'static str], meaning: &'static str) -> Key {
    Key::new(name, Kind::Word(words), meaning)
}

const fn number(name: &'static str, range: RangeInclusive<u64>, meaning: &'static str) -> Key {
    Key::new(name, Kind::Number(range), meaning)
}

const fn texts(name: &'static str, meaning: &'static str) -> Key {
    Key::new(name, Kind::Texts, meaning)
}

const fn pairs(name: &'static str, meaning: &'static str) -> Key {
    Key::new(name, Kind::Pairs, meaning)
}

const fn map(name: &'static str, of: &'static Mapping, meaning: &'static str) -> Key {
    Key::new(name, Kind::Map(of), meaning)
}

const fn maps(name: &'static str, of: &'static Mapping, meaning: &'static str) -> Key {
    Key::new(name, Kind::Maps(of), meaning)
}

const fn mapping(name: &'static str, groups: &'static [&'static [Key]]) -> Mapping {
    Mapping { name, groups }
}

/// The document.
pub static CLUSTER: Mapping = mapping(
    "cluster",
    &[&[
        word("apiVersion", &[API_VERSION], "The version of this format.").needed(),
        word("kind", &[KIND], "What the file describes.").needed(),
        map("metadata", &METADATA, "What the cluster is called.").needed(),
        map("spec", &SPEC, "The cluster.").needed(),
    ]],
);

static METADATA: Mapping = mapping(
    "metadata",
    &[&[text("name", "The cluster's name, a DNS label.").needed()]],
);

static SPEC: Mapping = mapping(
    "spec",
    &[&[
        map("kubernetes", &KUBERNETES, "Kubernetes itself.").needed(),
        map("runtime", &RUNTIME, "The container runtime."),
        map("network", &NETWORK, "The network add-on."),
        map("airgap", &AIRGAP, "Images that don't come from registries."),
        map("report", &REPORT, "Who is told how the installation goes."),
        map("os", &OS, "The operating system of all nodes."),
        map("pki", &PKI, "The cluster's certificate authorities."),
        map(
            "budgets",
            &budgets::BUDGETS,
            "How long each stage of the installation may go on failing before the node is reported as failed, such as 90s, 30m or 2h.",
        ),
        maps(
            "pools",
            &POOL,
            "What nodes have in common; what a node says itself goes before it.",
        ),
        maps(
            "nodes",
            &NODE,
            "The machines. At least one is a control plane; the first of those makes the cluster.",
        ),
    ]],
);

static KUBERNETES: Mapping = mapping(
    "kubernetes",
    &[&[
        text("version", "All three numbers, such as v1.31.2; kubeadm and kubelet of this version have to be in the OS image.").needed(),
        text("endpoint", "HOST:PORT where nodes and users reach the API; by default the one control plane itself. Several control planes need a load balancer, or an address of no node's that kube-vip carries among them."),
        text("imageRepository", "Where Kubernetes' images are; by default where the version's kubeadm looks for them."),
        map("networking", &NETWORKING, "The cluster's own networks."),
        map("apiServer", &API_SERVER, "The API server."),
        map("kubeVip", &KUBE_VIP, "Makes the control planes carry the endpoint's address among them."),
        map("etcd", &ETCD, "etcd; by default the control planes run one."),
        map("bootstrapTokens", &BOOTSTRAP_TOKENS, "With what nodes join."),
        texts("kubeadm", "Files of kubeadm, kubelet and kube-proxy configuration, laid over nkd's own field by field."),
    ]],
);

static BOOTSTRAP_TOKENS: Mapping = mapping(
    "bootstrapTokens",
    &[&[
        word("each", &TOKENS, "Who has one of their own: each pool (nodes without a pool share one), or each node. Every token is a Secret that the init node makes and carries.").or(TOKENS[0]),
        text("ttl", "How long nodes can join after the cluster's first boot, such as 7d; at least a day.").or(TOKEN_TTL),
    ]],
);

static NETWORKING: Mapping = mapping(
    "networking",
    &[&[
        text(
            "podSubnet",
            "The pods' network; for both IP versions two, with a comma between them.",
        )
        .or(POD_SUBNET),
        text(
            "serviceSubnet",
            "The services' network; for both IP versions two, with a comma between them.",
        )
        .or(SERVICE_SUBNET),
        text("dnsDomain", "The DNS domain of services.").or(DNS_DOMAIN),
    ]],
);

static API_SERVER: Mapping = mapping(
    "apiServer",
    &[&[texts(
        "certSANs",
        "Further names and addresses by which the API is reached.",
    )]],
);

static KUBE_VIP: Mapping = mapping(
    "kubeVip",
    &[&[
        text("interface", "The network interface the address is put on.").needed(),
        text("image", "kube-vip's image.").or(KUBE_VIP_IMAGE),
    ]],
);

static ETCD: Mapping = mapping(
    "etcd",
    &[&[map(
        "external",
        &EXTERNAL_ETCD,
        "An etcd that is there already.",
    )]],
);

static EXTERNAL_ETCD: Mapping = mapping(
    "externalEtcd",
    &[&[
        texts("endpoints", "https URLs of its members; at least one."),
        text("caFile", "A file of PEM certificates that sign its own.").needed(),
        text(
            "certFile",
            "A file with the API server's client certificate.",
        )
        .needed(),
        text("keyFile", "A file with the key of that.").needed(),
    ]],
);

static NETWORK: Mapping = mapping(
    "network",
    &[&[
        texts(
            "manifests",
            "Files the first node applies, in this order. Without a network add-on nodes stay NotReady until you apply one yourself.",
        ),
        texts("ports", "Its ports, such as 8472/udp, for firewalld."),
    ]],
);

static REPORT: Mapping = mapping(
    "report",
    &[&[
        text("url", "An http or https URL.").needed(),
        text("caFile", "A file of PEM certificates to trust there."),
    ]],
);

static PKI: Mapping = mapping(
    "pki",
    &[&[
        word(
            "algorithm",
            &ALGORITHMS,
            "What kind of keys the authorities have.",
        )
        .or(ALGORITHM),
        text(
            "validity",
            "How long the authorities are valid, such as 365d; from a day to a century.",
        )
        .or(VALIDITY),
        map(
            "authorities",
            &AUTHORITIES,
            "Authorities that are there already; those left out are made.",
        ),
        map(
            "serviceAccount",
            &SERVICE_ACCOUNT,
            "A key that is there already and signs service accounts' tokens.",
        ),
    ]],
);

static AUTHORITIES: Mapping = mapping(
    "authorities",
    &[&[
        map(
            "kubernetes",
            &AUTHORITY,
            "Signs certificates of API servers, kubelets and administrators.",
        ),
        map("etcd", &AUTHORITY, "Signs etcd's certificates."),
        map(
            "frontProxy",
            &AUTHORITY,
            "Signs certificates of aggregated API servers' clients.",
        ),
    ]],
);

static AUTHORITY: Mapping = mapping(
    "authority",
    &[&[
        text(
            "certFile",
            "A file with its PEM certificate, then its issuers', the root last.",
        )
        .needed(),
        text(
            "keyFile",
            "A file with its PEM key, RSA or EC, not encrypted.",
        )
        .needed(),
    ]],
);

static SERVICE_ACCOUNT: Mapping = mapping(
    "serviceAccount",
    &[&[text(
        "keyFile",
        "A file with the PEM key, not encrypted; RSA before Kubernetes 1.26.",
    )
    .needed()]],
);
