//! `nkd secrets rotate`

use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use anyhow::{Context, Result};
use clap::ValueEnum;
use serde_json::json;

use super::answer::Answer;
use crate::failure::Failure;
use crate::output::{self, Held};
use crate::pki::{Part, outlives_admin};
use crate::secrets_file;
use nkd_document::{Code, Diagnostics};

/// The secrets that can be named. Those that cannot be rotated are included, so that the answer gives
/// the reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum What {
    /// All bootstrap tokens
    Token,
    /// The administrator's client certificates
    Admin,
    /// The seed from which the signing keys for callbacks are derived
    CallbackSeed,
    /// Not possible: all control planes must have the same key
    ServiceAccount,
    /// Not possible: installed nodes trust only the current authority
    Kubernetes,
    /// Not possible: etcd members trust only the current authority
    Etcd,
    /// Not possible: API servers trust only the current authority
    FrontProxy,
}

impl What {
    fn part(self) -> Result<Part, &'static str> {
        match self {
            Self::Token => Ok(Part::Token),
            Self::Admin => Ok(Part::Admin),
            Self::CallbackSeed => Ok(Part::CallbackSeed),
            Self::ServiceAccount => Err(
                "the service account key cannot be rotated: control planes with different \
                 keys would reject tokens that another one issued",
            ),
            Self::Kubernetes => Err(
                "the Kubernetes authority cannot be rotated: installed nodes trust only the current one, \
                 so new nodes could not join",
            ),
            Self::Etcd => Err(
                "etcd's authority cannot be rotated: its members would no longer accept each other",
            ),
            Self::FrontProxy => Err(
                "the front proxy's authority cannot be rotated: API servers with different ones would \
                 reject each other's requests",
            ),
        }
    }
}

pub(super) fn rotate(file: &Path, what: &[What], to: &mut Diagnostics) -> Result<Answer, Failure> {
    let mut parts = Vec::new();
    for what in what {
        match what.part() {
            Ok(part) if parts.contains(&part) => {}
            Ok(part) => parts.push(part),
            Err(reason) => {
                to.report_nowhere(Code::NotRotatable, reason);
            }
        }
    }
    // A compilation that runs now would put the old secrets back.
    let _held = match file.parent() {
        Some(directory) if output::is_output(directory) => Some(Held::take(directory, || {})?),
        _ => None,
    };
    let mut secrets = secrets_file::read(file, to)?;
    if parts.contains(&Part::Admin) && !outlives_admin(&secrets.authorities.kubernetes) {
        let message =
            "the Kubernetes authority expires before a new administrator certificate would expire";
        to.report_nowhere(Code::AuthorityDates, message);
    }
    to.as_result()?;
    let mut text = String::new();
    for part in &parts {
        secrets.rotate(*part)?;
        let _ = writeln!(text, "{}", part.consequence());
    }
    replace(file, &secrets.to_json()?)?;
    let consequences: Vec<_> = parts.iter().map(|part| part.consequence()).collect();
    Ok(Answer::new(text, json!({"consequences": consequences})).about_files())
}

/// Atomically replaces a file with one that only its owner can read.
fn replace(file: &Path, text: &str) -> Result<()> {
    // A link stays, and what it leads to is replaced.
    let target = file.canonicalize()?;
    let directory = target.parent().unwrap_or(Path::new("/"));
    let written = || -> std::io::Result<()> {
        let mut fresh = tempfile::Builder::new()
            .prefix(".nkd-")
            .tempfile_in(directory)?;
        fresh.write_all(text.as_bytes())?;
        fresh.as_file().sync_all()?;
        fresh.persist(&target)?;
        File::open(directory)?.sync_all()
    };
    written().with_context(|| format!("cannot replace {}", file.display()))
}
