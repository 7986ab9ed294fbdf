//! Checks of single values. Each check reports an error at the place of the value.

use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;

use nkd_document::{Code, Diagnostics, Spanned};
use nkd_model::{Endpoint, HttpUrl};

/// A text and its place.
pub type Text = Spanned<String>;

/// A DNS label (RFC 1123).
pub fn dns_label(text: Text, what: &str, to: &mut Diagnostics) -> Option<String> {
    if is_dns_label(&text.value) {
        return Some(text.value);
    }
    to.report(
        Code::Name,
        text.span,
        format!("{what} `{}` is not a valid DNS label", text.value),
    );
    None
}

/// A DNS name: labels with dots between them.
pub fn dns_name(text: &Text, what: &str, to: &mut Diagnostics) -> bool {
    let good = is_dns_name(&text.value);
    if !good {
        to.report(
            Code::Name,
            text.span,
            format!("{what} `{}` is not a valid DNS name", text.value),
        );
    }
    good
}

/// A DNS name or an address.
pub fn host(text: &Text, to: &mut Diagnostics) {
    // Certificates may have `*` for the first label.
    let name = text.value.strip_prefix("*.").unwrap_or(&text.value);
    if text.value.parse::<IpAddr>().is_err() && !is_dns_name(name) {
        let message = format!("`{}` is not a valid DNS name or IP address", text.value);
        to.report(Code::Name, text.span, message);
    }
}

/// `host:port`
pub fn endpoint(text: &Text, to: &mut Diagnostics) -> Option<Endpoint> {
    let parsed = text.value.rsplit_once(':').and_then(|(host, port)| {
        let bare = host
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'));
        let good = match bare {
            Some(bare) => bare.parse::<std::net::Ipv6Addr>().is_ok(),
            None => is_host(host),
        };
        let host = bare.unwrap_or(host);
        // Each machine would look for it on itself.
        let own = host == "localhost" || host.parse().is_ok_and(|address| !is_machines(&address));
        let port = number(port)?;
        (good && !own).then(|| Endpoint {
            // One way to write each address: fd00::a and fd00:0::A are compared with others.
            host: host
                .parse()
                .map_or_else(|_| host.to_owned(), |address: IpAddr| address.to_string()),
            port,
        })
    });
    if parsed.is_none() {
        let message = format!("`{}` is not a valid host and port", text.value);
        to.report(Code::Endpoint, text.span, message);
    }
    parsed
}

/// A name or an IPv4 address. A text of only digits and dots must be an address.
fn is_host(host: &str) -> bool {
    let looks_like_address = host.chars().all(|c| c.is_ascii_digit() || c == '.');
    if looks_like_address {
        host.parse::<std::net::Ipv4Addr>().is_ok()
    } else {
        is_dns_name(host)
    }
}

/// A network in CIDR notation.
pub fn cidr(text: &Text, to: &mut Diagnostics) -> Option<IpNet> {
    let Ok(net) = text.value.parse::<IpNet>() else {
        to.report(
            Code::Cidr,
            text.span,
            format!("`{}` is not a network in CIDR notation", text.value),
        );
        return None;
    };
    if net.trunc() != net {
        let message = format!(
            "`{}` has bits set after its prefix; the network is {}",
            text.value,
            net.trunc()
        );
        to.report(Code::Cidr, text.span, message);
        return None;
    }
    // Everything, as 0.0.0.0/0, meets a node's address and is told of there.
    if net.prefix_len() > 0 && !is_machines(&net.addr()) {
        let message = format!("`{}` is not a network that machines can use", text.value);
        to.report(Code::Cidr, text.span, message);
        return None;
    }
    Some(net)
}

/// Whether an address can belong to a machine, in any network.
fn is_machines(address: &IpAddr) -> bool {
    let special = match address {
        IpAddr::V4(it) => it.is_broadcast(),
        IpAddr::V6(it) => it.to_ipv4_mapped().is_some(),
    };
    !special && !address.is_unspecified() && !address.is_loopback() && !address.is_multicast()
}

