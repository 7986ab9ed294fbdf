//! A machine of files: a temporary root whose programs are shell scripts.

#![allow(clippy::unwrap_used, dead_code)]

#[path = "../common/agent.rs"]
mod agent;
pub mod images;
pub mod server;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::sleep;
use std::time::Duration;

use nkd_contract::{
    Cause, Class, Event, Image, ImageSource, Images, Kind, Plan, Role, Runtime, Stage,
};
use nkd_contract::{Timestamp, paths};
use tempfile::TempDir;

/// How a worker ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The node is Ready.
    Ready,
    /// Only a person can help.
    Stopped,
    /// A stage's budget was used up; the worker would have tried it again after a pause.
    Exhausted,
    /// It ended in another way, with this status unless it was killed.
    Other(Option<i32>),
}

impl End {
    /// How a worker ends that fails for a cause again and again.
    pub fn of(cause: Cause) -> Self {
        match cause.class() {
            Class::Transient => Self::Exhausted,
            Class::Permanent => Self::Stopped,
        }
    }
}

/// What systemd says of a unit: what a test has written to `/units/UNIT`, else that the unit starts the
/// program of its own name.
const SHOW: &str = r#"if [ "$1" = show ]; then
    for unit; do :; done
    [ ! -e $ROOT/units/$unit ] || exec cat $ROOT/units/$unit
    program=/usr/bin/${unit%.service}
    echo LoadState=loaded
    echo "ExecStart={ path=$program ; argv[]=$program --flag ; ignore_errors=no ; status=0/0 }"
    exit
fi"#;

