//! iPXE scripts: machines without a disk boot the live image with their config.

use super::Server;
use crate::compile::{Compiled, CompiledNode};

/// DHCP's boot file.
const BOOT: &str = "#!ipxe
# Every machine goes on with the script of the name DHCP gives it.
chain ${hostname}.ipxe || goto unknown
:unknown
echo nkd: there is no node ${hostname}
shell
";

/// All scripts: name and text.
pub fn scripts(compiled: &Compiled, server: &Server) -> Vec<(String, String)> {
    let mut scripts = vec![("boot.ipxe".to_owned(), BOOT.to_owned())];
    for node in compiled.nodes.iter().filter(|node| node.wanted) {
        scripts.push((format!("{}.ipxe", node.name), script(node, server)));
    }
    scripts
}

/// Kernel arguments are those of NestOS' live images; names of the image's
/// files are the user's, so they can be set before, and have plain defaults.
fn script(node: &CompiledNode, server: &Server) -> String {
    let (name, config) = (&node.name, server.config(&node.name));
    format!(
        "#!ipxe
# {name}
isset ${{live}} || set live {url}/live
kernel ${{live}}/kernel initrd=main coreos.live.rootfs_url=${{live}}/rootfs.img \
ignition.firstboot ignition.platform.id=metal ignition.config.url={config}
initrd --name main ${{live}}/initramfs.img
boot
",
        url = server.url
    )
}
