//! The operator's web servers: nginx.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::authority;
use crate::daemon::Daemon;
use crate::dhcp::Dhcp;
use crate::image::link;
use crate::lab::Lab;

/// Ports of servers with files, with configs over https, and for the reports of machines.
const FILES: u16 = 8080;
const CONFIGS: u16 = 443;
const REPORTS: u16 = 8081;

/// A server at the lab's gateway; it ends when it is dropped.
#[derive(Debug)]
pub struct WebServer {
    _nginx: Daemon,
    directory: PathBuf,
}

/// A private authority, whose certificate the server of configs has.
#[derive(Debug)]
pub struct ConfigAuthority {
    directory: PathBuf,
}

impl ConfigAuthority {
    /// A new authority, whose files are in a directory of the lab with a name.
    pub(crate) fn new(lab: &Lab, name: &str) -> Result<Self> {
        let directory = lab.scratch(name)?;
        authority::new(&directory, Dhcp::SERVER)?;
        Ok(Self { directory })
    }

    /// The file with the authority's certificate.
    pub fn certificate(&self) -> PathBuf {
        self.directory.join(authority::AUTHORITY)
    }
}

impl WebServer {
    /// Where its files are.
    pub fn url() -> String {
        format!("http://{}:{FILES}", Lab::GATEWAY)
    }

    /// Where the server of configs has the directory `nodes`. Machines find its name with the lab's DNS.
    pub fn configs_url() -> String {
        format!("https://{}", Dhcp::SERVER)
    }

    /// Where machines send reports.
    pub fn reports_url() -> String {
        format!("http://{}:{REPORTS}/machines", Dhcp::SERVER)
    }

    /// Serves files by their names.
    pub(crate) fn start(lab: &Lab, files: &[PathBuf]) -> Result<Self> {
        let directory = lab.scratch("web")?;
        let root = directory.join("files");
        for file in files {
            link(file, &root)?;
        }
        let server = format!("listen {}:{FILES}; root {};", Lab::GATEWAY, root.display());
        Self::serve(lab, directory, FILES, &server)
    }

    /// Serves a directory over https, with a certificate of the authority.
    pub(crate) fn start_configs(lab: &Lab, nodes: &Path, owner: &ConfigAuthority) -> Result<Self> {
        let server = format!(
            "listen {}:{CONFIGS} ssl; ssl_certificate {}; ssl_certificate_key {}; root {};",
            Lab::GATEWAY,
            owner.directory.join(authority::CERTIFICATE).display(),
            owner.directory.join(authority::KEY).display(),
            nodes.display()
        );
        Self::serve(lab, lab.scratch("configs")?, CONFIGS, &server)
    }

    /// Accepts what machines post, and keeps it.
    pub(crate) fn start_reports(lab: &Lab) -> Result<Self> {
        let directory = lab.scratch("reports")?;
        // nginx reads a body only if it passes the request on, here to itself and without the body.
        let server = format!(
            "listen {address}:{REPORTS};\n\
             location = /machines {{ client_body_temp_path {at}/bodies; client_body_in_file_only on; \
             proxy_pass_request_body off; proxy_set_header Content-Length \"\"; \
             proxy_pass http://{address}:{REPORTS}/accepted; }}\n\
             location = /accepted {{ access_log off; return 204; }}",
            address = Lab::GATEWAY,
            at = directory.display()
        );
        Self::serve(lab, directory, REPORTS, &server)
    }

    fn serve(lab: &Lab, directory: PathBuf, port: u16, server: &str) -> Result<Self> {
        let at = directory.display();
        let configuration = format!(
            "user root;\nworker_processes 1;\npid {at}/nginx.pid;\nerror_log {at}/error.log;\n\
             events {{ worker_connections 64; }}\n\
             http {{\n  access_log {at}/access.log;\n  server {{ {server} }}\n}}\n"
        );
        let file = directory.join("nginx.conf");
        fs::write(&file, configuration)?;
        let program = Path::new("/usr/sbin/nginx").as_os_str();
        let words = ["-e", "stderr", "-g", "daemon off;", "-c"].map(AsRef::as_ref);
        let words = [program].into_iter().chain(words).chain([file.as_os_str()]);
        Ok(Self {
            _nginx: Daemon::start(lab, &directory, words, port)?,
            directory,
        })
    }

    /// Serves more files, in a directory.
    pub fn add(&self, directory: &str, files: &[PathBuf]) -> Result<()> {
        let directory = self.directory.join("files").join(directory);
        files.iter().try_for_each(|file| link(file, &directory))
    }

    /// The requests so far, a line each, as nginx logs them.
    pub fn requests(&self) -> Result<String> {
        fs::read_to_string(self.directory.join("access.log")).context("nginx has no log")
    }

    /// What machines have posted so far, in order.
    pub fn reports(&self) -> Result<Vec<Value>> {
        let bodies = fs::read_dir(self.directory.join("bodies"))?;
        let mut files = bodies
            .map(|entry| Ok(entry?.path()))
            .collect::<Result<Vec<_>>>()?;
        files.sort();
        let parse = |file: &PathBuf| Ok(serde_json::from_str(&fs::read_to_string(file)?)?);
        files.iter().map(parse).collect()
    }
}
