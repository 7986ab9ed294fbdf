//! The hostname, from which kubelet gets the names of its Node object and certificate. The agent sets it to the
//! name in the plan. In an open pool the plan has no name: the agent takes the hostname that the platform sets,
//! and keeps it.

use std::fs;
use std::io;
use std::time::Duration;

use nkd_contract::Cause;

use super::super::{Fault, Node, name};
use crate::system::Root;
use crate::system::files::write_atomic;

const HOSTNAME: &str = "/proc/sys/kernel/hostname";

/// How long one attempt waits.
const WINDOW: Duration = Duration::from_secs(60);

/// The longest value of a label, because the name is also that of `kubernetes.io/hostname`.
const LONGEST_NAME: usize = 63;

/// Hostnames of machines that nobody has named: the kernel's, and those that OS images fall back to.
const UNNAMED: [&str; 6] = [
    "(none)",
    "fedora",
    "linux",
    "localhost",
    "nestos",
    "openeuler",
];

/// Sets the hostname, if the node has a name.
pub(super) fn check(node: &Node<'_>) -> Result<(), Fault> {
    match node.plan.node.as_str() {
        "" => Ok(()),
        name => set(node, name),
    }
}

/// Waits for a hostname that can be the node's name, if the node has none yet. DHCP and the cloud's metadata
/// service may be slower than `network-online.target`. A transient hostname counts; the agent makes it
/// permanent.
pub(super) fn wait(node: &mut Node<'_>) -> Result<(), Fault> {
    if !node.plan.node.is_empty() {
        return Ok(());
    }
    let name = node.poll(WINDOW, |node| {
        let hostname = current(node).map_err(|error| Fault::of(Cause::HostNameMissing, error))?;
        usable(&hostname, node.root).map_err(|problem| Fault::new(Cause::HostNameMissing, problem))
    })?;
    name::keep(node.root, &name).map_err(|error| fault(&name, error))?;
    set(node, &name)?;
    node.progress(format!("the node's name is the hostname, {name}"), None);
    Ok(())
}

fn set(node: &Node<'_>, name: &str) -> Result<(), Fault> {
    let hostname = current(node).map_err(|error| fault(name, error))?;
    if hostname.trim() != name {
        nix::unistd::sethostname(name).map_err(|error| fault(name, error.into()))?;
    }
    let file = node.root.path("/etc/hostname");
    if fs::read_to_string(&file).is_ok_and(|text| text.trim() == name) {
        return Ok(());
    }
    write_atomic(&file, format!("{name}\n").as_bytes(), 0o644).map_err(|error| fault(name, error))
}

fn fault(name: &str, error: io::Error) -> Fault {
    let context = format!("setting the hostname to {name}");
    Fault::of(Cause::HostHostname, error).context(context)
}

fn current(node: &Node<'_>) -> io::Result<String> {
    fs::read_to_string(node.root.path(HOSTNAME))
}

/// The node's name for a hostname, or why there is none. kubeadm and kubelet also use the hostname in lower
/// case.
fn usable(hostname: &str, root: &Root) -> Result<String, String> {
    let name = hostname.trim().to_ascii_lowercase();
    let first = name.split('.').next().unwrap_or_default();
    if name.is_empty() || first == "localhost" || UNNAMED.contains(&&*name) || is_of_os(&name, root)
    {
        return Err(format!(
            "the platform has not named this machine yet: its hostname is `{name}`"
        ));
    }
    if name.len() > LONGEST_NAME || !name.split('.').all(is_label) {
        return Err(format!(
            "the hostname `{name}` cannot be a node's name: it must have at most {LONGEST_NAME} characters, and \
             only letters, digits, `-` and `.`"
        ));
    }
    Ok(name)
}

/// A DNS label (RFC 1123), apart from its length: no part of a name is longer than [`LONGEST_NAME`].
fn is_label(text: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !text.is_empty() && text.bytes().all(is_inner) && !text.starts_with('-') && !text.ends_with('-')
}

/// Whether every machine with this OS has the hostname by default (os-release(5), `DEFAULT_HOSTNAME`).
fn is_of_os(name: &str, root: &Root) -> bool {
    let release = ["/etc/os-release", "/usr/lib/os-release"]
        .into_iter()
        .find_map(|path| fs::read_to_string(root.path(path)).ok());
    release.unwrap_or_default().lines().any(|line| {
        let value = line
            .strip_prefix("ID=")
            .or_else(|| line.strip_prefix("DEFAULT_HOSTNAME="));
        value.is_some_and(|value| value.trim_matches(['"', '\'']).eq_ignore_ascii_case(name))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(hostname: &str) -> Option<String> {
        let directory = tempfile::tempdir().unwrap();
        let release = directory.path().join("etc/os-release");
        fs::create_dir_all(release.parent().unwrap()).unwrap();
        fs::write(release, "NAME=X\nID=\"exos\"\nDEFAULT_HOSTNAME=box\n").unwrap();
        usable(hostname, &Root::new(directory.path().to_owned())).ok()
    }

    #[test]
    fn a_name_that_every_machine_has_is_not_a_nodes() {
        for hostname in [
            "",
            "\n",
            "(none)",
            "localhost\n",
            "localhost.localdomain",
            "LOCALHOST",
            "fedora",
            "nestos",
            "exos",
            "box",
        ] {
            assert_eq!(name(hostname), None, "{hostname:?}");
        }
    }

    #[test]
    fn a_name_is_a_dns_name_in_lower_case() {
        for (hostname, expected) in [
            ("w1\n", "w1"),
            ("IP-10-0-0-5.eu.example.org", "ip-10-0-0-5.eu.example.org"),
            ("fedora.example.org", "fedora.example.org"),
        ] {
            assert_eq!(name(hostname).as_deref(), Some(expected));
        }
        let long = format!("{}.example.org", "a".repeat(60));
        for hostname in ["my_node", "-a", "a-", "a..b", "a b", &long] {
            assert_eq!(name(hostname), None, "{hostname:?}");
        }
    }
}
