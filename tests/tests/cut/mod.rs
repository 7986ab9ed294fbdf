//! A table of cuts: what is done to a node, when, and how it must end.

use std::cell::Cell;
use std::time::{Duration, Instant, SystemTime};

use nkd_contract::{Event, Kind, Role, Stage, Word};
use testbed::events::{events, is};
use testbed::scenario::{Scenario, wait_until_ready};
use testbed::{Cluster, Machine};

/// How long anything may take that isn't cut.
const PATIENCE: Duration = Duration::from_secs(400);
const TICK: Duration = Duration::from_millis(5);
/// How long systemd takes to start the worker again, and a little.
const RESTART: Duration = Duration::from_secs(8);
/// Chooses the random moments; printed, and taken from here if it is set.
const SEED: &str = "NKD_TESTBED_SEED";

/// What is done to the node.
#[derive(Debug, Clone, Copy)]
pub enum Blow {
    /// SIGKILL to the worker.
    Worker,
    /// SIGKILL to the reporter.
    Reporter,
    /// The power is cut, and switched on again.
    Power,
}

/// When it is done.
#[derive(Debug, Clone, Copy)]
pub enum Moment {
    /// As soon as the log has this.
    At(Kind, Stage),
    /// As soon as an attempt at the stage has told so often how far it is.
    Told(Stage, usize),
    /// As soon as this file was written since the last blow, by an attempt at the stage.
    Written(Stage, &'static str),
    /// As soon as the stage has logged this since the last blow.
    Logged(Stage, &'static str),
    /// So long after the stage began.
    Into(Stage, Duration),
}

impl Moment {
    const fn stage(self) -> Stage {
        match self {
            Self::At(_, stage)
            | Self::Told(stage, _)
            | Self::Written(stage, _)
            | Self::Logged(stage, _)
            | Self::Into(stage, _) => stage,
        }
    }

    /// What the log has when its stage begins, or when it is there.
    const fn kind(self) -> Kind {
        match self {
            Self::At(kind, _) => kind,
            _ => Kind::StageStarted,
        }
    }
}

/// How long after power-on the power is cut at most: longer than a resumed installation takes, so
/// that it is struck in its last stages, too.
const fn longest_uptime(role: Role) -> Duration {
    Duration::from_secs(match role {
        Role::Init | Role::JoinControlPlane => 32,
        Role::JoinWorker => 20,
    })
}

/// The last of the static pods that kubeadm writes before it waits for them.
pub const MANIFEST: &str = "/etc/kubernetes/manifests/kube-scheduler.yaml";
/// What kubeadm says of the first phase after the control plane is up.
pub const UP: &str = "kubeadm: [upload-config]";

/// Every boundary of every stage, by each kind of blow, and moments inside the long stages. At each
/// boundary the power is cut before the worker or the reporter is killed. A worker whose reporter is killed
/// goes on; if the same boundary had to come again after that, the worker would have passed later moments.
fn all_boundaries(role: Role) -> Vec<(Blow, Moment)> {
    let mut cuts = Vec::new();
    let others = [Blow::Worker, Blow::Reporter].into_iter().cycle();
    for (stage, other) in Stage::ALL.into_iter().zip(others) {
        let begun = Moment::At(Kind::StageStarted, stage);
        cuts.extend([(Blow::Power, begun), (other, begun)]);
        let inside: Vec<_> = match (stage, role) {
            (Stage::Images, _) => [1, 3, 5].map(|times| Moment::Told(stage, times)).into(),
            (Stage::Kubeadm, role) => inside_kubeadm(role),
            _ => Vec::new(),
        };
        cuts.extend(inside.into_iter().map(|moment| (Blow::Power, moment)));
        cuts.push((Blow::Power, Moment::At(Kind::StageDone, stage)));
    }
    cuts
}

/// What kubeadm does on its way, in its order.
fn inside_kubeadm(role: Role) -> Vec<Moment> {
    let stage = Stage::Kubeadm;
    match role {
        Role::Init => vec![
            Moment::Written(stage, "/etc/kubernetes/pki/apiserver.crt"),
            Moment::Written(stage, "/etc/kubernetes/admin.conf"),
            Moment::Written(stage, MANIFEST),
            // etcd names its log when it is created, and writes to it afterwards.
            Moment::Written(stage, "/var/lib/etcd/member/wal"),
            Moment::Logged(stage, UP),
        ],
        Role::JoinControlPlane => vec![
            Moment::Written(stage, "/etc/kubernetes/pki/apiserver.crt"),
            Moment::Written(stage, MANIFEST),
            Moment::Logged(stage, "kubeadm: [etcd]"),
            Moment::Logged(stage, "kubeadm: [mark-control-plane]"),
        ],
        Role::JoinWorker => vec![
            Moment::Logged(stage, "kubeadm: [preflight]"),
            Moment::Written(stage, "/etc/kubernetes/bootstrap-kubelet.conf"),
            Moment::Written(stage, "/var/lib/kubelet/config.yaml"),
            Moment::Written(stage, "/var/lib/kubelet/pki/kubelet-client-current.pem"),
        ],
    }
}

/// A node that is cut off, and the cluster it belongs to.
pub struct Table<'a> {
    scenario: &'a Scenario,
    cluster: &'a Cluster,
    node: &'a str,
    /// Its machine.
    pub machine: Machine,
    authority: String,
    started: Cell<bool>,
    last_blow: Cell<SystemTime>,
}

impl<'a> Table<'a> {
    /// A node whose machine is off.
    pub fn new(scenario: &'a Scenario, cluster: &'a Cluster, node: &'a str) -> Self {
        let machine = scenario.machine(cluster, node).unwrap();
        // A worker is given none.
        let authority = machine.read("/etc/nkd/pki/ca.crt").unwrap_or_default();
        Self {
            scenario,
            cluster,
            node,
            machine,
            authority,
            started: Cell::new(false),
            last_blow: Cell::new(SystemTime::now()),
        }
    }

