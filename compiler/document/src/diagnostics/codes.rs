macro_rules! codes {
    ($($variant:ident $code:literal $title:literal $help:literal;)*) => {
        /// What kind of thing is wrong. One table holds code, title and help; codes never change
        /// their meaning and are never used again.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Code {
            $(#[doc = $title] $variant,)*
        }

        impl Code {
            /// All codes, ascending.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The stable code.
            pub const fn code(self) -> &'static str {
                match self { $(Self::$variant => $code,)* }
            }

            /// What it means.
            pub const fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)* }
            }

            /// What to do about it.
            pub const fn help(self) -> &'static str {
                match self { $(Self::$variant => $help,)* }
            }
        }
    };
}

codes! {
    // Files and YAML.
    Unreadable "NKD0001" "A file can't be read."
        "paths in a cluster file are relative to that file";
    Syntax "NKD0002" "A file is not YAML."
        "indent with spaces, and put quotes around text with special characters";
    Empty "NKD0003" "A file is empty."
        "`nkd new` prints a cluster file to start from";
    Documents "NKD0004" "A cluster file holds more than one document."
        "one file describes one cluster: remove the `---` and what follows";
    DuplicateKey "NKD0005" "A key is given twice."
        "remove one of the two";
    UnknownKey "NKD0006" "A key is not known."
        "`nkd new` prints a cluster file with all keys";
    WrongType "NKD0007" "A value is of another type than the key takes."
        "`nkd new` prints a cluster file with all keys";
    MissingKey "NKD0008" "A key that is needed is absent."
        "`nkd new` prints a cluster file with all keys";
    // The cluster file.
    ApiVersion "NKD0101" "The file is not a cluster file of this version of nkd."
        "a cluster file begins with `apiVersion: nkd.openeuler.org/v1alpha1` and `kind: Cluster`";
    Version "NKD0102" "The Kubernetes version is not one nkd knows."
        "nkd knows Kubernetes 1.20 to 1.36; write all three numbers, such as v1.31.2";
    Name "NKD0103" "A name is not a valid DNS name."
        "use lower-case letters, digits and `-`, at most 63 of them (nodes may use `.` too)";
    Endpoint "NKD0104" "The endpoint is not a host and a port."
        "write an address or DNS name and a port, such as 10.0.0.10:6443 or [fd00::10]:6443";
    Cidr "NKD0105" "A value is not a network in CIDR notation."
        "write an address and a prefix length, such as 10.244.0.0/16";
    CidrOverlap "NKD0106" "Two networks overlap."
        "pods, services and nodes need networks of their own";
    Address "NKD0107" "A value is not an IP address."
        "write one IPv4 or IPv6 address, such as 10.0.0.11";
    DuplicateName "NKD0108" "Two nodes have the same name."
        "a node's name is its hostname and its name in Kubernetes: it must be its own";
    DuplicateAddress "NKD0109" "Two nodes have the same address."
        "a node's address must be its own";
    NoControlPlane "NKD0110" "No node is a control plane."
        "give one node `role: control-plane`";
    // NKD0111 said that there may be one control plane only.
    Choice "NKD0112" "A value is none of those the key takes."
        "use one of the values named above";
    Image "NKD0113" "A value is not the name of an image or an image repository."
        "write a registry, a path and for an image a tag, such as registry.k8s.io/pause:3.10";
    Label "NKD0114" "A label or taint can't be set by a node."
        "see Kubernetes, \"Labels and Selectors\" and \"NodeRestriction\"; other labels can be set with kubectl later";
    Url "NKD0115" "A value is not an http or https URL."
        "write a URL such as https://nkd.example.org/report";
    NodePath "NKD0116" "A value is not a full path on the node."
        "write a path that begins with `/` and has no `..`";
    Duration "NKD0117" "A value is not a length of time."
        "write a number and a unit, such as 10y or 365d";
    Manifest "NKD0118" "Two manifests have the same file name."
        "rename one of the files";
    Certificate "NKD0119" "A file holds no PEM certificate."
        "a CA file holds `-----BEGIN CERTIFICATE-----` blocks and no private key";
    Family "NKD0120" "Addresses and networks are of different IP versions."
        "nodes, pods and services have the same IP versions, the same one first; `spec.kubernetes.networking` defaults to IPv4";
    ServiceSize "NKD0121" "The services' network has a size that Kubernetes refuses."
        "give it a prefix length from 12 to 28 for IPv4, from 108 to 124 for IPv6";
    PodSize "NKD0122" "The pods' network can't be divided among the nodes."
        "each node gets a /24 of it (IPv6: a /64), and kubeadm makes at most 65536 of them; another size is set with the controller manager's argument `node-cidr-mask-size` in a kubeadm overlay";
    SharedEndpoint "NKD0123" "Several control planes have no endpoint that outlives each of them."
        "give `spec.kubernetes.endpoint` a load balancer, or a virtual address and `spec.kubernetes.kubeVip`";
    VirtualAddress "NKD0124" "The endpoint is not an address that kube-vip can carry."
        "kube-vip puts one more address on a control plane: write one that no node has, such as 10.200.0.10:6443";
    Interface "NKD0125" "A value is not the name of a network interface."
        "write a name such as eth0 or enp1s0, at most 15 characters";
    UnknownPool "NKD0126" "A node names a pool that isn't there."
        "pools are under `spec.pools`, each with a `name`";
    DuplicatePool "NKD0127" "Two pools have the same name."
        "a pool's name must be its own";
    Number "NKD0128" "A number is out of its range."
        "maxPods goes from 1 to 10000, mtu from 1280 to 65535";
    Quantity "NKD0129" "A resource can't be reserved like this."
        "write a quantity such as 500m, 2 or 1Gi, in quotes if it is a number";
    KubeletArg "NKD0130" "An argument of kubelet can't be given."
        "write its name without dashes before it, such as `v`";
    Mac "NKD0131" "A value is not a MAC address."
        "write six bytes in hexadecimal, such as 52:54:00:12:34:56";
    DuplicateMac "NKD0132" "Two nodes have the same MAC address."
        "a node's MAC address must be its own";
    User "NKD0133" "A user of the system can't be made like this."
        "names have lower-case letters, digits, `_` and `-`; passwords are given as hashes, as `mkpasswd` prints them";
    SshKey "NKD0134" "A text is not a public SSH key."
        "copy the whole line of the .pub file";
    KernelArgument "NKD0135" "A value is not one kernel argument."
        "write one argument for each item of the list, without blanks";
    Addressing "NKD0136" "A network interface's addresses don't fit together."
        "write addresses such as 10.200.0.11/24, the node's `address` among them, and gateways inside their networks";
    NoProxy "NKD0137" "A value can't be excepted from the proxy."
        "write names, domains (`.example.org`), addresses or networks, one for each item of the list";
    Hosts "NKD0138" "An address has no names."
        "give it `names`, or remove it";
    Registry "NKD0139" "An image registry can't be set up like this."
        "give each registry's `host` once, as images' names begin, such as docker.io or registry.example.org:5000";
    Auth "NKD0140" "The credentials for a registry can't be used."
        "`username` is text, `passwordFile` a file with one line";
    Runtime "NKD0141" "The container runtime can't do what is asked of it."
        "use containerd: it can do all that a cluster file says";
    DualStack "NKD0142" "Networks of both IP versions can't be had like this."
        "from Kubernetes 1.21, write one IPv4 and one IPv6 network with a comma between them, such as 10.244.0.0/16,fd00:10:244::/56";
    Etcd "NKD0143" "An external etcd can't be used like this."
        "give `endpoints` as https URLs, such as https://10.200.0.31:2379, and PEM files for `caFile`, `certFile` and `keyFile`";
    Airgap "NKD0144" "Images can't be had without registries like this."
        "give `images`, a directory on the nodes, or `bundles`, files made by `nkd bundle create`, with `sources` of one `directory`, `disk` or list of `urls` each";
    ReleaseImage "NKD0147" "An OS image isn't named by its digest."
        "write REPOSITORY@sha256:DIGEST, as `skopeo inspect docker://REPOSITORY:TAG` shows it";
    Port "NKD0148" "A value is not a port that a firewall can open."
        "write a port or a range of ports and a protocol, such as 8472/udp";
    ManifestObject "NKD0149" "A manifest holds something else than objects of Kubernetes."
        "`kubectl apply --dry-run=client -f FILE` says what it holds";
    // Authorities and keys of the user's own.
    Pem "NKD0150" "A file doesn't hold the PEM certificates, or the one PEM key, it should."
        "`certFile` holds `-----BEGIN CERTIFICATE-----` blocks alone, `keyFile` one `-----BEGIN PRIVATE KEY-----` block (or RSA, or EC)";
    EncryptedKey "NKD0151" "A private key is encrypted."
        "decrypt it into a file that only you may read: `openssl pkey -in FILE -out FILE2`";
    KeyKind "NKD0152" "A private key is of a kind that can't be used."
        "use RSA of 2048 to 8192 bits, or EC on P-256 or P-384; before Kubernetes 1.26, service accounts need RSA";
    KeyMismatch "NKD0153" "A private key doesn't belong to its certificate."
        "give the key the first certificate of `certFile` was made for";
    NotAuthority "NKD0154" "A certificate may not do what an authority of a cluster does."
        "make a CA certificate: `basicConstraints=critical,CA:TRUE` and `keyUsage=critical,keyCertSign,cRLSign`";
    AuthorityDates "NKD0155" "An authority is not valid now, or not for long enough."
        "have the certificate issued anew with the same key; see also that this machine's clock is right";
    Chain "NKD0156" "A file's certificates are not a chain up to a root."
        "first the authority itself, then each one's issuer, and a self-signed root last";
    SharedAuthority "NKD0157" "Two authorities are the same, or one is of no use."
        "Kubernetes, etcd and the front proxy need keys of their own: who is known to one must not be known to the others";
    // SELinux.
    Selinux "NKD0160" "Containers can't be separated by SELinux like this."
        "leave `os.selinux` out: then the container runtime's own default holds";
    // kubeadm overlay documents.
    OverlayKind "NKD0201" "A document is not one that kubeadm of this version takes."
        "see kubeadm's configuration reference for this Kubernetes version";
    OverlayField "NKD0202" "A kubeadm field is not known in this version."
        "see kubeadm's configuration reference for this Kubernetes version";
    OverlayOwned "NKD0203" "A kubeadm field belongs to nkd."
        "remove it from the overlay document";
    OverlayType "NKD0204" "A kubeadm field has another type or another value."
        "see kubeadm's configuration reference for this Kubernetes version";
    OverlayPhase "NKD0205" "A phase of kubeadm is not known."
        "`kubeadm init phase --help` and `kubeadm join phase --help` list them";
    OverlayPreflight "NKD0206" "A preflight check of kubeadm is not known."
        "kubeadm names the check in brackets when it fails, such as [ERROR Swap]";
    // The user's own Ignition.
    IgnitionInvalid "NKD0301" "A file is not an Ignition config nkd can use."
        "nkd takes Ignition configs (JSON) of versions 3.0.0 to 3.5.0";
    IgnitionCollision "NKD0302" "An Ignition config sets something that is nkd's."
        "remove it there, or name it under `os.override`; nkd's own units can be changed with drop-ins";
    IgnitionReference "NKD0303" "An Ignition config refers to another config."
        "name that config's file in the cluster file instead, so that nkd can check it";
    IgnitionRefused "NKD0304" "Ignition would refuse this at boot."
        "see Ignition's configuration reference";
    IgnitionVersion "NKD0305" "A field is not in this version of the config, or not in the one nodes get."
        "raise the config's version, or do without the field";
    IgnitionIdle "NKD0306" "Ignition would pass over this and do nothing."
        "say what is meant, or leave it out; see Ignition's configuration reference";
    Needed "NKD0307" "The user's own configuration takes from a node what it needs."
        "a node needs it on every boot: leave this out; that kubelet is to put up with swap can be said in a kubeadm overlay";
    // Butane.
    ButaneVersion "NKD0311" "The file is not a Butane config of a variant and version nkd reads."
        "nkd reads `variant: nestos` with `version: 1.0.0`, and `variant: fcos` with 1.0.0 to 1.5.0";
    ButaneConflict "NKD0312" "Keys of a Butane config don't go together, or one lacks another."
        "see Butane's reference for this version";
    DecimalMode "NKD0313" "A mode is most likely meant to be octal."
        "write octal numbers with a leading zero, such as 0644";
    LocalFile "NKD0314" "A local file of a Butane config can't be used."
        "local files are read from below one directory: in a cluster file that of the Butane file, else the one given with -d";
    Override "NKD0315" "An override has no effect."
        "name a file, unit, drop-in (UNIT.d/NAME) or user that is nkd's and that your own config sets too";
    // Secrets and output.
    SecretsInvalid "NKD0401" "The secrets file can't be used."
        "give the file an earlier `nkd compile` wrote, or none to have new secrets made";
    SecretsMismatch "NKD0402" "The secrets file was made for something else."
        "compile into another directory, or with another secrets file, for new secrets";
    ForeignOutput "NKD0403" "The output directory is not one that nkd made."
        "give a path that doesn't exist yet, or an earlier output of nkd";
    UnknownNode "NKD0404" "There is no such node."
        "use names from `spec.nodes`";
    TooLarge "NKD0405" "A node's config is too large for its carrier."
        "make its large parts smaller, or give `--url` for a config that machines fetch, checked by its hash";
    UnknownPath "NKD0406" "Nothing was compiled for a path on the node."
        "`nkd explain OUT NODE` lists all there is";
    SecretsReadable "NKD0407" "Others can read the secrets file."
        "`chmod 600` it; if others had access to it, have new secrets made";
    NotRotatable "NKD0408" "A secret can't be changed while nodes run with it."
        "for new ones, compile into another directory with new secrets, and install all nodes anew";
    SecretsExpired "NKD0409" "An authority in the secrets file has expired, or ends before the bootstrap tokens."
        "nodes can't join without it: compile into another directory for new secrets, and install all nodes anew";
    // Image bundles.
    BundleUnusable "NKD0501" "A file is not an image bundle that can be used."
        "`nkd bundle create` makes bundles, and `nkd bundle verify` says what is wrong with one";
    BundleIncomplete "NKD0502" "An image that the cluster runs is in no bundle."
        "fetch it (`nkd images CLUSTER.yaml --commands`) and make the bundle anew";
    BundleInput "NKD0503" "An archive of images can't be put into a bundle."
        "give archives as skopeo, docker or podman write them, image layouts, or directories of those";
    BundleLarge "NKD0504" "An image doesn't fit into a part of a bundle."
        "give `--split` a larger size";
    BundleFetch "NKD0505" "An image can't be fetched."
        "`--pull` needs skopeo, which asks registries as it is configured: `skopeo login` gives it a password";
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
