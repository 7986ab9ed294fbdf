//! Checks resources: their URLs, hashes, compression and HTTP headers.

use base16ct::lower::encode_string as hex;
use sha2::{Digest as _, Sha256, Sha512};

use super::{Checker, url};
use crate::data_url::{Fault, LIMIT, unpack};
use crate::tree::{entry, text};
use nkd_document::yaml::Node;

impl Checker<'_> {
    pub(super) fn resource(&mut self, node: &Node) {
        const COMPRESSIONS: [&str; 2] = ["", "gzip"];
        let minor = self.minor;
        self.each(
            node,
            "compression",
            |compression| COMPRESSIONS.contains(&compression),
            "is not a supported compression; only `gzip` is",
        );
        let is_source = |source: &str| source.is_empty() || url::is_source(source, minor);
        let what = format!("is not a URL that Ignition 3.{minor}.0 can fetch");
        self.each(node, "source", is_source, &what);
        let source = text(node, "source");
        if let Some(verification) = entry(node, "verification")
            && let Some(hash) = entry(&verification.node, "hash")
        {
            if source.is_none() {
                self.refuse(
                    hash.key_span,
                    "`verification` is set, but `source` is missing",
                );
            }
            let (what, is_hash) = if minor == 0 {
                let what = "is not a hash of the form `sha512-HEX`";
                (what, is_sha512 as fn(&str) -> bool)
            } else {
                let what = "is not a hash of the form `sha256-HEX` or `sha512-HEX`";
                (what, is_hash as fn(&str) -> bool)
            };
            self.each(&verification.node, "hash", is_hash, what);
        }
        self.data(node);
        let headers = entry(node, "httpHeaders").filter(|headers| !headers.node.items().is_empty());
        let is_http = source.is_some_and(url::is_http);
        if let Some(headers) = headers.filter(|_| !is_http) {
            self.refuse(
                headers.key_span,
                "HTTP headers require an http or https source",
            );
        }
    }

    /// The data of a data URL. ignition-validate does not unpack them, so the machine would fail at its first boot.
    fn data(&mut self, node: &Node) {
        let Some(source) = entry(node, "source") else {
            return;
        };
        let url = source.node.as_text().unwrap_or_default();
        let compression = text(node, "compression").unwrap_or_default();
        let content = match unpack(url, compression) {
            Ok(content) => content,
            // The check of the source sees that.
            Err(Fault::Encoding) => return,
            Err(Fault::Gzip) => {
                self.refuse(
                    source.node.span,
                    "`compression` is `gzip`, but the data are not",
                );
                return;
            }
            Err(Fault::TooLarge) => {
                let limit = LIMIT >> 20;
                let message = format!("the data unpack to more than {limit} MiB");
                self.refuse(source.node.span, message);
                return;
            }
        };
        let hash =
            entry(node, "verification").and_then(|verification| entry(&verification.node, "hash"));
        if let Some(hash) = hash
            && let Some(text) = hash.node.as_text()
            && is_hash(text)
            && !has_hash(&content, text)
        {
            self.refuse(hash.node.span, "the data have another hash");
        }
    }

    pub(super) fn header(&mut self, node: &Node) {
        self.each(node, "name", is_token, "is not the name of an HTTP header");
        let is_value = |value: &str| !value.is_empty() && !value.contains(char::is_control);
        // Not shown: it may be a password.
        if let Some(value) = entry(node, "value")
            && !value.node.as_text().is_some_and(is_value)
        {
            let message =
                "the value of an HTTP header must not be empty or contain control characters";
            self.refuse(value.node.span, message);
        }
    }
}

/// RFC 9110's `token`.
fn is_token(text: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(is_part)
}

fn is_sha512(hash: &str) -> bool {
    is_digits_of(hash, "sha512-", 128)
}

fn is_hash(hash: &str) -> bool {
    is_sha512(hash) || is_digits_of(hash, "sha256-", 64)
}

/// Whether a content has a hash. It is that of the unpacked data.
fn has_hash(content: &[u8], hash: &str) -> bool {
    let (kind, digits) = hash.split_once('-').unwrap_or_default();
    let own = match kind {
        "sha256" => hex(&Sha256::digest(content)),
        _ => hex(&Sha512::digest(content)),
    };
    digits.eq_ignore_ascii_case(&own)
}

fn is_digits_of(hash: &str, kind: &str, length: usize) -> bool {
    hash.strip_prefix(kind).is_some_and(|digits| {
        digits.len() == length && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
    })
}
