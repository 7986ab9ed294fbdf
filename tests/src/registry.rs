//! A registry of the operator's: Debian's docker-registry, with a certificate of an authority of its
//! own, for one user only.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::daemon::Daemon;
use crate::lab::Lab;
use crate::{authority, command};

const PORT: u16 = 5000;

/// A registry at the lab's gateway; it ends when it is dropped.
#[derive(Debug)]
pub struct Registry {
    authority: String,
    directory: PathBuf,
    _program: Daemon,
}

impl Registry {
    /// Who may pull.
    pub const USER: &str = "puller";
    /// That user's password.
    pub const PASSWORD: &str = "a password: with \"quotes\" and spaces";

    /// `HOST:PORT`, as images' names begin.
    pub fn host() -> String {
        format!("{}:{PORT}", Lab::GATEWAY)
    }

    pub(crate) fn start(lab: &Lab) -> Result<Self> {
        let directory = lab.scratch("registry")?;
        let authority = authority::new(&directory, Lab::GATEWAY)?.pem;
        let file = |name: &str| directory.join(name);
        fs::write(file("users"), user(Self::USER, Self::PASSWORD)?)?;
        let credentials = STANDARD.encode(format!("{}:{}", Self::USER, Self::PASSWORD));
        let credentials = json!({ "auths": { Self::host(): { "auth": credentials } } });
        fs::write(file("push.json"), credentials.to_string())?;
        fs::create_dir(file("certs"))?;
        fs::write(file("certs/ca.crt"), &authority)?;
        // JSON is YAML.
        let configuration = json!({
            "version": 0.1,
            "log": { "accesslog": { "disabled": false } },
            "storage": { "filesystem": { "rootdirectory": file("images") } },
            "http": {
                "addr": Self::host(),
                "tls": { "certificate": file("leaf.pem"), "key": file("leaf.key") },
            },
            "auth": { "htpasswd": { "realm": "testbed", "path": file("users") } },
        });
        fs::write(file("registry.yaml"), configuration.to_string())?;
        let configuration = file("registry.yaml");
        let words = ["docker-registry", "serve"].map(AsRef::as_ref);
        let words = words.into_iter().chain([configuration.as_os_str()]);
        let program = Daemon::start(lab, &directory, words, PORT)?;
        Ok(Self {
            authority,
            directory,
            _program: program,
        })
    }

    /// The PEM certificate of its authority.
    pub fn ca_pem(&self) -> &str {
        &self.authority
    }

    /// Copies the image of a docker-archive into it, under the image's name without its host.
    pub fn push(&self, lab: &Lab, archive: &Path) -> Result<()> {
        let archive = format!("docker-archive:{}", archive.display());
        let listed = command::run("skopeo", ["list-tags", &archive])?;
        let listed: Value = serde_json::from_str(&listed)?;
        let name = listed["Tags"][0].as_str().unwrap_or_default();
        let (_, name) = name
            .split_once('/')
            .with_context(|| format!("{archive} has no name"))?;
        let target = format!("docker://{}/{name}", Self::host());
        let copy = [
            "copy",
            "--quiet",
            "--authfile",
            "push.json",
            "--dest-cert-dir",
            "certs",
        ];
        let mut skopeo = lab.host_command("skopeo");
        skopeo
            .current_dir(&self.directory)
            .args(copy)
            .args([archive, target]);
        command::check(&mut skopeo).map(drop)
    }
}

/// A line of a file of users, as Apache's `htpasswd` writes it with bcrypt.
fn user(name: &str, password: &str) -> Result<String> {
    let program = "import crypt, sys\n\
        print(crypt.crypt(sys.argv[1], crypt.mksalt(crypt.METHOD_BLOWFISH, rounds=16)))";
    let hash = command::run("python3", ["-c", program, password])?;
    Ok(format!("{name}:{hash}"))
}
