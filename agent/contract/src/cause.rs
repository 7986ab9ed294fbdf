use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Whether another attempt can succeed without a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// The problem may pass by itself, so the agent tries the stage again.
    Transient,
    /// The problem does not pass by itself: the agent stops until a person has solved it.
    Permanent,
}

macro_rules! causes {
    ($($variant:ident $code:literal $class:ident $meaning:literal $remedy:literal;)*) => {
        /// Why a stage failed. One table holds the code, the class, and the texts for a person.
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

            /// Whether another attempt can succeed without a person.
            pub const fn class(self) -> Class {
                match self { $(Self::$variant => Class::$class,)* }
            }

            /// What happened, for a person.
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$variant => $meaning,)* }
            }

            /// What a person can do about it.
            pub const fn remedy(self) -> &'static str {
                match self { $(Self::$variant => $remedy,)* }
            }
        }
    };
}

causes! {
    PlanMissing "plan.missing" Permanent
        "There is no plan on this machine: /etc/nkd/plan.json is missing."
        "Provision the machine with the Ignition file that nkd compiled for it.";
    PlanInvalid "plan.invalid" Permanent
        "nkd-agent cannot read the plan, /etc/nkd/plan.json."
        "Compile the cluster file again and provision the machine with the new Ignition file. Do not edit the plan.";
    PlanSchema "plan.schema-unknown" Permanent
        "The plan was written for another version of nkd-agent."
        "Compile with the version of nkd that belongs to the OS image, or use an OS image with the nkd-agent that belongs to your nkd.";
    PlanChanged "plan.changed" Permanent
        "The plan on this machine is not the plan with which this installation began."
        "Provision the machine again: nkd-agent cannot continue an installation with another plan.";
    PlanVarKept "plan.var-kept" Permanent
        "/var shows that this node was installed, but the files of that installation in /etc are gone. nkd-agent changes nothing, because /var may still contain data of etcd."
        "Keep both directories or neither: wipe /var and provision the machine again, or set up the machine so that /etc is kept as long as /var.";
    AgentState "agent.state" Transient
        "nkd-agent cannot read or write its own state in /var/lib/nkd."
        "Check whether /var is full (`df /var`) or read-only (`findmnt -T /var`).";
    AgentInternal "agent.internal" Transient
        "nkd-agent encountered an unexpected error."
        "Report this as a bug, with the output of `journalctl -u nkd-agent.service`.";
    AgentCutOff "agent.cut-off" Transient
        "nkd-agent was killed again and again in the middle of a stage, until the budget of the stage was used up. nkd-agent has stopped."
        "Find out what kills nkd-agent: run `journalctl -u nkd-agent.service` and `journalctl -k`. Most often the machine has too little memory. Then run `nkd-agent retry`.";
    AgentSync "agent.sync" Transient
        "The results of a stage could not be written to the disk."
        "Look for disk errors: run `journalctl -k`.";
    ClockBehind "clock.behind" Transient
        "The clock is earlier than the cluster's certificates, and nkd-agent could not set it."
        "Set the machine's clock, or give the machine a time server that it can reach (`os.ntp` in the cluster file).";
    ClockUnsynchronized "clock.not-synchronized" Transient
        "No time server has set the clock. nkd-agent continues, because the clock is not earlier than the cluster's certificates."
        "If the clock is right, do nothing. Otherwise give the machine a time server that it can reach (`os.ntp` in the cluster file).";
    PivotRebase "pivot.rebase" Transient
        "rpm-ostree could not fetch or deploy the OS image that the plan names."
        "Check that the machine can reach the image's registry and that the registry has an image with that digest. The message contains the output of rpm-ostree.";
    PivotReboot "pivot.reboot" Transient
        "The machine did not reboot into the OS image that was deployed."
        "Run `systemd-inhibit --list` to see what prevents the reboot, or reboot the machine yourself. nkd-agent continues after the reboot.";
    PivotNotBooted "pivot.not-booted" Permanent
        "After several reboots, the machine still runs another OS image than the one that was deployed."
        "Find out why the new image does not boot or was rolled back: look at the boot loader, `rpm-ostree status` and the journals of the last boots (`journalctl --list-boots`). Then run `nkd-agent retry`.";
    HookFailed "hook.failed" Transient
        "A hook before or after a stage failed, ran for too long, or is not an executable file."
        "Read the output of the hook: run `journalctl -u nkd-agent.service`. Correct the hook in your Ignition or Butane config, and in /etc/nkd/hooks on this node.";
    HostProgram "host.program-missing" Permanent
        "The OS image lacks a program that the installation needs."
        "Use an OS image with kubeadm, kubelet and the container runtime for this Kubernetes version.";
    HostVersion "host.kubernetes-version" Permanent
        "kubeadm or kubelet in the OS image is of another version of Kubernetes than the plan. The message contains the versions. If only the patch versions differ, nkd-agent reports that and continues."
        "Use an OS image with kubeadm and kubelet of the version in the message, or set `spec.kubernetes.version` in the cluster file to the version of the OS image, compile, and provision the machine again.";
    HostHostname "host.hostname" Transient
        "The hostname is not the node's name, and nkd-agent could not set it."
        "Find out what else sets the hostname, such as DHCP or cloud-init, and turn that off.";
    HostNameMissing "host.name-missing" Transient
        "The node's name is this machine's hostname, because the machine is of an open pool, and the machine has no hostname that a node can have."
        "Find out why the platform sets no hostname: look at the metadata of the cloud, at `journalctl -b -u NetworkManager` and at the DHCP server. Or set one yourself with `hostnamectl set-hostname`. While the node waits, it uses the new hostname within a minute.";
    HostKernel "host.kernel" Permanent
        "The kernel lacks a module or a setting that Kubernetes needs."
        "Use an OS image whose kernel has br_netfilter, overlay and IP forwarding.";
    HostSwap "host.swap" Transient
        "Swap is on, and nkd-agent could not turn it off."
        "Run `swapon --show` to see what is used as swap, and remove that device or file from the OS configuration.";
    HostTooSmall "host.too-small" Permanent
        "The machine has fewer processors or less memory than kubeadm requires for a control plane."
        "Use a larger machine, or have kubeadm ignore its checks `NumCPU` and `Mem` in an overlay document.";
    HostDisk "host.disk" Transient
        "A file system has too little free space for images and data."
        "Use a larger disk, or make sure that the file system grows to the size of the disk.";
    HostCgroups "host.cgroups" Permanent
        "This version of kubelet does not run with cgroups v1, which the machine uses."
        "Boot with the kernel argument `systemd.unified_cgroup_hierarchy=1` (`os.kernelArguments` in the cluster file). As long as kubelet accepts it, you can set `failCgroupV1: false` in a KubeletConfiguration instead.";
    HostAddress "host.address" Transient
        "The machine does not have the IP address of its node."
        "Check that the machine got the Ignition file of the right node. Check that DHCP or the network configuration gives it the address in the cluster file.";
    HostResolution "host.name-resolution" Transient
        "The name of the cluster's endpoint cannot be resolved."
        "Check the name servers of the machine, or add the name to `os.hosts` in the cluster file. For this machine alone, a line in /etc/hosts is enough.";
    HostPort "host.port-taken" Transient
        "Another program listens on a port that Kubernetes needs. The message names the program."
        "Stop and disable that program, or configure it to use another port.";
    HostFirewall "host.firewall" Transient
        "firewalld is running, and nkd-agent could not open the ports of Kubernetes in it."
        "Read the output of firewall-cmd in the message. Open the ports in your own configuration of the OS.";
    RuntimeStart "runtime.start" Transient
        "The container runtime does not start."
        "Read the journal of the runtime, for example `journalctl -u containerd.service`, and check its configuration.";
    RuntimeSocket "runtime.socket" Transient
        "The container runtime runs, but its CRI socket does not answer."
        "Read the journal of the runtime, for example `journalctl -u containerd.service`, and check that its CRI plugin is enabled.";
    ImagesMissing "images.missing" Permanent
        "An image that the plan requires is neither in the container runtime nor in the plan's image archives or bundles."
        "Put an archive with that image into the directory that the cluster file names, and run `nkd-agent retry`.";
    ImagesSource "images.source-unreachable" Transient
        "None of the places that the plan names has the image bundle, or the bundle cannot be read there."
        "Plug in the disk, start the server, or check the network. The message lists every place and what is wrong there.";
    ImagesTruncated "images.truncated" Transient
        "An image bundle is shorter than the plan states."
        "Copy the whole bundle again, and check the copy with `nkd bundle verify`.";
    ImagesBundle "images.other-bundle" Permanent
        "A file with the name of the image bundle is not the bundle with which the plan was compiled."
        "Give the node that bundle and run `nkd-agent retry`. Or compile with the bundle you have and provision the node again.";
    ImagesDigest "images.digest-mismatch" Permanent
        "The data of an image do not match the digest in the plan. nkd-agent has not loaded the image."
        "Copy the bundle again and run `nkd-agent retry`. If `nkd bundle verify` reports that the original is damaged, create a new bundle.";
    ImagesArchitecture "images.architecture" Permanent
        "The images are for another CPU architecture than that of this machine."
        "Create a bundle for this architecture (`nkd bundle create --arch`), compile with it, and provision the node again.";
    ImagesDisk "images.disk-full" Transient
        "The disk has too little free space for the images."
        "Free space in the directory where the container runtime keeps its images, or use a larger disk.";
    ImagesImport "images.import" Transient
        "The container runtime did not accept an image."
        "Look for a damaged archive or a broken runtime. The message contains the output of the runtime.";
    ImagesPull "images.pull" Transient
        "An image cannot be pulled."
        "Check that the machine can reach the registry or its mirror, that it trusts the registry's certificate, and that the registry has the image.";
    GateUnreachable "gate.api-unreachable" Transient
        "The cluster's API cannot be reached. The node waits for it."
        "Check that the init node is switched on, and that this machine can reach the address of the endpoint.";
    GateUntrusted "gate.api-untrusted" Transient
        "The server that answers at the cluster's endpoint is not the API of this cluster."
        "Check that the endpoint leads to this cluster, and that all nodes have files that were compiled with the same secrets file.";
    GateNotReady "gate.api-not-ready" Transient
        "The cluster's API answers but is not ready for this node to join. The node waits for it."
        "Wait for the init node. If nothing changes, run `nkd-agent status` on the init node.";
    GateToken "gate.token-unknown" Transient
        "The cluster's API does not accept this node's bootstrap token: `kubeadm init` has not created the token yet, or the token has expired. The node waits."
        "Wait for the init node: `kubeadm init` creates the tokens last. If the cluster has been up for longer, give it the tokens again: run `nkd secrets tokens CLUSTER.yaml SECRETS` where the node was compiled, and pass the output to `kubectl apply -f -`. The node then continues by itself. If the token was rotated after the node was compiled, compile again, and provision the machine again or write the new token to /etc/nkd/token.";
    GateEtcdQuorum "gate.etcd-quorum" Transient
        "The cluster's API is down because etcd has lost its quorum. This node has not restored the quorum yet, and waits."
        "Read the reason in the message. Check that etcd runs on the other control planes, and run `journalctl -u nkd-agent.service` on this node.";
    KubeadmFailed "kubeadm.failed" Transient
        "kubeadm failed."
        "Read the output of kubeadm: run `journalctl -u nkd-agent.service`.";
    KubeadmUnreachable "kubeadm.api-unreachable" Transient
        "nkd-agent cannot reach the API server, which it asks whether this node has joined. nkd-agent resets nothing before it has an answer."
        "Check that a control plane is up and that this machine can reach the address in the message.";
    KubeadmUntrusted "kubeadm.api-untrusted" Transient
        "The server that nkd-agent asks whether this node has joined is not the API server of this cluster. nkd-agent resets nothing."
        "Check that the endpoint leads to this cluster, and that all nodes have files that were compiled with the same secrets file.";
    KubeadmNotReady "kubeadm.api-not-ready" Transient
        "The API server returned an error when nkd-agent asked whether this node has joined. nkd-agent resets nothing."
        "Wait for the control planes. If nothing changes, check their API servers.";
    KubeadmImages "kubeadm.images" Transient
        "The container runtime could not list or remove the images that kubeadm has pulled."
        "Read the journal of the runtime, for example `journalctl -u containerd.service`. The message contains the output of the runtime.";
    KubeadmPreflight "kubeadm.preflight" Transient
        "The preflight checks of kubeadm failed. The message lists the errors."
        "Give the machine what kubeadm requires, or remove from the OS image what prevents the installation.";
    KubeadmToken "kubeadm.token-refused" Permanent
        "The cluster refuses this node's bootstrap token: the token has expired, or the cluster never had it."
        "Give the cluster the tokens again: run `nkd secrets tokens CLUSTER.yaml SECRETS` where the node was compiled, and pass the output to `kubectl apply -f -`. Then run `nkd-agent retry` on this node. If the token was rotated after the node was compiled, compile again, and provision the machine again or write the new token to /etc/nkd/token. Unless the cluster file sets another time, tokens are valid for a week.";
    KubeadmNameTaken "kubeadm.name-taken" Transient
        "The cluster already has a Ready node with this node's name."
        "Find the other machine that has this node's Ignition file or hostname. If this machine has just been provisioned again, wait: the cluster needs about 40 seconds to notice that the old node is gone. In an open pool, the platform must give each machine another hostname. A machine keeps its first hostname: to change it, run `hostnamectl set-hostname`, delete /var/lib/nkd/name, and reboot.";
    KubeadmClusterExists "kubeadm.cluster-exists" Transient
        "Another control plane already serves the cluster. This machine is the init node but has no data of the cluster. It waits, and does not create a second cluster."
        "To let this machine join again, put another control plane first in the cluster file, compile, and provision this machine with its new file. To create the cluster anew, switch off the other control planes.";
    KubeadmControlPlane "kubeadm.control-plane-down" Transient
        "The control plane that an earlier attempt created on this machine does not come up. nkd-agent does not reset it, because the cluster may depend on it."
        "Read the journal of kubelet (`journalctl -u kubelet`) and the logs of the static pods (/var/log/pods). To start again from nothing, run `kubeadm reset` and then `nkd-agent retry`. On the init node, this deletes the cluster's data on this machine.";
    KubeadmEtcd "kubeadm.etcd-member" Transient
        "etcd may still list this node as a member from an earlier attempt. nkd-agent could not ask etcd, or could not remove the member. nkd-agent resets nothing until the member is removed."
        "Check that etcd on the other control planes is healthy. The message contains the answer of etcd.";
    KubeadmEtcdQuorum "kubeadm.etcd-quorum" Transient
        "etcd has no leader, because too few of its members answer. Without a leader no member can be added or removed. nkd-agent waits and changes nothing on this node."
        "Start the other control planes, or find out why etcd does not run on them. If one of them never comes back, restore etcd from a snapshot or with `--force-new-cluster` (\"Disaster recovery\" in the documentation of etcd).";
    KubeadmTimeout "kubeadm.timeout" Transient
        "kubeadm did not finish in time, and nkd-agent stopped it."
        "Read the output of kubeadm and kubelet: run `journalctl -u nkd-agent.service -u kubelet.service`.";
    KubeadmReset "kubeadm.reset" Transient
        "nkd-agent could not clean up after a failed kubeadm."
        "Read the output of kubeadm: run `journalctl -u nkd-agent.service`.";
    AddonsApply "addons.apply" Transient
        "A manifest could not be applied."
        "Read the output of kubectl: run `journalctl -u nkd-agent.service`. Correct the manifest in the cluster file, and in /etc/nkd/addons on this node.";
    ReadyNoNetwork "ready.no-network" Transient
        "The node has joined, but its network is not ready. nkd-agent waits for the network add-on of the cluster without a time limit."
        "Apply a network add-on, or name its manifest in the cluster file. If the cluster has a network add-on, find out why its pod does not run on this node.";
    ReadyNotYet "ready.not-yet" Transient
        "The node has joined but is not Ready."
        "Read the message: it contains the reason that the node reports.";
    ReadyUnreachable "ready.api-unreachable" Transient
        "nkd-agent cannot read this node's Node object from the cluster's API."
        "Check that the cluster's API is up, and that kubelet runs and has its credentials (`journalctl -u kubelet`).";
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
