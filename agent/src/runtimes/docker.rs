//! Docker, through `docker load`, with both kubelet's dockershim and cri-dockerd.

use std::collections::BTreeMap;
use std::path::Path;

use nkd_contract::Runtime;

use super::{ContainerRuntime, ImageStore, LOAD, Load, RuntimeError, cri};
use crate::system::{Command, CommandError, Root};

/// Docker with kubelet's dockershim.
pub(super) struct Docker;

/// Docker with cri-dockerd.
pub(super) struct CriDockerd;

impl ContainerRuntime for Docker {
    fn client_program(&self) -> &'static str {
        "docker"
    }

    fn client(&self, root: &Root) -> Command {
        let socket = format!("unix://{}", Runtime::Docker.answers_at());
        root.command(self.client_program())
            .args(["--host", &socket])
    }

    fn inspections(&self) -> &'static [&'static [&'static str]] {
        &[&["info"], &["images"], &["ps", "--all"]]
    }

    /// kubeadm recognizes dockershim only by a path without a scheme.
    fn cri_socket(&self) -> String {
        Runtime::Docker.cri_endpoint(false)
    }

    fn images(&self, root: &Root) -> Box<dyn ImageStore> {
        Box::new(DockerImages { root: root.clone() })
    }
}

impl ContainerRuntime for CriDockerd {
    fn client_program(&self) -> &'static str {
        cri::PROGRAM
    }

    fn client(&self, root: &Root) -> Command {
        cri::client(root, Runtime::CriDockerd)
    }

    fn inspections(&self) -> &'static [&'static [&'static str]] {
        cri::INSPECTIONS
    }

    fn cri_socket(&self) -> String {
        Runtime::CriDockerd.cri_endpoint(true)
    }

    fn images(&self, root: &Root) -> Box<dyn ImageStore> {
        Box::new(DockerImages { root: root.clone() })
    }
}

struct DockerImages {
    root: Root,
}

impl DockerImages {
    fn docker(&self) -> Command {
        Docker.client(&self.root)
    }
}

impl ImageStore for DockerImages {
    fn present(&self, names: &[&str]) -> Result<BTreeMap<String, String>, RuntimeError> {
        let mut present = BTreeMap::new();
        for name in names {
            let inspect = ["image", "inspect", "--format", "{{.Id}}", name];
            match self.docker().args(inspect).read() {
                Ok(id) => {
                    present.insert((*name).to_owned(), id.trim().to_owned());
                }
                Err(error @ CommandError::Failed { .. })
                    if error
                        .tail()
                        .iter()
                        .any(|line| line.contains("No such image")) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(present)
    }

    fn load(&self, _names: &[&str]) -> Result<Load, RuntimeError> {
        Load::piped(self.docker().args(["load", "--quiet"]).timeout(LOAD))
    }

    fn import(&self, archive: &Path, _wanted: &[&str]) -> Result<(), RuntimeError> {
        self.docker()
            .args(["load", "--quiet", "--input"])
            .args([archive])
            .timeout(LOAD)
            .run()?;
        Ok(())
    }

    fn pull(&self, name: &str) -> Option<Command> {
        Some(self.docker().args(["pull", "--quiet", name]))
    }

    fn remove(&self, name: &str) -> Result<(), RuntimeError> {
        self.docker().args(["image", "remove", name]).read()?;
        Ok(())
    }
}
