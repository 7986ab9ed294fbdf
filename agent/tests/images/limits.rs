//! How much is done at once, and how often it is told.

use std::fs;

use nkd_contract::{Cause, Image, ImageSource, Stage, Unit};

use super::machine::Machine;
use super::machine::images::bundle;
use super::{ARCHITECTURE, directory, machine, three};

/// How many programs of a runtime may work at once.
const AT_ONCE: usize = 3;
/// What a program does that works for a while, and writes down how many do.
const WORK: &str = "mkdir $ROOT/working.$$; ls -d $ROOT/working.* | wc -l >> $ROOT/counts
    sleep 0.5; rmdir $ROOT/working.$$";

fn names() -> Vec<String> {
    (0..8)
        .map(|number| format!("example.org/{number}:1"))
        .collect()
}

/// All have worked, and never too many at once.
fn kept_the_limit(machine: &Machine) {
    let counts = machine.read("/counts");
    let counts: Vec<usize> = counts
        .lines()
        .map(|count| count.trim().parse().unwrap())
        .collect();
    assert_eq!(counts.len(), names().len());
    assert!(counts.iter().all(|count| *count <= AT_ONCE), "{counts:?}");
}

/// A machine that pulls all of them.
fn puller() -> Machine {
    machine(&three(), directory(), |plan| {
        plan.images.source = ImageSource::Registry;
        let image = |name| Image { name, digest: None };
        plan.images.required = names().into_iter().map(image).collect();
    })
}

#[test]
fn no_more_than_three_images_are_pulled_at_once() {
    let machine = puller();
    machine.program(
        "crictl",
        &format!("case \"$*\" in *\\ pull\\ *) {WORK};; esac"),
    );
    machine.install();
    kept_the_limit(&machine);
}

#[test]
fn a_pull_that_fails_is_told_with_the_name_of_its_image() {
    let machine = puller();
    machine.program(
        "crictl",
        "case \"$*\" in *example.org/5:1*) echo no such manifest >&2; exit 1;; esac",
    );
    machine.install();
    let (stage, cause, message) = machine.failure();
    assert_eq!((stage, cause), (Some(Stage::Images), Cause::ImagesPull));
    assert!(message.starts_with("example.org/5:1: "), "{message}");
    assert!(message.contains("no such manifest"), "{message}");
}

#[test]
fn containerd_works_on_no_more_than_three_images_of_a_bundle_at_once() {
    let names = names();
    let images = names.iter().zip(1..);
    let images: Vec<_> = images
        .map(|(name, byte)| (name.as_str(), vec![vec![byte; 1000]]))
        .collect();
    let made = bundle(ARCHITECTURE, &images);
    let machine = machine(&made, directory(), |_| {});
    let script = fs::read_to_string(machine.path("/usr/bin/ctr")).unwrap();
    // The whole tar has come.
    let names_it = "    tr '{' '\\n' < $dir/index.json";
    assert!(script.contains(names_it));
    let script = script.replacen(names_it, &format!("{WORK}\n{names_it}"), 1);
    fs::write(machine.path("/usr/bin/ctr"), script).unwrap();
    machine.put(super::DIRECTORY, &made.bytes);
    machine.install();
    assert_eq!(machine.names(), names);
    kept_the_limit(&machine);
}

#[test]
fn progress_is_not_told_at_every_piece_of_a_bundle() {
    let made = bundle(ARCHITECTURE, &[("example.org/a:1", vec![vec![5; 8 << 20]])]);
    let machine = machine(&made, directory(), |_| {});
    machine.put(super::DIRECTORY, &made.bytes);
    machine.install();
    assert_eq!(machine.names(), ["example.org/a:1"]);
    let progress = machine
        .events()
        .into_iter()
        .filter_map(|event| event.progress);
    let told: Vec<_> = progress
        .filter(|progress| progress.unit == Unit::Bytes)
        .collect();
    assert!(!told.is_empty());
    // Five of a hundred, each rounded down.
    let is_news =
        |pair: &[nkd_contract::Progress]| pair[1].done - pair[0].done > pair[0].total / 25;
    assert!(told.windows(2).all(is_news), "{told:?}");
}
