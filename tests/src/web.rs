//! The operator's web server: nginx with files.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::daemon::Daemon;
use crate::image::link;
use crate::lab::Lab;

const PORT: u16 = 8080;

/// A server at the lab's gateway; it ends when it is dropped.
#[derive(Debug)]
pub struct WebServer {
    _nginx: Daemon,
    files: PathBuf,
    log: PathBuf,
}

impl WebServer {
    /// Where its files are.
    pub fn url() -> String {
        format!("http://{}:{PORT}", Lab::GATEWAY)
    }

    /// Serves files by their names.
    pub(crate) fn start(lab: &Lab, files: &[PathBuf]) -> Result<Self> {
        let directory = lab.scratch("web")?;
        let root = directory.join("files");
        for file in files {
            link(file, &root)?;
        }
        let at = directory.display();
        let configuration = format!(
            "user root;\nworker_processes 1;\npid {at}/nginx.pid;\nerror_log {at}/error.log;\n\
             events {{ worker_connections 64; }}\n\
             http {{\n  access_log {at}/access.log;\n  \
             server {{ listen {}:{PORT}; root {at}/files; }}\n}}\n",
            Lab::GATEWAY
        );
        let file = directory.join("nginx.conf");
        fs::write(&file, configuration)?;
        let program = Path::new("/usr/sbin/nginx").as_os_str();
        let words = ["-e", "stderr", "-g", "daemon off;", "-c"].map(AsRef::as_ref);
        let words = [program].into_iter().chain(words).chain([file.as_os_str()]);
        Ok(Self {
            _nginx: Daemon::start(lab, &directory, words, PORT)?,
            files: root,
            log: directory.join("access.log"),
        })
    }

    /// Serves more files, in a directory.
    pub fn add(&self, directory: &str, files: &[PathBuf]) -> Result<()> {
        let directory = self.files.join(directory);
        files.iter().try_for_each(|file| link(file, &directory))
    }

    /// The requests so far, a line each, as nginx logs them.
    pub fn requests(&self) -> Result<String> {
        fs::read_to_string(&self.log).context("nginx has no log")
    }
}
