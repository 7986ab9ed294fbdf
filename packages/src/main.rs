//! `cargo dist`: makes the packages.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use packages::sysext::Compression;
use packages::tools::Tools;
use packages::{Architecture, Builder, KubernetesExtension, Product, Release, dist};

/// Makes the packages of nkd and nkd-agent in the directory dist/.
///
/// The same commit makes the same bytes on every machine that has the same Rust toolchain and the same
/// programs for packing.
#[derive(Debug, Parser)]
#[command(name = "cargo dist")]
struct Options {
    #[command(subcommand)]
    task: Option<Task>,
    /// Only for this architecture; can be given several times
    #[arg(long, value_name = "ARCHITECTURE")]
    arch: Vec<Architecture>,
    /// The directory of packages; the packages of an earlier run in it are removed
    #[arg(long, short, value_name = "DIRECTORY", default_value = "dist")]
    output: PathBuf,
    /// Also build if files have changes that are not committed
    #[arg(long)]
    allow_dirty: bool,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Install both programs, or one, into a directory that stands for the root of a machine
    Install {
        /// The directory
        #[arg(long, value_name = "DIRECTORY")]
        destdir: PathBuf,
        /// The architecture
        #[arg(long)]
        arch: Architecture,
        /// Only this program
        #[arg(long, value_name = "PROGRAM")]
        only: Option<Product>,
        /// Use no network and no cargo-auditable, as builders of distributions do
        #[arg(long)]
        frozen: bool,
    },
    /// Make a system extension from a release of Kubernetes, for nodes whose OS image has no Kubernetes
    Kubernetes {
        /// The version, such as v1.31.3
        #[arg(long)]
        version: String,
        /// The architecture
        #[arg(long)]
        arch: Architecture,
        /// The directory with kubeadm, kubelet, kubectl and crictl
        #[arg(long, value_name = "DIRECTORY")]
        programs: PathBuf,
        /// The directory with the CNI plugins
        #[arg(long, value_name = "DIRECTORY")]
        cni_plugins: PathBuf,
        /// Another program for nodes, such as conntrack; can be given several times
        #[arg(long, value_name = "FILE")]
        add: Vec<PathBuf>,
        /// The image, whose name on nodes must be kubernetes.raw
        #[arg(long, short, value_name = "FILE")]
        output: PathBuf,
    },
}

fn main() -> ExitCode {
    match run(Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("dist: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: Options) -> Result<()> {
    let tools = |release: &Release| Tools::at(&release.workspace().join("target/tools"));
    match options.task {
        Some(Task::Install {
            destdir,
            arch,
            only,
            frozen,
        }) => {
            let release = Release::with_changes()?;
            let tools = tools(&release);
            let builder = if frozen {
                Builder::Frozen
            } else {
                Builder::Auditable(&tools)
            };
            for product in only.map_or(Product::ALL.to_vec(), |product| vec![product]) {
                product.install(arch, &release, builder, &destdir)?;
            }
            Ok(())
        }
        Some(Task::Kubernetes {
            version,
            arch,
            programs,
            cni_plugins,
            add,
            output,
        }) => {
            let extension = KubernetesExtension {
                version,
                architecture: arch,
                programs,
                cni_plugins,
                others: add,
            };
            extension.build(&Release::with_changes()?, Compression::Small, &output)
        }
        None => {
            let release = if options.allow_dirty {
                Release::with_changes()?
            } else {
                Release::committed()?
            };
            let architectures = if options.arch.is_empty() {
                Architecture::ALL.to_vec()
            } else {
                options.arch
            };
            let tools = tools(&release);
            dist::all(&architectures, &release, &tools, &options.output)
        }
    }
}
