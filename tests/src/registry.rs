//! The operator's registry: Debian's docker-registry, with a certificate of its own authority, for one
//! user. All its images are in one project, as in Harbor.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::authority;
use crate::daemon::Daemon;
use crate::lab::Lab;
use packages::command;

/// What its images' names begin with.
const PROJECT: &str = "k8s";
/// STAND-IN: the server that issues tokens to the user of a registry.
const TOKEN_SERVER: &str = include_str!("../recipes/standins/token-server.py");
const TOKEN_SERVER_PORT: u16 = 5001;

/// How a user authenticates to a registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Login {
    /// With name and password, to the registry itself.
    Basic,
    /// With a token that a token server issues for name and password, as with Docker Hub, GHCR, Quay and
    /// GitLab.
    Token,
}

impl Login {
    const fn port(self) -> u16 {
        match self {
            Self::Token => 5000,
            Self::Basic => 5002,
        }
    }
}

/// A registry at the lab's gateway; it ends when it is dropped.
#[derive(Debug)]
pub struct Registry {
    login: Login,
    authority: String,
    directory: PathBuf,
    _programs: Vec<Daemon>,
}

impl Registry {
    /// Who may pull.
    pub const USER: &str = "puller";
    /// That user's password.
    pub const PASSWORD: &str = "a password: with \"quotes\" and spaces";

    /// `HOST:PORT`, as images' names begin.
    pub fn host(&self) -> String {
        host(self.login)
    }

    /// Where its images are: `HOST:PORT/PROJECT`.
    pub fn project(&self) -> String {
        format!("{}/{PROJECT}", self.host())
    }

    pub(crate) fn start(lab: &Lab, login: Login) -> Result<Self> {
        let directory = lab.scratch(&format!("registry-{login:?}"))?;
        let authority = authority::new(&directory, Lab::GATEWAY)?.pem;
        let file = |name: &str| directory.join(name);
        let credentials = STANDARD.encode(format!("{}:{}", Self::USER, Self::PASSWORD));
        let authentication = json!({ "auths": { host(login): { "auth": credentials } } });
        fs::write(file("push.json"), authentication.to_string())?;
        fs::create_dir(file("certs"))?;
        fs::write(file("certs/ca.crt"), &authority)?;
        let mut programs = Vec::new();
        let auth = match login {
            Login::Basic => {
                fs::write(file("users"), user(Self::USER, Self::PASSWORD)?)?;
                json!({ "htpasswd": { "realm": "testbed", "path": file("users") } })
            }
            Login::Token => {
                programs.push(token_server(lab, &directory, &credentials)?);
                json!({ "token": {
                    "realm": format!("https://{}:{TOKEN_SERVER_PORT}/token", Lab::GATEWAY),
                    "service": "testbed",
                    "issuer": "testbed",
                    "rootcertbundle": file("ca.pem"),
                } })
            }
        };
        // JSON is YAML.
        let configuration = json!({
            "version": 0.1,
            "log": { "accesslog": { "disabled": false } },
            "storage": { "filesystem": { "rootdirectory": file("images") } },
            "http": {
                "addr": host(login),
                "tls": { "certificate": file("leaf.pem"), "key": file("leaf.key") },
            },
            "auth": auth,
        });
        fs::write(file("registry.yaml"), configuration.to_string())?;
        let configuration = file("registry.yaml");
        let words = ["docker-registry", "serve"].map(AsRef::as_ref);
        let words = words.into_iter().chain([configuration.as_os_str()]);
        programs.push(Daemon::start(lab, &directory, words, login.port())?);
        Ok(Self {
            login,
            authority,
            directory,
            _programs: programs,
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
        let target = format!("docker://{}/{name}", self.project());
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

fn host(login: Login) -> String {
    format!("{}:{}", Lab::GATEWAY, login.port())
}

/// Starts the server of tokens. It has the registry's certificate, and signs with its key.
fn token_server(lab: &Lab, directory: &Path, credentials: &str) -> Result<Daemon> {
    let (program, known) = (directory.join("token-server.py"), directory.join("known"));
    fs::write(&program, TOKEN_SERVER)?;
    fs::write(&known, credentials)?;
    let address = [Lab::GATEWAY, &TOKEN_SERVER_PORT.to_string()].map(str::to_owned);
    let words = ["python3".to_owned(), program.display().to_string()];
    let words = words.into_iter().chain(address);
    let words = words.chain([directory.display().to_string()]);
    Daemon::start(lab, directory, words, TOKEN_SERVER_PORT)
}

/// A line of a file of users, as Apache's `htpasswd` writes it with bcrypt.
fn user(name: &str, password: &str) -> Result<String> {
    let program = "import crypt, sys\n\
        print(crypt.crypt(sys.argv[1], crypt.mksalt(crypt.METHOD_BLOWFISH, rounds=16)))";
    let hash = command::run("python3", ["-c", program, password])?;
    Ok(format!("{name}:{hash}"))
}
