//! The stage `images` with bundles, on a machine of files: what is good comes in once, pinned, and
//! nothing else under any name.
#![allow(clippy::unwrap_used)]

mod content;
mod crio;
mod limits;
#[path = "../machine/mod.rs"]
mod machine;
mod sources;
mod unsynced;

use std::fs;

use machine::images::{Made, bundle};
use machine::{End, Machine};
use nkd_bundle::Layout;
use nkd_contract::{BundleSource, Cause, ImageSource, Kind, Plan, Runtime, Stage, Unit};

const DIRECTORY: &str = "/usr/lib/nkd/bundles";
const ARCHITECTURE: &str = if cfg!(target_arch = "x86_64") {
    "amd64"
} else {
    "arm64"
};

/// Two images that share a layer, and one that shares nothing.
fn three() -> Made {
    bundle(
        ARCHITECTURE,
        &[
            ("example.org/a:1", vec![vec![7; 300_000], vec![1; 512]]),
            ("example.org/b:1", vec![vec![7; 300_000], vec![2; 100_000]]),
            ("example.org/c:1", vec![vec![3; 200_000]]),
        ],
    )
}

const ALL: [&str; 3] = ["example.org/a:1", "example.org/b:1", "example.org/c:1"];

fn directory() -> Vec<BundleSource> {
    vec![BundleSource::Directory(DIRECTORY.into())]
}

/// A machine whose plan wants the three from these sources.
fn machine(made: &Made, sources: Vec<BundleSource>, change: impl FnOnce(&mut Plan)) -> Machine {
    let machine = Machine::new().with_runtimes();
    machine.plan(|plan| {
        made.plan(plan, sources);
        plan.budgets.insert(Stage::Images, 0);
        change(plan);
    });
    machine
}

/// The stage stops for a cause, and nothing is in the runtime under any name.
fn stops(machine: &Machine, cause: Cause) -> String {
    assert_eq!(machine.install(), End::of(cause));
    let (stage, failed_for, message) = machine.failure();
    assert_eq!(
        (stage, failed_for),
        (Some(Stage::Images), cause),
        "{message}"
    );
    message
}

/// The next attempt, with a good bundle, works.
fn then_works(machine: &Machine, made: &Made) {
    machine.put(DIRECTORY, &made.bytes);
    machine.install();
    assert_eq!(machine.names(), ALL);
    assert_ne!(machine.failure().0, Some(Stage::Images));
}

#[test]
fn a_bundle_is_loaded_with_progress_in_bytes_and_its_images_are_pinned() {
    let made = three();
    let machine = machine(&made, directory(), |_| {});
    then_works(&machine, &made);
    let calls = machine.calls_of("ctr").join("\n");
    for name in ALL {
        let pin = format!("images label {name} io.cri-containerd.pinned=pinned");
        assert!(calls.contains(&pin), "{calls}");
    }
    let progress = machine
        .events()
        .into_iter()
        .filter_map(|event| event.progress);
    let progress: Vec<_> = progress
        .filter(|progress| progress.unit == Unit::Bytes)
        .collect();
    assert!(!progress.is_empty() && progress.is_sorted_by_key(|told| told.done));
    for told in progress {
        assert_eq!(told.total, made.bytes.len() as u64);
        assert!((1..=told.total).contains(&told.done), "{told:?}");
    }
}

#[test]
fn every_bundle_of_a_plan_is_loaded() {
    let made = three();
    let other = bundle(ARCHITECTURE, &[("example.org/d:1", vec![vec![4; 1000]])]);
    let machine = machine(&made, directory(), |plan| {
        let (mut images, first) = (plan.images.required.clone(), plan.images.source.clone());
        other.plan(plan, directory());
        images.append(&mut plan.images.required);
        plan.images.required = images;
        let (ImageSource::Bundles(all), ImageSource::Bundles(first)) =
            (&mut plan.images.source, first)
        else {
            unreachable!()
        };
        all.bundles[0].file = "b.tar".into();
        all.bundles.splice(0..0, first.bundles);
    });
    machine.put(DIRECTORY, &made.bytes);
    fs::write(machine.path(DIRECTORY).join("b.tar"), &other.bytes).unwrap();
    machine.install();
    assert_eq!(machine.names(), [&ALL[..], &["example.org/d:1"]].concat());
}

