//! The carriers on which configs reach machines: the limit of each carrier, and the forms in which a
//! config fits.

mod few;
mod pack;
pub(crate) mod pxe;
mod server;

use anyhow::{Context, Result, ensure};
use base16ct::lower::encode_string as hex;
use clap::ValueEnum;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::compiled::{Compiled, CompiledNode};
use crate::config::SPEC;
use crate::contents;
use crate::failure::Failure;
use crate::parallel;
use nkd_document::{Code, Diagnostics};

pub(crate) use few::few;
pub(crate) use pack::pack;
pub use pack::unpack;

pub use server::Server;

/// A carrier, which brings a config to a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Target {
    /// The config as it is
    Raw,
    /// QEMU's firmware configuration device
    Qemu,
    /// User data of an `OpenStack` cloud
    #[value(help = "OpenStack user data")]
    Openstack,
    /// AWS EC2 user data
    Aws,
    /// Azure custom data
    Azure,
    /// Google Compute Engine metadata
    Gcp,
    /// The disk installer
    Metal,
    /// iPXE scripts
    Pxe,
}

impl Target {
    /// All carriers.
    pub const ALL: [Self; 8] = [
        Self::Raw,
        Self::Qemu,
        Self::Openstack,
        Self::Aws,
        Self::Azure,
        Self::Gcp,
        Self::Metal,
        Self::Pxe,
    ];

    /// The name on the command line, which is also that of the directory in the output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Qemu => "qemu",
            Self::Openstack => "openstack",
            Self::Aws => "aws",
            Self::Azure => "azure",
            Self::Gcp => "gcp",
            Self::Metal => "metal",
            Self::Pxe => "pxe",
        }
    }

    /// The limit of the carrier in bytes, before its own tools encode the config.
    ///
    /// - AWS: 16 KB of user data (EC2 user guide, "Run commands when you launch an EC2 instance").
    /// - `OpenStack`: 65,535 bytes of base64 (nova, "User data"), which are 49,149 of input.
    /// - Azure: 65,535 bytes (REST API, `osProfile.customData`).
    /// - Google: 256 KB a value (Compute Engine, "About VM metadata").
    pub const fn limit(self) -> Option<usize> {
        match self {
            Self::Aws => Some(16_384),
            Self::Openstack => Some(65_535 / 4 * 3),
            Self::Azure => Some(65_535),
            Self::Gcp => Some(262_144),
            Self::Raw | Self::Qemu | Self::Metal | Self::Pxe => None,
        }
    }

    /// Whether the carrier has a directory of its own in the output. The others use `nodes/NAME.ign`.
    pub const fn has_files(self) -> bool {
        self.limit().is_some()
    }

    /// The command that passes a node's file to the carrier, with `FILE` for the file and `DISK` for the
    /// node's disk.
    pub const fn command(self) -> Option<&'static str> {
        match self {
            Self::Raw | Self::Pxe => None,
            Self::Qemu => Some("qemu-system-… -fw_cfg name=opt/com.coreos/config,file=FILE"),
            Self::Openstack => Some("openstack server create --user-data FILE …"),
            Self::Aws => Some("aws ec2 run-instances --user-data file://FILE …"),
            Self::Azure => Some("az vm create --custom-data FILE …"),
            Self::Gcp => {
                Some("gcloud compute instances create --metadata-from-file user-data=FILE …")
            }
            Self::Metal => Some("nestos-installer install --ignition-file FILE DISK"),
        }
    }
}

/// The form of a config on a carrier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// The config as it is.
    Plain,
    /// The whole config, compressed, inside a config that has nothing else.
    Packed,
    /// A small config with the URL and the hash of the config, which the machine fetches.
    Pointer,
}

impl Form {
    /// The name in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Packed => "packed",
            Self::Pointer => "pointer",
        }
    }
}

/// A node's config on a carrier.
pub struct Carried {
    /// The carrier.
    pub target: Target,
    /// The node.
    pub node: String,
    /// The form of the config.
    pub form: Form,
    /// The text for the carrier.
    pub text: String,
}

/// The part of a carrier's limit up to which configs stay in plain form.
const READABLE_PART: usize = 8;

