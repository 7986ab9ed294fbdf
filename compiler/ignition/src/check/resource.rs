//! Checks resources: their URLs, hashes, compression and HTTP headers.

use super::{Checker, url};
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
        let is_source = |it: &str| it.is_empty() || url::is_source(it, minor);
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
        let headers = entry(node, "httpHeaders").filter(|headers| !headers.node.items().is_empty());
        let is_http = source.is_some_and(url::is_http);
        if let Some(headers) = headers.filter(|_| !is_http) {
            self.refuse(
                headers.key_span,
                "HTTP headers require an http or https source",
            );
        }
    }

    pub(super) fn header(&mut self, node: &Node) {
        self.each(node, "name", is_token, "is not the name of an HTTP header");
        let is_value = |it: &str| !it.is_empty() && !it.contains(char::is_control);
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

fn is_digits_of(hash: &str, kind: &str, length: usize) -> bool {
    hash.strip_prefix(kind).is_some_and(|digits| {
        digits.len() == length && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
    })
}
