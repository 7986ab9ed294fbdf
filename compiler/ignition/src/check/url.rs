//! Checks the URLs that Ignition fetches (RFC 3986, and RFC 2397 for data), as strictly as Ignition's
//! parsers. A URL that cannot be fetched stops the machine in its initramfs.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::data_url::has_good_escapes;

/// Whether Ignition 3.`minor`.0 can fetch a URL. `gs` was added in 3.2.0, `arn` in 3.4.0.
pub fn is_source(url: &str, minor: u8) -> bool {
    match scheme(url).as_deref() {
        Some("data") => is_data(url),
        Some("arn") => minor >= 4 && is_arn(url),
        Some("gs") => minor >= 2 && has_host(url),
        Some("s3") => has_host(url) && has_version(url),
        Some("http" | "https" | "tftp") => has_host(url),
        _ => false,
    }
}

/// Whether this is an http or https URL.
pub fn is_http(url: &str) -> bool {
    matches!(scheme(url).as_deref(), Some("http" | "https")) && has_host(url)
}

fn scheme(url: &str) -> Option<String> {
    let (scheme, _) = url.split_once(':')?;
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    let good = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.bytes().all(is_part)
        && !url.contains(char::is_control);
    good.then(|| scheme.to_ascii_lowercase())
}

/// Whether there is a host after the scheme, and the parts before and after the host are valid.
fn has_host(url: &str) -> bool {
    let Some((_, rest)) = url.split_once("://") else {
        return false;
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let host = authority
        .rsplit_once('@')
        .map_or(authority, |parts| parts.1);
    let (name, port) = match host.strip_prefix('[') {
        Some(rest) => {
            let Some((address, port)) = rest.split_once(']') else {
                return false;
            };
            (address, port)
        }
        None => host.split_at(host.find(':').unwrap_or(host.len())),
    };
    let is_bad = |c: char| c.is_whitespace() || "<>\"\\^`{}|%".contains(c);
    let is_port = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
    let zone = name.replace("%25", "");
    !name.is_empty()
        && !zone.contains(is_bad)
        && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port))
        && has_good_escapes(path)
}

/// The query of an S3 URL can name a version of the object, which must not be empty.
fn has_version(url: &str) -> bool {
    let query = url.split_once('?').map_or("", |parts| parts.1);
    let mut parameters = query.split('&');
    !parameters.any(|parameter| parameter == "versionId" || parameter == "versionId=")
}

/// `arn:aws:s3:region:account:bucket/key`, or an access point.
fn is_arn(url: &str) -> bool {
    let arn = url.split('?').next().unwrap_or_default();
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    let [_, partition, "s3", _, _, resource] = parts.as_slice() else {
        return false;
    };
    let needed = if resource.starts_with("accesspoint/") {
        3
    } else {
        2
    };
    !partition.is_empty() && resource.split('/').count() >= needed && has_version(url)
}

/// `data:[type/subtype][;attribute=value]…[;base64],data`
fn is_data(url: &str) -> bool {
    let Some((head, data)) = url
        .strip_prefix("data:")
        .and_then(|rest| rest.split_once(','))
    else {
        return false;
    };
    let mut parts = head.split(';').peekable();
    let kind = parts.next().unwrap_or_default();
    let is_kind = kind.is_empty()
        || kind
            .split_once('/')
            .is_some_and(|(kind, subtype)| is_token(kind) && is_token(subtype));
    let mut is_base64 = false;
    let mut good = is_kind;
    while let Some(part) = parts.next() {
        is_base64 = part == "base64" && parts.peek().is_none();
        let parameter = part.split_once('=');
        let is_parameter = parameter.is_some_and(|(name, value)| {
            is_token(name) && (is_token(value) || (value.len() > 2 && value.starts_with('"')))
        });
        good &= is_base64 || is_parameter;
    }
    good && if is_base64 {
        STANDARD.decode(data).is_ok()
    } else {
        data.bytes().all(is_data_character) && has_good_escapes(data)
    }
}

fn is_token(text: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte);
    !text.is_empty() && text.bytes().all(is_part)
}

/// RFC 2396's "uric".
fn is_data_character(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b";/?:@&=+$,-_.!~*'()%".contains(&byte)
}
