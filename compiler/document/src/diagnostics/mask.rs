//! Replaces secrets in texts that are shown. Masking keeps the position of every byte, so that spans
//! of the original text are also correct in the masked text.

/// Words that mark a key as secret: a value is masked when its key contains one of them.
const SECRET_WORDS: [&str; 11] = [
    "token",
    "secret",
    "password",
    "passwd",
    "certificatekey",
    "privatekey",
    "signingkey",
    "authorization",
    "passphrase",
    "callbackseed",
    // Headers of HTTP requests carry credentials.
    "headers",
];
/// A key whose value is not secret although a word marks it: kubeadm's list of tokens, in which the tokens are
/// masked, and the cluster file's settings of all of them.
const NOT_SECRET: &str = "bootstraptokens";

/// A key that opens a block in which only some values are secret.
struct Block {
    /// The end of the key.
    key: &'static str,
    /// The keys of the values.
    values: &'static [&'static str],
}

/// HTTP headers, of which the names are no secret, and key files of LUKS, which a Butane config can hold.
const BLOCKS: [Block; 3] = [
    Block {
        key: "eaders",
        values: &["value"],
    },
    Block {
        key: "key_file",
        values: &["inline", "source"],
    },
    Block {
        key: "keyFile",
        values: &["inline", "source"],
    },
];

/// Replaces everything that looks like a secret with `*`, one for each byte.
pub fn mask(text: &str) -> String {
    let mut masked = String::with_capacity(text.len());
    let mut in_private_key = false;
    let mut open: Option<(usize, &Block)> = None;
    for line in text.split_inclusive('\n') {
        let begins = line.contains("-----BEGIN") && line.contains("PRIVATE KEY");
        if begins || in_private_key {
            // In JSON a whole private key is on one line.
            in_private_key = !line.contains("-----END");
            let keep = line.find("-----BEGIN").unwrap_or(0);
            push_masked(&mut masked, line, keep, line.len());
            continue;
        }
        let indent = indent(line);
        let ends = |at: usize| indent < at || (indent == at && !line.trim().starts_with('-'));
        open = open.filter(|(at, _)| !ends(*at));
        let opened = BLOCKS.iter().find(|block| block.is_opened_by(line));
        let range = match (opened, open) {
            (Some(_), _) => (line.len(), line.len()),
            (None, Some((_, block))) => value_after(line, block.values),
            (None, None) => in_one_line(line),
        };
        open = opened.map(|block| (indent, block)).or(open);
        let mut partly = String::with_capacity(line.len());
        push_masked(&mut partly, line, range.0, range.1);
        masked.push_str(&mask_data_urls(&mask_credentials(&mask_tokens(&partly))));
    }
    masked
}

fn push_masked(into: &mut String, line: &str, from: usize, to: usize) {
    for (at, c) in line.char_indices() {
        if at >= from && at < to && !matches!(c, '\n' | '\r') {
            into.extend(std::iter::repeat_n('*', c.len_utf8()));
        } else {
            into.push(c);
        }
    }
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start_matches([' ', '\t']).len()
}

impl Block {
    /// Whether a line opens such a block, which continues on the next lines.
    fn is_opened_by(&self, line: &str) -> bool {
        let (key, rest) = line.split_once(':').unwrap_or((line, "-"));
        let opens = ["", "[", "{"].contains(&rest.trim());
        opens && key.trim_end_matches(['"', '\'']).ends_with(self.key)
    }
}

/// The range of a secret value whose key is on the same line.
fn in_one_line(line: &str) -> (usize, usize) {
    let secret = value_after(line, &SECRET_WORDS);
    // HTTP headers are among the words.
    let blocks = BLOCKS.iter().skip(1).filter_map(|block| {
        let at = line.find(block.key)?;
        let (from, to) = value_after(&line[at..], block.values);
        Some((at + from, at + to))
    });
    blocks.fold(secret, std::cmp::Ord::min)
}

/// The range of the first value on a line whose key contains one of some words; empty if there is none.
fn value_after(line: &str, words: &[&str]) -> (usize, usize) {
    // Changes ASCII letters only, so that positions stay the same.
    let lower = line.to_ascii_lowercase();
    let found = words.iter().flat_map(|word| lower.match_indices(word));
    let values = found.filter_map(|(word, _)| value_of_key(line, &lower, word));
    (values.min().unwrap_or(line.len()), line.len())
}

/// Where the value begins on a line whose key has a word at a position; nothing if the word is not in a key.
fn value_of_key(line: &str, lower: &str, word: usize) -> Option<usize> {
    let key = &line[word..word + line[word..].find(':')?];
    let is_key = |c: char| c.is_ascii_alphanumeric() || "-_\"'".contains(c);
    let whole_key = lower[..word + key.len()].trim_end_matches(['"', '\'']);
    if !key.chars().all(is_key) || whole_key.ends_with(NOT_SECRET) {
        return None;
    }
    let after = &line[word + key.len() + 1..];
    // Without a space or quotes it is no mapping, but the tag of an image, say.
    let is_mapping = key.ends_with(['"', '\'']) || !after.starts_with(|c: char| !c.is_whitespace());
    let blank = after.len() - after.trim_start().len();
    is_mapping.then_some(word + key.len() + 1 + blank)
}

