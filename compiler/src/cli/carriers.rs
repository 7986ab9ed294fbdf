use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, anyhow, bail};
use clap::Args;
use serde_json::{Value, json};

use crate::carrier::{self, Carried, Server, Target, few, pxe};
use crate::compiled::{Compiled, CompiledNode};
use crate::contents;
use crate::failure::Failure;
use crate::output::Files;
use nkd_document::{Diagnostics, mask};
use nkd_model::HttpUrl;

/// How the files reach the machines.
#[derive(Args)]
pub struct Carriers {
    /// Carrier that brings the files to the machines; can be repeated
    #[arg(long = "target", value_name = "CARRIER", value_enum)]
    targets: Vec<Target>,
    /// URL at which machines can reach the directory OUT/nodes, such as `http://10.0.0.1:8080`
    #[arg(long, required_if_eq("targets", "pxe"))]
    url: Option<String>,
    /// File of PEM certificates with which machines verify the server at the URL
    #[arg(long, value_name = "FILE", requires = "url")]
    url_ca: Option<PathBuf>,
}

impl Carriers {
    /// Makes the configs of all selected nodes fit all carriers.
    pub(super) fn carry(
        &self,
        compiled: &Compiled,
        to: &mut Diagnostics,
    ) -> Result<Loads, Failure> {
        let server = self.server()?;
        let mut targets = Vec::new();
        for target in &self.targets {
            if !targets.contains(target) {
                targets.push(*target);
            }
        }
        let carried = carrier::carry(compiled, &targets, server.as_ref(), to)?;
        let mut scripts = Vec::new();
        if let Some(server) = server.as_ref().filter(|_| targets.contains(&Target::Pxe)) {
            if server.authority.is_some() {
                let message = "`--url-ca` cannot be used with `--target pxe`: the live image fetches the config before \
                               it has one, so it trusts only its own authorities";
                return Err(anyhow!(message).into());
            }
            pxe::check(compiled, to)?;
            to.as_result()?;
            scripts = pxe::scripts(compiled, server);
        }
        Ok(Loads {
            url: server.map(|server| server.url).unwrap_or_default(),
            targets,
            carried,
            scripts,
        })
    }

    fn server(&self) -> Result<Option<Server>> {
        let Some(url) = &self.url else {
            return Ok(None);
        };
        // Other characters have a meaning in iPXE scripts and on kernel command lines.
        let is_literal = |c: char| c.is_ascii_alphanumeric() || "-._~:/[]%".contains(c);
        let is_good =
            HttpUrl::parse(url).is_some_and(|url| url.is_plain()) && url.chars().all(is_literal);
        if !is_good {
            bail!(
                "`{}` must be an http or https URL without a user name, query or fragment",
                mask(url)
            );
        }
        let read = |path: &PathBuf| {
            let text = fs::read_to_string(path)
                .with_context(|| format!("cannot read {}", path.display()))?;
            if !text.contains("-----BEGIN CERTIFICATE-----") || text.contains("PRIVATE KEY") {
                bail!(
                    "{} is not a file that contains only PEM certificates",
                    path.display()
                );
            }
            Ok(text)
        };
        Ok(Some(Server {
            url: url.trim_end_matches('/').to_owned(),
            authority: self.url_ca.as_ref().map(read).transpose()?,
        }))
    }
}

/// How many nodes the table lists. A table of a thousand nodes would hide what follows it.
pub(super) const LISTED: usize = 20;

/// What the table has in place of the address of an open pool.
const OPEN: &str = "(open pool)";

/// The files for the carriers.
pub struct Loads {
    url: String,
    targets: Vec<Target>,
    carried: Vec<Carried>,
    scripts: Vec<(String, String)>,
}