/// What a program of Kubernetes answers when it is asked for its version: what a test has written to
/// `/versions/NAME`, else nothing. The question isn't one of its calls.
const VERSION: &str = r#"case "$*" in version*|--version)
    [ ! -e $ROOT/versions/${0##*/} ] || exec cat $ROOT/versions/${0##*/}
    exit
esac"#;

/// A machine of files.
pub struct Machine {
    pub root: TempDir,
    /// containerd's socket, listening for as long as the machine is.
    _socket: UnixListener,
}

impl Machine {
    /// A machine on which everything works, up to the API that nobody serves.
    pub fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let socket = root.path().join("run/containerd/containerd.sock");
        fs::create_dir_all(socket.parent().unwrap()).unwrap();
        let machine = Self {
            _socket: UnixListener::bind(socket).unwrap(),
            root,
        };
        let hostname = nix::unistd::gethostname().unwrap();
        machine.write("/proc/sys/kernel/hostname", hostname.to_str().unwrap());
        machine.write("/proc/sys/net/ipv4/ip_forward", "0\n");
        machine.write("/proc/sys/net/bridge/bridge-nf-call-iptables", "1\n");
        machine.write("/proc/sys/net/bridge/bridge-nf-call-ip6tables", "1\n");
        machine.program("timedatectl", "echo NTP=yes; echo NTPSynchronized=yes");
        machine.write("/proc/filesystems", "nodev\tproc\nnodev\toverlay\n");
        let runtimes = ["containerd", "crio", "isulad", "cri-docker"];
        let programs = ["systemctl", "kubelet", "kubeadm", "kubectl"];
        for program in programs.into_iter().chain(runtimes) {
            machine.program(program, "exit 0");
        }
        machine.program("ctr", r#"case "$*" in *images\ list*) cat "$STORE";; *import*) for last; do :; done; sed 's/$/ manifest sha256:0/' "$last" >> "$STORE";; esac"#);
        machine.write("/store", "");
        machine.write("/images/a.tar", "example.org/a:1\n");
        machine.write("/images/b.tar", "example.org/b:1\n");
        machine.write("/etc/nkd/pki/ca.key", "the delivered key");
        let key = machine.path("/etc/nkd/pki/ca.key");
        fs::set_permissions(key, fs::Permissions::from_mode(0o600)).unwrap();
        machine
    }

    pub fn path(&self, absolute: &str) -> PathBuf {
        self.root.path().join(absolute.trim_start_matches('/'))
    }

    /// A runtime's socket, listening for as long as it is kept.
    pub fn listen(&self, socket: &str) -> UnixListener {
        let path = self.path(socket);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        UnixListener::bind(path).unwrap()
    }

    pub fn write(&self, absolute: &str, text: &str) {
        let path = self.path(absolute);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub fn read(&self, absolute: &str) -> String {
        fs::read_to_string(self.path(absolute)).unwrap_or_default()
    }

    /// A program that says in `/calls` how it was called and then does as the script says. `systemctl show`
    /// answers whatever the script says.
    pub fn program(&self, name: &str, script: &str) {
        let path = format!("/usr/bin/{name}");
        let root = self.root.path().display();
        let show = if name == "systemctl" { SHOW } else { "" };
        let is_asked = ["kubeadm", "kubelet"].contains(&name);
        let version = if is_asked { VERSION } else { "" };
        let text = format!(
            "#!/bin/sh\nROOT={root} STORE={root}/store PATH=/usr/bin:/bin\n{version}\n\
             echo \"{name} $*\" >> {root}/calls\n{show}\n{script}\n"
        );
        self.write(&path, &text);
        fs::set_permissions(self.path(&path), fs::Permissions::from_mode(0o755)).unwrap();
    }

    pub fn plan(&self, change: impl FnOnce(&mut Plan)) {
        let mut plan = Plan {
            schema: nkd_contract::SCHEMA,
            requires: Vec::new(),
            cluster: "demo".into(),
            node: nix::unistd::gethostname().unwrap().into_string().unwrap(),
            pool: None,
            patches_argument: None,
            role: Role::Init,
            clock_floor: Timestamp::from_unix(1_700_000_000),
            kubernetes_version: "v1.20.2".into(),
            runtime: Runtime::Containerd,
            endpoint: "127.0.0.1:1".into(),
            control_planes_before: Vec::new(),
            control_planes_after: Vec::new(),
            runs_etcd: false,
            kubeadm: None,
            certificate_authority: String::new(),
            machine: nkd_contract::Machine::default(),
            os_image: None,
            images: Images {
                source: ImageSource::Directory("/images".into()),
                required: vec![Image {
                    name: "example.org/b:1".into(),
                    digest: None,
                }],
            },
            addons: Vec::new(),
            join_spread: 0,
            // Nobody serves the API here, so the last stage fails, and does so at once.
            budgets: [(Stage::Ready, 0)].into(),
        };
        change(&mut plan);
        self.write(paths::PLAN, &serde_json::to_string(&plan).unwrap());
    }

    /// Runs the worker to its end, or until a stage's budget is used up.
    pub fn install(&self) -> End {
        self.end(&mut self.command())
    }

    /// Runs a worker like [`Self::install`].
    pub fn end(&self, worker: &mut Command) -> End {
        let before = self.events().len();
        self.end_of(worker.spawn().unwrap(), before)
    }

    /// How a worker ends that began after so many events.
    pub fn end_of(&self, worker: Child, before: usize) -> End {
        let exhausted = |event: &Event| event.kind == Kind::Failed && event.retry_after.is_some();
        self.end_at(worker, before, exhausted)
    }

    /// Runs the worker until an attempt fails, and not the one after that.
    pub fn attempt(&self) -> End {
        let before = self.events().len();
        let worker = self.command().spawn().unwrap();
        self.end_at(worker, before, |event| event.retry_after.is_some())
    }

    /// How a worker ends that is killed at an event after so many.
    fn end_at(&self, mut worker: Child, before: usize, is_it: impl Fn(&Event) -> bool) -> End {
        loop {
            if let Some(status) = worker.try_wait().unwrap() {
                return match status.code() {
                    Some(0) => End::Ready,
                    Some(4) => End::Stopped,
                    other => End::Other(other),
                };
            }
            if self.events().iter().skip(before).any(&is_it) {
                worker.kill().unwrap();
                worker.wait().unwrap();
                return End::Exhausted;
            }
            sleep(Duration::from_millis(10));
        }
    }

    /// The worker.
    pub fn command(&self) -> Command {
        self.agent("install")
    }

    /// The agent, with a command of its own.
    pub fn agent(&self, subcommand: &str) -> Command {
        let mut command = agent::agent();
        command.arg("--root").arg(self.root.path()).arg(subcommand);
        command
    }

    pub fn events(&self) -> Vec<Event> {
        let log = self.read(paths::EVENTS);
        // The last line may be on its way.
        log.split_inclusive('\n')
            .filter(|line| line.ends_with('\n'))
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// How the installation or its last attempt failed.
    pub fn failure(&self) -> (Option<Stage>, Cause, String) {
        let event = self.events().pop().unwrap();
        assert!(event.kind == Kind::Failed || event.kind == Kind::AttemptFailed);
        let stage = event.stage.map(|stage| stage.known().unwrap());
        (stage, event.cause.unwrap().known().unwrap(), event.message)
    }

    /// The node is all that it can be where nobody serves its API: the last attempt failed in `ready`, and
    /// what the stages before that are for is there.
    pub fn lacks_only_its_api(&self) {
        let (stage, cause, message) = self.failure();
        assert_eq!(stage, Some(Stage::Ready), "{cause} {message}");
        let events = self.events();
        for stage in Stage::ALL
            .into_iter()
            .filter(|stage| *stage != Stage::Ready)
        {
            let done =
                |event: &Event| event.kind == Kind::StageDone && event.stage == Some(stage.into());
            assert!(events.iter().any(done), "{stage} isn't done");
        }
        let plan = Plan::parse(self.read(paths::PLAN).as_bytes()).unwrap();
        let member = self.read("/etc/kubernetes/nkd-member.crt");
        assert_eq!(member, plan.certificate_authority, "of a finished kubeadm");
        if plan.role != Role::Init {
            // Only the node that makes the cluster has the administrator's kubeconfig.
            assert_eq!(self.calls_of("kubectl"), Vec::<String>::new());
        }
        let enabled = self.calls_of("systemctl");
        let kubelet = "systemctl enable kubelet.service";
        assert!(enabled.iter().any(|call| call == kubelet), "{enabled:?}");
    }

    /// An installation cleans up after an earlier attempt and joins, and the node is all that it can be where
    /// nobody serves its API.
    pub fn resets_and_joins(&self) {
        self.install();
        self.lacks_only_its_api();
        let calls = self.calls_of("kubeadm");
        assert_eq!(calls.len(), 2, "{calls:?}");
        assert!(calls[0].starts_with("kubeadm reset"), "{calls:?}");
        assert!(calls[1].starts_with("kubeadm join"), "{calls:?}");
    }

    /// As if the machine had been switched off and on again: what was done on this boot was done on
    /// another one.
    pub fn reboot(&self) {
        static BOOTS: AtomicU32 = AtomicU32::new(1);
        let this = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
        let another = format!("boot {}", BOOTS.fetch_add(1, Ordering::Relaxed));
        let pivot = self.read(paths::PIVOT).replace(this.trim(), &another);
        if !pivot.is_empty() {
            self.write(paths::PIVOT, &pivot);
        }
        let mut state: serde_json::Value = serde_json::from_str(&self.read(paths::STATE)).unwrap();
        state["boot"] = "another boot".into();
        self.write(paths::STATE, &state.to_string());
    }

    /// What was told of causes that didn't stop a stage.
    pub fn warnings(&self) -> Vec<(Cause, String)> {
        let events = self.events().into_iter();
        events
            .filter(|event| event.kind == Kind::Progress)
            .filter_map(|event| Some((event.cause?.known()?, event.message)))
            .collect()
    }

    pub fn calls(&self) -> Vec<String> {
        self.read("/calls").lines().map(str::to_owned).collect()
    }

    pub fn calls_of(&self, program: &str) -> Vec<String> {
        let mut calls = self.calls();
        calls.retain(|call| call.split(' ').next() == Some(program));
        calls
    }
}