/// An address that a machine can have.
pub fn address(text: &Text, to: &mut Diagnostics) -> Option<IpAddr> {
    let parsed: Option<IpAddr> = text.value.parse().ok();
    let good = parsed.filter(is_machines);
    if good.is_none() {
        let message = format!("`{}` is not an IP address that a node can have", text.value);
        to.report(Code::Address, text.span, message);
    }
    good
}

/// The addresses of a node: one, or one of each IP version, separated by a comma.
pub fn addresses(text: &Text, to: &mut Diagnostics) -> Option<(IpAddr, Option<IpAddr>)> {
    let parts = text.value.split(',');
    let parts = parts.map(|part| address(&Spanned::new(part.to_owned(), text.span), to));
    let all: Vec<_> = parts.collect::<Option<_>>()?;
    // kubelet refuses these (`validateNodeIP`).
    let is_of_a_link = |address: &&IpAddr| match address {
        IpAddr::V4(it) => it.is_link_local(),
        IpAddr::V6(it) => it.is_unicast_link_local(),
    };
    if let Some(address) = all.iter().find(is_of_a_link) {
        let message =
            format!("`{address}` is a link-local address, which other networks cannot reach");
        to.report(Code::Address, text.span, message);
        return None;
    }
    match all[..] {
        [one] => return Some((one, None)),
        [a, b] if a.is_ipv4() != b.is_ipv4() => return Some((a, Some(b))),
        _ => {}
    }
    let message = format!(
        "`{}` has more than one address of the same IP version",
        text.value
    );
    to.report(Code::Address, text.span, message);
    None
}

/// The valid ones among a node's addresses.
pub fn parsed_addresses(text: &Text) -> impl Iterator<Item = IpAddr> {
    text.value.split(',').filter_map(|part| part.parse().ok())
}

/// `registry/path`, without a tag.
pub fn image_repository(text: &Text, to: &mut Diagnostics) {
    let last = text.value.rsplit('/').next().unwrap_or_default();
    let has_tag = text.value.contains('/') && last.contains(':');
    if has_tag || !is_image_path(&text.value) {
        let message = format!("`{}` is not a valid image repository", text.value);
        to.report(Code::Image, text.span, message);
    }
}

/// `registry/path:tag`
pub fn image(text: &Text, to: &mut Diagnostics) {
    if !is_tagged(&text.value) {
        to.report(
            Code::Image,
            text.span,
            format!("`{}` is not an image name with a tag", text.value),
        );
    }
}

/// `registry/path:tag`, `registry/path@sha256:DIGEST`, or both together, of which the digest takes precedence.
pub fn image_or_digest(text: &Text, to: &mut Diagnostics) {
    let good = match text.value.split_once("@sha256:") {
        Some((name, digest)) => {
            is_sha256(digest) && (is_tagged(name) || (is_image_path(name) && name.contains('/')))
        }
        None => is_tagged(&text.value),
    };
    if !good {
        let message = format!(
            "`{}` is not an image name with a tag or a digest",
            text.value
        );
        let help =
            "write a registry, a path and a tag, or @sha256: and a digest instead of the tag";
        to.report_with_help(Code::Image, text.span, message, help);
    }
}

fn is_tagged(name: &str) -> bool {
    name.rsplit_once(':').is_some_and(|(path, tag)| {
        let tag_chars = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        is_image_path(path) && path.contains('/') && !tag.is_empty() && tag.chars().all(tag_chars)
    })
}

/// Whether a text is a SHA-256, in hexadecimal and lower case.
pub fn is_sha256(digest: &str) -> bool {
    let is_hexadecimal = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
    digest.len() == 64 && digest.chars().all(is_hexadecimal)
}

fn is_image_path(path: &str) -> bool {
    let part = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_alphanumeric())
            && part
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-:".contains(c))
    };
    path.split('/').all(part)
}

