//! iSulad, through `isula load`, which wants a file.

use std::collections::BTreeMap;
use std::path::Path;

use nkd_contract::{Cause, Runtime};

use super::super::refused;
use super::{Fault, LOAD, Load, Store, crictl};
use crate::system::{Command, Root};

pub(super) struct Isulad {
    pub(super) root: Root,
}

impl Isulad {
    fn load_file(&self, archive: &str) -> Command {
        let arguments = ["load", "--input", archive];
        self.root.command("isula").args(arguments).timeout(LOAD)
    }
}

impl Store for Isulad {
    fn present(&self, names: &[&str]) -> Result<BTreeMap<String, String>, Fault> {
        crictl::present(&self.root, Runtime::Isulad, names)
    }

    fn load(&self, _names: &[&str]) -> Result<Load, Fault> {
        Load::spooled(&self.root, |file| vec![self.load_file(file)])
    }

    fn import(&self, archive: &Path, _wanted: &[&nkd_contract::Image]) -> Result<(), Fault> {
        let load = self.load_file(&archive.to_string_lossy()).run();
        load.map_err(|error| refused(Cause::ImagesImport, &error))
    }

    fn pull(&self, name: &str) -> Option<Command> {
        crictl::pull(&self.root, Runtime::Isulad, name)
    }

    fn remove(&self, name: &str) -> Result<(), Fault> {
        crictl::remove(&self.root, Runtime::Isulad, name)
    }
}
