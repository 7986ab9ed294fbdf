//! What keys of the cluster file are by default, and the words and numbers they take.

use std::ops::RangeInclusive;

use crate::model::Algorithm;

/// `apiVersion`
pub const API_VERSION: &str = "nkd.openeuler.org/v1alpha1";
/// `kind`
pub const KIND: &str = "Cluster";
/// `spec.kubernetes.networking.podSubnet`, by default
pub const POD_SUBNET: &str = "10.244.0.0/16";
/// `spec.kubernetes.networking.serviceSubnet`, by default
pub const SERVICE_SUBNET: &str = "10.96.0.0/12";
/// `spec.kubernetes.networking.dnsDomain`, by default
pub const DNS_DOMAIN: &str = "cluster.local";
/// `spec.runtime.name`; the first is the default
pub const RUNTIMES: [&str; 4] = ["containerd", "crio", "isulad", "docker"];
/// `spec.kubernetes.bootstrapTokens.each`; the first is the default
pub const TOKENS: [&str; 2] = ["pool", "node"];
/// `spec.kubernetes.bootstrapTokens.ttl`, by default. Longer than kubeadm's own 24 h: machines are
/// racked and powered on over days, and a node that comes later can't join.
pub const TOKEN_TTL: &str = "7d";
/// `spec.pki.algorithm`, by default
pub const ALGORITHM: &str = Algorithm::EcdsaP256.name();
/// `spec.pki.validity`, by default
pub const VALIDITY: &str = "10y";
/// What a taint can do.
pub const EFFECTS: [&str; 3] = ["NoSchedule", "PreferNoSchedule", "NoExecute"];
/// `os.selinux`; without it the runtime's own default holds.
pub const SELINUX: [&str; 1] = ["container-separation"];
/// How many pods a node can run.
pub const MAX_PODS: RangeInclusive<u64> = 1..=10_000;
/// The largest packet: the kernel's smallest for IPv6, and the largest there is.
pub const MTU: RangeInclusive<u64> = 1280..=65535;
