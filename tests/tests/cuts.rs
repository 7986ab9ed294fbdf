//! A node whose worker is killed and whose plug is pulled, again and again, becomes Ready all the
//! same: once, as a node of the one cluster, with nothing lost and nothing told twice.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::time::{Duration, Instant};

use nkd_contract::{Event, Kind, Stage, paths};
use testbed::Machine;
use testbed::scenario::{Scenario, wait_until_ready};

/// How long anything may take that isn't cut.
const PATIENCE: Duration = Duration::from_secs(300);

/// How long systemd takes to start the worker again, and a little.
const RESTART: Duration = Duration::from_secs(8);

/// What is done to the node.
#[derive(Debug, Clone, Copy)]
enum Blow {
    /// SIGKILL to the worker.
    Worker,
    /// SIGKILL to the reporter.
    Reporter,
    /// Every process at once, and a new boot.
    Power,
}

/// When it is done.
#[derive(Debug, Clone, Copy)]
enum Moment {
    /// As soon as the log has this.
    At(Kind, Stage),
    /// So long after the stage began.
    Into(Stage, Duration),
}

/// Every boundary of every stage, and moments inside the long ones.
fn all_cuts() -> Vec<(Blow, Moment)> {
    let mut cuts = Vec::new();
    let blows = || {
        [Blow::Worker, Blow::Power, Blow::Reporter]
            .into_iter()
            .cycle()
    };
    for (stage, blow) in Stage::ALL.into_iter().zip(blows()) {
        let begun = Moment::At(Kind::StageStarted, stage);
        cuts.extend([(Blow::Worker, begun), (Blow::Power, begun)]);
        // Shorter than an attempt is on a machine with little else to do: a moment that has passed
        // when its turn comes is no cut.
        let (length, number) = match stage {
            Stage::Images => (2_200, 18),
            Stage::Kubeadm => (18_000, 24),
            _ => (0, 0),
        };
        cuts.extend((1..=number).zip(blows()).map(|(place, blow)| {
            let into = Duration::from_millis(length * place / (number + 1));
            (blow, Moment::Into(stage, into))
        }));
        cuts.push((blow, Moment::At(Kind::StageDone, stage)));
    }
    cuts
}

#[test]
fn a_node_cut_off_at_a_few_moments_becomes_ready() {
    let at = |kind, stage| Moment::At(kind, stage);
    let into = |stage, seconds| Moment::Into(stage, Duration::from_secs(seconds));
    let cuts = [
        (Blow::Worker, at(Kind::StageStarted, Stage::Host)),
        (Blow::Reporter, at(Kind::StageDone, Stage::Runtime)),
        (Blow::Power, into(Stage::Images, 3)),
        (Blow::Worker, into(Stage::Kubeadm, 6)),
        (Blow::Power, into(Stage::Kubeadm, 12)),
        (Blow::Power, at(Kind::StageDone, Stage::Kubeadm)),
    ];
    let mut scenario = Scenario::new().unwrap();
    let balancer = scenario.lab.balancer(&["10.200.0.11"]).unwrap();
    scenario.file.set_endpoint(&balancer.endpoint());
    let struck = survives(&scenario, None, &cuts);
    assert_eq!(struck, 6);
}

#[test]
#[ignore = "long: takes a quarter of an hour"]
fn a_node_cut_off_at_every_boundary_and_inside_the_long_stages_becomes_ready() {
    let struck = survives(&Scenario::new().unwrap(), None, &all_cuts());
    assert!(struck >= 60, "only {struck} cuts");
}

#[test]
fn a_node_cut_off_again_and_again_while_it_loads_a_bundle_becomes_ready() {
    let mut scenario = Scenario::new().unwrap();
    let bundle = scenario.bundle_in_image().unwrap();
    let blows = [Blow::Power, Blow::Worker].into_iter().cycle();
    // Each later than the one before, so that in the end all is loaded.
    let moments = (1..=20).map(|place| Duration::from_millis(80 * place));
    let into = |into| Moment::Into(Stage::Images, into);
    let cuts: Vec<_> = blows.zip(moments.map(into)).collect();
    let struck = survives(&scenario, Some(&bundle), &cuts);
    assert!(struck >= 8, "only {struck} cuts");
}