/// An `http` or `https` URL whose host is an address or a name. The URL stays as it is written.
pub fn url(text: &Text, to: &mut Diagnostics) -> Option<HttpUrl> {
    let Some(url) = HttpUrl::parse(&text.value) else {
        to.report(Code::Url, text.span, "this is not an http or https URL");
        return None;
    };
    if let Some(host) = url.host_name().filter(|host| !is_url_host(host)) {
        let message = format!("`{host}` in this URL is not a host name or IP address");
        let help = "use letters, digits, `-` and `_`, with `.` between the parts of the name";
        to.report_with_help(Code::Url, text.span, message, help);
        return None;
    }
    Some(url)
}

/// A host of a URL, which resolvers look up without case. Some local names have `_`.
fn is_url_host(host: &str) -> bool {
    // A letter, so that `_` may also begin or end a part.
    is_host(&host.to_ascii_lowercase().replace('_', "x"))
}

/// A port, without a sign.
fn number(text: &str) -> Option<u16> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|port| is_number && *port != 0)
}

/// An absolute path on a node.
pub fn node_path(text: Text, to: &mut Diagnostics) -> Option<String> {
    let full = text.value.strip_prefix('/').is_some_and(|rest| {
        let part = |part: &str| !part.is_empty() && part != "." && part != "..";
        rest.split('/').all(part) && !rest.chars().any(char::is_control)
    });
    if full {
        return Some(text.value);
    }
    to.report(
        Code::NodePath,
        text.span,
        format!("`{}` is not an absolute path", text.value),
    );
    None
}

/// A duration of at least a day, and at most what a certificate allows.
pub fn duration(text: &Text, to: &mut Diagnostics) -> Option<Duration> {
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    const LONGEST: Duration = Duration::from_secs(36525 * DAY.as_secs());
    let problem = match humantime::parse_duration(&text.value) {
        Ok(time) if time < DAY => "is too short; it must be at least 24h",
        Ok(time) if time > LONGEST => "is too long; it must be at most 100y",
        Ok(time) => return Some(time),
        Err(_) => "is not a duration",
    };
    let message = format!("`{}` {problem}", text.value);
    to.report(Code::Duration, text.span, message);
    None
}

/// The budget of a stage in seconds, at most a day.
pub fn budget(text: &Text, to: &mut Diagnostics) -> Option<u64> {
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    let problem = match humantime::parse_duration(&text.value) {
        Ok(time) if time > DAY => "is too long; it must be at most 24h",
        Ok(time) => return Some(time.as_secs()),
        Err(_) => "is not a duration",
    };
    let message = format!("`{}` {problem}", text.value);
    let help = "write a number and a unit, such as 90s, 30m or 2h";
    to.report_with_help(Code::Duration, text.span, message, help);
    None
}

/// `8472/udp` or `4240-4250/tcp`
pub fn port(text: &Text, to: &mut Diagnostics) {
    let is_range = |ports: &str| {
        let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
        let ports = number(first).zip(number(last));
        ports.is_some_and(|(first, last)| first <= last)
    };
    let parts = text.value.split_once('/');
    let good = parts.is_some_and(|(ports, protocol)| {
        is_range(ports) && ["tcp", "udp", "sctp", "dccp"].contains(&protocol)
    });
    if !good {
        let message = format!("`{}` is not a port with its protocol", text.value);
        to.report(Code::Port, text.span, message);
    }
}

/// `registry/path@sha256:DIGEST`, without a tag: a tag can be moved to another image, and rpm-ostree's
/// library accepts no tag together with a digest (containers/image, `docker.ParseReference`).
pub fn pinned_image(text: Text, to: &mut Diagnostics) -> Option<String> {
    let pinned = text.value.split_once("@sha256:");
    let good = pinned.is_some_and(|(path, digest)| {
        let last = path.rsplit('/').next().unwrap_or_default();
        is_image_path(path) && path.contains('/') && !last.contains(':') && is_sha256(digest)
    });
    if good {
        return Some(text.value);
    }
    let message = format!("`{}` is not an image name with a digest", text.value);
    to.report(Code::ReleaseImage, text.span, message);
    None
}

