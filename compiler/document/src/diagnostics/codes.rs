macro_rules! codes {
    ($($variant:ident $code:literal $title:literal $help:literal;)*) => {
        /// The kind of an error. One table has the code, the title and the help text of each kind. A
        /// code never changes its meaning, and a code that is no longer used is never used again for
        /// another kind.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Code {
            $(#[doc = $title] $variant,)*
        }

        impl Code {
            /// The code with a text, such as `NKD0313`.
            pub fn parse(text: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|code| code.code() == text)
            }

            /// All codes, ascending.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The stable code, such as `NKD0001`.
            pub const fn code(self) -> &'static str {
                match self { $(Self::$variant => $code,)* }
            }

            /// The kind of error, as a sentence.
            pub const fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)* }
            }

            /// What to do about it, for diagnostics that have no help text of their own.
            pub const fn help(self) -> &'static str {
                match self { $(Self::$variant => $help,)* }
            }
        }
    };
}

codes! {
    // Files and YAML.
    Unreadable "NKD0001" "A file cannot be read."
        "check the path (paths in a cluster file are relative to that file) and the file's permissions";
    Syntax "NKD0002" "A file is not valid YAML."
        "correct the syntax; put quotes around text that contains special characters";
    Empty "NKD0003" "A file is empty."
        "start from the cluster file that `nkd new` prints";
    Documents "NKD0004" "A cluster file has more than one document."
        "keep one document: remove this `---` and everything after it";
    DuplicateKey "NKD0005" "A key occurs twice in one mapping."
        "remove one of the two";
    UnknownKey "NKD0006" "A key does not exist."
        "see the output of `nkd new` for all keys";
    WrongType "NKD0007" "A value has the wrong type."
        "see the output of `nkd new` for all keys and examples of their values";
    MissingKey "NKD0008" "A required key is missing."
        "add it; see the output of `nkd new` for all keys and examples of their values";
    // The cluster file.
    ApiVersion "NKD0101" "The file is not a cluster file that this version of nkd can read."
        "begin the file with `apiVersion: nkd.openeuler.org/v1alpha1` and `kind: Cluster`";
    Version "NKD0102" "The Kubernetes version is malformed or not supported."
        "write a version with three numbers, such as v1.31.2";
    Name "NKD0103" "A name is not a valid DNS name."
        "use lower-case letters, digits and `-`, at most 63 characters; names of nodes may also contain `.`";
    Endpoint "NKD0104" "The endpoint is not a host and a port."
        "write an IP address or DNS name, and a port, such as 10.0.0.10:6443 or [fd00::10]:6443";
    Cidr "NKD0105" "A value is not a network in CIDR notation."
        "write the network's address and its prefix length, such as 10.244.0.0/16";
    CidrOverlap "NKD0106" "Two networks overlap."
        "give pods, services and nodes networks that do not overlap";
    Address "NKD0107" "A value is not an IP address."
        "write one IPv4 or IPv6 address, such as 10.0.0.11";
    DuplicateName "NKD0108" "Two nodes have the same name."
        "give each node a different name; the name is the hostname and the name in Kubernetes";
    DuplicateAddress "NKD0109" "Two nodes have the same address."
        "give each node a different address";
    NoControlPlane "NKD0110" "No node is a control plane."
        "give at least one node `role: control-plane`";
    // NKD0111 was used while a cluster could have only one control plane.
    Choice "NKD0112" "A value is not one of the values that the key allows."
        "use one of the allowed values";
    Image "NKD0113" "A value is not the name of an image or of an image repository."
        "write a registry and a path, and for an image also a tag or a digest, such as registry.k8s.io/pause:3.10";
    Label "NKD0114" "A node cannot have a label or taint like this."
        "follow Kubernetes' rules for labels and taints; if kubelet may not set a label, set that label later with kubectl";
    Url "NKD0115" "A value is not an http or https URL."
        "write a URL such as https://nkd.example.org/report";
    NodePath "NKD0116" "A value is not an absolute path on the node."
        "write a path that begins with `/` and does not contain `..`";
    Duration "NKD0117" "A value is not a duration, or is out of range."
        "write a number and a unit, such as 10y or 365d";
    Manifest "NKD0118" "Two manifests have the same file name."
        "rename one of the two files";
    Certificate "NKD0119" "A CA file is not a file of PEM certificates."
        "use a file that contains only `-----BEGIN CERTIFICATE-----` blocks, and no private key";
    Family "NKD0120" "Addresses and networks have different IP versions."
        "use the same IP versions in the same order for nodes, pods and services; the networks in `spec.kubernetes.networking` default to IPv4";
    ServiceSize "NKD0121" "Kubernetes does not support a service network of this size."
        "use a prefix length from 12 to 28 for IPv4, from 108 to 124 for IPv6";
    PodSize "NKD0122" "The pod network is too small, or too large, for the nodes."
        "use a network with one /24 (IPv6: /64) for each node and at most 65536 of them, or set another size with the controller manager's argument `node-cidr-mask-size` in a kubeadm overlay";
    SharedEndpoint "NKD0123" "Several control planes have no endpoint that works when one of them fails."
        "set `spec.kubernetes.endpoint` to a load balancer, or to a virtual IP address together with `spec.kubernetes.kubeVip`";
    VirtualAddress "NKD0124" "The endpoint is not an address that kube-vip can use."
        "write an IP address that no node has, such as 10.200.0.10:6443; kube-vip adds it to one control plane at a time";
    Interface "NKD0125" "A value is not the name of a network interface, or the name is used twice."
        "write a name such as eth0 or enp1s0, with at most 15 characters";
    UnknownPool "NKD0126" "A node names a pool that does not exist."
        "use the `name` of a pool in `spec.pools`, or add a pool there";
    DuplicatePool "NKD0127" "Two pools have the same name."
        "give each pool a different name";
    Number "NKD0128" "A number is out of range."
        "write a number in this range";
    Quantity "NKD0129" "A resource reservation is not valid."
        "write a quantity such as 500m, 2 or 1Gi, and put it in quotes if it is a number";
    KubeletArg "NKD0130" "An argument of kubelet is not valid, or is set by nkd."
        "write the argument's name without leading dashes, such as `v`";
    Mac "NKD0131" "A value is not a MAC address."
        "write six bytes in hexadecimal, such as 52:54:00:12:34:56";
    DuplicateMac "NKD0132" "Two nodes have the same MAC address."
        "give each node the MAC address of its own network interface";
    User "NKD0133" "An operating system user is not valid."
        "use lower-case letters, digits, `_` and `-` in names, and hashes as `mkpasswd` prints them for passwords";
    SshKey "NKD0134" "A value is not a public SSH key."
        "copy the whole line of the .pub file";
    KernelArgument "NKD0135" "A value is not exactly one kernel argument."
        "write one argument per list item, without spaces";
    Addressing "NKD0136" "The addresses of a network interface are not consistent."
        "write addresses with their prefix length, such as 10.200.0.11/24; include the node's `address`, and use gateways inside these networks";
    NoProxy "NKD0137" "A value is not valid in `noProxy`."
        "write one name, domain (such as `.example.org`), address or network per list item";
    Hosts "NKD0138" "An entry of `hosts` has no names."
        "add `names`, or remove the entry";
    Registry "NKD0139" "The settings of an image registry are not valid."
        "list each registry once, with the `host` that image names begin with, such as docker.io or registry.example.org:5000";
    Auth "NKD0140" "The credentials for a registry are not valid."
        "set `username` to the user's name and `passwordFile` to a file that contains only the password, on one line";
    Runtime "NKD0141" "The container runtime does not support a setting."
        "use containerd, which supports every setting in a cluster file";
    DualStack "NKD0142" "IPv4 and IPv6 together are not possible like this."
        "use Kubernetes 1.21 or later and write one IPv4 and one IPv6 network, separated by a comma, such as 10.244.0.0/16,fd00:10:244::/56";
    Etcd "NKD0143" "The settings of an external etcd are not valid."
        "set `endpoints` to https URLs, such as https://10.200.0.31:2379, and `caFile`, `certFile` and `keyFile` to PEM files";
    Airgap "NKD0144" "The images cannot be loaded without a registry with these settings."
        "set `images` to a directory on the nodes; or set `bundles` to files made by `nkd bundle create`, and `sources` to a list of entries with one of `directory`, `disk` and `urls`";
    InsecureRegistry "NKD0145" "The connection to a registry is not protected."
        "use https and set `caFile` to the certificate of the registry's authority";
    ReleaseImage "NKD0147" "An OS image is not identified by its digest."
        "write REPOSITORY@sha256:DIGEST; `skopeo inspect docker://REPOSITORY:TAG` prints the digest";
    Port "NKD0148" "A value is not a port that a firewall can open."
        "write a port, or a range of ports, and a protocol, such as 8472/udp or 30000-32767/tcp";
    ManifestObject "NKD0149" "A manifest contains something other than Kubernetes objects."
        "check the file with `kubectl apply --dry-run=client -f FILE`";
    // The user's certificate authorities and keys.
    Pem "NKD0150" "A file does not contain the expected PEM certificates or PEM key."
        "set `certFile` to a file with only `-----BEGIN CERTIFICATE-----` blocks, and `keyFile` to a file with one `-----BEGIN PRIVATE KEY-----` (or RSA, or EC) block";
    EncryptedKey "NKD0151" "A private key is encrypted."
        "decrypt the key into a file that only you can read: `openssl pkey -in FILE -out FILE2`";
    KeyKind "NKD0152" "A private key has an algorithm or a size that is not supported."
        "use RSA with 2048 to 8192 bits, or EC on P-256 or P-384; before Kubernetes 1.26, use RSA for service accounts";
    KeyMismatch "NKD0153" "A private key does not belong to its certificate."
        "use the private key of the first certificate in `certFile`";
    NotAuthority "NKD0154" "A certificate may not be used as a certificate authority."
        "issue the certificate with `basicConstraints=critical,CA:TRUE` and `keyUsage=critical,keyCertSign,cRLSign`";
    AuthorityDates "NKD0155" "A certificate authority is not valid now, or not for long enough."
        "have the certificate issued again with the same key, and check this machine's clock";
    Chain "NKD0156" "The certificates in a file are not a chain that ends in a root."
        "put the authority's own certificate first, then the certificate of each issuer, and a self-signed root last";
    SharedAuthority "NKD0157" "Two authorities use the same certificate or key, or an authority is not used."
        "use separate keys for Kubernetes, etcd and the front proxy; if they share a key, each accepts certificates for the others";
    TrustAnchor "NKD0158" "The agent cannot verify a server with the certificates in a CA file."
        "give the certificate of the authority that signed the server's certificate, with a key that is EC on P-256 or P-384, Ed25519, or RSA (not RSA-PSS) with 2048 to 8192 bits; a self-signed certificate of the server itself must be valid and have `basicConstraints=critical,CA:FALSE`";
    SigningChain "NKD0159" "The authority of Kubernetes has an issuer."
        "use a self-signed authority for Kubernetes, or let nkd make it; the authorities of etcd and of the front proxy may be below your root";
    // SELinux.
    Selinux "NKD0160" "SELinux cannot separate containers with these settings."
        "remove `os.selinux`, so that the default of the container runtime applies";
    // The Kubernetes release.
    OpenPool "NKD0161" "An open pool cannot be used in this way."
        "list the machines in `spec.nodes`";
    NewerKubernetes "NKD0170" "The Kubernetes version is newer than the releases that nkd has data for."
        "use a version of nkd that has data for this release, or check the configuration of the nodes";
    KubernetesImages "NKD0171" "The list of Kubernetes' images is missing, incomplete or for another version."
        "list the output of `kubeadm config images list` in `spec.kubernetes.images`";
    // Bonds, VLANs and routes.
    Bond "NKD0172" "A bond of network interfaces is not valid."
        "set `mode`, and list Ethernet interfaces in `members`, each by its name or its MAC address and in one bond only";
    Vlan "NKD0173" "A VLAN is not valid."
        "set `parent` to the name of another item of `interfaces`, and `id` to a number that no other VLAN of this parent has";
    Route "NKD0174" "A static route is not valid."
        "write a `destination` such as 10.1.0.0/16, and a `gateway` that the interface reaches directly";
    VirtualName "NKD0175" "An Ethernet interface has a name that virtual interfaces usually have."
        "add `bond` or `vlan` to make it a bond or a VLAN; configure other virtual interfaces, such as bridges, in your own configs";
    Mtu "NKD0176" "A VLAN has a larger MTU than its parent."
        "set the same or a larger `mtu` on the parent";
    UnknownPatch "NKD0180" "No Kubernetes release line has had so many patch releases."
        "check the version";
    // Clusters that compile, but probably do not work as intended.
    NoNetwork "NKD0181" "No network add-on is configured."
        "list the manifests of a network add-on in `spec.network.manifests`";
    TwoControlPlanes "NKD0182" "A cluster has two control planes, which tolerate no failure."
        "use one, three or five control planes, or an external etcd";
    // kubeadm overlay documents.
    OverlayKind "NKD0201" "A document is not part of kubeadm's configuration in this version, or not read on this node."
        "see kubeadm's configuration reference for this Kubernetes version";
    OverlayField "NKD0202" "A kubeadm field does not exist in this version."
        "see kubeadm's configuration reference for this Kubernetes version";
    OverlayOwned "NKD0203" "nkd sets a kubeadm field itself."
        "remove it from the overlay document";
    OverlayType "NKD0204" "The value of a kubeadm field has the wrong type, or is not allowed."
        "see kubeadm's configuration reference for this Kubernetes version";
    OverlayPhase "NKD0205" "A kubeadm phase does not exist."
        "see `kubeadm init phase --help` and `kubeadm join phase --help` for the list";
    OverlayPreflight "NKD0206" "A kubeadm preflight check does not exist."
        "write the name that kubeadm prints in brackets when the check fails, such as `Swap` for [ERROR Swap]";
    OverlayValue "NKD0207" "A value of a kubeadm, kubelet or kube-proxy field is out of range, malformed, or contradicts another."
        "see the reference of this configuration for the Kubernetes version";
    OverlayVolume "NKD0208" "An extra volume of a control plane component is not valid."
        "give each volume a different name and mount path, and absolute paths";
    OverlayFile "NKD0209" "An argument of a control plane component names a file that is not in the component's pod."
        "mount the file's directory with `extraVolumes` of the component";
    OverlayMissing "NKD0210" "kubeadm or a control plane component reads a file that no config writes on the node."
        "write the file with `os.butane` or `os.ignition`, or use `--allow NKD0210` if the OS image or a hook has it";
    OverlayGate "NKD0211" "A feature gate does not exist in this version, or is malformed."
        "see the feature gates of this Kubernetes version";
    OverlaySkipped "NKD0212" "A kubeadm phase is skipped that makes files which a node needs."
        "remove it, or use `--allow NKD0212` if a hook or your own config makes the files";
    Deprecated "NKD0213" "Kubernetes will remove a setting."
        "use what replaces it";
    // The user's Ignition configs.
    IgnitionInvalid "NKD0301" "A file is not an Ignition config that nkd can read."
        "use an Ignition config (JSON) of version 3.0.0 to 3.6.0";
    IgnitionCollision "NKD0302" "An Ignition config sets something that nkd sets."
        "remove it from the config, or name it in `os.override`; to change units of nkd, use drop-ins";
    IgnitionReference "NKD0303" "An Ignition config refers to another config."
        "list that config's file in the cluster file instead, so that nkd can check it";
    IgnitionRefused "NKD0304" "Ignition would reject this at boot."
        "see Ignition's configuration reference";
    IgnitionVersion "NKD0305" "A field does not exist in this version of the config, or in the version that nodes get."
        "use a later version of the config, or remove the field";
    IgnitionIdle "NKD0306" "Ignition would ignore this."
        "complete this setting or remove it; see Ignition's configuration reference";
    Needed "NKD0307" "The user's configuration breaks something that a node needs."
        "change or remove this setting: the node would not work with it";
    // Butane.
    ButaneVersion "NKD0311" "The file is not a Butane config of a variant and version that nkd can read."
        "use `variant: nestos` with `version: 1.0.0`, or `variant: fcos` with a version from 1.0.0 to 1.7.0";
    ButaneConflict "NKD0312" "Keys of a Butane config contradict each other, or one needs another."
        "see Butane's reference for this version";
    DecimalMode "NKD0313" "A file mode was probably meant to be octal."
        "write file modes in octal with a leading zero, such as 0644";
    LocalFile "NKD0314" "A local file of a Butane config cannot be used."
        "use only files below the directory of the Butane file, or with `nkd butane` below the directory of `-d`";
    Override "NKD0315" "An entry of `os.override` has no effect."
        "name a file, unit, drop-in (UNIT.d/NAME) or user that both nkd and your own config set";
    // What nodes would do with a valid config of the user.
    KubeadmFile "NKD0320" "The user's configuration has a file that kubeadm writes itself."
        "remove it from the config";
    EtcdDirectory "NKD0321" "The directory of etcd's data would not be empty when kubeadm starts."
        "leave /var/lib/etcd empty, or mount an xfs file system there";
    NoDisk "NKD0322" "The user's configuration writes to a place that nodes cannot write, or that is empty after the boot."
        "use a path below /etc or /var";
    NameConstraints "NKD0323" "The name constraints of an authority do not permit the names in certificates of the cluster."
        "have the authority issued again without `nameConstraints`, or with constraints that permit all names and addresses of the control planes and of the API server";
    // Ranges of nodes.
    NodeRange "NKD0340" "A range in an item of `spec.nodes` is malformed, or does not fit the other keys of the item."
        "write the first and the last number in brackets, such as w[01-20], and as many values in `address`, such as 10.0.0.[11-30]";
    // Overlays, continued.
    IdlePhase "NKD0341" "An entry of `skipPhases` has no effect."
        "remove it, or name the sub-phases to skip";
    // System extensions.
    Extension "NKD0350" "An entry of `os.extensions` is incomplete or malformed, or contradicts its file."
        "set exactly one of `url`, `disk` and `directory`; and set `file` to the extension's file, or set `name`, `sha256` and `architecture`";
    ExtensionFile "NKD0351" "A file is not a system extension."
        "use a squashfs image (gzip, xz or zstd) with usr/lib/extension-release.d/extension-release.NAME; for other extensions, set `name`, `sha256` and `architecture` instead of `file`";
    ExtensionConflict "NKD0352" "The system extensions of a node do not fit together."
        "use one extension of each name for each node, one that has Kubernetes, and all for the same architecture";
    ExtensionVersion "NKD0353" "A system extension has another version of Kubernetes than the cluster."
        "use the extension with the version in `spec.kubernetes.version`, or change that key";
    ExtensionIgnored "NKD0354" "A system extension has files that nodes do not get."
        "move the files below usr/ or opt/; systemd-sysext ignores all others";
    // Secrets and output.
    SecretsInvalid "NKD0401" "The secrets file cannot be used."
        "use the secrets file that an earlier `nkd compile` wrote, or omit it to have new secrets generated";
    SecretsMismatch "NKD0402" "The secrets file belongs to another cluster, or to other settings."
        "compile into another directory, or with another secrets file, to have new secrets generated";
    ForeignOutput "NKD0403" "The output directory was not made by nkd."
        "use a path that does not exist yet, or an earlier output of nkd";
    UnknownNode "NKD0404" "A node does not exist."
        "use a name from `spec.nodes`, or the name of an open pool";
    TooLarge "NKD0405" "A node's config is too large for its carrier."
        "make the large parts of the config smaller, or use `--url`: the machine then gets a small config that downloads this one and checks its hash";
    UnknownPath "NKD0406" "nkd has written no file or unit with this path for the node."
        "run `nkd explain OUT NODE` for a list of all paths";
    SecretsReadable "NKD0407" "Other users can read the secrets file."
        "run `chmod 600` on the file; if other users could read it, have new secrets generated";
    NotRotatable "NKD0408" "A secret cannot be changed while nodes run with it."
        "to replace the Kubernetes authority step by step, follow \"Rotate an authority\" in docs/day-2.md; for the other secrets, compile into another directory with new secrets and install all nodes again";
    SecretsExpired "NKD0409" "An authority in the secrets file has expired, or expires before the bootstrap tokens."
        "compile into another directory to have new secrets generated, and install all nodes again; nodes cannot join with the old secrets";
    Diskless "NKD0410" "A node that runs from memory cannot do what its config asks for."
        "set `installDisk`, so that the machine installs the OS, or remove it for this node";
    DisklessQuorum "NKD0411" "So many control planes keep etcd's data in memory that a power cut of all machines ends the cluster."
        "set `installDisk` for more of them, or accept this with `spec.kubernetes.etcd.inMemory: true`";
    // Image bundles.
    BundleUnusable "NKD0501" "A file is not an image bundle that can be used."
        "make a bundle with `nkd bundle create`, or check this one with `nkd bundle verify`";
    BundleIncomplete "NKD0502" "An image that the cluster runs is not in any bundle."
        "fetch the image (`nkd images CLUSTER.yaml --commands` prints how) and create the bundle again";
    BundleInput "NKD0503" "An image archive cannot be put into a bundle."
        "use archives from skopeo, docker, podman or ctr, OCI image layouts, or directories of these";
    BundleLarge "NKD0504" "An image does not fit into one part of a bundle."
        "use a larger size with `--split`";
    BundleFetch "NKD0505" "An image cannot be fetched."
        "install skopeo, which `--pull` runs, and configure its access to the registry; for a registry with a password, run `skopeo login`";
}

#[cfg(test)]
mod tests {
    use super::Code;

    #[test]
    fn codes_are_ascending_and_so_unique() {
        assert!(
            Code::ALL
                .windows(2)
                .all(|two| two[0].code() < two[1].code())
        );
    }
}
