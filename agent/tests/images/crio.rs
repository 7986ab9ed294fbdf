//! CRI-O's images: the real skopeo puts them into a real containers/storage. CRI-O itself is not to
//! be had here; `crictl` is a stand-in that reads that storage as CRI-O would.

use std::fs;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;

use nkd_contract::{ImageSource, Runtime};

use super::machine::Machine;
use super::machine::images::{Made, bundle};
use super::{ALL, ARCHITECTURE, DIRECTORY, directory};

/// The real one, with a storage of the machine's own.
const SKOPEO: &str = r#"
export HOME=$ROOT CONTAINERS_STORAGE_CONF=$ROOT/storage.conf
exec /usr/bin/skopeo "$@""#;

/// Lists what is in the storage, whose own list is the same but for a key.
const CRICTL: &str = r#"case "$*" in *images*)
    images=$(sed 's/"names":/"repoTags":/g' $ROOT/storage/vfs-images/images.json) || images=[]
    echo "{\"images\":$images}";;
esac"#;

/// A layer of one file.
fn layer(directory: &Path, name: &str) -> Vec<u8> {
    fs::write(directory.join(name), name).unwrap();
    let tar = ["--create", "--directory"];
    run(Command::new("tar")
        .args(tar)
        .args([directory.as_os_str(), name.as_ref()]))
}

fn run(command: &mut Command) -> Vec<u8> {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    output.stdout
}

fn three() -> Made {
    let directory = tempfile::tempdir().unwrap();
    let layer = |name| layer(directory.path(), name);
    let shared = layer("shared");
    let images = [
        (ALL[0], vec![shared.clone(), layer("a")]),
        (ALL[1], vec![shared, layer("b")]),
        (ALL[2], vec![layer("c")]),
    ];
    bundle(ARCHITECTURE, &images)
}

/// A machine with an empty storage.
fn machine() -> (Machine, UnixListener) {
    let machine = Machine::new();
    let socket = machine.listen("/run/crio/crio.sock");
    machine.program("skopeo", SKOPEO);
    machine.program("crictl", CRICTL);
    let root = machine.root.path().display();
    let storage = format!(
        "[storage]\ndriver = \"vfs\"\ngraphroot = \"{root}/storage\"\nrunroot = \"{root}/run/storage\"\n"
    );
    machine.write("/storage.conf", &storage);
    (machine, socket)
}

/// Installs, and asserts that the storage then has these images under their names.
fn has_all(machine: &Machine, made: &Made) {
    machine.install();
    machine.lacks_only_its_api();
    let images = machine.read("/storage/vfs-images/images.json");
    let images: Vec<serde_json::Value> = serde_json::from_str(&images).unwrap();
    assert_eq!(images.len(), made.images.len());
    for image in &made.images {
        let stored = images
            .iter()
            .find(|stored| stored["names"][0] == *image.name);
        assert_eq!(stored.unwrap()["id"], image.config.digest.hex());
    }
}

#[test]
fn skopeo_puts_the_images_of_a_bundle_into_containers_storage() {
    let made = three();
    let (machine, _socket) = machine();
    machine.plan(|plan| {
        plan.runtime = Runtime::Crio;
        made.plan(plan, directory());
    });
    machine.put(DIRECTORY, &made.bytes);
    has_all(&machine, &made);
}

#[test]
fn skopeo_finds_each_image_in_one_of_several_archives() {
    let made = three();
    let (machine, _socket) = machine();
    machine.put("/bundle", &made.bytes);
    machine.plan(|plan| {
        plan.runtime = Runtime::Crio;
        made.plan(plan, directory());
        plan.images.source = ImageSource::Directory("/archives".into());
    });
    machine.write("/archives/.keep", "");
    for (place, name) in ALL.iter().enumerate() {
        let from = format!(
            "oci-archive:{}:{name}",
            machine.path("/bundle/a.tar").display()
        );
        let to = machine.path(&format!("/archives/{place}.tar"));
        let to = format!("docker-archive:{}:{name}", to.display());
        run(Command::new("skopeo").args(["--insecure-policy", "copy", &from, &to]));
    }
    has_all(&machine, &made);
}