/// Cuts the control plane, which has this bundle in its image, off at these moments and checks how
/// it ends. Gives the number of cuts: a moment that the installation was past already is none.
fn survives(scenario: &Scenario, bundle: Option<&Path>, cuts: &[(Blow, Moment)]) -> usize {
    let cluster = scenario.compile().unwrap();
    let machine = scenario.machine(&cluster, "cp1").unwrap();
    if let Some(bundle) = bundle {
        machine.add(bundle, paths::BUNDLES).unwrap();
    }
    let authority = machine.read("/etc/nkd/pki/ca.crt").unwrap();
    machine.boot().unwrap();
    let start = Instant::now();
    let (mut struck, mut seen) = (0, 0);
    for (blow, moment) in cuts {
        if let Some(place) = wait(&machine, *moment, seen) {
            seen = place + 1;
            strike(&machine, *blow);
            struck += 1;
            println!("{:5} s  {blow:?} {moment:?}", start.elapsed().as_secs());
        }
    }
    wait_until_ready(&machine, PATIENCE).unwrap();
    println!("{:5} s  Ready", start.elapsed().as_secs());

    let told = || scenario.callbacks.received_from("cp1");
    machine
        .wait_for("the last callback", PATIENCE, || {
            Ok(told().last().is_some_and(|event| event.kind == Kind::Ready))
        })
        .unwrap();
    let written = log(&machine);
    assert_eq!(told(), written, "every event is told once and in order");
    nothing_is_doubled_or_lost(&written);
    assert_eq!(
        machine.read("/etc/kubernetes/pki/ca.crt").unwrap(),
        authority
    );
    let content = ["ctr", "--namespace", "k8s.io", "content", "list"];
    let content = machine.check(content).unwrap();
    assert!(!content.contains("gc.root=nkd"), "{content}");
    let mut nodes = String::new();
    // After a power cut at the end the control plane has to come up again.
    machine
        .wait_for("the API", PATIENCE, || {
            let wanted = ["get", "nodes", "--no-headers"];
            nodes = cluster.kubectl(&scenario.lab, &scenario.kubernetes, &wanted)?;
            Ok(true)
        })
        .unwrap();
    assert_eq!(nodes.lines().count(), 1, "{nodes}");
    struck
}

fn log(machine: &Machine) -> Vec<Event> {
    let log = machine.read(paths::EVENTS).unwrap_or_default();
    log.lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect()
}

/// Waits for the moment among the events after those seen and gives its event's place in the log;
/// `None` when the installation is past it for good.
fn wait(machine: &Machine, moment: Moment, seen: usize) -> Option<usize> {
    let (kind, stage, more) = match moment {
        Moment::At(kind, stage) => (kind, stage, Duration::ZERO),
        Moment::Into(stage, more) => (Kind::StageStarted, stage, more),
    };
    let is_it = |event: &&Event| event.kind == kind && event.stage == Some(stage);
    let mut start = Instant::now();
    loop {
        let events = log(machine);
        let new = events.iter().skip(seen).position(|event| is_it(&event));
        // An attempt that has begun before is as good for a moment inside it.
        let last = events
            .iter()
            .rposition(|event| event.kind != Kind::Progress);
        let runs = last.filter(|place| !more.is_zero() && is_it(&&events[*place]));
        if let Some(place) = new.map(|place| seen + place).or(runs) {
            std::thread::sleep(more);
            return Some(place);
        }
        let done = |event: &Event| {
            event.kind == Kind::Ready
                || event.kind == Kind::StageDone
                    && event.stage == Some(stage)
                    && stage > Stage::Runtime
        };
        if events.iter().any(done) {
            return None;
        }
        // Stages up to the runtime come again with every boot, and only so.
        if stage <= Stage::Runtime && start.elapsed() > RESTART {
            strike(machine, Blow::Power);
            start = Instant::now();
        }
        let journal = || {
            machine
                .journal(&["--unit=nkd-agent", "--lines=40"])
                .unwrap_or_default()
        };
        assert!(
            start.elapsed() < PATIENCE,
            "waited for {moment:?}\n{}",
            journal()
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn strike(machine: &Machine, blow: Blow) {
    let unit = match blow {
        Blow::Worker => "nkd-agent",
        Blow::Reporter => "nkd-reporter",
        Blow::Power => {
            machine.cut_power().unwrap();
            machine.boot().unwrap();
            return;
        }
    };
    // It may be down already, from the blow before.
    let kill = [
        "systemctl",
        "kill",
        "--signal=SIGKILL",
        "--kill-who=main",
        unit,
    ];
    let _ = machine.run(kill).unwrap();
}

fn nothing_is_doubled_or_lost(events: &[Event]) {
    let sequences: Vec<_> = events.iter().map(|event| event.sequence).collect();
    assert_eq!(sequences, (1..=events.len() as u64).collect::<Vec<_>>());
    let done = |stage| {
        let is_it = |event: &&Event| event.kind == Kind::StageDone && event.stage == Some(stage);
        events.iter().filter(is_it).count()
    };
    for stage in Stage::ALL {
        assert!(events.iter().all(|event| event.kind != Kind::Failed));
        // Stages up to the runtime are done again on every boot.
        assert!(
            done(stage) == 1 || stage <= Stage::Runtime && done(stage) > 1,
            "{stage}"
        );
    }
    let ready = events
        .iter()
        .filter(|event| event.kind == Kind::Ready)
        .count();
    assert_eq!(ready, 1);
}
