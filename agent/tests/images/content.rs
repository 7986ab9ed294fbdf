//! Large layers, which go into containerd's content store themselves.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::machine::Machine;
use super::machine::images::{Made, bundle};
use super::{ARCHITECTURE, DIRECTORY, directory, machine, stops, then_works};
use nkd_bundle::Digest;
use nkd_contract::Cause;

/// Where the stand-in for containerd has its blobs.
const BLOBS: &str = "/content/blobs/sha256";

fn large() -> Vec<u8> {
    vec![9; 3 << 20]
}

/// Three images; two share a large layer.
fn three() -> Made {
    bundle(
        ARCHITECTURE,
        &[
            ("example.org/a:1", vec![large(), vec![1; 512]]),
            ("example.org/b:1", vec![large(), vec![2; 100_000]]),
            ("example.org/c:1", vec![vec![3; 200_000]]),
        ],
    )
}

fn hex() -> String {
    Digest::of(&large()).hex()
}

/// The large layer came in the tar of an import.
fn was_sent(machine: &Machine) -> bool {
    machine.calls().contains(&format!("blob {}", hex()))
}

#[test]
fn a_large_layer_is_written_where_containerd_has_its_blobs_and_handed_over() {
    let made = three();
    let machine = machine(&made, directory(), |_| {});
    then_works(&machine, &made);
    let file = machine.path(BLOBS).join(hex());
    assert_eq!(fs::read(&file).unwrap(), large());
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o444);
    let calls = machine.calls();
    assert!(calls.contains(&format!("ingested {}", hex())), "{calls:?}");
    assert!(!was_sent(&machine));
}

#[test]
fn until_an_image_has_it_a_large_layer_is_kept_from_the_garbage_collector() {
    let made = three();
    let machine = machine(&made, directory(), |_| {});
    then_works(&machine, &made);
    let list = format!("sha256:{}", hex());
    let root = Digest::of(list.as_bytes());
    let at = |what: &str| {
        let calls = machine.calls();
        let position = calls.iter().position(|call| call.ends_with(what));
        position.unwrap_or_else(|| panic!("no {what}: {calls:?}"))
    };
    let label = format!(
        "content label {root} containerd.io/gc.root=nkd containerd.io/gc.ref.content.0={list}"
    );
    let ingested = format!("ingested {}", hex());
    assert!(at(&label) < at(&ingested));
    assert!(at("images import -") < at(&format!("content delete {root}")));
}

#[test]
fn a_damaged_large_layer_never_gets_a_name() {
    let made = three();
    let machine = machine(&made, directory(), |_| {});
    let mut bytes = made.bytes.clone();
    bytes[made.position(&large()) + 2_000_000] ^= 1;
    machine.put(DIRECTORY, &bytes);
    stops(&machine, Cause::ImagesDigest);
    assert!(!machine.path(BLOBS).join(hex()).exists());
    assert!(machine.names().is_empty());
    then_works(&machine, &made);
}

#[test]
fn what_a_load_that_was_cut_off_has_kept_is_let_go() {
    let made = three();
    let machine = machine(&made, directory(), |_| {});
    let script = fs::read_to_string(machine.path("/usr/bin/ctr")).unwrap();
    // Without its filter the list would be as long as all layers of all images.
    let list = "*content\\ list\\ --quiet\\ labels.*gc.root*==nkd) echo sha256:5;;\n\
                *content\\ list*) yes sha256:6 | head -n 200000;;\n*plugins";
    let script = script.replacen("*plugins", list, 1);
    fs::write(machine.path("/usr/bin/ctr"), script).unwrap();
    then_works(&machine, &made);
    let calls = machine.calls().join("\n");
    assert!(calls.contains("content delete sha256:5\n"), "{calls}");
}

#[test]
fn to_a_content_store_out_of_reach_large_layers_are_sent() {
    let made = three();
    let machine = machine(&made, directory(), |_| {});
    let script = fs::read_to_string(machine.path("/usr/bin/ctr")).unwrap();
    let script = script.replace("root   /content", "root   /not/here");
    fs::write(machine.path("/usr/bin/ctr"), script).unwrap();
    then_works(&machine, &made);
    assert!(was_sent(&machine));
}
