//! iPXE scripts: machines boot the live image with their config, or the live image installs the OS to the
//! disk in the cluster file.

use super::Server;
use crate::compiled::{Compiled, CompiledNode};

/// The boot file for DHCP.
const BOOT: &str = "#!ipxe
# Each machine continues with the script for its MAC address, or for the host name that DHCP gives it.
chain mac-${mac:hexhyp}.ipxe || chain ${hostname}.ipxe || goto unknown
:unknown
echo nkd: no node has the MAC address ${mac} or the name ${hostname}
shell
";

/// All scripts: name and text.
pub fn scripts(compiled: &Compiled, server: &Server) -> Vec<(String, String)> {
    let mut scripts = vec![("boot.ipxe".to_owned(), BOOT.to_owned())];
    let nodes = compiled.nodes.iter().zip(&compiled.cluster.nodes);
    for (node, written) in nodes.filter(|(node, _)| node.wanted) {
        let name = format!("{}.ipxe", node.name);
        if let Some(mac) = &written.mac {
            let by_mac = format!("mac-{}.ipxe", mac.replace(':', "-"));
            scripts.push((by_mac, format!("#!ipxe\nchain {name}\n")));
        }
        let disk = written.install_disk.as_deref();
        scripts.push((name, script(node, disk, server)));
    }
    scripts
}

/// The kernel arguments are those of NestOS live images. The user can set the URL of the image's files
/// before; it has a default.
fn script(node: &CompiledNode, disk: Option<&str>, server: &Server) -> String {
    let (name, config) = (&node.name, server.config(&node.name));
    let arguments = match disk {
        // The live system has no config of its own: its installer hands this one on (nestos-installer,
        // "Installing from PXE"; Fedora CoreOS's has another name).
        Some(disk) => ["nestos", "coreos"]
            .map(|it| format!("{it}.inst.install_dev={disk} {it}.inst.ignition_url={config}"))
            .join(" "),
        None => {
            format!("ignition.firstboot ignition.platform.id=metal ignition.config.url={config}")
        }
    };
    format!(
        "#!ipxe
# {name}
isset ${{live}} || set live {url}/live
kernel ${{live}}/kernel initrd=main coreos.live.rootfs_url=${{live}}/rootfs.img {arguments}
initrd --name main ${{live}}/initramfs.img
boot
",
        url = server.url
    )
}
