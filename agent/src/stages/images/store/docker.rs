//! Docker, through `docker load`, whoever speaks CRI for it.

use std::collections::BTreeMap;
use std::path::Path;

use nkd_contract::{Cause, Runtime};

use super::super::refused;
use super::{Fault, LOAD, Load, Store};
use crate::stages::runtime;
use crate::system::{Command, CommandError, Root};

pub(super) struct Docker {
    pub(super) root: Root,
}

impl Docker {
    fn docker(&self) -> Command {
        runtime::client(&self.root, Runtime::Docker)
    }
}

impl Store for Docker {
    fn present(&self, names: &[&str]) -> Result<BTreeMap<String, String>, Fault> {
        let mut present = BTreeMap::new();
        for name in names {
            let inspect = ["image", "inspect", "--format", "{{.Id}}", name];
            match self.docker().args(inspect).read() {
                Ok(id) => {
                    present.insert((*name).to_owned(), id.trim().to_owned());
                }
                Err(error @ CommandError::Failed { .. })
                    if error.tail().iter().any(|it| it.contains("No such image")) => {}
                Err(error) => return Err(Fault::of_command(Cause::ImagesImport, &error)),
            }
        }
        Ok(present)
    }

    fn load(&self, _names: &[&str]) -> Result<Load, Fault> {
        Load::piped(self.docker().args(["load", "--quiet"]).timeout(LOAD))
    }

    fn import(&self, archive: &Path, _wanted: &[&nkd_contract::Image]) -> Result<(), Fault> {
        self.docker()
            .args(["load", "--quiet", "--input"])
            .args([archive])
            .timeout(LOAD)
            .run()
            .map_err(|error| refused(Cause::ImagesImport, &error))
    }

    fn pull(&self, name: &str) -> Option<Command> {
        Some(self.docker().args(["pull", "--quiet", name]))
    }

    fn remove(&self, name: &str) -> Result<(), Fault> {
        self.docker()
            .args(["image", "remove", name])
            .read()
            .map(drop)
            .map_err(|error| Fault::of_command(Cause::ImagesImport, &error))
    }
}