impl Loads {
    /// The files in the output.
    pub(super) fn files(&self) -> Files<'_> {
        let configs = self.carried.iter().map(|load| {
            let name = format!("{}/{}.ign", load.target.name(), load.node);
            (name, &*load.text)
        });
        let scripts = self.scripts.iter().map(|(name, text)| {
            let name = format!("{}/{name}", Target::Pxe.name());
            (name, &**text)
        });
        configs.chain(scripts).collect()
    }

    /// A table of all nodes and the sizes of their configs on each carrier, in bytes.
    pub(super) fn table(&self, compiled: &Compiled) -> Vec<Vec<String>> {
        let limited = || self.targets.iter().filter(|target| target.has_files());
        let mut head = ["NODE", "ROLE", "ADDRESS", "BYTES"]
            .map(str::to_owned)
            .to_vec();
        head.extend(limited().map(|target| target.name().to_uppercase()));
        let mut rows = vec![head];
        // Loads are in the order of nodes, and of targets for each.
        let mut carried = self.carried.chunks(limited().count().max(1));
        let wanted = compiled.nodes.iter().filter(|node| node.wanted);
        for node in wanted.take(LISTED) {
            let bytes = node.ignition.len().to_string();
            let mut row = vec![
                node.name.clone(),
                node.role.to_owned(),
                node.address.clone().unwrap_or_else(|| OPEN.to_owned()),
                bytes,
            ];
            for load in carried.next().into_iter().flatten() {
                row.push(format!("{} {}", load.text.len(), load.form.name()));
            }
            rows.push(row);
        }
        rows
    }

    /// The same for programs.
    pub(super) fn to_json(&self, compiled: &Compiled) -> Vec<Value> {
        let per_node = self
            .targets
            .iter()
            .filter(|target| target.has_files())
            .count();
        let mut carried = self.carried.chunks(per_node.max(1));
        let node = |node: &CompiledNode| {
            let loads = carried.next().into_iter().flatten().map(|load| {
                json!({
                    "carrier": load.target.name(),
                    "form": load.form.name(),
                    "bytes": load.text.len(),
                    "limit": load.target.limit(),
                })
            });
            json!({
                "name": node.name,
                "role": node.role,
                "address": node.address,
                "openPool": node.address.is_none(),
                "bytes": node.ignition.len(),
                "carriers": loads.collect::<Vec<_>>(),
            })
        };
        let wanted = compiled.nodes.iter().filter(|node| node.wanted);
        wanted.map(node).collect()
    }

    /// The limit of each carrier, and how to pass a file to it.
    pub(super) fn advice(&self, compiled: &Compiled, out: &str) -> Vec<String> {
        let mut lines = Vec::new();
        for target in &self.targets {
            let name = target.name();
            let directory = if target.has_files() { name } else { "nodes" };
            let file = format!("{out}/{directory}/NODE.ign");
            let command = target
                .command()
                .map(|command| command.replace("FILE", &file));
            let limit = target
                .limit()
                .map(|limit| format!(" (at most {limit} bytes)"))
                .unwrap_or_default();
            match command {
                Some(command) if *target == Target::Metal => {
                    for (disk, nodes) in disks(compiled) {
                        let command = command.replace("DISK", disk);
                        lines.push(format!("{name}: {command}    # {nodes}"));
                    }
                }
                Some(command) => lines.push(format!("{name}{limit}: {command}")),
                None if *target == Target::Pxe => lines.push(format!(
                    "{name}: serve {out}/nodes at {url}, to these machines only, because the files \
                     contain private keys. Serve the live image's kernel, initramfs.img and rootfs.img at \
                     {url}/live, and {out}/{name} anywhere.",
                    url = self.url
                )),
                None => {}
            }
        }
        lines
    }
}

/// The disks on which the OS is installed, each with its nodes.
fn disks(compiled: &Compiled) -> Vec<(&str, String)> {
    let mut disks: Vec<(&str, Vec<&str>)> = Vec::new();
    let nodes = compiled.nodes.iter().zip(&compiled.cluster.nodes);
    for (node, written) in nodes.filter(|(node, _)| node.wanted) {
        let disk = written.install_disk.as_deref().unwrap_or("/dev/DISK");
        match disks.iter_mut().find(|(known, _)| *known == disk) {
            Some((_, nodes)) => nodes.push(&node.name),
            None => disks.push((disk, vec![&node.name])),
        }
    }
    disks
        .into_iter()
        .map(|(disk, nodes)| (disk, few(&nodes)))
        .collect()
}

/// The parts of the largest config and their sizes, as a table.
pub(super) fn parts(compiled: &Compiled) -> Result<(String, Vec<Vec<String>>)> {
    let wanted = compiled.nodes.iter().filter(|node| node.wanted);
    let Some(largest) = wanted.max_by_key(|node| node.ignition.len()) else {
        return Ok((String::new(), Vec::new()));
    };
    let parts = contents::parts(&largest.ignition)?;
    let rows = parts
        .into_iter()
        .map(|(what, bytes)| vec![bytes.to_string(), what]);
    Ok((largest.name.clone(), rows.collect()))
}
