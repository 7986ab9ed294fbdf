//! iPXE scripts: machines boot the live image with their config, or the live image installs the OS to the
//! disk in the cluster file.

use anyhow::Result;
use serde_json::Value;

use super::few::few;
use super::server::Server;
use crate::compiled::{Compiled, CompiledNode};
use nkd_document::{Code, Diagnostics};
use nkd_model::Node;

/// The boot file for DHCP. The scripts of nodes never return, so `chain` fails only if a script is missing. A
/// machine may be powered on before its script is served, so all scripts try again without end.
const BOOT: &str = "#!ipxe
# Each machine continues with the script for its MAC address, or for the host name that DHCP gives it.
:start
chain mac-${mac:hexhyp}.ipxe || chain ${hostname}.ipxe || goto failed
:failed
echo nkd: cannot load mac-${mac:hexhyp}.ipxe or ${hostname}.ipxe from ${cwuri}, trying again in 30 seconds
sleep 30
goto start
";

/// The name of [`BOOT`].
const BOOT_SCRIPT: &str = "boot.ipxe";

/// Reports open pools, nodes with the name of a script that nkd writes, control planes that would lose the data of etcd, and
/// what Ignition and the agent cannot do on nodes that run from memory: their kernel and their OS are those of the live
/// image, whatever the config asks for.
///
/// # Errors
/// When a compiled config is not JSON.
pub fn check(compiled: &Compiled, to: &mut Diagnostics) -> Result<()> {
    report_open_pools(compiled, to);
    report_names(compiled, to);
    report_init_node(compiled, to);
    warn_of_lost_quorum(compiled, to);
    let (mut arguments, mut images) = (Vec::new(), Vec::new());
    let nodes = compiled.nodes.iter().zip(&compiled.cluster.nodes);
    for (node, written) in
        nodes.filter(|(node, written)| node.wanted && written.install_disk.is_none())
    {
        let config: Value = serde_json::from_str(&node.ignition)?;
        if config["kernelArguments"].is_object() {
            arguments.push(node.name.as_str());
        }
        if written.os.release_image.is_some() {
            images.push(node.name.as_str());
        }
    }
    for (nodes, what) in [
        (arguments, "kernel arguments"),
        (images, "`os.releaseImage`"),
    ] {
        if !nodes.is_empty() {
            let nodes = few(&nodes);
            let message =
                format!("{nodes} would run from memory with pxe, where {what} cannot be set");
            to.report_nowhere(Code::Diskless, message);
        }
    }
    Ok(())
}

/// When an init node that runs from memory reboots, it has lost its member of etcd, and the plan has it create the
/// cluster and not join it.
fn report_init_node(compiled: &Compiled, to: &mut Diagnostics) {
    let cluster = &compiled.cluster;
    let is_wanted = |name: &str| {
        let mut nodes = compiled.nodes.iter();
        nodes.any(|node| node.wanted && node.name == name)
    };
    let keeps_etcd_in_memory = cluster.init_node().filter(|node| {
        cluster.runs_etcd(node) && node.install_disk.is_none() && is_wanted(&node.name)
    });
    if let Some(node) = keeps_etcd_in_memory
        && !cluster.etcd_in_memory
    {
        let name = &node.name;
        let message = format!(
            "the init node {name} would run from memory with pxe, and its reboot would lose the data of etcd"
        );
        let help = "give it `installDisk`, use `spec.kubernetes.etcd.external`, or accept this with \
                    `spec.kubernetes.etcd.inMemory: true`";
        to.report_with_help_nowhere(Code::Diskless, message, help);
    }
}

/// Warns if a power cut leaves etcd fewer members than its quorum, because it then does not recover. Of two members, one
/// is enough: the agent has the other one join again.
fn warn_of_lost_quorum(compiled: &Compiled, to: &mut Diagnostics) {
    let cluster = &compiled.cluster;
    let runs_etcd = |node: &&Node| cluster.runs_etcd(node);
    let all = cluster.control_planes().filter(runs_etcd).count();
    let nodes = compiled.nodes.iter().zip(&cluster.nodes);
    let in_memory = nodes
        .filter(|(node, written)| node.wanted && written.install_disk.is_none())
        .filter(|(_, written)| cluster.runs_etcd(written));
    let in_memory: Vec<_> = in_memory.map(|(node, _)| node.name.as_str()).collect();
    let rest = all - in_memory.len();
    let recovers = rest > all / 2 || (rest, all) == (1, 2);
    if !in_memory.is_empty() && !recovers && !cluster.etcd_in_memory {
        let message = format!(
            "a power cut of {} ends the cluster: {} of {all} control planes would keep the data of etcd in memory",
            few(&in_memory),
            in_memory.len()
        );
        to.warn(Code::DisklessQuorum, cluster.span, message);
    }
}