/// A DNS name or an address, without a port.
pub fn plain_host(text: &Text, to: &mut Diagnostics) {
    if !is_host(&text.value) && text.value.parse::<IpAddr>().is_err() {
        let message = format!("`{}` is not a valid DNS name or IP address", text.value);
        to.report(Code::Name, text.span, message);
    }
}

/// `host` or `host:port`, as at the beginning of image names.
pub fn is_registry_host(text: &str) -> bool {
    let (host, port) = text.rsplit_once(':').unwrap_or((text, "443"));
    is_host(host) && number(port).is_some()
}

/// A MAC address in the notation of the model: in lower case, with `:`.
pub fn plain_mac(text: &str) -> String {
    text.to_ascii_lowercase().replace('-', ":")
}

/// The MAC address of one interface.
pub fn mac(text: &Text, to: &mut Diagnostics) -> Option<String> {
    if is_mac(&text.value) {
        return Some(plain_mac(&text.value));
    }
    let message = format!(
        "`{}` is not the MAC address of a network interface",
        text.value
    );
    to.report(Code::Mac, text.span, message);
    None
}

/// Whether a text is a MAC address that one interface can have.
pub fn is_mac(text: &str) -> bool {
    let octets: Option<Vec<u8>> = plain_mac(text)
        .split(':')
        .map(|part| {
            let is_octet = part.len() == 2 && !part.starts_with('+');
            is_octet.then(|| u8::from_str_radix(part, 16).ok())?
        })
        .collect();
    octets.is_some_and(|octets| {
        let group = octets.first().is_some_and(|first| first & 1 == 1);
        octets.len() == 6 && !group && octets.iter().any(|octet| *octet != 0)
    })
}

/// Whether a kernel argument, a script of iPXE and a shell take a character literally.
const fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'/' | b'-' | b'_' | b'.' | b':' | b'+' | b'@' | b'=' | b','
        )
}

/// A block device.
pub fn disk(text: Text, to: &mut Diagnostics) -> Option<String> {
    let span = text.span;
    let path = node_path(text, to)?;
    let message = if !path.starts_with("/dev/") {
        format!("`{path}` is not below `/dev`")
    } else if path.bytes().all(is_plain) {
        return Some(path);
    } else {
        format!("`{path}` has characters that a kernel argument or a script cannot have")
    };
    let help = "write the path of the disk, or of another link to it, such as /dev/disk/by-path/pci-0000:00:1f.2-ata-1";
    to.report_with_help(Code::NodePath, span, message, help);
    None
}

/// The name of a network interface.
pub fn interface(text: &Text, to: &mut Diagnostics) -> Option<String> {
    if is_interface(&text.value) {
        return Some(text.value.clone());
    }
    let message = format!("`{}` is not a valid interface name", text.value);
    to.report(Code::Interface, text.span, message);
    None
}

/// Whether the kernel accepts a text as the name of a network interface (`dev_valid_name`).
pub fn is_interface(text: &str) -> bool {
    (1..16).contains(&text.len())
        && ![".", "..", "lo"].contains(&text)
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "._-@".contains(c))
}

fn is_dns_label(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=63).contains(&text.len())
        && text.bytes().all(inner)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

fn is_dns_name(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_dns_label)
}

/// Kubernetes' "qualified name": an optional DNS prefix and a name.
pub fn is_qualified_name(text: &str) -> bool {
    let (prefix, name) = text
        .split_once('/')
        .map_or((None, text), |(a, b)| (Some(a), b));
    prefix.is_none_or(is_dns_name) && !name.is_empty() && is_label_value(name)
}

/// A label's value.
pub fn is_label_value(text: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let edge = |c: Option<char>| c.is_none_or(|c| c.is_ascii_alphanumeric());
    text.len() <= 63
        && text.chars().all(inner)
        && edge(text.chars().next())
        && edge(text.chars().next_back())
}