    fn start(&self) {
        if !self.started.replace(true) {
            self.machine.boot().unwrap();
        }
    }

    /// Strikes at every boundary of every stage. A gate is passed once, and may be passed while the
    /// power is still being cut, so its moments are the only ones that may not come.
    pub fn cut_at_all_boundaries(&self, role: Role) -> usize {
        let cuts = all_boundaries(role);
        let missed = self.cut_at(&cuts);
        let is_gate = |moment: &Moment| moment.stage() == Stage::Gate;
        assert!(missed.iter().all(is_gate), "past {missed:?}");
        cuts.len() - missed.len()
    }

    /// Strikes at these moments, and gives those that the installation was past for good.
    pub fn cut_at(&self, cuts: &[(Blow, Moment)]) -> Vec<Moment> {
        self.start();
        let start = Instant::now();
        let (mut missed, mut seen) = (Vec::new(), 0);
        for (blow, moment) in cuts {
            if let Some(place) = self.wait(*moment, seen) {
                seen = place + 1;
                self.strike(*blow);
                println!("{:5} s  {blow:?} {moment:?}", start.elapsed().as_secs());
            } else {
                missed.push(*moment);
                println!("{:5} s  past {moment:?}", start.elapsed().as_secs());
            }
        }
        missed
    }

    /// Cuts the power at random moments until the node is Ready, or so many times. Gives how many
    /// times.
    pub fn cut_at_random(&self, role: Role, most: usize) -> usize {
        let seed = std::env::var(SEED).ok().and_then(|seed| seed.parse().ok());
        let seed = seed.unwrap_or_else(|| fastrand::u64(..));
        println!("{role:?}: {SEED}={seed}");
        let mut random = fastrand::Rng::with_seed(seed);
        self.start();
        let start = Instant::now();
        for struck in 0..most {
            // Half of the moments are in the first quarter, or nothing would be left to cut soon.
            let uptime = longest_uptime(role).mul_f64(random.f64().powi(2));
            let deadline = Instant::now() + uptime;
            while Instant::now() < deadline {
                if has_happened(&self.log(), Kind::Ready) {
                    return struck;
                }
                std::thread::sleep(Duration::from_millis(20));
            }
            let last = self
                .log()
                .last()
                .map(|event| (event.kind.clone(), event.stage.clone()));
            self.strike(Blow::Power);
            println!(
                "{:5} s  {:.1} s after power-on, last {last:?}",
                start.elapsed().as_secs(),
                uptime.as_secs_f32(),
            );
        }
        most
    }

