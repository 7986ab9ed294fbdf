//! A lab: a separate network for machines.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context, Result};

use crate::balancer::Balancer;
use crate::cache::Cache;
use crate::callbacks::CallbackReceiver;
use crate::computer::{Carrier, Computer, DiskImage};
use crate::dhcp::Dhcp;
use crate::emulator::Emulator;
use crate::image::OsImage;
use crate::impostor::{Guise, Impostor};
use crate::machine::Machine;
use crate::metadata::{Cloud, MetadataServer};
use crate::registry::{Login, Registry};
use crate::stick::Stick;
use crate::teardown::Scope;
use crate::web::{ConfigAuthority, WebServer};
use packages::command;

/// A network namespace with a bridge, cut off from all other networks. It is gone when the lab and
/// its machines are dropped.
#[derive(Debug)]
pub struct Lab {
    scope: Arc<Scope>,
}

impl Lab {
    /// The bridge's address: the machines' gateway, and the host as they see it.
    pub const GATEWAY: &str = "10.200.0.1";

    /// The same in the lab's IPv6 network.
    pub const GATEWAY_IPV6: &str = "fd00:200::1";

    /// A new, empty lab.
    pub fn new(cache: &Cache) -> Result<Self> {
        let lab = Self {
            scope: Arc::new(Scope::new(cache)?),
        };
        command::run("ip", ["netns", "add", &lab.scope.name()])?;
        let address = format!("{}/24", Self::GATEWAY);
        let ipv6 = format!("{}/64", Self::GATEWAY_IPV6);
        for step in [
            ["link", "set", "lo", "up"].as_slice(),
            &["link", "add", "br0", "type", "bridge"],
            &["address", "add", &address, "dev", "br0"],
            &["address", "add", &ipv6, "dev", "br0", "nodad"],
            &["link", "set", "br0", "up"],
        ] {
            lab.ip(step)?;
        }
        Ok(lab)
    }

    /// A new machine whose disk holds the image, with the Ignition file applied, not yet started.
    pub fn machine(&self, image: &OsImage, name: &str, ignition: &Path) -> Result<Machine> {
        Machine::new(&self.scope, image, name, ignition)
    }

    /// A new computer whose disk holds the image, and which gets its config from a carrier, not yet switched on.
    pub fn computer(
        &self,
        emulator: &Emulator,
        image: &DiskImage,
        name: &str,
        carrier: Carrier,
    ) -> Result<Computer> {
        Computer::new(&self.scope, emulator, image, name, carrier)
    }

    /// A new computer without a disk, which boots from the network, not yet switched on.
    pub fn diskless_computer(&self, emulator: &Emulator, name: &str) -> Result<Computer> {
        Computer::without_disk(&self.scope, emulator, name, Carrier::Pxe)
    }

    /// DHCP, with the addresses of computers by their names, and DNS.
    pub fn dhcp(&self, computers: &[(&str, &str)]) -> Result<Dhcp> {
        Dhcp::start(self, computers, None)
    }

    /// The same, and computers that boot from the network get iPXE and this script.
    pub fn dhcp_with_script(&self, computers: &[(&str, &str)], script: &str) -> Result<Dhcp> {
        Dhcp::start(self, computers, Some(script))
    }

    /// A cloud's metadata server with the user data of a machine.
    pub fn metadata(&self, cloud: Cloud, user_data: Option<&[u8]>) -> Result<MetadataServer> {
        MetadataServer::start(self, cloud, user_data)
    }

    /// The address of a metadata server where connections are refused.
    pub fn metadata_refuses(&self) -> Result<()> {
        MetadataServer::take_address(self)
    }

    /// A receiver of callbacks at the gateway's address.
    pub fn callbacks(&self) -> Result<CallbackReceiver> {
        CallbackReceiver::listen(&self.namespace(), &self.scratch("callbacks")?)
    }

    /// A load balancer at the gateway's address for the API of control planes, by their addresses.
    pub fn balancer(&self, control_planes: &[&str]) -> Result<Balancer> {
        Balancer::start(&self.namespace(), control_planes)
    }

    /// Something else than the cluster's API at the gateway's address.
    pub fn impostor(&self, guise: Guise) -> Result<Impostor> {
        Impostor::start(&self.namespace(), &self.scratch("impostor")?, guise)
    }

    /// A web server at the gateway's address with these files.
    pub fn web_server(&self, files: &[PathBuf]) -> Result<WebServer> {
        WebServer::start(self, files)
    }

    /// A private authority, for [`Self::config_server`].
    pub fn config_authority(&self, name: &str) -> Result<ConfigAuthority> {
        ConfigAuthority::new(self, name)
    }

    /// A web server at the gateway's address that serves the directory `nodes` over https.
    pub fn config_server(&self, nodes: &Path, authority: &ConfigAuthority) -> Result<WebServer> {
        WebServer::start_configs(self, nodes, authority)
    }

    /// A web server at the gateway's address to which machines send reports.
    pub fn report_server(&self) -> Result<WebServer> {
        WebServer::start_reports(self)
    }

    /// A registry of images at the gateway's address.
    pub fn registry(&self, login: Login) -> Result<Registry> {
        Registry::start(self, login)
    }

    /// A stick with files on it, labelled.
    pub fn stick(&self, label: &str, files: &[&Path]) -> Result<Stick> {
        Stick::new(&self.scratch(&format!("stick-{label}"))?, label, files)
    }

    /// Runs `ip` in the lab's network.
    pub fn ip(&self, arguments: &[&str]) -> Result<String> {
        command::check(self.host_command("ip").args(arguments))
    }

    /// A command for the host, in the lab's network: what an operator runs beside the machines.
    pub fn host_command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--net={}", self.namespace().display()))
            .arg(program);
        command
    }

    /// A directory that is removed with the lab.
    pub fn scratch(&self, name: &str) -> Result<PathBuf> {
        let directory = self.scope.directory().join("scratch").join(name);
        std::fs::create_dir_all(&directory)
            .with_context(|| format!("can't create {}", directory.display()))?;
        Ok(directory)
    }

    /// The name of the lab, of its network namespace and of its cgroups.
    pub fn name(&self) -> String {
        self.scope.name()
    }

    pub(crate) fn namespace(&self) -> PathBuf {
        Path::new("/run/netns").join(self.scope.name())
    }
}
