use nkd_contract::Runtime;

use crate::stages::runtime;
use crate::system::{Command, Root};

/// The namespace that CRI uses.
const NAMESPACE: &str = "k8s.io";

/// containerd's client, in the namespace of CRI's images.
pub(super) fn ctr(root: &Root) -> Command {
    runtime::client(root, Runtime::Containerd).args(["--namespace", NAMESPACE])
}