    /// The node becomes Ready, in a cluster of so many nodes.
    pub fn ends_well(&self, nodes: usize) {
        self.start();
        wait_until_ready(&self.machine, PATIENCE).unwrap();
        self.told_once_and_in_order();
        let delivered = self.machine.read("/etc/kubernetes/pki/ca.crt").unwrap();
        assert!(self.authority.is_empty() || delivered == self.authority);
        let content = ["ctr", "--namespace", "k8s.io", "content", "list"];
        let content = self.machine.check(content).unwrap();
        assert!(!content.contains("gc.root=nkd"), "{content}");
        // After a power cut at the end everything has to come up again.
        self.await_kubectl("all nodes", &["get", "nodes", "--no-headers"], |list| {
            list.lines().count() == nodes && list.matches(" Ready ").count() == nodes
        });
        let all = format!("--field-selector=spec.nodeName={}", self.node);
        // Not the static pods: kubelet is slow to tell of those, and a Ready node has them.
        let add_ons = ["-l", "k8s-app", &all, "-o", CONTAINERS];
        let pods = ["get", "pods", "-A", "--no-headers"];
        let pods: Vec<_> = pods.into_iter().chain(add_ons).collect();
        self.await_kubectl("every container of the node", &pods, |states| {
            !states.is_empty() && !states.contains("false")
        });
    }

    fn told_once_and_in_order(&self) {
        let told = || self.scenario.callbacks.received_from(self.node);
        let last_is_ready = || told().last().is_some_and(|event| event.kind == Kind::Ready);
        self.machine
            .wait_for("the last callback", PATIENCE, || Ok(last_is_ready()))
            .unwrap();
        let written = self.log();
        assert_eq!(told(), written, "every event is told once and in order");
        nothing_is_doubled_or_lost(&written);
    }

    fn await_kubectl(&self, what: &str, words: &[&str], is_it: impl Fn(&str) -> bool) {
        let (lab, kubernetes) = (&self.scenario.lab, &self.scenario.kubernetes);
        let mut answer = String::new();
        let awaited = self.machine.wait_for(what, PATIENCE, || {
            answer = self.cluster.kubectl(lab, kubernetes, words)?;
            Ok(is_it(&answer))
        });
        assert!(awaited.is_ok(), "{what}: {answer}\n{awaited:?}");
    }

    fn log(&self) -> Vec<Event> {
        events(&self.machine)
    }

    /// Waits for the moment among the events after those seen and gives its event's place in the log;
    /// `None` when the installation is past it for good.
    fn wait(&self, moment: Moment, seen: usize) -> Option<usize> {
        let (kind, stage) = (moment.kind(), moment.stage());
        let is_it = |event: &&Event| is(event, kind, stage);
        let (begun, mut start) = (Instant::now(), Instant::now());
        loop {
            let events = self.log();
            let new = events.iter().skip(seen).position(|event| is_it(&event));
            // An attempt that has begun before is as good for a moment inside it.
            let last = events
                .iter()
                .rposition(|event| event.kind != Kind::Progress);
            let inside = !matches!(moment, Moment::At(..));
            let runs = last.filter(|place| inside && is_it(&&events[*place]));
            if let Some(place) = new.map(|place| seen + place).or(runs) {
                return self.wait_inside(moment, place).then_some(place);
            }
            // A gate is passed once, other stages come again with every boot.
            let passed = |event: &Event| {
                event.kind == Kind::Ready
                    || event.kind == Kind::StageDone
                        && event.stage == Some(Stage::Gate.into())
                        && stage == Stage::Gate
            };
            if events.iter().any(passed) {
                return None;
            }
            let beyond = events
                .iter()
                .skip(seen)
                .any(|event| event.stage.as_ref().and_then(Word::known) > Some(stage));
            if beyond && start.elapsed() > RESTART {
                self.strike(Blow::Power);
                start = Instant::now();
            }
            assert!(
                begun.elapsed() < PATIENCE,
                "waited for {moment:?}\n{}",
                self.journal()
            );
            std::thread::sleep(TICK);
        }
    }

