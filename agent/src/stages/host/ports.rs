//! Checks that the ports that Kubernetes needs are free.

use std::fs;

use nkd_contract::{Cause, Stage};

use super::super::{Fault, Node, kubeadm};

/// Checks that no other program listens on these ports. Unlike kubeadm's check, it names the program.
/// After kubeadm has begun, nothing is checked, because Kubernetes itself listens there.
pub(super) fn check(node: &Node<'_>) -> Result<(), Fault> {
    if node.was_due(Stage::Kubeadm) || kubeadm::has_begun(node) {
        return Ok(());
    }
    let needed = kubeadm::ports::needed(node.plan);
    let taken: Vec<_> = listeners(node)
        .into_iter()
        .filter(|listener| needed.contains(&listener.port))
        .map(|listener| {
            format!(
                "port {} is already used by {}",
                listener.port,
                holder(node, &listener)
            )
        })
        .collect();
    if taken.is_empty() {
        return Ok(());
    }
    Err(Fault::new(Cause::HostPort, taken.join(", ")))
}

struct Listener {
    port: u16,
    /// The inode of the socket.
    inode: String,
}

/// The TCP sockets that listen, each port once.
fn listeners(node: &Node<'_>) -> Vec<Listener> {
    let mut listeners: Vec<Listener> = Vec::new();
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        let text = fs::read_to_string(node.root.path(table)).unwrap_or_default();
        for listener in text.lines().filter_map(listener) {
            if listeners.iter().all(|known| known.port != listener.port) {
                listeners.push(listener);
            }
        }
    }
    listeners
}

/// A row: number, local address and port, remote ones, state (0A: listening), …, inode (proc(5)).
fn listener(row: &str) -> Option<Listener> {
    let columns: Vec<_> = row.split_whitespace().collect();
    let (local, state, inode) = (columns.get(1)?, columns.get(3)?, columns.get(9)?);
    let (_, port) = local.rsplit_once(':')?;
    (*state == "0A").then_some(Listener {
        port: u16::from_str_radix(port, 16).ok()?,
        inode: (*inode).to_owned(),
    })
}

/// The program, its process and its unit, as far as they can be found.
fn holder(node: &Node<'_>, listener: &Listener) -> String {
    let wanted = format!("socket:[{}]", listener.inode);
    let processes = fs::read_dir(node.root.path("/proc"));
    for process in processes.into_iter().flatten().flatten() {
        let Ok(pid) = process.file_name().to_string_lossy().parse::<u32>() else {
            continue;
        };
        let files = fs::read_dir(process.path().join("fd"));
        let has = files.into_iter().flatten().flatten().any(|file| {
            fs::read_link(file.path()).is_ok_and(|target| target.as_os_str() == &*wanted)
        });
        if !has {
            continue;
        }
        let line = |name: &str| fs::read_to_string(process.path().join(name)).unwrap_or_default();
        let program = line("comm");
        let unit = unit(&line("cgroup"));
        return format!("{} (process {pid}{unit})", program.trim());
    }
    "an unknown program".to_owned()
}

/// The systemd unit in the list of a process's control groups.
fn unit(cgroups: &str) -> String {
    let units = cgroups.lines().filter_map(|line| line.rsplit('/').next());
    let mut units = units.filter(|name| name.ends_with(".service"));
    units
        .next()
        .map_or_else(String::new, |name| format!(" of {name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_sockets_that_listen_take_a_port() {
        let row = "   0: 00000000:280A 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 41234 1 0000000000000000 100 0 0 10 0";
        let parsed = listener(row).unwrap();
        assert_eq!((parsed.port, &*parsed.inode), (10250, "41234"));
        let ipv6 = row.replace("00000000:280A", "00000000000000000000000000000000:280A");
        assert_eq!(listener(&ipv6).unwrap().port, 10250);
        assert!(listener(&row.replace(" 0A ", " 01 ")).is_none());
        assert!(listener("  sl  local_address rem_address   st").is_none());
    }

    #[test]
    fn a_holder_is_named_by_its_unit() {
        let groups = "12:pids:/system.slice/cockpit.service\n0::/system.slice/cockpit.service\n";
        assert_eq!(unit(groups), " of cockpit.service");
        assert_eq!(unit("0::/user.slice/user-0.slice/session-1.scope\n"), "");
    }
}
