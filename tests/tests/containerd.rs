//! Nodes with other containerds than Debian 12's, which take the same configuration and the same bundles.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use nkd_contract::{Kind, Stage, paths};
use nkd_model::version::Version;
use serde_json::json;
use testbed::containerd::{CTR, has_what_the_plan_pins};
use testbed::events::{await_event, await_soon, events, is};
use testbed::registry::{Login, Registry};
use testbed::scenario::{Scenario, wait_until_ready};
use testbed::{Cache, ContainerdSeries, Kubernetes, Machine};

const PATIENCE: Duration = Duration::from_secs(300);

/// The leases of imports and other passing things, unlike those of pods.
const EXPIRE: &str = r#"labels."containerd.io/gc.expire""#;
/// What the agent keeps while it loads.
const ROOTS: &str = r#"labels."containerd.io/gc.root"==nkd"#;
/// As containerd has one for each pod since 2.0.
const POD: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// A scenario whose image has another containerd.
fn scenario(containerd: ContainerdSeries) -> Scenario {
    let mut scenario = Scenario::new().unwrap();
    let cache = Cache::open().unwrap();
    scenario.image = scenario.image.with_containerd(&cache, containerd).unwrap();
    scenario
}

/// How containerd calls the deprecated form of credentials, in its log and in its list. There is no other that
/// containerd 1 shows to servers of tokens.
const CREDENTIALS: [&str; 3] = [
    "`configs` is deprecated",
    "'Registry.Configs' in CRI config",
    "cri-registry-configs",
];

/// containerd is of the series, and has taken the whole of its configuration without a complaint but those
/// that are known.
fn takes_its_configuration(
    machine: &Machine,
    containerd: ContainerdSeries,
    pause: &str,
    known: &[&str],
) {
    let is_new = |line: &&str| !known.iter().any(|known| line.contains(known));
    let version = machine.check(["containerd", "--version"]).unwrap();
    let (series, number) = (containerd.series(), version.split_whitespace().nth(2));
    let number = number.unwrap().trim_start_matches('v');
    assert!(number.starts_with(&format!("{series}.")), "{version}");
    let dump = machine.check(["containerd", "config", "dump"]).unwrap();
    // Version 3 of the configuration has single quotes, and another name for the sandbox's image.
    let dump = dump.replace('\'', "\"");
    for expected in [
        "SystemdCgroup = true".to_owned(),
        "config_path = \"/etc/containerd/certs.d\"".to_owned(),
        format!("= \"{pause}\""),
    ] {
        assert!(dump.contains(&expected), "no `{expected}` in\n{dump}");
    }
    let said = machine.journal(&["--unit=containerd", "--output=cat"]);
    let said = said.unwrap();
    // The kubelet's CRI is no matter of the configuration.
    let is_told = |line: &&str| {
        (line.contains("level=warning") || line.contains("level=error"))
            && !line.contains("CRI API")
    };
    for line in said.lines().filter(is_told).filter(is_new) {
        println!("{line}");
        let complaints = ["unknown key", "deprecat", "imports", "toml"];
        assert!(
            !complaints
                .iter()
                .any(|word| line.to_lowercase().contains(word))
        );
    }
    let deprecated = machine.check(["ctr", "deprecations", "list"]).unwrap();
    println!("{deprecated}");
    let mut deprecated = deprecated.lines().filter(is_new);
    assert!(!deprecated.any(|line| line.to_lowercase().contains("config")));
}

/// Programs of the images run: what was unpacked is whole.
fn images_run(machine: &Machine, kubernetes: &Kubernetes) {
    for component in ["kube-apiserver", "kube-controller-manager", "kube-proxy"] {
        let image = kubernetes.image(component).unwrap();
        let run = ["run", "--rm", &image, component, component, "--version"];
        let said = machine.check(CTR.into_iter().chain(run)).unwrap();
        assert!(said.contains(kubernetes.version()), "{image}: {said}");
    }
}

/// Nothing is left of how the images came. What is there for a moment, while pods start, goes by itself.
fn nothing_is_left_of_the_load(machine: &Machine) {
    for (what, words) in [
        ("leases", &["leases", "list", EXPIRE][..]),
        ("roots", &["content", "list", "--quiet", ROOTS]),
        ("unfinished blobs", &["content", "active"]),
    ] {
        let mut left = String::new();
        let gone = machine.wait_for(what, Duration::from_secs(20), || {
            left = machine.check(CTR.iter().chain(words))?;
            let is_heading = |line: &str| line.starts_with("REF") || line.starts_with("ID ");
            Ok(left.lines().all(is_heading))
        });
        assert!(gone.is_ok(), "{what}: {left}");
    }
}