#[test]
fn a_shared_layer_goes_into_containerd_once() {
    let made = three();
    let machine = machine(&made, directory(), |_| {});
    then_works(&machine, &made);
    let blob = format!("blob {}", nkd_bundle::Digest::of(&vec![7; 300_000]).hex());
    assert_eq!(
        machine.calls().iter().filter(|call| **call == blob).count(),
        1
    );
    assert_eq!(
        machine
            .calls_of("ctr")
            .iter()
            .filter(|call| call.contains("import -"))
            .count(),
        3
    );
}

#[test]
fn docker_gets_images_that_share_layers_together() {
    let made = three();
    let machine = Machine::new().with_runtimes();
    let _socket = machine.listen("/run/docker.sock");
    machine.plan(|plan| {
        plan.runtime = Runtime::Docker;
        made.plan(plan, directory());
    });
    then_works(&machine, &made);
    let loads = machine.calls_of("docker");
    assert_eq!(
        loads.iter().filter(|call| call.contains(" load")).count(),
        2,
        "{loads:?}"
    );
}

#[test]
fn what_the_runtime_has_is_left_out() {
    let made = three();
    let machine = machine(&made, directory(), |_| {});
    let b = &made.images[1];
    for name in [0, 2] {
        let image = &made.images[name];
        let line = format!("{} manifest {} 1KB\n", image.name, image.manifest.digest);
        machine.write("/store", &(machine.read("/store") + &line));
    }
    then_works(&machine, &made);
    let blobs = machine
        .calls()
        .into_iter()
        .filter(|call| call.starts_with("blob "));
    let wanted = b.blobs().map(|blob| blob.digest).chain([b.manifest.digest]);
    let mut wanted: Vec<_> = wanted
        .map(|digest| format!("blob {}", digest.hex()))
        .collect();
    wanted.sort();
    assert_eq!(blobs.collect::<Vec<_>>(), wanted);
}

#[test]
fn an_image_of_the_name_but_with_other_bytes_is_replaced() {
    let made = three();
    let machine = machine(&made, directory(), |_| {});
    machine.write("/store", "example.org/a:1 manifest sha256:0 1KB\n");
    then_works(&machine, &made);
    let digest = made.images[0].manifest.digest.to_string();
    assert!(machine.read("/store").contains(&digest));
}

#[test]
fn a_flipped_byte_names_the_layer_and_leaves_none_of_its_images() {
    let made = three();
    let machine = machine(&made, directory(), |_| {});
    let mut bytes = made.bytes.clone();
    let at = made.position(&vec![7; 300_000]);
    bytes[at + 1000] ^= 1;
    machine.put(DIRECTORY, &bytes);
    let message = stops(&machine, Cause::ImagesDigest);
    assert!(
        message.contains("example.org/a:1, example.org/b:1"),
        "{message}"
    );
    assert!(machine.names().is_empty());
    then_works(&machine, &made);
}

#[test]
fn a_truncated_bundle_leaves_what_was_whole_before_its_end_and_nothing_else() {
    let made = three();
    let mut bytes = made.bytes.clone();
    bytes.truncate(made.position(&vec![3; 200_000]) + 1000);
    let whole = bytes.len() as u64;
    // As if it had been cut while it is read.
    let machine = machine(&made, directory(), |plan| {
        let ImageSource::Bundles(bundles) = &mut plan.images.source else {
            unreachable!()
        };
        bundles.bundles[0].size = whole;
    });
    machine.put(DIRECTORY, &bytes);
    stops(&machine, Cause::ImagesTruncated);
    let names = machine.names();
    assert!(
        names.iter().all(|name| name != "example.org/c:1"),
        "{names:?}"
    );
}

#[test]
fn a_bundle_of_another_size_is_not_read() {
    let made = three();
    let machine = machine(&made, directory(), |_| {});
    machine.put(DIRECTORY, &made.bytes[..5000]);
    let message = stops(&machine, Cause::ImagesTruncated);
    assert!(message.contains("5000 bytes"), "{message}");
    assert!(machine.names().is_empty());
    then_works(&machine, &made);
}