/// A machine finds its script by its MAC address or its host name, and nkd has neither of a machine in an open
/// pool.
fn report_open_pools(compiled: &Compiled, to: &mut Diagnostics) {
    let nodes = compiled.nodes.iter();
    let open = nodes.filter(|node| node.wanted && node.address.is_none());
    let open: Vec<_> = open.map(|node| node.name.as_str()).collect();
    if !open.is_empty() {
        let message = format!(
            "pxe cannot boot the machines of an open pool ({}), because nkd has neither their MAC addresses nor \
             their host names",
            few(&open)
        );
        let help = "list the machines in `spec.nodes`, or write the files of all other nodes with `--node NAME`";
        to.report_with_help_nowhere(Code::OpenPool, message, help);
    }
}

/// Reports nodes whose script would have the name of another one: each node has a script with its name, in the same
/// directory as those whose names nkd chooses.
fn report_names(compiled: &Compiled, to: &mut Diagnostics) {
    let macs = compiled
        .cluster
        .nodes
        .iter()
        .filter_map(|node| node.mac.as_deref());
    let taken: Vec<_> = macs.map(by_mac).chain([BOOT_SCRIPT.to_owned()]).collect();
    for node in compiled.nodes.iter().filter(|node| node.wanted) {
        let script = format!("{}.ipxe", node.name);
        if taken.contains(&script) {
            let message = format!(
                "pxe cannot boot the node {}, because nkd writes a script of its own with the name {script}",
                node.name
            );
            to.report_with_help_nowhere(Code::Name, message, "give the node another name");
        }
    }
}

/// The name of the script for a MAC address, which continues with the script of the node.
fn by_mac(mac: &str) -> String {
    format!("mac-{}.ipxe", mac.replace(':', "-"))
}

/// All scripts: name and text.
pub fn scripts(compiled: &Compiled, server: &Server) -> Vec<(String, String)> {
    let mut scripts = vec![(BOOT_SCRIPT.to_owned(), BOOT.to_owned())];
    let nodes = compiled.nodes.iter().zip(&compiled.cluster.nodes);
    for (node, written) in nodes.filter(|(node, _)| node.wanted) {
        let name = format!("{}.ipxe", node.name);
        if let Some(mac) = &written.mac {
            scripts.push((by_mac(mac), format!("#!ipxe\nchain {name}\n")));
        }
        let disk = written.install_disk.as_deref();
        scripts.push((name, script(node, disk, server)));
    }
    scripts
}

/// The kernel arguments are those of NestOS live images. The user can set the URL of the image's files
/// before; it has a default. The user's own kernel arguments come last, because the last one has priority.
fn script(node: &CompiledNode, disk: Option<&str>, server: &Server) -> String {
    let (name, config) = (&node.name, server.config_url(&node.name));
    let arguments = match disk {
        // The live system has no config of its own: its installer hands this one on (nestos-installer,
        // "Installing from PXE"; Fedora CoreOS's has another name).
        Some(disk) => ["nestos", "coreos"]
            .map(|prefix| {
                format!("{prefix}.inst.install_dev={disk} {prefix}.inst.ignition_url={config}")
            })
            .join(" "),
        None => {
            format!("ignition.firstboot ignition.platform.id=metal ignition.config.url={config}")
        }
    };
    format!(
        "#!ipxe
# {name}
isset ${{live}} || set live {url}/live
:start
kernel ${{live}}/kernel initrd=main coreos.live.rootfs_url=${{live}}/rootfs.img {arguments} ${{arguments}} || goto failed
initrd --name main ${{live}}/initramfs.img || goto failed
boot || goto failed
:failed
echo nkd: {name} cannot boot ${{live}}/kernel with ${{live}}/initramfs.img, trying again in 30 seconds
sleep 30
imgfree
goto start
",
        url = server.url
    )
}
