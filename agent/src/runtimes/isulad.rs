//! iSulad, through `isula load`, which only reads a file.

use std::collections::BTreeMap;
use std::path::Path;

use nkd_contract::Runtime;

use super::{ContainerRuntime, ImageStore, LOAD, Load, RuntimeError, cri};
use crate::system::{Command, Root};

pub(super) struct Isulad;

impl ContainerRuntime for Isulad {
    fn client_program(&self) -> &'static str {
        cri::PROGRAM
    }

    fn client(&self, root: &Root) -> Command {
        cri::client(root, Runtime::Isulad)
    }

    fn inspections(&self) -> &'static [&'static [&'static str]] {
        cri::INSPECTIONS
    }

    fn cri_socket(&self) -> String {
        Runtime::Isulad.cri_endpoint(true)
    }

    /// iSulad has supported systemd's cgroup driver since the version that added CRI v1.
    fn cgroup_driver(&self, kubernetes_minor: u32) -> &'static str {
        if kubernetes_minor < 26 {
            "cgroupfs"
        } else {
            "systemd"
        }
    }

    fn images(&self, root: &Root) -> Box<dyn ImageStore> {
        Box::new(IsuladImages { root: root.clone() })
    }
}

struct IsuladImages {
    root: Root,
}

impl IsuladImages {
    fn load_file(&self, archive: &str) -> Command {
        let arguments = ["load", "--input", archive];
        self.root.command("isula").args(arguments).timeout(LOAD)
    }
}

impl ImageStore for IsuladImages {
    fn present(&self, names: &[&str]) -> Result<BTreeMap<String, String>, RuntimeError> {
        cri::present(&self.root, Runtime::Isulad, names)
    }

    fn load(&self, _names: &[&str]) -> Result<Load, RuntimeError> {
        Load::spooled(&self.root, |file| vec![self.load_file(file)])
    }

    fn import(&self, archive: &Path, _wanted: &[&str]) -> Result<(), RuntimeError> {
        Ok(self.load_file(&archive.to_string_lossy()).run()?)
    }

    fn pull(&self, name: &str) -> Option<Command> {
        cri::pull(&self.root, Runtime::Isulad, name)
    }

    fn remove(&self, name: &str) -> Result<(), RuntimeError> {
        cri::remove(&self.root, Runtime::Isulad, name)
    }
}
