use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::answer::Answer;
use super::images::architecture;
use super::shown::Shown;
use super::table::table;
use crate::bundle::{create, verify};
use crate::cluster_file;
use crate::failure::Failure;
use crate::images::Closure;
use nkd_document::{Code, Diagnostics, Reported};
use nkd_model::Bundle as Read;
use nkd_model::NodeRole;

/// Create and inspect image bundles for nodes that cannot reach a registry
#[derive(Args)]
pub struct Bundle {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Create(Create),
    /// Verify bundles: read every blob and every layer and compare them with their digests
    Verify {
        /// The bundles
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// List the images of bundles
    List {
        /// The bundles
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
}

/// Create a bundle of all images that a cluster runs
///
/// A bundle is an OCI image layout in a tar file. The same images always give the same bytes. If an
/// image is missing, the command fails and writes nothing.
#[derive(Args)]
struct Create {
    /// The cluster file; the bundles that it names do not have to exist yet
    #[arg(value_name = "CLUSTER.yaml")]
    cluster_file: PathBuf,
    /// Image archives, OCI image layouts, other bundles, or directories of these
    #[arg(value_name = "FROM")]
    from: Vec<PathBuf>,
    /// The bundle to write
    #[arg(short, long, value_name = "FILE")]
    out: PathBuf,
    /// Include only images that nodes of this role run
    #[arg(long, value_enum)]
    role: Option<Which>,
    /// The architecture of the images, such as arm64
    #[arg(long, value_name = "ARCH", default_value = "amd64", value_parser = architecture)]
    arch: String,
    /// Use skopeo to fetch images that are not in FROM
    #[arg(long)]
    pull: bool,
    /// Compress the bundle, which makes it smaller but slower to load
    #[arg(long)]
    zstd: bool,
    /// Split the bundle into files of at most this size, such as 650MB, or 4GiB for FAT
    #[arg(long, value_name = "SIZE", value_parser = size)]
    split: Option<u64>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Which {
    ControlPlane,
    Worker,
}

/// A size such as 650MB or 4GiB. The largest file on FAT is one byte smaller than 4 GiB.
fn size(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|char: char| char.is_ascii_alphabetic());
    let unit: u64 = match &text[digits.len()..] {
        "" => 1,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return Err("write a number and one of MB, MiB, GB and GiB".to_owned()),
    };
    let number = digits.parse::<u64>().map_err(|error| error.to_string())?;
    let size = number.checked_mul(unit).ok_or("the size is too large")?;
    Ok(if size == 4 << 30 { size - 1 } else { size })
}

impl Bundle {
    pub(super) fn run(&self, quiet: bool, to: &mut Diagnostics) -> Result<Answer, Failure> {
        match &self.command {
            Command::Create(create) => create.run(&Shown::new(quiet)?, to),
            Command::Verify { files } => {
                let shown = Shown::new(quiet)?;
                let bundles = read(files, |file| verify::verify(file, &shown), to)?;
                let rows: Vec<_> = bundles
                    .iter()
                    .map(|bundle| vec![bundle.file.clone(), "valid".to_owned()])
                    .collect();
                Ok(Answer::new(table(&rows), json!({"bundles": all(&bundles)})))
            }
            Command::List { files } => {
                let bundles = read(files, crate::bundle::read, to)?;
                Ok(Answer::new(
                    listed(&bundles),
                    json!({"bundles": all(&bundles)}),
                ))
            }
        }
    }
}

fn read(
    files: &[PathBuf],
    with: impl Fn(&Path) -> Result<Read>,
    to: &mut Diagnostics,
) -> Result<Vec<Read>, Reported> {
    let mut bundles = Vec::new();
    for file in files {
        match with(file) {
            Ok(bundle) => bundles.push(bundle),
            Err(reason) => {
                let message = format!("{}: {reason:#}", file.display());
                to.report_nowhere(Code::BundleUnusable, message);
            }
        }
    }
    to.as_result()?;
    Ok(bundles)
}

impl Create {
    fn run(&self, shown: &Shown, to: &mut Diagnostics) -> Result<Answer, Failure> {
        let cluster = cluster_file::read_without_bundles(&self.cluster_file, to)?;
        let closure = Closure::of(&cluster)?;
        let of_role = |role| closure.of_role(role).iter().map(String::as_str).collect();
        let names: BTreeSet<&str> = match self.role {
            None => closure.all(),
            Some(Which::ControlPlane) => of_role(NodeRole::ControlPlane),
            Some(Which::Worker) => of_role(NodeRole::Worker),
        };
        let request = create::Request {
            names: &names,
            arch: &self.arch,
            from: &self.from,
            pull: self.pull,
            out: &self.out,
            zstd: self.zstd,
            split: self.split,
            progress: shown,
        };
        let made = create::create(&request, to)?;
        let json = json!({"bundles": all(&made.bundles)});
        if !made.left_over.is_empty() {
            let old = made.left_over.iter().map(|path| path.display().to_string());
            let old = old.collect::<Vec<_>>().join(", ");
            to.note(format!(
                "these files are left over from an earlier bundle: {old}"
            ));
        }
        Ok(Answer::new(listed(&made.bundles), json).about_files())
    }
}

fn listed(bundles: &[Read]) -> String {
    let mut text = String::new();
    for bundle in bundles {
        let size = bundle.size;
        let _ = writeln!(
            text,
            "{} ({size} bytes, index {})",
            bundle.file, bundle.index
        );
        let rows: Vec<_> = bundle
            .images
            .iter()
            .map(|image| {
                let size: u64 = image.blobs().map(|blob| blob.size).sum();
                let digest = image.manifest.digest.to_string();
                vec![
                    String::new(),
                    image.name.clone(),
                    image.architecture.clone(),
                    size.to_string(),
                    digest,
                ]
            })
            .collect();
        text += &table(&rows);
    }
    text
}

fn all(bundles: &[Read]) -> Vec<Value> {
    let bundles = bundles.iter();
    bundles
        .map(|bundle| {
            let images = bundle.images.iter().map(|image| {
                json!({
                    "name": image.name,
                    "architecture": image.architecture,
                    "digest": image.manifest.digest,
                    "bytes": image.blobs().map(|blob| blob.size).sum::<u64>(),
                })
            });
            json!({
                "file": bundle.file,
                "bytes": bundle.size,
                "index": bundle.index,
                "images": images.collect::<Vec<_>>(),
            })
        })
        .collect()
}
