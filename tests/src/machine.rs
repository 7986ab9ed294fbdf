//! One machine: a disk with the image on it, and systemd as its first process.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::unistd::Pid;

use crate::disk::Stalled;
use crate::image::OsImage;
use crate::stick::Stick;
use crate::teardown::Scope;
use crate::{cgroup, disk, ignition};
use packages::command;

/// Puts itself into the machine's cgroups, hides the host's `/run/systemd` from nspawn so that
/// nothing is left there, lets go of the disks of all other machines of all labs, and becomes nspawn in
/// the lab's network. There the cable of a machine whose power was cut may still be: the kernel takes a dead
/// network namespace's away in its own time.
const START: &str = r#"
set -eu
groups=$1 network=$2 cable=$3 machine=$4
shift 4
for group in $groups; do echo $$ > "$group/cgroup.procs"; done
mkdir -p /run/systemd
mount -t tmpfs tmpfs /run/systemd
while read -r _ _ _ _ place _; do
    case $place in
        "$machine"/*) ;;
        "${machine%/*/*/*}"/*) umount --lazy "$place" 2>/dev/null || true ;;
    esac
done < /proc/self/mountinfo
nsenter --net="$network" ip link delete "$cable" 2>/dev/null || true
exec nsenter --net="$network" systemd-nspawn "$@"
"#;

/// What a real machine allows and nspawn would not.
const PRIVILEGES: &[&str] = &[
    "--capability=all",
    "--system-call-filter=@keyring bpf add_key keyctl request_key",
    "--bind=/dev/kmsg",
];

/// The units whose journal tells why a wait was in vain.
const TELLING: &[&str] = &["--unit=nkd-agent", "--unit=kubelet", "--unit=containerd"];

/// A machine in a lab. Dropping it pulls its plug.
#[derive(Debug)]
pub struct Machine {
    name: String,
    lab: Arc<Scope>,
    directory: PathBuf,
    running: Mutex<Option<Child>>,
    devices: Mutex<Vec<PathBuf>>,
    image: OsImage,
}

impl Machine {
    pub(crate) fn new(
        lab: &Arc<Scope>,
        image: &OsImage,
        name: &str,
        config: &Path,
    ) -> Result<Self> {
        ensure!(
            name.len() <= 12,
            "{name}: a machine's name has at most 12 characters"
        );
        let directory = lab.directory().join("machines").join(name);
        fs::create_dir_all(&directory)
            .with_context(|| format!("can't create {}", directory.display()))?;
        let machine = Self {
            name: name.to_owned(),
            lab: lab.clone(),
            directory,
            running: Mutex::new(None),
            devices: Mutex::default(),
            image: image.clone(),
        };
        disk::make(&machine.directory, image)?;
        let network = machine.network();
        ignition::apply(config, &machine.root(), &network, &machine.ignition_log())?;
        Ok(machine)
    }

    /// The machine's name. Its hostname is whatever its disk says.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The machine's root directory as the host sees it, running or not.
    pub fn root(&self) -> PathBuf {
        self.directory.join("root")
    }

    /// What Ignition said.
    pub fn ignition_log(&self) -> PathBuf {
        self.directory.join("ignition.log")
    }

    /// What the machine has written to its console, over all boots.
    pub fn console_log(&self) -> PathBuf {
        self.directory.join("console.log")
    }

    /// Gives the machine a port with a stick in it, from the next boot on.
    pub fn attach(&self, stick: &Stick) {
        self.devices().push(stick.device().to_owned());
    }

    fn devices(&self) -> MutexGuard<'_, Vec<PathBuf>> {
        self.devices.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Powers the machine on and waits until systemd answers.
    pub fn boot(&self) -> Result<()> {
        ensure!(!self.is_running(), "{} is already running", self.name);
        disk::sync(&self.directory)?;
        let child = self
            .start()
            .with_context(|| format!("can't start {}", self.name))?;
        *self.child() = Some(child);
        self.wait_for("systemd to answer", Duration::from_secs(60), || {
            let output = self.run(["systemctl", "is-system-running"])?;
            let state = String::from_utf8_lossy(&output.stdout);
            Ok(!matches!(state.trim(), "" | "offline" | "unknown"))
        })
    }

    fn start(&self) -> Result<Child> {
        let groups = cgroup::create(&self.lab.name(), &self.name)?;
        let groups: Vec<_> = groups.iter().map(|group| group.to_string_lossy()).collect();
        let console = File::options()
            .create(true)
            .append(true)
            .open(self.console_log())?;
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "--propagation=private", "sh", "-c", START, "sh"])
            .arg(groups.join(" "))
            .arg(self.network())
            .arg(self.cable())
            .arg(&self.directory)
            .args([
                "--quiet",
                "--boot",
                "--register=no",
                "--keep-unit",
                "--console=read-only",
            ])
            .args(["--link-journal=no", "--resolv-conf=off", "--timezone=off"])
            .args(["--hostname=localhost", "--network-bridge=br0"])
            .args(PRIVILEGES)
            .arg(format!("--machine={}", self.name))
            .arg(format!("--directory={}", self.root().display()));
        if Path::new("/lib/modules").exists() {
            command.arg("--bind-ro=/lib/modules");
        }
        for device in self.devices().iter() {
            command.arg(format!("--bind={}", device.display()));
        }
        command
            .stdin(Stdio::null())
            .stdout(console.try_clone()?)
            .stderr(console)
            .process_group(0);
        Ok(command.spawn()?)
    }

    /// Whether the machine is on.
    pub fn is_running(&self) -> bool {
        let mut child = self.child();
        let ended = child
            .as_mut()
            .is_none_or(|child| !matches!(child.try_wait(), Ok(None)));
        if ended {
            *child = None;
        }
        !ended
    }

    /// Runs a program on the machine, as root, and returns what it printed and its exit status.
    pub fn run<S: AsRef<OsStr>>(&self, words: impl IntoIterator<Item = S>) -> Result<Output> {
        command::output(self.command()?.args(words))
    }

    /// Runs a program on the machine that must succeed, and returns its standard output.
    pub fn check<S: AsRef<OsStr>>(&self, words: impl IntoIterator<Item = S>) -> Result<String> {
        command::check(self.command()?.args(words))
            .with_context(|| format!("on machine {}", self.name))
    }

    /// The start of a command line that runs the words after it on the machine.
    pub fn command(&self) -> Result<Command> {
        let leader = self.leader()?;
        let mut command = Command::new("nsenter");
        command
            .args([
                "--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--root", "--wd",
            ])
            .args(["--target", &leader.to_string(), "env"])
            .env_clear()
            .env(
                "PATH",
                "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            )
            .env("HOME", "/root")
            .env("LANG", "C.UTF-8")
            .env("SYSTEMD_PAGER", "cat");
        Ok(command)
    }

    /// The host's number of the machine's first process.
    pub fn leader(&self) -> Result<Pid> {
        ensure!(self.is_running(), "{} is not running", self.name);
        let processes = cgroup::processes(&self.group())?;
        processes
            .into_iter()
            .find(|pid| is_first_process(*pid))
            .with_context(|| format!("{} has no first process yet", self.name))
    }

    /// The machine's journal; of the disk when it is off.
    pub fn journal(&self, arguments: &[&str]) -> Result<String> {
        let arguments = [&["--no-pager", "--quiet"], arguments].concat();
        if self.is_running() {
            return self.check(std::iter::once("journalctl").chain(arguments));
        }
        let directory = self.root().join("var/log/journal");
        command::check(
            Command::new("journalctl")
                .arg("--directory")
                .arg(directory)
                .args(arguments),
        )
    }

    /// Asks every half second until the answer is yes. An error counts as "not yet". In vain when
    /// the time is up or the machine goes off; the error then shows the journal's end.
    pub fn wait_for(
        &self,
        what: &str,
        patience: Duration,
        mut happened: impl FnMut() -> Result<bool>,
    ) -> Result<()> {
        let start = Instant::now();
        loop {
            let answer = happened();
            if matches!(answer, Ok(true)) {
                return Ok(());
            }
            let (reason, last_words) = if !self.is_running() {
                ("it went off", self.last_of_console())
            } else if start.elapsed() > patience {
                ("the time is up", self.last_words())
            } else {
                std::thread::sleep(Duration::from_millis(500));
                continue;
            };
            let last = answer
                .err()
                .map(|error| format!("; {error:#}"))
                .unwrap_or_default();
            bail!(
                "{}: waited {} s for {what}: {reason}{last}\n{last_words}",
                self.name,
                start.elapsed().as_secs(),
            );
        }
    }

    /// Waits until the machine is off by itself, after a reboot or poweroff from inside.
    pub fn wait_until_off(&self, patience: Duration) -> Result<()> {
        let start = Instant::now();
        while self.is_running() {
            ensure!(
                start.elapsed() < patience,
                "{} doesn't power off",
                self.name
            );
            std::thread::sleep(Duration::from_millis(200));
        }
        cgroup::kill(&self.group())?;
        crate::teardown::retry(Duration::from_secs(5), || cgroup::remove(&self.group()))
    }

    /// Powers the machine off in an orderly way.
    pub fn power_off(&self) -> Result<()> {
        self.check(["systemctl", "poweroff", "--no-block"])?;
        self.wait_until_off(Duration::from_secs(120))
    }

    /// Takes the machine off the network, until it is plugged in again.
    pub fn unplug(&self) -> Result<()> {
        self.set_link("down")
    }

    /// Puts the machine back on the network.
    pub fn plug_in(&self) -> Result<()> {
        self.set_link("up")
    }

    /// The lab's network namespace.
    fn network(&self) -> PathBuf {
        Path::new("/run/netns").join(self.lab.name())
    }

    /// The bridge's end of the cable, as nspawn names it.
    fn cable(&self) -> String {
        format!("vb-{}", self.name)
    }

    fn set_link(&self, state: &str) -> Result<()> {
        let network = self.network();
        command::check(
            Command::new("nsenter")
                .arg(format!("--net={}", network.display()))
                .args(["ip", "link", "set", &self.cable(), state]),
        )
        .map(drop)
    }

    /// Cuts the power: all processes stop at once, and what was not synced to the disk is lost.
    pub fn cut_power(&self) -> Result<()> {
        // Frozen, no process sees that its disk is gone, and tells others.
        cgroup::freeze(&self.group())?;
        disk::cut(&self.directory)?;
        self.end()?;
        disk::detach(&self.directory)?;
        disk::attach(&self.directory, &self.image)
    }

    /// Lets the disk take nothing until the result is dropped.
    pub fn stall_disk(&self) -> Result<Stalled> {
        disk::stall(&self.directory)
    }

    /// Ends every process.
    fn end(&self) -> Result<()> {
        cgroup::kill(&self.group())?;
        self.wait_until_off(Duration::from_secs(20))
    }

    /// Reads a file of the machine's disk.
    pub fn read(&self, path: &str) -> Result<String> {
        let path = self.path(path);
        fs::read_to_string(&path).with_context(|| format!("can't read {}", path.display()))
    }

    /// Writes a file to the machine's disk, which must have its directory.
    pub fn write(&self, path: &str, text: &str) -> Result<()> {
        let path = self.path(path);
        fs::write(&path, text).with_context(|| format!("can't write {}", path.display()))
    }

    /// Copies a file of the host's into a directory of the machine's disk.
    pub fn add(&self, file: &Path, directory: &str) -> Result<()> {
        let directory = self.path(directory);
        let name = file.file_name().context("a file without a name")?;
        fs::create_dir_all(&directory)
            .and_then(|()| fs::copy(file, directory.join(name)))
            .with_context(|| format!("can't copy {}", file.display()))
            .map(drop)
    }

    /// Has containerd keep all it has on a file system of this size, as `mount` reads it; before the
    /// machine is booted.
    pub fn limit_containerd(&self, size: &str) -> Result<()> {
        let mount = format!("mount -t tmpfs -o size={size} tmpfs /var/lib/containerd");
        let drop_in = "/etc/systemd/system/containerd.service.d/small.conf";
        self.write(drop_in, &format!("[Service]\nExecStartPre={mount}\n"))
    }

    /// Removes a file from the machine's disk.
    pub fn remove(&self, path: &str) -> Result<()> {
        let path = self.path(path);
        fs::remove_file(&path).with_context(|| format!("can't remove {}", path.display()))
    }

    fn path(&self, path: &str) -> PathBuf {
        self.root().join(path.trim_start_matches('/'))
    }

    pub(crate) fn group(&self) -> String {
        format!("{}/{}", self.lab.name(), self.name)
    }

    fn child(&self) -> MutexGuard<'_, Option<Child>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The journal's end, else the console's.
    fn last_words(&self) -> String {
        let arguments = [TELLING, &["--lines=40", "--output=short-monotonic"]].concat();
        let journal = self.journal(&arguments).unwrap_or_default();
        if !journal.trim().is_empty() {
            return journal;
        }
        self.last_of_console()
    }

    fn last_of_console(&self) -> String {
        let console = fs::read(self.console_log()).unwrap_or_default();
        command::tail(&String::from_utf8_lossy(&console), 30)
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if let Err(error) = self.end().and_then(|()| disk::detach(&self.directory)) {
            eprintln!("testbed: {}: {error:#}", self.name);
        }
    }
}

/// Whether a process is number 1 of a namespace just below the host's.
fn is_first_process(pid: Pid) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
    let mut inner = numbers.unwrap_or_default().split_whitespace().skip(1);
    inner.next() == Some("1") && inner.next().is_none()
}
