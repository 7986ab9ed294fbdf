//! The ways in which a config reaches a computer.

use std::path::Path;

use anyhow::{Result, bail};
use packages::command;

use super::metadata::{cd, custom_data_cd, insert_custom_data};
use crate::emulator::copy;
use crate::metadata::Cloud;

/// The config's name in a computer's directory, for QEMU and as an ISO file system.
const CONFIG: &str = "config.ign";
const CONFIG_DRIVE: &str = "config-2.iso";

/// A carrier, and Ignition's platform of that carrier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carrier {
    /// QEMU's firmware configuration device: `opt/com.coreos/config`.
    FirmwareConfig,
    /// `OpenStack`'s config drive: a CD labelled `config-2`.
    ConfigDrive,
    /// The network, from which the firmware boots: what a site serves decides on the config.
    Pxe,
    /// A cloud's metadata server, which the lab has.
    Metadata(Cloud),
    /// Azure's custom data, on a CD. Ignition asks the metadata server before.
    CustomData,
    /// An installer that puts the config on the partition with the label `boot`.
    BootPartition,
}

impl Carrier {
    /// The value of the kernel argument `ignition.platform.id`.
    pub const fn platform(self) -> &'static str {
        match self {
            Self::FirmwareConfig => "qemu",
            Self::ConfigDrive => "openstack",
            Self::Pxe | Self::BootPartition => "metal",
            Self::Metadata(cloud) => cloud.name(),
            Self::CustomData => Cloud::Azure.name(),
        }
    }

    /// Puts a config where the computer's hardware has it.
    pub(super) fn insert(self, config: &Path, directory: &Path) -> Result<()> {
        match self {
            Self::FirmwareConfig => copy(config, &directory.join(CONFIG)),
            Self::ConfigDrive => {
                let tree = directory.join("config-drive");
                copy(config, &tree.join("openstack/latest/user_data"))?;
                let iso = directory.join(CONFIG_DRIVE);
                let options = ["-quiet", "-R", "-V", "config-2", "-o"].map(Path::new);
                command::run("genisoimage", options.into_iter().chain([&*iso, &*tree])).map(drop)
            }
            Self::Pxe => bail!("the scripts of nkd name the config"),
            Self::Metadata(_) => bail!("the metadata server has the config"),
            Self::CustomData => insert_custom_data(Some(config), directory),
            Self::BootPartition => bail!("the disk has the config"),
        }
    }

    /// QEMU's arguments for this hardware, with the path of the computer's directory.
    pub(super) fn hardware(self, directory: &str) -> Vec<String> {
        match self {
            Self::FirmwareConfig => vec![
                "-fw_cfg".to_owned(),
                format!("name=opt/com.coreos/config,file={directory}/{CONFIG}"),
            ],
            Self::ConfigDrive => cd(&format!("{directory}/{CONFIG_DRIVE}")),
            Self::CustomData => custom_data_cd(directory),
            Self::Metadata(_) | Self::BootPartition => Vec::new(),
            // The image of a live system and what it writes are in memory.
            Self::Pxe => vec!["-m".to_owned(), "4096".to_owned()],
        }
    }
}
