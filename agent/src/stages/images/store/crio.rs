//! CRI-O, whose images are containers/storage's: `skopeo` puts them there.

use std::collections::BTreeMap;
use std::path::Path;

use nkd_contract::{Cause, Runtime};

use super::super::refused;
use super::{Fault, LOAD, Load, Store, crictl};
use crate::system::{Command, Root};

pub(super) struct Crio {
    pub(super) root: Root,
}

impl Crio {
    /// What is copied was verified before, so no policy has to allow it.
    fn copy(&self, archive: &str, name: &str) -> Command {
        let from = format!("docker-archive:{archive}:{name}");
        let to = format!("containers-storage:{name}");
        let arguments = ["--insecure-policy", "copy", "--quiet", &from, &to];
        self.root.command("skopeo").args(arguments).timeout(LOAD)
    }
}

impl Store for Crio {
    fn present(&self, names: &[&str]) -> Result<BTreeMap<String, String>, Fault> {
        crictl::present(&self.root, Runtime::Crio, names)
    }

    fn load(&self, names: &[&str]) -> Result<Load, Fault> {
        Load::spooled(&self.root, |file| {
            names.iter().map(|name| self.copy(file, name)).collect()
        })
    }

    /// An archive doesn't say what is in it, so each image it may be needed for is tried.
    fn import(&self, archive: &Path, wanted: &[&nkd_contract::Image]) -> Result<(), Fault> {
        let archive = archive.to_string_lossy();
        for image in wanted {
            match self.copy(&archive, &image.name).run() {
                Err(error) if error.tail().iter().any(|it| it.contains("not found")) => {}
                copied => copied.map_err(|error| refused(Cause::ImagesImport, &error))?,
            }
        }
        Ok(())
    }

    fn pull(&self, name: &str) -> Option<Command> {
        crictl::pull(&self.root, Runtime::Crio, name)
    }

    fn remove(&self, name: &str) -> Result<(), Fault> {
        crictl::remove(&self.root, Runtime::Crio, name)
    }
}
