/// Takes secrets out of lines that others wrote: bootstrap tokens, webhook keys and private keys.
#[derive(Debug, Default)]
pub struct Redactor {
    in_private_key: bool,
}

const MASK: &str = "(secret)";

impl Redactor {
    /// The line without secrets. Lines belong together in the order given: a private key is
    /// several.
    pub fn line(&mut self, line: &str) -> String {
        if line.contains("-----BEGIN") && line.contains("PRIVATE KEY-----") {
            self.in_private_key = true;
        }
        if self.in_private_key {
            if line.contains("-----END") {
                self.in_private_key = false;
            }
            return MASK.to_owned();
        }
        line.split_inclusive(|c: char| !is_word(c))
            .map(|piece| {
                let word = piece.trim_end_matches(|c| !is_word(c));
                if is_secret(word) {
                    piece.replacen(word, MASK, 1)
                } else {
                    piece.to_owned()
                }
            })
            .collect()
    }
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '+' | '/' | '=')
}

/// A word may be `key=value`, and a sentence may end with it.
fn is_secret(word: &str) -> bool {
    let value = word
        .rsplit('=')
        .find(|part| !part.is_empty())
        .unwrap_or(word);
    value.trim_end_matches('.').split('/').any(is_token) || word.contains("whsec_")
}

/// Kubernetes, "Authenticating with Bootstrap Tokens": `[a-z0-9]{6}\.[a-z0-9]{16}`.
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
            ("--token=abcdef.0123456789abcdef", "--(secret)"),
            (
                "token \"abcdef.0123456789abcdef\" not found",
                "token \"(secret)\" not found",
            ),
            (
                "the token is abcdef.0123456789abcdef.",
                "the token is (secret)",
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
    fn webhook_keys_are_masked() {
        assert_eq!(
            redacted("key whsec_bm90IGEga2V5Cg== used"),
            "key (secret) used"
        );
    }
}
