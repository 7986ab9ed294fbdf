//! Images whose layers may not have reached the disk before the power was cut.

use nkd_contract::paths;

use super::{ALL, directory, machine, three};

/// The runtime has all three by their right digests, and these were being loaded on a boot.
fn loaded_on(boot: &str, names: &[&str]) -> (super::Machine, super::Made) {
    let made = three();
    let machine = machine(&made, directory(), |_| {});
    let line = |image: &nkd_bundle::Image| {
        format!("{} manifest {} 1KB\n", image.name, image.manifest.digest)
    };
    // The CRI plugin gives each image a second name, which keeps what was unpacked.
    let id = |number: usize| {
        let digest = made.images[number].manifest.digest;
        format!("sha256:{number}d manifest {digest} 1KB\n")
    };
    let store = made.images.iter().map(line).chain([id(0), id(1)]);
    machine.write("/store", &store.collect::<String>());
    let unsynced = serde_json::json!({ "boot": boot, "images": names });
    machine.write(paths::UNSYNCED, &unsynced.to_string());
    (machine, made)
}

#[test]
fn an_image_that_was_being_loaded_when_the_power_was_cut_is_loaded_anew_and_no_other() {
    let (machine, made) = loaded_on(
        "an earlier boot",
        &["example.org/a:1", "example.org/gone:1"],
    );
    machine.put(super::DIRECTORY, &made.bytes);
    machine.install();
    let calls = machine.calls_of("ctr");
    let calls = |words: &str| calls.iter().filter(|call| call.contains(words)).count();
    assert_eq!(calls("images remove --sync example.org/a:1 sha256:0d"), 1);
    assert_eq!(calls("images remove"), 1);
    assert_eq!(calls("images import -"), 1);
    // What a load that was cut off still holds would be position again by the next.
    let at = |words: &str| machine.calls().iter().position(|call| call.contains(words));
    assert!(at("leases list").unwrap() < at("images remove").unwrap());
    assert!(!machine.path(paths::UNSYNCED).exists());
}

#[test]
fn what_was_loaded_on_the_same_boot_is_only_synced() {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let (machine, _made) = loaded_on(boot.trim(), &ALL);
    machine.install();
    assert!(
        !machine
            .calls()
            .iter()
            .any(|call| call.contains("images remove"))
    );
    assert!(!machine.path(paths::UNSYNCED).exists());
}

#[test]
fn what_is_about_to_be_loaded_is_written_down_first() {
    let made = three();
    let machine = machine(&made, directory(), |_| {});
    // The first thing that loading does is to look for leases; by then it is written down.
    machine.program(
        "ctr",
        &format!(
            "case \"$*\" in *images\\ list*) cat \"$STORE\";; \
             *leases*) cp $ROOT{} $ROOT/seen; exit 1;; esac",
            paths::UNSYNCED
        ),
    );
    machine.put(super::DIRECTORY, &made.bytes);
    machine.install();
    for name in ALL {
        assert!(machine.read("/seen").contains(name));
    }
}

#[test]
fn images_that_containers_may_have_are_removed_after_the_reset_even_if_others_were_loaded_meanwhile()
 {
    let (machine, made) = loaded_on("an earlier boot", &["example.org/a:1"]);
    let store = machine.read("/store");
    let store = store.split_inclusive('\n');
    let others = store.filter(|line| !line.contains("/c:1"));
    machine.write("/store", &others.collect::<String>());
    machine.write("/etc/kubernetes/kubelet.conf", "whole");
    let reset = "case $1 in reset) rm -r $ROOT/etc/kubernetes;; esac";
    machine.program("kubeadm", reset);
    machine.put(super::DIRECTORY, &made.bytes);
    machine.install();
    let calls = machine.calls();
    let at = |words: &str| {
        let position = calls.iter().position(|call| call.contains(words));
        position.unwrap_or_else(|| panic!("no {words}: {calls:?}"))
    };
    assert!(at("images import -") < at("kubeadm reset"), "{calls:?}");
    let removed = at("images remove --sync example.org/a:1");
    assert!(at("kubeadm reset") < removed, "{calls:?}");
    assert!(removed < at("kubeadm init"), "{calls:?}");
}
