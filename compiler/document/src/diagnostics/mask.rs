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
/// The key of the value in an HTTP header.
const VALUE: &str = "value";

/// Replaces everything that looks like a secret with `*`, one for each byte.
pub fn mask(text: &str) -> String {
    let mut masked = String::with_capacity(text.len());
    let mut in_private_key = false;
    let mut headers = None;
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
        if headers.is_some_and(|at| indent < at || (indent == at && !line.trim().starts_with('-')))
        {
            headers = None;
        }
        let opens = opens_headers(line);
        let range = match headers {
            _ if opens => (line.len(), line.len()),
            Some(_) => value_after(line, &[VALUE]),
            None => value_after(line, &SECRET_WORDS),
        };
        if opens {
            headers = Some(indent);
        }
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

/// Whether this line opens a list of HTTP headers that continues on the next lines.
fn opens_headers(line: &str) -> bool {
    let (key, rest) = line.split_once(':').unwrap_or((line, "-"));
    let opens = ["", "["].contains(&rest.trim());
    opens && key.trim_end_matches(['"', '\'']).ends_with("eaders")
}

/// The range of the value on a line whose key contains one of some words; empty if there is none.
fn value_after(line: &str, words: &[&str]) -> (usize, usize) {
    let none = (line.len(), line.len());
    // Changes ASCII letters only, so that positions stay the same.
    let lower = line.to_ascii_lowercase();
    let Some(word) = words.iter().filter_map(|word| lower.find(word)).min() else {
        return none;
    };
    let Some(colon) = line[word..].find(':') else {
        return none;
    };
    // The word is part of a key only if nothing else is between it and the colon.
    let key = &line[word..word + colon];
    if !key
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || "-_\"'".contains(c))
    {
        return none;
    }
    let after = word + colon + 1;
    let blank = line[after..].len() - line[after..].trim_start().len();
    (after + blank, line.len())
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

    #[test]
    fn secrets_are_masked_and_every_byte_keeps_its_place() {
        for (text, masked) in [
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
            (
                "name: token-maker\nrole: worker",
                "name: token-maker\nrole: worker",
            ),
            (
                "-----BEGIN PRIVATE KEY-----\nMIG\n-----END PRIVATE KEY-----\n",
                "***************************\n***\n*************************\n",
            ),
        ] {
            assert_eq!(mask(text), masked);
            assert_eq!(mask(text).len(), text.len());
        }
    }
}
