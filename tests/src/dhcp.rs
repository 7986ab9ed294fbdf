//! DHCP and DNS of a site: dnsmasq.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::Result;

use crate::computer::mac;
use crate::daemon::Daemon;
use crate::lab::Lab;

const DNS: u16 = 53;
/// The directory with iPXE's program for UEFI firmware, `ipxe.efi`.
const IPXE: &str = "/usr/lib/ipxe";

/// DHCP and DNS at the lab's gateway; they end when this is dropped.
#[derive(Debug)]
pub struct Dhcp {
    _dnsmasq: Daemon,
}

impl Dhcp {
    /// The name of the lab's gateway.
    pub const SERVER: &str = "files.site.test";

    /// Assigns these addresses to the computers with these names.
    ///
    /// With the URL of a script, computers boot from the network: iPXE by TFTP, and then the script.
    pub(crate) fn start(
        lab: &Lab,
        computers: &[(&str, &str)],
        script: Option<&str>,
    ) -> Result<Self> {
        let directory = lab.scratch("dhcp")?;
        let mut configuration = format!(
            "interface=br0\nbind-interfaces\nport={DNS}\nno-resolv\nno-hosts\nuser=root\n\
             host-record={},{}\ndhcp-range=10.200.0.100,10.200.0.199,1h\n\
             dhcp-leasefile={at}/leases\npid-file={at}/pid\n",
            Self::SERVER,
            Lab::GATEWAY,
            at = directory.display()
        );
        for (name, address) in computers {
            writeln!(configuration, "dhcp-host={},{address},{name}", mac(name))?;
        }
        if let Some(script) = script {
            // Only iPXE sends option 175.
            writeln!(
                configuration,
                "enable-tftp\ntftp-root={IPXE}\ndhcp-match=set:ipxe,175\n\
                 dhcp-boot=tag:!ipxe,ipxe.efi\ndhcp-boot=tag:ipxe,{script}"
            )?;
        }
        let file = directory.join("dnsmasq.conf");
        fs::write(&file, configuration)?;
        let program = Path::new("/usr/sbin/dnsmasq");
        let words = [
            program,
            "--keep-in-foreground".as_ref(),
            "-C".as_ref(),
            &file,
        ];
        Ok(Self {
            _dnsmasq: Daemon::start(lab, &directory, words, DNS)?,
        })
    }
}
