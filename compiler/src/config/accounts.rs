//! Users and groups: their names, password hashes and SSH keys.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use nkd_document::yaml::Node;
use nkd_document::{Code, Diagnostics};
use nkd_ignition::tree::{entry, list, text};

/// Reports accounts of a config that Ignition cannot create, or with which nobody could log in. No message
/// contains a password hash or a key.
pub fn check(config: &Node, to: &mut Diagnostics) {
    for user in list(config, &["passwd", "users"]) {
        name(entry(user, "name").map(|entry| &entry.node), is_new, to);
        name(
            entry(user, "primaryGroup").map(|entry| &entry.node),
            is_account,
            to,
        );
        for group in list(user, &["groups"]) {
            name(Some(group), is_account, to);
        }
        hash(user, to);
        for key in list(user, &["sshAuthorizedKeys"]) {
            if !key.as_text().is_some_and(are_authorized_keys) {
                let user = text(user, "name").unwrap_or_default();
                let message = format!("user `{user}`: this is not a public SSH key");
                to.report(Code::SshKey, key.span, message);
            }
        }
    }
    for group in list(config, &["passwd", "groups"]) {
        name(entry(group, "name").map(|entry| &entry.node), is_new, to);
        hash(group, to);
    }
}

fn name(node: Option<&Node>, is_valid: fn(&str) -> bool, to: &mut Diagnostics) {
    if let Some(node) = node
        && let Some(text) = node.as_text()
        && !text.is_empty()
        && !is_valid(text)
    {
        let message = format!("`useradd` refuses the name `{text}` of a user or group");
        let help = "use letters, digits, `_`, `.` and `-`; the first character must not be `-`, and not all may be digits";
        to.report_with_help(Code::User, node.span, message, help);
    }
}

/// Whether some `useradd` accepts the name of an account. Distributions differ (shadow, `is_valid_name`):
/// upstream, only lower-case letters are allowed.
fn is_account(text: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    let stem = text.strip_suffix('$').unwrap_or(text);
    !stem.starts_with('-') && ![".", "..", ""].contains(&stem) && stem.chars().all(inner)
}

/// The same for an account that is created, of which a number is no name.
fn is_new(text: &str) -> bool {
    is_account(text) && !text.chars().all(|c| c.is_ascii_digit())
}

fn hash(account: &Node, to: &mut Diagnostics) {
    let Some(hash) = entry(account, "passwordHash") else {
        return;
    };
    let is_hash = hash.node.as_text().is_some_and(|text| {
        let unlocked = text.trim_start_matches('!');
        ["", "*"].contains(&unlocked) || is_password_hash(unlocked)
    });
    if !is_hash {
        let name = text(account, "name").unwrap_or_default();
        let message = format!("`{name}`: this is not a password hash");
        let help = "write a hash as `mkpasswd` prints it, or `*` for an account without a password";
        to.report_with_help(Code::User, hash.node.span, message, help);
    }
}

/// Lines of `authorized_keys`, with or without options (`sshd(8)`), and comments.
fn are_authorized_keys(text: &str) -> bool {
    let lines = text.lines().map(str::trim);
    let mut lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.all(|line| is_ssh_key(line) || is_ssh_key(without_options(line)))
}

/// The rest of a line after its first word, in which a quoted part may contain spaces.
fn without_options(line: &str) -> &str {
    let mut is_quoted = false;
    let mut is_escaped = false;
    let end = line.find(|c: char| {
        is_quoted ^= c == '"' && !is_escaped;
        is_escaped = c == '\\';
        c.is_whitespace() && !is_quoted
    });
    end.map_or("", |end| line[end..].trim_start())
}

/// A line of `authorized_keys` without options (`sshd(8)`). The key data also contain the type.
pub(crate) fn is_ssh_key(text: &str) -> bool {
    let mut words = text.split_whitespace();
    let (Some(kind), Some(key)) = (words.next(), words.next()) else {
        return false;
    };
    let Ok(bytes) = STANDARD.decode(key) else {
        return false;
    };
    let length = bytes.first_chunk().copied().map(u32::from_be_bytes);
    let named = length.and_then(|length| bytes.get(4..)?.get(..usize::try_from(length).ok()?));
    !text.chars().any(char::is_control) && named == Some(kind.as_bytes())
}

/// A password hash as in `crypt(5)`: `$id$…`.
pub(crate) fn is_password_hash(text: &str) -> bool {
    let mut parts = text.split('$');
    parts.next() == Some("")
        && parts.clone().count() >= 3
        && parts.all(|part| !part.is_empty())
        && text
            .chars()
            .all(|c| c.is_ascii_graphic() && !":\\".contains(c))
}

#[cfg(test)]
mod tests {
    use super::{are_authorized_keys, is_account, is_new, is_password_hash, is_ssh_key};

    const KEY: &str = "AAAAC3NzaC1lZDI1NTE5AAAAIDqaDOJ0ZkQ1R9mSBUTL6bTrvmPTQbUIy0K5bMNpNzyi";

    #[test]
    fn ssh_keys_say_what_they_are() {
        assert!(is_ssh_key(&format!("ssh-ed25519 {KEY} ops@example.org")));
        for bad in ["", "ssh-ed25519", "ssh-ed25519 AAAA", "ssh-ed25519 ?"] {
            assert!(!is_ssh_key(bad), "{bad}");
        }
        assert!(!is_ssh_key(&format!("ssh-rsa {KEY}")));
    }

    #[test]
    fn authorized_keys_may_have_options_and_comments() {
        for good in [
            "",
            "# ops",
            "ssh-ed25519 KEY a\n\nssh-ed25519 KEY b\n",
            "restrict,pty ssh-ed25519 KEY",
            "command=\"echo \\\"a b\\\" c\",no-pty ssh-ed25519 KEY ops",
        ] {
            assert!(are_authorized_keys(&good.replace("KEY", KEY)), "{good}");
        }
        for bad in ["junk", "command=\"echo ssh-ed25519 KEY", "# ops\njunk"] {
            assert!(!are_authorized_keys(&bad.replace("KEY", KEY)), "{bad}");
        }
    }

    #[test]
    fn names_are_those_that_some_useradd_accepts() {
        for good in ["ops", "Ops.1", "_a-b", "host$", "0day"] {
            assert!(is_new(good), "{good}");
        }
        for bad in ["a b:c", "-a", "a/b", ".", "$", "größe"] {
            assert!(!is_account(bad), "{bad}");
        }
        assert!(is_account("1000") && !is_new("1000"));
    }

    #[test]
    fn passwords_are_hashes() {
        assert!(is_password_hash("$6$salt$hash./A0"));
        assert!(is_password_hash("$y$j9T$salt$hash"));
        for bad in ["", "hunter2", "$6$", "$6$salt", "$6$a:b$c"] {
            assert!(!is_password_hash(bad), "{bad}");
        }
    }
}
