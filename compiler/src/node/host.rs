//! The files of the operating system.

use std::fmt::Write as _;

use anyhow::Result;
use serde_json::json;

use crate::config::{Config, PRIVATE, PUBLIC, Unit};
use crate::fragments;
use nkd_model::{Cluster, Node, Proxy, User};

/// The directory from which `update-ca-trust` reads authorities (update-ca-trust(8)).
const ANCHORS: &str = "/etc/pki/ca-trust/source/anchors";

/// The drop-in for units that use a proxy.
pub const PROXY_DROPIN: &str = "20-nkd-proxy.conf";

/// Adds all files except those for the proxy.
pub(super) fn files(config: &mut Config, cluster: &Cluster, node: &Node) -> Result<()> {
    let os = &node.os;
    config.users = os.users.iter().map(user).collect();
    config.kernel_arguments.clone_from(&os.kernel_arguments);
    let mut sysctl = fragments::SYSCTL.to_owned();
    // The nodes and the services of a cluster have the same IP versions.
    let mut services = cluster.service_subnets.iter();
    if services.any(|network| network.addr().is_ipv6()) {
        sysctl.push_str(fragments::SYSCTL_IPV6);
    }
    config.file("/etc/sysctl.d/90-kubernetes.conf", PUBLIC, sysctl);
    config.file(
        "/etc/modules-load.d/kubernetes.conf",
        PUBLIC,
        fragments::MODULES,
    );
    if !os.ntp.is_empty() {
        time(config, &os.ntp)?;
    }
    if !os.hosts.is_empty() {
        let lines = os.hosts.iter().fold(String::new(), |mut lines, entry| {
            let _ = writeln!(lines, "{} {}", entry.address, entry.names.join(" "));
            lines
        });
        let hosts = fragments::fill(fragments::HOSTS, &[("hosts", lines.trim_end())])?;
        config.file("/etc/hosts", PUBLIC, hosts).from("os.hosts");
    }
    for (index, (name, authority)) in os.trust.iter().enumerate() {
        let path = format!("{ANCHORS}/nkd-{index:02}-{name}");
        config.file(path, PUBLIC, authority).from("os.trust");
    }
    if !os.trust.is_empty() {
        config.units.push(Unit {
            name: "nkd-trust.service",
            content: Some(fragments::TRUST_UNIT),
            dropins: Vec::new(),
            key: "os.trust",
        });
    }
    Ok(())
}

/// Adds the time servers for chrony and for timesyncd, because the OS image has one of them.
fn time(config: &mut Config, servers: &[String]) -> Result<()> {
    let lines: Vec<_> = servers
        .iter()
        .map(|server| format!("server {server} iburst"))
        .collect();
    let chrony = fragments::fill(fragments::CHRONY, &[("servers", &lines.join("\n"))])?;
    config
        .file("/etc/chrony.conf", PUBLIC, chrony)
        .from("os.ntp");
    let timesyncd = fragments::fill(fragments::TIMESYNCD, &[("servers", &servers.join(" "))])?;
    config
        .file(
            "/etc/systemd/timesyncd.conf.d/10-nkd.conf",
            PUBLIC,
            timesyncd,
        )
        .from("os.ntp");
    Ok(())
}

fn user(user: &User) -> serde_json::Value {
    let mut json = json!({"name": user.name});
    if !user.ssh_authorized_keys.is_empty() {
        json["sshAuthorizedKeys"] = json!(user.ssh_authorized_keys);
    }
    if !user.groups.is_empty() {
        json["groups"] = json!(user.groups);
    }
    if let Some(hash) = &user.password_hash {
        json["passwordHash"] = json!(hash.expose());
    }
    json
}

/// Adds drop-ins for the units that fetch images: the runtime, and kubelet for its credential providers.
/// The agent gets none, because kubeadm would copy its environment into the pods of the control plane.
pub(super) fn proxy(config: &mut Config, cluster: &Cluster, node: &Node, proxy: &Proxy) {
    let mut direct = vec![
        "localhost".to_owned(),
        "127.0.0.0/8".to_owned(),
        "::1".to_owned(),
        cluster.endpoint.host.clone(),
    ];
    direct.extend(node.each_address().map(|address| address.to_string()));
    direct.extend([".svc".to_owned(), format!(".{}", cluster.dns_domain)]);
    for network in cluster.pod_subnets.iter().chain(&cluster.service_subnets) {
        direct.push(network.to_string());
    }
    direct.extend(proxy.direct.iter().cloned());
    let direct = direct.join(",");
    let urls = [("HTTP_PROXY", &proxy.http), ("HTTPS_PROXY", &proxy.https)];
    let variables = urls
        .iter()
        .filter_map(|(name, url)| Some((*name, url.as_ref()?.expose())));
    let mut text = String::from("[Service]\n");
    for (name, value) in variables.chain([("NO_PROXY", direct.as_str())]) {
        // `%` begins systemd's specifiers.
        let _ = writeln!(text, "Environment=\"{name}={}\"", value.replace('%', "%%"));
    }
    // The first of the runtime's units is the one that pulls.
    let pulls = cluster.runtime.units().iter().take(1);
    for unit in pulls.chain(&["kubelet.service"]) {
        // A proxy's URL may hold a password.
        let path = format!("/etc/systemd/system/{unit}.d/{PROXY_DROPIN}");
        config.file(path, PRIVATE, &*text).from("os.proxy");
    }
}