#[test]
fn another_architecture_is_not_loaded() {
    let made = bundle("riscv64", &[("example.org/a:1", vec![vec![1; 10]])]);
    let machine = machine(&made, directory(), |_| {});
    machine.put(DIRECTORY, &made.bytes);
    let message = stops(&machine, Cause::ImagesArchitecture);
    assert!(
        message.contains("example.org/a:1 is for riscv64"),
        "{message}"
    );
    assert!(machine.names().is_empty());
}

#[test]
fn a_missing_layer_an_extra_file_and_a_path_that_leads_out_are_refused() {
    let made = three();
    let layouts: [fn(&mut Layout); 3] = [
        |layout| drop(layout.entries.pop()),
        |layout| {
            let extra = vec![1; 512];
            layout
                .entries
                .push(nkd_bundle::Entry::bytes("blobs/sha256/extra", extra));
        },
        |layout| layout.entries.last_mut().unwrap().path = "usr/bin/ctr".into(),
    ];
    for change in layouts {
        let mut layout = Layout::of(&made.images);
        change(&mut layout);
        let bytes = made.write(&layout);
        let machine = machine(&made, directory(), |plan| {
            let ImageSource::Bundles(bundles) = &mut plan.images.source else {
                unreachable!()
            };
            bundles.bundles[0].size = bytes.len() as u64;
        });
        machine.put(DIRECTORY, &bytes);
        stops(&machine, Cause::ImagesDigest);
    }
}

#[test]
fn another_bundle_than_the_plans_is_not_touched() {
    let made = three();
    let other = bundle(
        ARCHITECTURE,
        &[("example.org/a:1", vec![vec![9; made.bytes.len() - 7000]])],
    );
    let mut bytes = other.bytes.clone();
    bytes.resize(made.bytes.len(), 0);
    let machine = machine(&made, directory(), |_| {});
    machine.put(DIRECTORY, &bytes);
    stops(&machine, Cause::ImagesBundle);
    assert!(machine.names().is_empty());
    then_works(&machine, &made);
}

#[test]
fn a_tag_that_points_at_another_digest_than_the_plans_is_refused() {
    let made = three();
    let machine = machine(&made, directory(), |plan| {
        let other = plan.images.required[1].digest.clone();
        plan.images.required[0].digest = other;
    });
    machine.put(DIRECTORY, &made.bytes);
    let message = stops(&machine, Cause::ImagesDigest);
    assert!(message.contains("example.org/a:1"), "{message}");
    assert!(machine.names().is_empty());
}

#[test]
fn a_runtime_that_names_other_bytes_is_found_out_and_loses_the_name() {
    let made = three();
    let machine = machine(&made, directory(), |_| {});
    let script = r#"
        case "$*" in
        *images\ list*) cat $STORE;;
        *import\ -*) cat >/dev/null; echo "example.org/a:1 manifest sha256:bad 1KB" > $STORE;;
        *remove*) : > $STORE;;
        esac"#;
    machine.program("ctr", script);
    machine.put(DIRECTORY, &made.bytes);
    let message = stops(&machine, Cause::ImagesDigest);
    assert!(
        message.contains("example.org/a:1 has the digest sha256:bad in the runtime"),
        "{message}"
    );
    assert!(machine.names().is_empty());
}

