//! CRI-O, which keeps images in containers/storage. `skopeo` copies them there.

use std::collections::BTreeMap;
use std::path::Path;

use nkd_contract::Runtime;

use super::{ContainerRuntime, ImageStore, LOAD, Load, RuntimeError, cri};
use crate::system::{Command, Root};

pub(super) struct Crio;

impl ContainerRuntime for Crio {
    fn client_program(&self) -> &'static str {
        cri::PROGRAM
    }

    fn client(&self, root: &Root) -> Command {
        cri::client(root, Runtime::Crio)
    }

    fn inspections(&self) -> &'static [&'static [&'static str]] {
        cri::INSPECTIONS
    }

    fn cri_socket(&self) -> String {
        Runtime::Crio.cri_endpoint(true)
    }

    fn images(&self, root: &Root) -> Box<dyn ImageStore> {
        Box::new(CrioImages { root: root.clone() })
    }
}

struct CrioImages {
    root: Root,
}

impl CrioImages {
    /// The images were verified before they are copied, so skopeo does not check a signature policy.
    fn copy(&self, archive: &str, name: &str) -> Command {
        let from = format!("docker-archive:{archive}:{name}");
        let to = format!("containers-storage:{name}");
        let arguments = ["--insecure-policy", "copy", "--quiet", &from, &to];
        self.root.command("skopeo").args(arguments).timeout(LOAD)
    }
}

impl ImageStore for CrioImages {
    fn present(&self, names: &[&str]) -> Result<BTreeMap<String, String>, RuntimeError> {
        cri::present(&self.root, Runtime::Crio, names)
    }

    fn load(&self, names: &[&str]) -> Result<Load, RuntimeError> {
        Load::spooled(&self.root, |file| {
            names.iter().map(|name| self.copy(file, name)).collect()
        })
    }

    /// An archive does not list its images, so the agent tries each image for which the archive may be
    /// needed.
    fn import(&self, archive: &Path, wanted: &[&str]) -> Result<(), RuntimeError> {
        let archive = archive.to_string_lossy();
        for name in wanted {
            match self.copy(&archive, name).run() {
                Err(error) if error.tail().iter().any(|line| line.contains("not found")) => {}
                copied => copied?,
            }
        }
        Ok(())
    }

    fn pull(&self, name: &str) -> Option<Command> {
        cri::pull(&self.root, Runtime::Crio, name)
    }

    fn remove(&self, name: &str) -> Result<(), RuntimeError> {
        cri::remove(&self.root, Runtime::Crio, name)
    }
}