    /// Waits for the moment after its stage began, which is at this place in the log; not if the stage is
    /// done by then.
    fn wait_inside(&self, moment: Moment, begun: usize) -> bool {
        let stage = moment.stage();
        let told = |events: &[Event], kind| {
            let mut events = events.iter().skip(begun);
            events
                .by_ref()
                .filter(|event| is(event, kind, stage))
                .count()
        };
        let start = Instant::now();
        loop {
            let events = self.log();
            let is_there = match moment {
                Moment::At(..) => true,
                Moment::Told(_, times) => told(&events, Kind::Progress) >= times,
                Moment::Written(_, file) => self.is_new(file),
                Moment::Logged(_, text) => self.has_logged(text),
                Moment::Into(_, more) => start.elapsed() >= more,
            };
            if is_there || told(&events, Kind::StageDone) > 0 {
                return is_there;
            }
            assert!(
                start.elapsed() < PATIENCE,
                "waited for {moment:?}\n{}",
                self.journal()
            );
            std::thread::sleep(TICK);
        }
    }

    fn is_new(&self, file: &str) -> bool {
        let written = self.machine.root().join(&file[1..]).symlink_metadata();
        let written = written.and_then(|metadata| metadata.modified());
        written.is_ok_and(|written| written > self.last_blow.get())
    }

    fn has_logged(&self, text: &str) -> bool {
        let since = self.last_blow.get().duration_since(SystemTime::UNIX_EPOCH);
        let since = format!("--since=@{}", since.unwrap_or_default().as_secs());
        let arguments = ["--unit=nkd-agent", "--boot=0", "--output=cat", &since];
        let log = self.machine.journal(&arguments);
        log.is_ok_and(|log| log.contains(text))
    }

    fn journal(&self) -> String {
        let arguments = ["--unit=nkd-agent", "--lines=40"];
        self.machine.journal(&arguments).unwrap_or_default()
    }

    fn strike(&self, blow: Blow) {
        self.last_blow.set(SystemTime::now());
        let unit = match blow {
            Blow::Worker => "nkd-agent",
            Blow::Reporter => "nkd-reporter",
            Blow::Power => {
                self.machine.cut_power().unwrap();
                self.machine.boot().unwrap();
                return;
            }
        };
        // It may be down already, from the blow before.
        let signal = ["--signal=SIGKILL", "--kill-who=main"];
        let kill = ["systemctl", "kill"].into_iter().chain(signal);
        let _ = self.machine.run(kill.chain([unit])).unwrap();
    }
}

/// Of each pod whether its containers are ready.
const CONTAINERS: &str = "custom-columns=READY:.status.containerStatuses[*].ready";

fn has_happened(events: &[Event], kind: Kind) -> bool {
    events.iter().any(|event| event.kind == kind)
}

fn nothing_is_doubled_or_lost(events: &[Event]) {
    let sequences: Vec<_> = events.iter().map(|event| event.sequence).collect();
    assert_eq!(sequences, (1..=events.len() as u64).collect::<Vec<_>>());
    assert!(!has_happened(events, Kind::Failed));
    let happened = |kind, stage: Option<Stage>| {
        let stage = stage.map(Word::from);
        let is_it = |event: &&Event| event.kind == kind && event.stage == stage;
        events.iter().filter(is_it).count()
    };
    for stage in Stage::ALL {
        let done = happened(Kind::StageDone, Some(stage));
        assert!(done >= 1, "{stage}");
        assert!(stage != Stage::Gate || done == 1, "{stage}: {done}");
    }
    assert_eq!(happened(Kind::Ready, None), 1);
}