#[test]
fn nodes_on_containerd_1_7_become_ready_from_a_bundle() {
    let mut scenario = scenario(ContainerdSeries::V1_7);
    let bundle = scenario.bundle_in_image().unwrap();
    let cluster = scenario.compile().unwrap();
    let machines = ["cp1", "w1"].map(|node| scenario.machine(&cluster, node).unwrap());
    for machine in &machines {
        machine.add(&bundle, paths::BUNDLES).unwrap();
        machine.boot().unwrap();
    }
    let pause = scenario.kubernetes.image("pause").unwrap();
    for machine in &machines {
        wait_until_ready(machine, PATIENCE).unwrap();
        takes_its_configuration(machine, ContainerdSeries::V1_7, &pause, &[]);
        has_what_the_plan_pins(machine).unwrap();
        nothing_is_left_of_the_load(machine);
    }
}

/// With a kubelet before 1.23, which can't speak CRI's v1, the node can't come further than `kubeadm`.
#[test]
fn containerd_2_loads_a_bundle_again_after_a_power_cut_and_knows_the_mirrors() {
    let mut scenario = scenario(ContainerdSeries::V2);
    let bundle = scenario.bundle_in_image().unwrap();
    let mirror = mirror(&mut scenario);
    let cluster = scenario.compile().unwrap();
    let machine = scenario.machine(&cluster, "cp1").unwrap();
    machine.add(&bundle, paths::BUNDLES).unwrap();
    machine.boot().unwrap();
    // At the latest then something is named whose files aren't on the disk.
    await_soon(&machine, "an image", PATIENCE, || {
        let list = CTR.into_iter().chain(["images", "list", "--quiet"]);
        machine.check(list).is_ok_and(|names| !names.is_empty())
    })
    .unwrap();
    let lease = ["leases", "create", "--id", POD, "--expires", "0"];
    machine.check(CTR.into_iter().chain(lease)).unwrap();
    machine.cut_power().unwrap();
    let seen = events(&machine);
    assert!(
        !seen
            .iter()
            .any(|event| is(event, Kind::StageDone, Stage::Images))
    );
    machine.boot().unwrap();
    let done = |event: &_| is(event, Kind::StageDone, Stage::Images);
    await_event(&machine, seen.len(), PATIENCE, done).unwrap();
    let told = events(&machine);
    let again = told.iter().skip(seen.len()).any(|event| {
        is(event, Kind::Progress, Stage::Images)
            && event.message.contains("again, because a power cut")
    });
    assert!(again, "{told:?}");

    let pause = scenario.kubernetes.image("pause").unwrap();
    takes_its_configuration(&machine, ContainerdSeries::V2, &pause, &CREDENTIALS);
    has_what_the_plan_pins(&machine).unwrap();
    nothing_is_left_of_the_load(&machine);
    let leases = CTR.into_iter().chain(["leases", "list", "--quiet"]);
    assert_eq!(machine.check(leases).unwrap().trim(), POD);
    images_run(&machine, &scenario.kubernetes);
    // As another namespace, for it has nothing yet.
    let pull = [
        "ctr",
        "images",
        "pull",
        "--hosts-dir",
        "/etc/containerd/certs.d",
    ];
    machine.check(pull.into_iter().chain([&*pause])).unwrap();
    drop(mirror);

    let version = Version::parse(scenario.kubernetes.version()).unwrap();
    if version.minor >= 23 {
        return wait_until_ready(&machine, PATIENCE).unwrap();
    }
    machine
        .wait_for("the kubelet to miss CRI's v1alpha2", PATIENCE, || {
            let said = machine.journal(&["--unit=kubelet", "--output=cat"])?;
            Ok(said.contains("unknown service runtime.v1alpha2"))
        })
        .unwrap();
}

/// A registry with an authority and a user of its own, which has the sandbox's image alone.
fn mirror(scenario: &mut Scenario) -> Registry {
    let registry = scenario.lab.registry(Login::Token).unwrap();
    let archives = scenario.kubernetes.image_archives().iter();
    let mut pause = archives.filter(|path| path.to_string_lossy().contains("/pause"));
    registry.push(&scenario.lab, pause.next().unwrap()).unwrap();
    let mirrors = scenario.mirror(&registry).unwrap();
    scenario
        .file
        .set_runtime(json!({ "registries": [mirrors] }));
    registry
}