#[test]
fn a_full_disk_is_called_that_and_tried_again() {
    let made = three();
    let machine = machine(&made, directory(), |plan| {
        plan.budgets.insert(Stage::Images, 20);
    });
    let failing = r#"
        case "$*" in
        *images\ list*) cat $STORE;;
        *import\ -*) head -c 100000 >/dev/null
            echo 'ctr: failed to copy: write /var/lib/x: no space left on device' >&2; exit 1;;
        *leases\ list*) rm $ROOT/usr/bin/ctr; mv $ROOT/usr/bin/ctr2 $ROOT/usr/bin/ctr;;
        esac"#;
    machine.put(DIRECTORY, &made.bytes);
    // The second attempt begins with leases too, and finds a runtime with room.
    let room = fs::read(machine.path("/usr/bin/ctr")).unwrap();
    machine.program(
        "ctr",
        &failing.replace(
            "*leases\\ list*) rm",
            "*leases\\ list*) [ -e $ROOT/again ] || { touch $ROOT/again; exit 0; }; rm",
        ),
    );
    fs::write(machine.path("/usr/bin/ctr2"), room).unwrap();
    fs::set_permissions(
        machine.path("/usr/bin/ctr2"),
        std::os::unix::fs::PermissionsExt::from_mode(0o755),
    )
    .unwrap();
    machine.install();
    let events = machine.events();
    let failed = events
        .iter()
        .find(|event| event.kind == Kind::AttemptFailed)
        .unwrap();
    assert_eq!(failed.cause, Some(Cause::ImagesDisk.into()));
    assert!(
        failed.message.contains("no space left on device"),
        "{}",
        failed.message
    );
    assert_eq!(machine.names(), ALL);
}

#[test]
fn archives_go_into_every_runtime_by_its_own_program() {
    let load = "touch $ROOT/loaded";
    let crictl = r#"case "$*" in *images*) [ -e $ROOT/loaded ] || exec echo '{}'
        echo '{"images":[{"id":"sha256:0","repoTags":["example.org/b:1"]}]}';; esac"#;
    let docker = r#"case "$*" in
        *inspect*) [ -e $ROOT/loaded ] && echo sha256:0 || { echo No such image >&2; exit 1; };;
        *load*) touch $ROOT/loaded;; esac"#;
    for (runtime, socket, program, script, wanted) in [
        (
            Runtime::Isulad,
            "/run/isulad.sock",
            "isula",
            load,
            "isula load --input ",
        ),
        (
            Runtime::Crio,
            "/run/crio/crio.sock",
            "skopeo",
            load,
            "skopeo --insecure-policy copy --quiet docker-archive:",
        ),
        (
            Runtime::Docker,
            "/run/docker.sock",
            "docker",
            docker,
            "docker --host unix:///run/docker.sock load --quiet --input ",
        ),
    ] {
        let machine = Machine::new();
        let _socket = machine.listen(socket);
        machine.program("crictl", crictl);
        machine.program(program, script);
        machine.plan(|plan| plan.runtime = runtime);
        machine.install();
        machine.lacks_only_its_api();
        let calls = machine.calls_of(program);
        assert!(
            calls.iter().any(|call| call.starts_with(wanted)),
            "{calls:?}"
        );
    }
}

#[test]
fn a_runtime_that_wants_files_gets_no_larger_ones_than_it_needs() {
    let made = three();
    let machine = Machine::new();
    let _socket = machine.listen("/run/isulad.sock");
    let isula = r#"for last; do :; done
        tar -xOf $last manifest.json | grep -o '"RepoTags":."[^"]*"' | cut -d'"' -f4 >> $ROOT/names"#;
    let crictl = r#"case "$*" in *images*)
        touch $ROOT/names
        echo '{"images":[{"id":"0","repoTags":["none"]}'
        while read name; do
            id=$(cat $ROOT/ids | grep "^$name " | cut -d' ' -f2)
            echo ",{\"id\":\"$id\",\"repoTags\":[\"$name\"]}"
        done < $ROOT/names; echo ']}';; esac"#;
    machine.program("isula", isula);
    machine.program("crictl", crictl);
    let ids = made
        .images
        .iter()
        .map(|image| format!("{} {}\n", image.name, image.config.digest));
    machine.write("/ids", &ids.collect::<String>());
    machine.plan(|plan| {
        plan.runtime = Runtime::Isulad;
        made.plan(plan, directory());
    });
    machine.put(DIRECTORY, &made.bytes);
    machine.install();
    machine.lacks_only_its_api();
    assert_eq!(machine.calls_of("isula").len(), 2);
    let spool = machine.path(nkd_contract::paths::SPOOL);
    assert_eq!(fs::read_dir(spool).unwrap().count(), 0);
}
