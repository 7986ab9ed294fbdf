//! The cost of many waiting nodes for the API server: compares the gate of nkd-agent with an earlier one,
//! which sends a request per second over new connections and joins at once.

use std::collections::BTreeMap;
use std::fs;
use std::io::BufRead;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use clap::{Parser, Subcommand, ValueEnum};
use nkd_agent::announcer::Announcer;
use nkd_agent::stages::{self, INSTALLATION, Node};
use nkd_agent::system::{self, Root};
use nkd_contract::{Plan, Stage, paths};
use serde::{Deserialize, Serialize};
use testbed::Machine;
use testbed::by_hand::median;
use testbed::cluster::Cluster;
use testbed::scenario::{Scenario, wait_until_ready};
use testbed::usage::Process;
use ureq::Agent;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

const PATIENCE: Duration = Duration::from_secs(300);
/// The nodes begin to wait within this time, and wait for this time before the measurement begins.
const SETTLE: Duration = Duration::from_secs(10);
/// A directory in memory, for event logs.
const MEMORY: &str = "/dev/shm";
const STACK: usize = 1 << 20;
/// How often the administrator repeats a request to a busy API server.
const TRIES: u32 = 12;

/// Boots the demo's control plane, lets simulated nodes wait for it in one process, opens the gate, and
/// compares both ways of waiting in one run.
#[derive(Debug, Parser)]
struct Options {
    #[command(subcommand)]
    command: Option<Command>,
    /// Number of nodes that wait.
    #[arg(long, default_value_t = 1000)]
    count: u64,
    /// Seconds of measurement while the nodes wait.
    #[arg(long, default_value_t = 20)]
    before: u64,
    /// Seconds of measurement after the gate has opened.
    #[arg(long, default_value_t = 60)]
    after: u64,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the nodes. The program starts itself with this command in the lab's network.
    #[command(hide = true)]
    Nodes {
        kind: GateKind,
        count: u64,
        seconds: u64,
        plan: PathBuf,
        token: String,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum GateKind {
    /// Simulated nodes that do what an earlier nkd-agent did: send a request without a token once per
    /// second, each over a new connection, and join at once.
    Old,
    /// nkd-agent's own stage `gate`, in a thread for each node.
    New,
}

fn main() -> Result<()> {
    let options = Options::parse();
    match &options.command {
        Some(Command::Nodes {
            kind,
            count,
            seconds,
            plan,
            token,
        }) => nodes(*kind, *count, Duration::from_secs(*seconds), plan, token),
        None => compare(&options),
    }
}

// ---- The nodes ----

/// The outcome of a node.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Joined {
    /// When it began to join, in milliseconds of Unix time.
    at: u64,
    /// How long the reads of its join took, in milliseconds.
    took: u64,
}

/// Runs the nodes for some time, and then prints the outcome of those that have joined.
fn nodes(kind: GateKind, count: u64, time: Duration, plan: &Path, token: &str) -> Result<()> {
    let plan = Plan::parse(&fs::read(plan)?)?;
    let directory = tempfile::tempdir_in(MEMORY)?;
    let (sender, joined) = mpsc::channel();
    for number in 0..count {
        let mut plan = plan.clone();
        plan.node = format!("w{number}");
        // As nkd compiles it for so many nodes.
        plan.join_spread = count / 20;
        let root = directory.path().join(&plan.node);
        fs::create_dir_all(root.join("etc/nkd"))?;
        fs::create_dir_all(root.join("var/lib/nkd"))?;
        fs::write(root.join(&paths::TOKEN[1..]), token)?;
        let (sender, token) = (sender.clone(), token.to_owned());
        let node = move || {
            // Machines don't begin within the same millisecond.
            thread::sleep(system::random(SETTLE / 5));
            match kind {
                GateKind::Old => old_gate(&plan),
                GateKind::New => gate(&plan, &Root::new(root)),
            }
            let (at, begun) = (SystemTime::now(), Instant::now());
            join(&plan, &token);
            // Nobody listens after the end.
            let _ = sender.send(Joined {
                at: at.duration_since(UNIX_EPOCH).map_or(0, millis),
                took: millis(begun.elapsed()),
            });
        };
        thread::Builder::new().stack_size(STACK).spawn(node)?;
    }
    thread::sleep(time);
    for joined in joined.try_iter() {
        println!("{}", serde_json::to_string(&joined)?);
    }
    drop(directory);
    // The threads of nodes that still wait end with the process.
    std::process::exit(0);
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// The agent's stage, attempt after attempt.
fn gate(plan: &Plan, root: &Root) {
    let Ok(mut announcer) = Announcer::open(root, "measured".into()) else {
        return;
    };
    for attempt in 1.. {
        let mut node = Node {
            root,
            plan,
            stages: INSTALLATION,
            stage: Stage::Gate,
            attempt,
            reached: Stage::Gate,
            left: None,
            advanced: false,
            announcer: &mut announcer,
        };
        if stages::run(&mut node).is_ok() {
            return;
        }
        let longest = INSTALLATION.longest_delay(Stage::Gate);
        thread::sleep(system::jittered(attempt, longest));
    }
}

const CLUSTER_INFO: &str = "/api/v1/namespaces/kube-public/configmaps/cluster-info";

fn old_gate(plan: &Plan) {
    loop {
        let agent = agent(plan);
        let answers = |path| {
            // Read, so that both questions of a look go over one connection, as they did.
            let answer = agent.get(url(plan, path)).call();
            answer.is_ok_and(|mut answer| answer.body_mut().read_to_string().is_ok())
        };
        if answers("/readyz") && answers(CLUSTER_INFO) {
            return;
        }
        drop(agent);
        thread::sleep(Duration::from_secs(1));
    }
}

/// The simulated reads of `kubeadm join` before it changes anything.
fn join(plan: &Plan, token: &str) {
    let agent = agent(plan);
    let version = plan.kubernetes_version.trim_start_matches('v');
    let minor = version.rsplit_once('.').map_or(version, |(minor, _)| minor);
    let system = "/api/v1/namespaces/kube-system/configmaps";
    for path in [
        CLUSTER_INFO.to_owned(),
        format!("{system}/kubeadm-config"),
        format!("{system}/kube-proxy"),
        format!("{system}/kubelet-config-{minor}"),
        format!("/api/v1/nodes/{}", plan.node),
    ] {
        let request = agent.get(url(plan, &path));
        let request = request.config().http_status_as_error(false).build();
        let answer = request
            .header("authorization", format!("Bearer {token}"))
            .call();
        // Read, so that the connection is used again.
        let _ = answer.map(|mut answer| answer.body_mut().read_to_string());
    }
}

fn url(plan: &Plan, path: &str) -> String {
    format!("https://{}{path}", plan.endpoint)
}

fn agent(plan: &Plan) -> Agent {
    let authority = Certificate::from_pem(plan.certificate_authority.as_bytes());
    let roots: Vec<_> = authority.into_iter().collect();
    let tls = TlsConfig::builder().root_certs(RootCerts::from(roots));
    let config = Agent::config_builder()
        .tls_config(tls.build())
        .timeout_global(Some(Duration::from_secs(10)));
    config.build().new_agent()
}

// ---- The measurement ----

/// Counters at a moment.
#[derive(Debug, Clone, Copy)]
struct Sample {
    at: Instant,
    /// Processor time of the API server.
    processor: Duration,
    /// Requests that it has authenticated or refused.
    requests: f64,
    /// Connections to it from outside of the machine, each with a TLS handshake.
    connections: f64,
}

/// The same for each second.
#[derive(Debug, Clone, Copy)]
struct Rates {
    processor: f64,
    requests: f64,
    connections: f64,
}

impl Rates {
    fn between(from: Sample, to: Sample) -> Self {
        let seconds = to.at.duration_since(from.at).as_secs_f64();
        let processor = to.processor.saturating_sub(from.processor);
        Self {
            processor: processor.as_secs_f64() / seconds,
            requests: (to.requests - from.requests) / seconds,
            connections: (to.connections - from.connections) / seconds,
        }
    }

    fn print(self, what: &str) {
        println!(
            "{what}: {:.0} requests/s, {:.0} TLS handshakes/s, API server {:.2} processors",
            self.requests, self.connections, self.processor
        );
    }
}

/// A control plane whose gate can be closed.
struct GateBench {
    scenario: Scenario,
    cluster: Cluster,
    control_plane: Machine,
    plan: PathBuf,
    token: String,
    /// The objects for which the gates wait, as manifests.
    gate: PathBuf,
}

fn compare(options: &Options) -> Result<()> {
    let bench = GateBench::boot()?;
    let idle = bench.sample()?;
    thread::sleep(SETTLE);
    Rates::between(idle, bench.sample()?).print("no node waits");
    let old = bench.measure(GateKind::Old, options)?;
    let new = bench.measure(GateKind::New, options)?;
    for (when, old, new) in [("before", old.0, new.0), ("after", old.1, new.1)] {
        println!(
            "{when}, old:new: requests {:.1}, TLS handshakes {:.1}, API server's time {:.1}",
            old.requests / new.requests,
            old.connections / new.connections,
            old.processor / new.processor
        );
    }
    Ok(())
}

impl GateBench {
    fn boot() -> Result<Self> {
        let scenario = Scenario::new()?;
        let cluster = scenario.compile()?;
        let control_plane = scenario.machine(&cluster, "cp1")?;
        let worker = scenario.machine(&cluster, "w1")?;
        let plan = worker.root().join(&paths::PLAN[1..]);
        let token = worker.read(paths::TOKEN)?.trim().to_owned();
        control_plane.boot()?;
        wait_until_ready(&control_plane, PATIENCE)?;
        let gate = scenario.lab.scratch("gate")?.join("gate.json");
        // The plan is on a disk that goes with its machine.
        let kept = gate.with_file_name("plan.json");
        fs::copy(plan, &kept)?;
        let bench = Self {
            scenario,
            cluster,
            control_plane,
            plan: kept,
            token,
            gate,
        };
        let mut items = Vec::new();
        for words in bench.made_of() {
            let get = ["get", "-o", "json"].map(str::to_owned);
            let get = [&get[..], &words].concat();
            let mut item: serde_json::Value = serde_json::from_str(&bench.kubectl(&get)?)?;
            if let Some(metadata) = item["metadata"].as_object_mut() {
                metadata.retain(|field, _| matches!(&**field, "name" | "namespace"));
            }
            items.push(item);
        }
        let list = serde_json::json!({ "apiVersion": "v1", "kind": "List", "items": items });
        fs::write(&bench.gate, list.to_string())?;
        Ok(bench)
    }

    /// The objects for which the old and the new gate wait, as arguments for kubectl.
    fn made_of(&self) -> [[String; 4]; 2] {
        let id = self.token.split('.').next().unwrap_or_default();
        let token = format!("bootstrap-token-{id}");
        let binding = "kubeadm:bootstrap-signer-clusterinfo";
        [
            ["-n", "kube-public", "rolebinding", binding],
            ["-n", "kube-system", "secret", &token],
        ]
        .map(|words| words.map(str::to_owned))
    }

    /// Repeats a request if a busy API server is too slow.
    fn kubectl<W: AsRef<str>>(&self, words: &[W]) -> Result<String> {
        let words: Vec<_> = words.iter().map(AsRef::as_ref).collect();
        let Self {
            scenario, cluster, ..
        } = self;
        let ask = || cluster.kubectl(&scenario.lab, &scenario.kubernetes, &words);
        (1..TRIES)
            .find_map(|_| ask().ok())
            .map_or_else(ask, anyhow::Ok)
    }

    fn sample(&self) -> Result<Sample> {
        let server = self.control_plane.process("kube-apiserver");
        let usage = server.and_then(Process::usage);
        let metrics = self.kubectl(&["get", "--raw", "/metrics"])?;
        let requests = metrics
            .lines()
            .filter(|line| line.starts_with("authentication_attempts{"))
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
        Ok(Sample {
            at: Instant::now(),
            processor: usage.context("the API server doesn't run")?.processor,
            requests: requests.sum(),
            connections: self.connections()?,
        })
    }

    /// TCP's active opens in the lab's network (RFC 1213, `tcpActiveOpens`).
    fn connections(&self) -> Result<f64> {
        let lab = &self.scenario.lab;
        let output = lab.host_command("cat").arg("/proc/net/snmp").output()?;
        let text = String::from_utf8(output.stdout)?;
        let mut lines = text.lines().filter(|line| line.starts_with("Tcp:"));
        let (names, values) = (lines.next(), lines.next());
        let names = names.into_iter().flat_map(str::split_whitespace);
        let values = values.into_iter().flat_map(str::split_whitespace);
        let mut pairs = names.zip(values);
        let opens = pairs.find(|pair| pair.0 == "ActiveOpens");
        Ok(opens.context("no ActiveOpens")?.1.parse()?)
    }

    /// The rates while the nodes wait, and after the gate has opened.
    fn measure(&self, kind: GateKind, options: &Options) -> Result<(Rates, Rates)> {
        for words in self.made_of() {
            let delete = ["delete", "--ignore-not-found"].map(str::to_owned);
            self.kubectl(&[&delete[..], &words].concat())?;
        }
        let whole = SETTLE.as_secs() + options.before + options.after + 10;
        let nodes = self.start(kind, options.count, whole)?;
        thread::sleep(SETTLE);
        let begin = self.sample()?;
        thread::sleep(Duration::from_secs(options.before));
        let before = Rates::between(begin, self.sample()?);
        before.print(&format!("{kind:?}, before the gate opens"));
        let opened = SystemTime::now();
        self.kubectl(&["apply", "-f", &self.gate.to_string_lossy()])?;
        let begin = self.sample()?;
        thread::sleep(Duration::from_secs(options.after));
        let after = Rates::between(begin, self.sample()?);
        after.print(&format!("{kind:?}, after the gate has opened"));
        let output = nodes.wait_with_output()?;
        ensure!(output.status.success(), "the nodes: {}", output.status);
        let joined = output.stdout.lines().map(|line| {
            let joined: Joined = serde_json::from_str(&line?)?;
            anyhow::Ok(joined)
        });
        tell(
            &joined.collect::<Result<Vec<_>>>()?,
            opened.duration_since(UNIX_EPOCH).map_or(0, millis),
        );
        Ok((before, after))
    }

    fn start(&self, kind: GateKind, count: u64, seconds: u64) -> Result<Child> {
        let program = std::env::current_exe()?;
        let mut nodes = self.scenario.lab.host_command(&program.to_string_lossy());
        nodes.arg("nodes");
        nodes.arg(format!("{kind:?}").to_lowercase());
        nodes.args([count, seconds].map(|number| number.to_string()));
        nodes.arg(&self.plan).arg(&self.token);
        Ok(nodes.stdout(Stdio::piped()).spawn()?)
    }
}

/// Prints how the joins came.
fn tell(joined: &[Joined], opened: u64) {
    let mut seconds: BTreeMap<u64, u64> = BTreeMap::new();
    for joined in joined {
        *seconds
            .entry(joined.at.saturating_sub(opened) / 1000)
            .or_default() += 1;
    }
    let busiest = seconds.values().max().copied().unwrap_or_default();
    let last = seconds.keys().max().copied().unwrap_or_default();
    let took: Vec<_> = joined.iter().map(|joined| joined.took).collect();
    let longest = took.iter().max().copied().unwrap_or_default();
    #[expect(clippy::cast_precision_loss, reason = "milliseconds of minutes")]
    let middle = median(took.into_iter().map(|took| took as f64).collect());
    println!(
        "  {} nodes have begun to join, {busiest} in the busiest second, the last after {last} s; \
         a join's reads take {middle:.0} ms, {longest} at most",
        joined.len()
    );
}
