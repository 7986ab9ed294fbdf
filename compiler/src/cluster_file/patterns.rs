//! Patterns of values for the JSON schema, so that editors mark most errors. Each pattern is for the check of the same
//! name in [`checks`](super::checks), which decides. A pattern never refuses what the check accepts.
//!
//! The patterns use what the regular expressions of JavaScript and of the `regex` crate have in common, and negative
//! lookahead.

/// Names a pattern that is made of parts, and matches whole values.
macro_rules! patterns {
    ($($(#[$doc:meta])* $name:ident = $($part:expr),+;)+) => {
        $($(#[$doc])* pub const $name: &str = concat!("^(", $($part),+, ")$");)+
    };
}

/// Networks can have leading zeros.
macro_rules! octet {
    () => {
        "0*(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
    };
}

macro_rules! ipv4 {
    () => {
        concat!("(", octet!(), r"\.){3}", octet!())
    };
}

/// Without the details of where `::` can be.
macro_rules! ipv6 {
    () => {
        "[0-9A-Fa-f]*:[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*"
    };
}

/// No loopback and no multicast address.
macro_rules! machine4 {
    () => {
        concat!(r"(?!127\.|22[4-9]\.|23[0-9]\.)", ipv4!())
    };
}

macro_rules! network4 {
    () => {
        concat!(machine4!(), "/[0-9]{1,3}")
    };
}

macro_rules! network6 {
    () => {
        concat!(ipv6!(), "/[0-9]{1,3}")
    };
}

macro_rules! label {
    () => {
        "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
    };
}

macro_rules! name {
    () => {
        concat!(label!(), r"(\.", label!(), ")*")
    };
}

/// A name, or an IPv4 address if there are only digits and dots before the `$end`.
macro_rules! host {
    ($end:literal) => {
        concat!("(", ipv4!(), "|(?![0-9.]+", $end, ")", name!(), ")")
    };
}

macro_rules! port {
    () => {
        "0*(6553[0-5]|655[0-2][0-9]|65[0-4][0-9]{2}|6[0-4][0-9]{3}|[1-5][0-9]{4}|[1-9][0-9]{0,3})"
    };
}

macro_rules! image_part {
    () => {
        "[A-Za-z0-9][a-z0-9._:-]*"
    };
}

/// The last part of an image's path, without a tag.
macro_rules! image_end {
    () => {
        "[A-Za-z0-9][a-z0-9._-]*"
    };
}

macro_rules! label_value {
    () => {
        "[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?"
    };
}

macro_rules! interface {
    () => {
        r"(?!(\.|\.\.|lo)$)[A-Za-z0-9._@-]{1,15}"
    };
}

/// A range of numbers in an item of `spec.nodes`.
macro_rules! range {
    () => {
        r"\[[0-9]{1,9}-[0-9]{1,9}\]"
    };
}

/// A text of some characters with at least one range.
macro_rules! ranged {
    ($characters:literal) => {
        concat!($characters, "*(", range!(), $characters, "*)+")
    };
}

macro_rules! mac {
    () => {
        "[0-9A-Fa-f]{2}([:-][0-9A-Fa-f]{2}){5}"
    };
}

patterns! {
    /// The Kubernetes version. 1.20 is the oldest that nkd supports.
    VERSION = r"v?1\.([2-9][0-9]|[1-9][0-9]{2,})\.(0|[1-9][0-9]*)";
    /// A DNS label.
    DNS_LABEL = label!();
    /// A DNS name.
    DNS_NAME = name!();
    /// The name of a node, or a range of names.
    NODE_NAME = r"(?!localhost$|[^\[]{64})", name!(), "|", ranged!("[a-z0-9.-]");
    /// A DNS name, also with `*` for the first label, or an address.
    CERTIFICATE_HOST = ipv6!(), r"|(\*\.)?", name!();
    /// A DNS name or an address.
    PLAIN_HOST = host!("$"), "|", ipv6!();
    /// A host and a port.
    ENDPOINT = r"(?!localhost:|127\.)(\[", ipv6!(), r"\]|", host!(":"), "):", port!();
    /// An address of a machine.
    ADDRESS = machine4!(), "|", ipv6!();
    /// The addresses of a node, one of each IP version, or ranges of them.
    ADDRESSES = machine4!(), "(,", ipv6!(), ")?|", ipv6!(), "(,", machine4!(), ")?|", ranged!("[0-9A-Fa-f:.,]");
    /// An address with a prefix length, or a range of them.
    INTERFACE_ADDRESS = ipv4!(), "/[0-9]{1,3}|", network6!(), "|", ranged!("[0-9A-Fa-f:./]");
    /// A network.
    CIDR = network4!(), "|", network6!();
    /// The networks of pods or services, one of each IP version.
    SUBNETS = network4!(), "(,", network6!(), ")?|", network6!(), "(,", network4!(), ")?";
    /// An image with a tag.
    IMAGE = image_part!(), "(/", image_part!(), ")+:[A-Za-z0-9._-]+";
    /// An image with a tag or a digest, or with both.
    IMAGE_OR_DIGEST = image_part!(), "(/", image_part!(), ")+(:[A-Za-z0-9._-]+|(:[A-Za-z0-9._-]+)?@sha256:[0-9a-f]{64})";
    /// An image with a digest.
    PINNED_IMAGE = "(", image_part!(), "/)+", image_end!(), "@sha256:[0-9a-f]{64}";
    /// The registry and path of images.
    IMAGE_REPOSITORY = image_part!(), "|(", image_part!(), "/)+", image_end!();
    /// The registry in the names of images, or `_default` for all others.
    REGISTRY = "_default|", name!(), "(:", port!(), ")?";
    /// An http or https URL.
    URL = r"https?://[^/?#\s]+[^#\s]*";
    /// An http or https URL without a query.
    PLAIN_URL = r"https?://[^/?#@\s]+[^?#\s]*";
    /// An https URL.
    HTTPS_URL = r"https://[^/?#\s]+[^#\s]*";
    /// A port or a range of ports, and the protocol.
    PORT = port!(), "(-", port!(), ")?/(tcp|udp|sctp|dccp)";
    /// A number and a unit, once or several times.
    DURATION = r"\s*[0-9][0-9A-Za-zµ.\s]*";
    /// An absolute path.
    NODE_PATH = r"(/(?!\.{1,2}(/|$))[^/]+)+";
    /// An absolute path without white space.
    PLAIN_NODE_PATH = r"(/(?!\.{1,2}(/|$))[^/\s]+)+";
    /// The name of a file, as [`bundle::is_file_name`](crate::bundle::is_file_name) checks it.
    FILE_NAME = "[A-Za-z0-9_][A-Za-z0-9._-]*";
    /// A SHA-256 in hexadecimal.
    SHA256 = "[0-9a-f]{64}";
    /// A path below /dev.
    DISK = r"/dev(/(?!\.{1,2}(/|$))[^/]+)+";
    /// The label of a file system.
    DISK_LABEL = r#"(?!-)[!#-&(-.0-\[\]-~]{1,32}"#;
    /// The MAC address of a network interface.
    MAC = mac!();
    /// The name of a network interface.
    INTERFACE = interface!();
    /// The name or the MAC address of a network interface.
    MEMBER = mac!(), "|", interface!();
    /// The name of a user or a group.
    LOGIN_NAME = "[a-z_][a-z0-9_-]{0,31}";
    /// A public SSH key.
    SSH_KEY = r"\s*[^\s]+\s+[A-Za-z0-9+/]{6,}={0,2}(\s.*)?";
    /// The hash of a password.
    PASSWORD_HASH = r"(\$[^$:\\\s]+){3,}";
    /// A kernel argument.
    KERNEL_ARGUMENT = "[!-~]+";
    /// A host name, domain, address or network that is reached without a proxy.
    NO_PROXY = r"[A-Za-z0-9*.:/_\[\]-]+";
    /// The name of a label or a taint.
    QUALIFIED_NAME = "(", name!(), "/)?", label_value!();
    /// The value of a label or a taint.
    LABEL_VALUE = "(", label_value!(), ")?";
    /// A quantity of a resource.
    QUANTITY = r"[0-9]+(\.[0-9]*)?([numkMGTPE]|[KMGTPE]i|[eE][+-]?[0-9]+)?";
    /// The name of one of kubelet's arguments.
    KUBELET_ARGUMENT = "[A-Za-z0-9.][A-Za-z0-9.-]*";
    /// The user name for a registry.
    USER_NAME = r"[^:\n]+";
}
