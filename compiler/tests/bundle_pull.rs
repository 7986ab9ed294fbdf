//! `nkd bundle create --pull`: real skopeo, and a real registry.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use common::images::{Layout, Site, names, nkd_with, skopeo};

/// Debian's docker-registry, until it is dropped.
struct Registry {
    process: Child,
    host: String,
}

impl Registry {
    /// With its files in a site, where skopeo's configuration knows that it has no certificate.
    fn new(site: &Site) -> Self {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = free.local_addr().unwrap().to_string();
        drop(free);
        let data = site.path("registry");
        let config = format!(
            "version: 0.1\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: '{host}'}}\n",
            data.display()
        );
        fs::write(site.path("registry.yaml"), config).unwrap();
        let own = site.path(".config/containers");
        fs::create_dir_all(&own).unwrap();
        let insecure = format!("[[registry]]\nlocation = \"{host}\"\ninsecure = true\n");
        fs::write(own.join("registries.conf"), insecure).unwrap();
        let any = r#"{"default": [{"type": "insecureAcceptAnything"}]}"#;
        fs::write(own.join("policy.json"), any).unwrap();
        let program = "/usr/bin/docker-registry";
        let process = Command::new(program)
            .args(["serve", site.path("registry.yaml").to_str().unwrap()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let process = process.unwrap_or_else(|error| {
            panic!("{program}: {error}: install Debian's package docker-registry")
        });
        while TcpStream::connect(&host).is_err() {
            std::thread::sleep(Duration::from_millis(20));
        }
        Self { process, host }
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

#[test]
fn what_is_missing_is_fetched_from_a_registry() {
    let site = Site::new();
    let registry = Registry::new(&site);
    let kubernetes = format!("v1.31.2, imageRepository: '{}/k8s'", registry.host);
    site.cluster(&kubernetes, "");
    let images = site.images();
    let (here, there) = images.split_at(5);
    Layout::of(&site.path("here"), here);
    let layout = Layout::of(&site.path("there"), there);
    for image in there {
        let from = format!("oci:{}:{}", layout.path.display(), image.name);
        skopeo(&from, &format!("docker://{}", image.name));
    }
    let arguments = [
        "bundle",
        "create",
        "cluster.yaml",
        "here",
        "-o",
        "b.tar",
        "--pull",
    ];
    let home = site.path("");
    let run = nkd_with(&home, "HOME", home.to_str().unwrap(), &arguments);
    assert_eq!(run.status, Some(0), "{}", run.stderr);
    assert_eq!(run.stderr.matches("fetching ").count(), there.len());
    assert_eq!(site.listed("b.tar"), names(&images));
    // The registry's own manifest is in it, with the digest that it has there.
    let manifest = layout.index[0]["digest"].as_str().unwrap();
    assert!(run.stdout.contains(manifest), "{}", run.stdout);
}

#[test]
fn the_script_and_pulling_give_the_same_bundle() {
    let site = Site::new();
    let registry = Registry::new(&site);
    let kubernetes = format!("v1.31.2, imageRepository: '{}/k8s'", registry.host);
    site.cluster(&kubernetes, "");
    let images = site.images();
    let layout = Layout::of(&site.path("there"), &images);
    for image in &images {
        let from = format!("oci:{}:{}", layout.path.display(), image.name);
        skopeo(&from, &format!("docker://{}", image.name));
    }
    let home = site.path("");
    let create = |from, out| {
        let arguments = [
            "bundle",
            "create",
            "cluster.yaml",
            from,
            "-o",
            out,
            "--pull",
        ];
        let run = nkd_with(&home, "HOME", home.to_str().unwrap(), &arguments);
        assert_eq!(run.status, Some(0), "{}", run.stderr);
        run.stderr
    };
    fs::create_dir(site.path("empty")).unwrap();
    create("empty", "pulled.tar");

    let script = site.nkd(&["images", "cluster.yaml", "--commands"]).stdout;
    fs::write(site.path("fetch.sh"), &script).unwrap();
    let fetch = || {
        let mut command = Command::new("/bin/sh");
        let command = command
            .arg("fetch.sh")
            .current_dir(&home)
            .env("HOME", &home);
        let output = command.output().unwrap();
        let stdout = String::from_utf8(output.stdout).unwrap();
        (
            output.status.success(),
            stdout.matches(" is complete").count(),
        )
    };
    assert_eq!(fetch(), (true, 0));
    let stderr = create("images", "fetched.tar");
    assert!(!stderr.contains("fetching "), "{stderr}");
    let bytes = |name| fs::read(site.path(name)).unwrap();
    assert_eq!(bytes("pulled.tar"), bytes("fetched.tar"));

    // What is complete needs no registry; what is not is fetched again.
    drop(registry);
    assert_eq!(fetch(), (true, images.len()));
    let archive = fs::read_dir(site.path("images")).unwrap();
    let archive = archive.map(|entry| entry.unwrap().path());
    let archive = archive.filter(|path| path.extension().is_some_and(|end| end == "tar"));
    fs::write(archive.min().unwrap(), "truncated").unwrap();
    assert_eq!(fetch(), (false, 0));
}

#[test]
fn without_skopeo_pulling_says_so() {
    let site = Site::new();
    let arguments = ["bundle", "create", "cluster.yaml", "-o", "b.tar", "--pull"];
    let run = nkd_with(site.directory.path(), "PATH", "/nonexistent", &arguments);
    assert_eq!(run.status, Some(3));
    assert!(
        run.stderr.contains("error[NKD0505]: cannot run skopeo"),
        "{}",
        run.stderr
    );
}

#[test]
fn what_skopeo_says_reaches_the_user() {
    let site = Site::with("");
    // Nobody listens on port 1.
    let kubernetes = "v1.31.2, imageRepository: '127.0.0.1:1/k8s'";
    site.cluster(kubernetes, "");
    let stderr = site.refused(&["-o", "b.tar", "--pull"]);
    assert!(
        stderr.contains("error[NKD0505]: skopeo failed to fetch 127.0.0.1:1/k8s/"),
        "{stderr}"
    );
    assert!(stderr.contains("connection refused"), "{stderr}");
}
