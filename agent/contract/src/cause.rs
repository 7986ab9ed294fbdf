use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::Vocabulary;

/// Whether trying again can help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// It may pass by itself: the agent tries again until the stage's budget is used up.
    Transient,
    /// It won't: the agent stops and a person is needed.
    Permanent,
}

macro_rules! causes {
    ($($variant:ident $code:literal $class:ident $meaning:literal $remedy:literal;)*) => {
        /// Why a stage failed. One table holds the code, the class, and the words for a person.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Cause {
            $(#[doc = $meaning] $variant,)*
        }

        impl Cause {
            /// All causes, by stage.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The stable code, the same in JSON, D-Bus and the journal.
            pub const fn code(self) -> &'static str {
                match self { $(Self::$variant => $code,)* }
            }

            /// Whether trying again can help.
            pub const fn class(self) -> Class {
                match self { $(Self::$variant => Class::$class,)* }
            }

            /// What it means, for a person.
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$variant => $meaning,)* }
            }

            /// What a person can do.
            pub const fn remedy(self) -> &'static str {
                match self { $(Self::$variant => $remedy,)* }
            }
        }
    };
}

causes! {
    PlanMissing "plan.missing" Permanent
        "There is no plan on this machine."
        "Boot it with the Ignition file that nkd compiled for it.";
    PlanInvalid "plan.invalid" Permanent
        "The plan can't be read."
        "Compile the cluster again and boot the machine with the new file; don't edit the plan.";
    PlanSchema "plan.schema-unknown" Permanent
        "The plan was written for another version of the agent."
        "Use the nkd that belongs to the OS image, or an image with the agent that belongs to nkd.";
    PlanChanged "plan.changed" Permanent
        "The plan is not the one this installation began with."
        "Provision the machine afresh: a half-installed node can't change its plan.";
    PlanVarKept "plan.var-kept" Permanent
        "/var remembers that this node was installed, but what was in /etc is gone."
        "Keep both or neither: wipe /var and provision the machine anew, or have /etc last as long as /var.";
    AgentState "agent.state" Transient
        "The agent can't read or write its own state."
        "Look for a full or read-only /var.";
    AgentInternal "agent.internal" Transient
        "Something the agent doesn't expect."
        "Report it, with the journal of nkd-agent.service.";
    AgentCutOff "agent.cut-off" Transient
        "Something kills the agent in the middle of a stage, again and again."
        "Look in `journalctl -u nkd-agent.service` and `journalctl -k` for what did: most often it is too little memory.";
    AgentSync "agent.sync" Transient
        "What a stage has done could not be written to the disk."
        "Look for errors of the disk in `journalctl -k`.";
    ClockBehind "clock.behind" Transient
        "The clock is before the cluster's own certificates and couldn't be set."
        "Set the machine's clock, or give it a reachable time server.";
    ClockUnsynchronized "clock.not-synchronized" Transient
        "No time server has set the clock."
        "Nothing, if the clock is right: the node goes on, for it is not before the cluster's certificates. Else give the machine a time server it can reach (`os.ntp` of the cluster file).";
    PivotRebase "pivot.rebase" Transient
        "rpm-ostree can't fetch or deploy the OS image of the plan."
        "See that the image's registry can be reached and has that digest; the message has rpm-ostree's words.";
    PivotReboot "pivot.reboot" Transient
        "The machine doesn't reboot into the OS image that was deployed."
        "Look for what inhibits a shutdown, or reboot it: the installation goes on by itself.";
    PivotNotBooted "pivot.not-booted" Permanent
        "The machine came up with another OS image than the one that was deployed, again and again."
        "Look in its boot loader and the journal of the last boots for why the new image doesn't boot or was rolled back.";
    HookFailed "hook.failed" Transient
        "A hook before or after a stage failed, took too long, or can't be executed."
        "Read its output in the journal of nkd-agent.service; mend it in your Ignition config.";
    HostProgram "host.program-missing" Permanent
        "A program that the installation needs is not in the OS image."
        "Use an OS image with kubeadm, kubelet and the runtime of this Kubernetes version.";
    HostHostname "host.hostname" Transient
        "The hostname is not the node's name and couldn't be set."
        "Look for something else that sets the hostname, such as DHCP or cloud-init.";
    HostKernel "host.kernel" Permanent
        "The kernel lacks a module or setting that Kubernetes needs."
        "Use an OS image whose kernel has br_netfilter, overlay and IP forwarding.";
    HostSwap "host.swap" Transient
        "Swap is on and couldn't be turned off."
        "Remove the swap device or file from the OS configuration.";
    HostTooSmall "host.too-small" Permanent
        "The machine has fewer processors or less memory than kubeadm accepts for a control plane."
        "Take a larger machine, or have kubeadm ignore its checks NumCPU and Mem in an overlay document.";
    HostDisk "host.disk" Transient
        "A file system has too little free space for images and data."
        "Give the machine a larger disk, or see that its file system grows into the disk.";
    HostCgroups "host.cgroups" Permanent
        "kubelet of this version doesn't run with the machine's version of cgroups."
        "Boot with systemd.unified_cgroup_hierarchy=1 (`os.kernelArguments`), or set failCgroupV1: false in a KubeletConfiguration while kubelet still takes that.";
    HostAddress "host.address" Transient
        "The machine doesn't have the node's address."
        "See that the right machine got this node's file, and that DHCP or the configured interfaces give it the address of the cluster file.";
    HostResolution "host.name-resolution" Transient
        "The name of the cluster's endpoint can't be resolved."
        "See to the machine's name servers, or give the name in `os.hosts` of the cluster file.";
    HostPort "host.port-taken" Transient
        "Another program listens on a port that Kubernetes needs."
        "Stop and disable that program, which the message names, or move it to another port.";
    HostFirewall "host.firewall" Transient
        "firewalld runs, and the ports of Kubernetes couldn't be opened in it."
        "Read firewall-cmd's words in the message; open the ports in your own configuration of the OS.";
    RuntimeStart "runtime.start" Transient
        "The container runtime doesn't start."
        "Read the runtime's own journal; look at its configuration.";
    RuntimeSocket "runtime.socket" Transient
        "The container runtime runs but its CRI socket doesn't answer."
        "Read the runtime's own journal; see that its CRI plugin is on.";
    ImagesMissing "images.missing" Permanent
        "An image the plan names is neither in the runtime nor in the plan's source."
        "Put an archive with that image into the directory the cluster file names.";
    ImagesSource "images.source-unreachable" Transient
        "None of the places the plan names has the image bundle, or it can't be read there."
        "Plug the disk in, start the server, or look at its cable: the message names every place.";
    ImagesTruncated "images.truncated" Transient
        "An image bundle is shorter than it should be."
        "Copy it again, whole; `nkd bundle verify` checks a copy.";
    ImagesBundle "images.other-bundle" Permanent
        "A file is not the image bundle the plan was compiled with."
        "Give the node that bundle, or compile again with this one and provision the node anew.";
    ImagesDigest "images.digest-mismatch" Permanent
        "An image has other bytes than the plan pins. Nothing of it is in the runtime under its name."
        "Copy the bundle again; if `nkd bundle verify` finds the original damaged, make a new one.";
    ImagesArchitecture "images.architecture" Permanent
        "The images are for another architecture than this machine's."
        "Make a bundle with `--arch` and compile with that.";
    ImagesDisk "images.disk-full" Transient
        "The disk has no room for the images."
        "Make room where the runtime keeps its images, or give the machine a larger disk.";
    ImagesImport "images.import" Transient
        "The runtime doesn't take an image."
        "Look for a damaged archive or a broken runtime; the message has the runtime's own words.";
    ImagesPull "images.pull" Transient
        "An image can't be pulled."
        "See that the registry, or its mirror, is reachable from here, trusted, and has the image.";
    GateUnreachable "gate.api-unreachable" Transient
        "The cluster's API can't be reached."
        "See that the init node is on, and that the endpoint's address is reachable from here.";
    GateUntrusted "gate.api-untrusted" Transient
        "What answers at the endpoint is not this cluster's API."
        "See that endpoint and certificates are of the same compilation on all nodes.";
    GateNotReady "gate.api-not-ready" Transient
        "The cluster's API answers but isn't ready for this node."
        "Wait for the init node; look at its own state when it stays so.";
    GateToken "gate.token-unknown" Transient
        "The cluster's API does not know this node's bootstrap token: `kubeadm init` has not created it yet, or it has expired."
        "Wait for the init node, which creates the tokens last. If the cluster has been up for longer, make a new token on a control plane with `kubeadm token create` and write it to /etc/nkd/token on this node; a node that still waits uses it within a minute.";
    KubeadmFailed "kubeadm.failed" Transient
        "kubeadm failed."
        "Read its output in the journal of nkd-agent.service.";
    KubeadmPreflight "kubeadm.preflight" Transient
        "kubeadm found the machine unfit: the message has its words."
        "Give the machine what kubeadm asks for, or take what is in its way off the OS image.";
    KubeadmToken "kubeadm.token-refused" Permanent
        "The cluster refuses this node's bootstrap token: it has expired, or it was never known."
        "Tokens live for a week after the cluster's first boot, or as long as the cluster file says. Make a new one on a control plane with `kubeadm token create`, write it to /etc/nkd/token on this node, and run `nkd-agent retry`.";
    KubeadmNameTaken "kubeadm.name-taken" Transient
        "The cluster has a Ready node of this name already."
        "Find the other machine that has this node's Ignition file or hostname. After a machine was provisioned anew, the cluster takes some 40 seconds to see that the old node is gone.";
    KubeadmClusterExists "kubeadm.cluster-exists" Transient
        "Another control plane serves the cluster already, and this machine, which is to make it, has nothing of it."
        "To join it again, put another control plane first in the cluster file, compile, and provision this machine with its new file. To have the cluster made anew, switch the others off.";
    KubeadmControlPlane "kubeadm.control-plane-down" Transient
        "The control plane that an earlier attempt made on this machine doesn't come up. It isn't reset, for the cluster may depend on it."
        "Read kubelet's journal and the logs of its static pods. `kubeadm reset` and `nkd-agent retry` begin anew; on the node that makes the cluster, nothing is kept of the cluster then.";
    KubeadmEtcd "kubeadm.etcd-member" Transient
        "etcd may still list this node as a member from an earlier attempt: nobody says so, or the member couldn't be removed. Nothing is reset meanwhile."
        "See that etcd on the other control planes is healthy; the message has its words.";
    KubeadmEtcdQuorum "kubeadm.etcd-quorum" Transient
        "Too few of etcd's members answer for it to have a leader, so no member can join or be removed. The node is left as it is until they do."
        "Start the other control planes, or see why etcd doesn't run on them. If one of them never comes back, restore etcd from a snapshot or by `--force-new-cluster` (etcd, \"Disaster recovery\").";
    KubeadmTimeout "kubeadm.timeout" Transient
        "kubeadm didn't finish in time and was stopped."
        "Read its output and kubelet's in the journal.";
    KubeadmReset "kubeadm.reset" Transient
        "What a failed kubeadm left behind couldn't be cleaned up."
        "Read its output in the journal of nkd-agent.service.";
    AddonsApply "addons.apply" Transient
        "A manifest couldn't be applied."
        "Read kubectl's output in the journal; mend the manifest in the cluster file.";
    ReadyNoNetwork "ready.no-network" Transient
        "The node has joined and waits for the cluster's network add-on, for as long as it takes."
        "Apply a network add-on, or name its manifest in the cluster file; the node goes on by itself. Where there is one, see why its pod doesn't run on this node.";
    ReadyNotYet "ready.not-yet" Transient
        "The node has joined but isn't Ready."
        "The message has the node's own reason.";
    ReadyUnreachable "ready.api-unreachable" Transient
        "The node can't see its own Node object."
        "See that the cluster's API is up and that kubelet has its credentials.";
}

impl Vocabulary for Cause {
    fn word(self) -> &'static str {
        self.code()
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl Serialize for Cause {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
}

impl<'de> Deserialize<'de> for Cause {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let code = String::deserialize(deserializer)?;
        Self::ALL
            .iter()
            .copied()
            .find(|cause| cause.code() == code)
            .ok_or_else(|| de::Error::custom(format!("unknown cause {code:?}")))
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Cause {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Cause".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let codes: Vec<_> = Self::ALL.iter().map(|cause| cause.code()).collect();
        schemars::json_schema!({ "type": "string", "enum": codes })
    }
}
