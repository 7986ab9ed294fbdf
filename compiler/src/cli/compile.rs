use std::fmt::Write as _;
use std::net::IpAddr;
use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use serde_json::json;

use crate::compile::{self, Request};
use crate::compiled::Compiled;
use crate::failure::Failure;
use crate::output::{self, Held, Written};
use nkd_document::Diagnostics;
use nkd_model::{Cluster, Interface, Node};

use super::answer::{Answer, report};
use super::carriers::{self, Carriers, LISTED, Loads};
use super::table::table;
use crate::carrier::few;

/// Compile a cluster file into a directory of Ignition files
///
/// Writes nodes/NAME.ign for each machine, nodes/POOL.ign for each open pool, kubeconfig for the administrator,
/// secrets.json and cluster.lock into OUT, and a directory for each carrier given with --target. The files contain the
/// cluster's private keys, so only you can read them. If OUT is an earlier output, nkd uses its secrets
/// again, so that new machines can join the existing cluster, and replaces or removes its other files.
/// nkd keeps files in OUT that it did not write.
#[derive(Args)]
pub struct Compile {
    /// The cluster file; `-` is standard input
    #[arg(value_name = "CLUSTER.yaml")]
    cluster_file: PathBuf,
    /// The output directory
    #[arg(short, long, value_name = "OUT")]
    out: PathBuf,
    /// Use this secrets file instead of OUT/secrets.json or new secrets
    #[arg(long, value_name = "FILE")]
    secrets: Option<PathBuf>,
    /// Write only the files of this node or open pool, and keep those of others; can be repeated
    #[arg(long = "node", value_name = "NAME")]
    nodes: Vec<String>,
    #[command(flatten)]
    carriers: Carriers,
}

impl Compile {
    /// With `quiet`, only errors go to standard error.
    pub(super) fn run(
        &self,
        quiet: bool,
        diagnostics: &mut Diagnostics,
    ) -> Result<Answer, Failure> {
        loop {
            if let Some(answer) = self.attempt(quiet, diagnostics)? {
                return Ok(answer);
            }
            diagnostics.clear();
        }
    }

    /// `None` if another run has created the output first.
    fn attempt(
        &self,
        quiet: bool,
        diagnostics: &mut Diagnostics,
    ) -> Result<Option<Answer>, Failure> {
        let held = Held::take(&self.out, || {
            if !quiet {
                let out = self.out.display();
                report(format_args!(
                    "note: waiting for another run of nkd that is writing to {out}\n"
                ));
            }
        })?;
        let request = Request {
            cluster_file: &self.cluster_file,
            out: Some(&self.out),
            secrets: self.secrets.as_deref(),
            nodes: &self.nodes,
        };
        let compiled = compile::compile(&request, diagnostics)?;
        let loads = self.carriers.carry(&compiled, diagnostics)?;
        match output::write(&held, &compiled, loads.files(), diagnostics)? {
            Written::Overtaken => Ok(None),
            Written::Done => {
                note_missing_name_servers(&compiled.cluster, diagnostics);
                note_single_addresses(&compiled.cluster, diagnostics);
                let out = self.out.display().to_string();
                Ok(Some(summarize(&compiled, &loads, &out)?))
            }
        }
    }
}

fn summarize(compiled: &Compiled, loads: &Loads, out: &str) -> Result<Answer> {
    let (largest, parts) = carriers::parts(compiled)?;
    let mut text = table(&loads.table(compiled));
    let wanted = compiled.nodes.iter().filter(|node| node.wanted).count();
    if wanted > LISTED {
        let more = wanted - LISTED;
        writeln!(text, "{more} more nodes; `--format json` lists all of them")?;
    }
    writeln!(text, "\nSize of the parts of {largest}:\n{}", table(&parts))?;
    for line in loads.advice(compiled, out) {
        writeln!(text, "{line}")?;
    }
    writeln!(text, "Boot each machine with {out}/nodes/NODE.ign.")?;
    let cluster = &compiled.cluster;
    let nodes = compiled.nodes.iter().zip(&cluster.nodes);
    for (_, pool) in nodes.filter(|(node, written)| node.wanted && written.is_open()) {
        let days = cluster.token_ttl(&cluster.token_scope(pool)).as_secs() / 86_400;
        writeln!(
            text,
            "Boot any number of machines of the open pool {name} with {out}/nodes/{name}.ign. The platform must \
             give each of them another hostname. They can join for {days} days after the cluster's first boot \
             (`bootstrapTokens.ttl`).",
            name = pool.name
        )?;
    }
    writeln!(
        text,
        "Then: kubectl --kubeconfig {out}/kubeconfig get nodes"
    )?;
    Ok(Answer::new(text, json!({"nodes": loads.to_json(compiled)})).about_files())
}

/// Notes the nodes whose interfaces are all static and have no name server. Name servers from DHCP, from
/// the OS image and from the user's own files are not visible here.
fn note_missing_name_servers(cluster: &Cluster, to: &mut Diagnostics) {
    let has_none =
        |node: &&Node| !node.interfaces.is_empty() && node.interfaces.iter().all(lacks_name_server);
    let nodes = cluster.nodes.iter().filter(has_none);
    let names: Vec<&str> = nodes.map(|node| node.name.as_str()).collect();
    if !names.is_empty() {
        let nodes = few(&names);
        to.note(format!(
            "no name server on {nodes}: all interfaces are static and none sets `dns`. Pods there can \
             only resolve names inside the cluster, unless the OS image or one of your own files sets a \
             name server"
        ));
    }
}

/// The argument of kubelet with which a cloud sets the addresses of a node.
const CLOUD_PROVIDER: &str = "cloud-provider";

/// Notes the open pools of a dual-stack cluster whose nodes register with one address.
fn note_single_addresses(cluster: &Cluster, to: &mut Diagnostics) {
    let has_one = |node: &&Node| {
        let mut args = node.kubelet_args.iter();
        node.is_open() && !args.any(|(name, _)| name == CLOUD_PROVIDER)
    };
    let pools = cluster.nodes.iter().filter(has_one);
    let pools: Vec<_> = pools.map(|pool| pool.name.as_str()).collect();
    if let [first, _] = &cluster.service_subnets[..]
        && !pools.is_empty()
    {
        let version = if first.addr().is_ipv4() {
            "IPv4"
        } else {
            "IPv6"
        };
        to.note(format!(
            "the nodes of the open pool {} register with their {version} address only, because nkd does not have \
             their addresses. Pods have addresses of both IP versions, except those in the network of the host. \
             For both, use a cloud provider (`kubelet.extraArgs: {{{CLOUD_PROVIDER}: external}}`)",
            few(&pools)
        ));
    }
}

/// Whether an interface does not use DHCP, and has no name server of the IP version of any of its
/// addresses.
fn lacks_name_server(interface: &Interface) -> bool {
    let is_reached = |server: &IpAddr| {
        let mut addresses = interface.addresses.iter();
        addresses.any(|address| address.addr().is_ipv4() == server.is_ipv4())
    };
    !interface.dhcp && !interface.dns.iter().any(is_reached)
}
