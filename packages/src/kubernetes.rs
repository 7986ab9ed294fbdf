//! Kubernetes as a system extension, for hosts whose image has no Kubernetes.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::sysext::{self, Compression, Image};
use crate::{Architecture, Release, Tree};

/// The name of the extension. Its file on the host must be `NAME.raw`.
const NAME: &str = "kubernetes";

/// What every node needs in its `PATH`.
const PROGRAMS: [&str; 4] = ["crictl", "kubeadm", "kubectl", "kubelet"];

/// Where the CNI plugins are in the extension, as in the packages of Fedora.
const PLUGINS: &str = "usr/libexec/cni";

/// Where container runtimes expect CNI plugins, and where network add-ons put theirs. An extension cannot have files
/// there: on the hosts that need extensions, `/opt` is a link into `/var`.
const RUNTIME_PLUGINS: &str = "/opt/cni/bin";

/// A release of Kubernetes, as an operator has downloaded it.
#[derive(Debug, Clone)]
pub struct KubernetesExtension {
    /// The version, such as `v1.31.3`.
    pub version: String,
    /// The architecture of the programs.
    pub architecture: Architecture,
    /// The directory with kubeadm, kubelet, kubectl and crictl.
    pub programs: PathBuf,
    /// The directory with the CNI plugins.
    pub cni_plugins: PathBuf,
    /// Other programs for nodes, such as conntrack.
    pub others: Vec<PathBuf>,
}

impl KubernetesExtension {
    /// Makes the image. The same files make the same bytes.
    ///
    /// # Errors
    /// A program is missing or is for another architecture, the version is not a version of Kubernetes, or the image
    /// cannot be written.
    pub fn build(&self, release: &Release, compression: Compression, image: &Path) -> Result<()> {
        ensure!(
            is_version(&self.version),
            "{} is not a version of Kubernetes, such as v1.31.3",
            self.version
        );
        let directory = tempfile::tempdir()?;
        let tree = Tree::at(directory.path())?;
        let programs = PROGRAMS.map(|name| self.programs.join(name));
        for program in programs.iter().chain(&self.others) {
            self.add(&tree, program, "usr/bin")?;
        }
        let plugins = executables(&self.cni_plugins)?;
        ensure!(
            !plugins.is_empty(),
            "there are no CNI plugins in {}",
            self.cni_plugins.display()
        );
        let mut copies = String::from(
            "# Container runtimes expect CNI plugins here. These are copies, because the containers of network add-ons\n\
             # mount this directory without /usr, and may replace plugins.\n",
        );
        for plugin in &plugins {
            let name = self.add(&tree, plugin, PLUGINS)?;
            writeln!(
                copies,
                "C {RUNTIME_PLUGINS}/{name} - - - - /{PLUGINS}/{name}"
            )?;
        }
        tree.write("usr/lib/tmpfiles.d/kubernetes-cni.conf", copies, 0o644)?;
        let fields = format!("NKD_KUBERNETES_VERSION={}\n", self.version);
        let description = Image {
            name: NAME,
            architecture: self.architecture,
            fields: &fields,
            compression,
        };
        sysext::finish(&tree, &description, release, image)
    }

    /// Adds a program to a directory of the tree, and returns its name.
    fn add(&self, tree: &Tree, program: &Path, directory: &str) -> Result<String> {
        let name = program.file_name().context("a program without a name")?;
        let name = name.to_string_lossy().into_owned();
        let contents =
            fs::read(program).with_context(|| format!("cannot read {}", program.display()))?;
        // Scripts have no architecture.
        if let Some(machine) = elf_machine(&contents) {
            ensure!(
                machine == self.architecture.elf(),
                "{} is not a program for {}",
                program.display(),
                self.architecture
            );
        }
        tree.write(&format!("{directory}/{name}"), contents, 0o755)?;
        Ok(name)
    }
}

/// Whether this is a version with a `v`, as `kubeadm version -o short` prints it.
fn is_version(version: &str) -> bool {
    let Some(numbers) = version.strip_prefix('v') else {
        return false;
    };
    let (numbers, _) = numbers.split_once(['-', '+']).unwrap_or((numbers, ""));
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    numbers.split('.').count() == 3 && numbers.split('.').all(is_number)
}

/// The field `e_machine` of an ELF file for a little-endian machine: see elf(5).
fn elf_machine(contents: &[u8]) -> Option<u16> {
    let header = contents.strip_prefix(b"\x7fELF")?;
    Some(u16::from_le_bytes([*header.get(14)?, *header.get(15)?]))
}

/// The executable files in a directory, in the order of their names. Archives of releases also have a licence.
fn executables(directory: &Path) -> Result<Vec<PathBuf>> {
    use std::os::unix::fs::PermissionsExt as _;
    let list = || -> std::io::Result<Vec<PathBuf>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(directory)? {
            let path = entry?.path();
            let metadata = path.metadata()?;
            if metadata.is_file() && metadata.permissions().mode() & 0o111 != 0 {
                files.push(path);
            }
        }
        files.sort();
        Ok(files)
    };
    list().with_context(|| format!("cannot read {}", directory.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_have_a_v_and_three_numbers() {
        for version in ["v1.31.3", "v1.20.2", "v1.32.0-rc.1", "v1.20.5+really1"] {
            assert!(is_version(version), "{version}");
        }
        for version in ["1.31.3", "v1.31", "v1.31.", "v1.x.3", "latest", ""] {
            assert!(!is_version(version), "{version}");
        }
    }

    #[test]
    fn the_machine_of_a_program_is_read_from_its_header() {
        let this = fs::read("/proc/self/exe").unwrap();
        let machine = elf_machine(&this);
        let known = Architecture::ALL.map(Architecture::elf);
        assert!(known.contains(&machine.unwrap()));
        assert_eq!(elf_machine(b"#!/bin/sh\n"), None);
    }
}