/// Makes the configs of all selected nodes fit all carriers.
///
/// # Errors
/// A config does not fit its carrier, or cannot be packed.
pub fn carry(
    compiled: &Compiled,
    targets: &[Target],
    server: Option<&Server>,
    to: &mut Diagnostics,
) -> Result<Vec<Carried>, Failure> {
    let limited = targets.iter().copied().filter(|target| target.has_files());
    let limited: Vec<Target> = limited.collect();
    if limited.is_empty() {
        return Ok(Vec::new());
    }
    let wanted = compiled.nodes.iter().filter(|node| node.wanted);
    let wanted: Vec<&CompiledNode> = wanted.collect();
    let fitted = parallel::map(&wanted, |node| fit(node, &limited, server));
    let (mut all, mut too_large) = (Vec::new(), Vec::new());
    for (node, fitted) in wanted.iter().zip(fitted) {
        for carried in fitted? {
            let limit = carried.target.limit().unwrap_or(usize::MAX);
            if carried.text.len() > limit {
                too_large.push((*node, carried));
            } else {
                all.push(carried);
            }
        }
    }
    for target in &limited {
        report(&too_large, *target, to)?;
    }
    to.as_result()?;
    Ok(all)
}

fn fit(node: &CompiledNode, targets: &[Target], server: Option<&Server>) -> Result<Vec<Carried>> {
    let packed = pack(&node.ignition)?;
    let carried = |target: &Target| {
        let limit = target.limit().unwrap_or(usize::MAX);
        let (form, text) = match server {
            _ if node.ignition.len() <= limit / READABLE_PART => {
                (Form::Plain, node.ignition.clone())
            }
            Some(server) if packed.len() > limit => (Form::Pointer, pointer(node, server)),
            _ => (Form::Packed, packed.clone()),
        };
        check(&text)?;
        Ok(Carried {
            target: *target,
            node: node.name.clone(),
            form,
            text,
        })
    };
    targets.iter().map(carried).collect()
}

/// A config that makes Ignition fetch the real config, and accept no other.
fn pointer(node: &CompiledNode, server: &Server) -> String {
    let hash = hex(&Sha256::digest(node.ignition.as_bytes()));
    let mut config = json!({"ignition": {
        "version": SPEC,
        "config": {"merge": [{
            "source": server.config_url(&node.name),
            "verification": {"hash": format!("sha256-{hash}")},
        }]},
    }});
    if let Some(authority) = &server.authority {
        let (source, compression) = nkd_ignition::encode(authority);
        config["ignition"]["security"] = json!({"tls": {"certificateAuthorities": [
            {"source": source, "compression": compression},
        ]}});
    }
    config.to_string() + "\n"
}

/// Checks nested configs, because Ignition checks them only at boot.
fn check(text: &str) -> Result<()> {
    let (_, warnings) = ignition_config::Config::parse_str(text)?;
    ensure!(warnings.is_empty(), "Ignition would warn: {warnings:?}");
    let config: Value = serde_json::from_str(text)?;
    let nested = config.pointer("/ignition/config/merge");
    for resource in nested.and_then(Value::as_array).into_iter().flatten() {
        let source = resource["source"].as_str().unwrap_or_default();
        if source.starts_with("data:") {
            let compression = resource["compression"].as_str().unwrap_or_default();
            let inner = nkd_ignition::decode(source, compression).context("a data URL")?;
            check(std::str::from_utf8(&inner)?)?;
        }
    }
    Ok(())
}

/// The number of the largest parts that an error names.
const LARGEST: usize = 5;

/// Reports the nodes that are too large for a carrier, by the largest of them.
fn report(
    too_large: &[(&CompiledNode, Carried)],
    target: Target,
    to: &mut Diagnostics,
) -> Result<()> {
    let nodes = too_large
        .iter()
        .filter(|(_, carried)| carried.target == target);
    let others = nodes.clone().count().saturating_sub(1);
    let Some((node, carried)) = nodes.max_by_key(|(_, carried)| carried.text.len()) else {
        return Ok(());
    };
    let limit = target.limit().unwrap_or(usize::MAX);
    let (name, target) = (&node.name, target.name());
    let bytes = carried.text.len();
    let others = match others {
        0 => String::new(),
        1 => " (another node is too large, too)".to_owned(),
        others => format!(" ({others} other nodes are too large, too)"),
    };
    let parts = contents::parts(&node.ignition)?;
    let largest: Vec<_> = parts
        .iter()
        .take(LARGEST)
        .map(|(what, bytes)| format!("{what} ({bytes})"))
        .collect();
    let message = format!(
        "{name} needs {bytes} bytes even when compressed, but {target} supports at most {limit}{others}; \
         the largest parts are: {}",
        largest.join(", ")
    );
    to.report_nowhere(Code::TooLarge, message);
    Ok(())
}
