use super::printable;

/// Masks secrets in the output of other programs: bootstrap tokens, webhook keys, private keys, passwords
/// in URLs, and kubeadm's certificate key. Control characters are removed first, because they could hide
/// a secret.
#[derive(Debug, Default)]
pub(crate) struct Redactor {
    in_private_key: bool,
}

const MASK: &str = "(secret)";

impl Redactor {
    /// The line without secrets. The lines must be passed in order, because a private key has several
    /// lines.
    pub(crate) fn line(&mut self, line: &str) -> String {
        let line = printable(line);
        // What follows is the text around an error in a manifest (Go, json-iterator).
        let line = line.split(", error found in #").next().unwrap_or_default();
        if line.contains("-----BEGIN") && line.contains("PRIVATE KEY-----") {
            self.in_private_key = true;
        }
        if self.in_private_key {
            if line.contains("-----END") {
                self.in_private_key = false;
            }
            return MASK.to_owned();
        }
        let line = without_passwords(line);
        let mut is_named = false;
        let pieces = line.split_inclusive(|c: char| !is_word(c)).map(|piece| {
            let word = piece.trim_end_matches(|c| !is_word(c));
            let named = (is_named && !word.is_empty()).then_some(word);
            // Between a name and its value there may be more than one space or quotation mark.
            is_named = names_a_secret(word) || is_named && word.is_empty();
            match named.or_else(|| secret(word)) {
                Some(secret) => piece.replacen(secret, MASK, 1),
                None => piece.to_owned(),
            }
        });
        pieces.collect()
    }
}

/// The line with the user information in its URLs masked (RFC 3986, "User Information").
fn without_passwords(line: &str) -> String {
    let mut urls = line.split("://");
    let mut masked = urls.next().unwrap_or_default().to_owned();
    for rest in urls {
        masked += "://";
        let ends = |c: char| c.is_whitespace() || matches!(c, '/' | '?' | '#' | '"' | '\'');
        let authority = rest.split(ends).next().unwrap_or_default();
        match authority.rfind('@') {
            Some(at) => {
                masked += MASK;
                masked += &rest[at..];
            }
            None => masked += rest,
        }
    }
    masked
}

/// Whether the word after this one is a secret (kubeadm, `certificateKey` and `--certificate-key`).
fn names_a_secret(word: &str) -> bool {
    word.ends_with("certificateKey") || word.ends_with("certificate-key")
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '+' | '/' | '=')
}

/// The secret in a word. A word may be `key=value` or a path, and a sentence may end with it.
fn secret(word: &str) -> Option<&str> {
    if let Some((name, value)) = word.split_once('=')
        && names_a_secret(name)
    {
        return Some(value);
    }
    if let Some(start) = word.find("whsec_") {
        return Some(&word[start..]);
    }
    word.split(['=', '/'])
        .map(|part| part.trim_end_matches('.'))
        .find(|part| is_token(part) || is_jwt(part))
}

/// Whether a word is a JSON Web Token (RFC 7519): three base64url parts, of which the first is a JSON
/// object.
fn is_jwt(word: &str) -> bool {
    word.starts_with("eyJ") && word.split('.').count() == 3
}

/// Whether a word is a bootstrap token (Kubernetes, "Authenticating with Bootstrap Tokens"):
/// `[a-z0-9]{6}\.[a-z0-9]{16}`.
fn is_token(word: &str) -> bool {
    let is_part = |part: &str, length| {
        part.len() == length
            && part
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    };
    word.split_once('.')
        .is_some_and(|(id, secret)| is_part(id, 6) && is_part(secret, 16))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redacted(text: &str) -> String {
        let mut redactor = Redactor::default();
        text.lines()
            .map(|line| redactor.line(line))
            .collect::<Vec<_>>()
            .join("\n")
    }

    #[test]
    fn bootstrap_tokens_are_masked_wherever_they_stand() {
        for (line, expected) in [
            ("--token abcdef.0123456789abcdef \\", "--token (secret) \\"),
            ("--token=abcdef.0123456789abcdef", "--token=(secret)"),
            (
                "token \"abcdef.0123456789abcdef\" not found",
                "token \"(secret)\" not found",
            ),
            (
                "the token is abcdef.0123456789abcdef.",
                "the token is (secret).",
            ),
        ] {
            assert_eq!(redacted(line), expected);
        }
    }

    #[test]
    fn what_only_looks_a_little_like_a_token_stays() {
        for line in [
            "[init] Using Kubernetes version: v1.20.2",
            "pulled k8s.gcr.io/etcd:3.4.13-0 from /usr/lib/nkd/images/etcd.tar",
            "kubernetes.default.svc.cluster.local",
        ] {
            assert_eq!(redacted(line), line);
        }
    }

    #[test]
    fn private_keys_are_masked_from_begin_to_end() {
        let text =
            "before\n-----BEGIN EC PRIVATE KEY-----\nMHcCAQEE\n-----END EC PRIVATE KEY-----\nafter";
        assert_eq!(
            redacted(text),
            "before\n(secret)\n(secret)\n(secret)\nafter"
        );
    }

    #[test]
    fn a_colour_in_a_token_does_not_hide_it() {
        let line = "abcdef.\u{1b}[1m0123456789abcdef";
        assert_eq!(redacted(line), "(secret)");
    }

    #[test]
    fn passwords_in_urls_are_masked_whatever_is_in_them() {
        for (line, expected) in [
            (
                "proxy: \"http://me:p.w%40rd@proxy.example.org:3128\"",
                "proxy: \"http://(secret)@proxy.example.org:3128\"",
            ),
            (
                "https://a:b@c:1/d@e and http://f@g",
                "https://(secret)@c:1/d@e and http://(secret)@g",
            ),
            (
                "https://r.example.org/v2/etcd@sha256:0a",
                "https://r.example.org/v2/etcd@sha256:0a",
            ),
        ] {
            assert_eq!(redacted(line), expected);
        }
    }

    #[test]
    fn the_key_of_uploaded_certificates_is_masked() {
        let key = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
        for (line, expected) in [
            ("certificateKey: KEY", "certificateKey: (secret)"),
            (
                "{\"certificateKey\": \"KEY\"}",
                "{\"certificateKey\": \"(secret)\"}",
            ),
            (
                "join --certificate-key KEY --v 5",
                "join --certificate-key (secret) --v 5",
            ),
            (
                "join --certificate-key=KEY",
                "join --certificate-key=(secret)",
            ),
            ("hash sha256:KEY", "hash sha256:KEY"),
        ] {
            let [line, expected] = [line, expected].map(|text| text.replace("KEY", key));
            assert_eq!(redacted(&line), expected);
        }
    }

    #[test]
    fn webhook_keys_are_masked() {
        assert_eq!(
            redacted("key whsec_bm90IGEga2V5Cg== used"),
            "key (secret) used"
        );
    }

    #[test]
    fn what_kubectl_quotes_of_a_manifest_is_left_out() {
        let line = "unable to decode \"STDIN\": illegal base64, error found in #10 byte of \
                    ...|hunter2!\"},\"kind\"|..., bigger context ...|\"password\":\"hunter2!\"|...";
        assert_eq!(redacted(line), "unable to decode \"STDIN\": illegal base64");
    }

    #[test]
    fn service_account_tokens_are_masked() {
        let line = "Authorization: Bearer eyJhbGciOi-_JS.eyJpc3MiOiJr.c2lnbmF0-dXJl";
        assert_eq!(redacted(line), "Authorization: Bearer (secret)");
    }
}