/// Masks kubeadm's bootstrap tokens, `[a-z0-9]{6}.[a-z0-9]{16}`, anywhere in a line.
fn mask_tokens(line: &str) -> String {
    let token_char = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let mut bytes = line.as_bytes().to_vec();
    let mut at = 0;
    while at + 23 <= bytes.len() {
        let window = &bytes[at..at + 23];
        let is_token = window[6] == b'.'
            && window[..6]
                .iter()
                .chain(&window[7..])
                .all(|b| token_char(*b))
            && bytes
                .get(at + 23)
                .is_none_or(|b| !token_char(*b) && *b != b'.');
        if is_token && (at == 0 || !token_char(bytes[at - 1])) {
            bytes[at..at + 23].fill(b'*');
            at += 23;
        } else {
            at += 1;
        }
    }
    String::from_utf8(bytes).unwrap_or_default()
}

/// Masks `user:password@` in all URLs of a line.
fn mask_credentials(line: &str) -> String {
    let mut masked = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(start) = rest.find("://").map(|at| at + 3) {
        let end = rest[start..]
            .find(['/', '?', ' ', '\n', '"'])
            .map_or(rest.len(), |end| start + end);
        let (url, after) = rest.split_at(end);
        let user = url[start..].rfind('@').map_or(start, |at| start + at);
        push_masked(&mut masked, url, start, user);
        rest = after;
    }
    masked + rest
}

/// Masks the content of data URLs: they contain whole files, which may be secret.
fn mask_data_urls(line: &str) -> String {
    let Some(start) = line.find("\"data:") else {
        return line.to_owned();
    };
    let mut masked = String::with_capacity(line.len());
    push_masked(&mut masked, line, start + 6, line.len());
    masked
}

#[cfg(test)]
mod tests {
    use super::mask;

    /// Texts, and what is shown of them.
    const CASES: [(&str, &str); 19] = [
        ("token: abc\n", "token: ***\n"),
        ("  certificateKey: \"äb\"\n", "  certificateKey: *****\n"),
        (
            "use abcdef.0123456789abcdef now",
            "use *********************** now",
        ),
        ("https://me:pw@host/x", "https://*****@host/x"),
        (
            "[http://a, \"http://b:c@d\", http://e@f]",
            "[http://a, \"http://***@d\", http://*@f]",
        ),
        ("http_headers: [a]\nvalue: b", "http_headers: ***\nvalue: b"),
        (
            "  http_headers:\n  - name: A\n    value: b\n  source: c\n  value: d",
            "  http_headers:\n  - name: A\n    value: *\n  source: c\n  value: d",
        ),
        (
            "\"httpHeaders\": [\n {\"name\": \"A\", \"value\": \"b\"}\n]",
            "\"httpHeaders\": [\n {\"name\": \"A\", \"value\": ****\n]",
        ),
        ("\"source\": \"data:,a%20b\"", "\"source\": \"data:*******"),
        ("\"token\":\"abc\"", "\"token\":*****"),
        (
            "luks:\n- key_file:\n    inline: abc\n  name: a\ninline: b",
            "luks:\n- key_file:\n    inline: ***\n  name: a\ninline: b",
        ),
        (
            "- {name: a, key_file: {inline: abc}}",
            "- {name: a, key_file: {inline: *****",
        ),
        (
            "bootstrapTokens: {ttl: 12h}\nkeyFile: etcd.key",
            "bootstrapTokens: {ttl: 12h}\nkeyFile: etcd.key",
        ),
        (
            "bootstrapTokens: [{token: abc}]",
            "bootstrapTokens: [{token: *****",
        ),
        (
            "{password: abc, bootstrapTokens: []}",
            "{password: *************************",
        ),
        (
            "{image: a.example.org/token:v1, password: abc}",
            "{image: a.example.org/token:v1, password: ****",
        ),
        (
            "no bundle contains a.example.org/secrets-store/token:v1.2",
            "no bundle contains a.example.org/secrets-store/token:v1.2",
        ),
        (
            "name: token-maker\nrole: worker",
            "name: token-maker\nrole: worker",
        ),
        (
            "-----BEGIN PRIVATE KEY-----\nMIG\n-----END PRIVATE KEY-----\n",
            "***************************\n***\n*************************\n",
        ),
    ];

    #[test]
    fn secrets_are_masked_and_every_byte_keeps_its_place() {
        for (text, masked) in CASES {
            assert_eq!(mask(text), masked);
            assert_eq!(mask(text).len(), text.len());
        }
    }
}
