//! A whole computer in QEMU: UEFI firmware, a disk with the image of the directory `mkosi`, and Ignition in the
//! initramfs. It is slower than a [`Machine`](crate::Machine), and replaces nothing that a real computer has.

mod carrier;
mod disk;
mod live;
mod metadata;
mod monitor;
pub mod outcome;

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use sha2::{Digest as _, Sha256};

use crate::cgroup;
use crate::emulator::Emulator;
use crate::stick::Stick;
use crate::teardown::Scope;
pub use carrier::Carrier;
use disk::Disk;
pub use disk::DiskImage;
pub use live::LiveImage;
use monitor::Monitor;
use packages::command;

/// Puts itself into the computer's cgroups, plugs the computer into the lab's bridge, and becomes QEMU in the
/// emulator's root directory. The mounts are in a mount namespace of its own.
const START: &str = r#"
set -eu
groups=$1 network=$2 tap=$3 root=$4 files=$5
shift 5
for group in $groups; do echo $$ > "$group/cgroup.procs"; done
mount --bind "$files" "$root/mnt"
mount --bind /dev "$root/dev"
ip() { nsenter --net="$network" ip "$@"; }
ip link delete "$tap" 2>/dev/null || true
ip tuntap add "$tap" mode tap
ip link set "$tap" master br0 up
exec nsenter --net="$network" chroot "$root" qemu-system-x86_64 "$@"
"#;

const FIRMWARE: &str =
    "if=pflash,unit=0,format=raw,readonly=on,file=/usr/share/OVMF/OVMF_CODE_4M.fd";
/// The firmware's own variables, as the emulator's packages have them and in the computer's directory.
const VARIABLES_TEMPLATE: &str = "usr/share/OVMF/OVMF_VARS_4M.fd";
const VARIABLES: &str = "variables.fd";
const CONSOLE: &str = "console.log";
const MONITOR: &str = "monitor.sock";

/// The hardware. QEMU translates every instruction, because no acceleration is assumed.
const HARDWARE: &[&str] = &[
    "-nodefaults",
    "-no-user-config",
    "-display",
    "none",
    "-machine",
    "q35",
    "-accel",
    "tcg,thread=multi",
    "-cpu",
    "max",
    "-smp",
    "2",
    "-m",
    "2560",
    "-device",
    "virtio-rng-pci",
];

/// A computer in a lab. Dropping it pulls its plug.
#[derive(Debug)]
pub struct Computer {
    name: String,
    lab: Arc<Scope>,
    emulator: PathBuf,
    directory: PathBuf,
    carrier: Carrier,
    disk: Option<Disk>,
    clock: Option<String>,
    sticks: Vec<PathBuf>,
    running: Mutex<Option<Child>>,
}

impl Computer {
    pub(crate) fn new(
        lab: &Arc<Scope>,
        emulator: &Emulator,
        image: &DiskImage,
        name: &str,
        carrier: Carrier,
    ) -> Result<Self> {
        let mut computer = Self::without_disk(lab, emulator, name, carrier)?;
        let disk = image.copy(&computer.directory)?;
        disk.replace_kernel_argument("ignition.platform.id", carrier.platform())?;
        computer.disk = Some(disk);
        Ok(computer)
    }

    /// A computer that boots from the network.
    pub(crate) fn without_disk(
        lab: &Arc<Scope>,
        emulator: &Emulator,
        name: &str,
        carrier: Carrier,
    ) -> Result<Self> {
        ensure!(
            name.len() <= 11,
            "{name}: a computer's name has at most 11 characters"
        );
        let directory = lab.directory().join("computers").join(name);
        fs::create_dir_all(&directory)
            .with_context(|| format!("can't create {}", directory.display()))?;
        let emulator = emulator.root().to_owned();
        fs::copy(emulator.join(VARIABLES_TEMPLATE), directory.join(VARIABLES))?;
        Ok(Self {
            name: name.to_owned(),
            lab: lab.clone(),
            emulator,
            directory,
            carrier,
            disk: None,
            clock: None,
            sticks: Vec::new(),
            running: Mutex::new(None),
        })
    }

    /// Gives the carrier a config, from the next boot on.
    pub fn insert(&self, config: &Path) -> Result<()> {
        if self.carrier == Carrier::BootPartition {
            return self.disk()?.insert(config);
        }
        self.carrier.insert(config, &self.directory)
    }

    /// Gives Azure's CD no custom data, from the next boot on.
    pub fn remove_custom_data(&self) -> Result<()> {
        metadata::insert_custom_data(None, &self.directory)
    }

    /// Plugs a stick in, from the next boot on. The computer has it as another virtio disk, because the image's
    /// kernel has no USB.
    pub fn attach(&mut self, stick: &Stick) {
        self.sticks.push(stick.device().to_owned());
    }

    /// Adds kernel arguments, from the next boot on.
    pub fn add_kernel_arguments(&self, arguments: &str) -> Result<()> {
        self.disk()?.add_kernel_arguments(arguments)
    }

    /// Sets the hardware's clock to a time in UTC, such as `2010-01-01T00:00:00`, from the next boot on.
    pub fn set_clock(&mut self, time: &str) {
        self.clock = Some(format!("base={time}"));
    }

    /// The kernel arguments of the next boot.
    pub fn kernel_arguments(&self) -> Result<String> {
        self.disk()?.kernel_arguments()
    }

    /// Powers the computer on.
    pub fn power_on(&self) -> Result<()> {
        ensure!(!self.is_running(), "{} is already running", self.name);
        let groups = cgroup::create(&self.lab.name(), &self.name)?;
        let groups: Vec<_> = groups.iter().map(|group| group.to_string_lossy()).collect();
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.directory.join("qemu.log"))?;
        let tap = format!("tap-{}", self.name);
        let child = Command::new("unshare")
            .args(["--mount", "--propagation=private", "sh", "-c", START, "sh"])
            .arg(groups.join(" "))
            .arg(Path::new("/run/netns").join(self.lab.name()))
            .arg(&tap)
            .args([&self.emulator, &self.directory])
            .args(HARDWARE)
            .args(["-drive", FIRMWARE, "-drive"])
            .arg(format!("if=pflash,unit=1,format=raw,file=/mnt/{VARIABLES}"))
            .args(self.drives())
            .arg("-netdev")
            .arg(format!(
                "tap,id=network,ifname={tap},script=no,downscript=no"
            ))
            // Without a place in the boot order, the firmware does not wait for PXE.
            .arg("-device")
            .arg(format!(
                "virtio-net-pci,netdev=network,mac={},romfile={}",
                mac(&self.name),
                if self.carrier == Carrier::Pxe {
                    ",bootindex=2"
                } else {
                    ""
                }
            ))
            .args([
                "-chardev",
                &format!("file,id=console,path=/mnt/{CONSOLE},append=on"),
            ])
            .args(["-serial", "chardev:console"])
            .arg("-qmp")
            .arg(format!("unix:/mnt/{MONITOR},server=on,wait=off"))
            .args(self.carrier.hardware("/mnt"))
            .args(self.clock.iter().flat_map(|time| ["-rtc", time]))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0)
            .spawn()?;
        *self.child() = Some(child);
        Ok(())
    }

    /// Whether the computer is on.
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

    /// Presses the power button, and waits until the operating system has shut down.
    pub fn power_off(&self) -> Result<()> {
        self.monitor()?.execute("system_powerdown")?;
        let start = Instant::now();
        while self.is_running() {
            ensure!(
                start.elapsed() < Duration::from_secs(120),
                "{} doesn't power off\n{}",
                self.name,
                self.last_of_console()
            );
            std::thread::sleep(Duration::from_millis(200));
        }
        Ok(())
    }

    /// Pulls the plug. What the system has written to its disk is still there.
    pub fn pull_plug(&self) -> Result<()> {
        if let Some(mut child) = self.child().take() {
            child.kill()?;
            child.wait()?;
        }
        Ok(())
    }

    /// What the firmware, the kernel and systemd have written to the serial console, over all boots.
    pub fn console(&self) -> String {
        let console = fs::read(self.directory.join(CONSOLE)).unwrap_or_default();
        String::from_utf8_lossy(&console).into_owned()
    }

    /// Reads a file of the disk while the computer is off.
    pub fn read(&self, path: &str) -> Result<String> {
        ensure!(!self.is_running(), "{} is running", self.name);
        self.disk()?.read(path)
    }

    /// The journal of all boots, as journalctl prints it, while the computer is off.
    pub fn journal(&self, options: &[&str]) -> Result<String> {
        ensure!(!self.is_running(), "{} is running", self.name);
        let directory = tempfile::tempdir()?;
        self.disk()?
            .copy_directory("/var/log/journal", directory.path())?;
        let mut journalctl = Command::new("journalctl");
        journalctl
            .arg("--quiet")
            .arg("--directory")
            .arg(directory.path().join("journal"))
            .args(options);
        command::check(&mut journalctl)
    }

    /// The files of the disk with another `SELinux` type than the policy defines for their paths, one in each
    /// line, while the computer is off.
    pub fn find_mislabelled(&self) -> Result<String> {
        ensure!(!self.is_running(), "{} is running", self.name);
        self.disk()?
            .find_mislabelled(&self.directory.join("mounted"))
    }

    /// Asks every half second until the answer is yes. In vain when the time is up or the computer goes off; the
    /// error then shows the console's end.
    pub fn wait_for(
        &self,
        what: &str,
        patience: Duration,
        mut happened: impl FnMut() -> bool,
    ) -> Result<()> {
        let start = Instant::now();
        while !happened() {
            let reason = match (self.is_running(), start.elapsed() > patience) {
                (false, _) => "it went off",
                (true, true) => "the time is up",
                (true, false) => {
                    std::thread::sleep(Duration::from_millis(500));
                    continue;
                }
            };
            bail!(
                "{}: waited {} s for {what}: {reason}\n{}",
                self.name,
                start.elapsed().as_secs(),
                self.last_of_console()
            );
        }
        Ok(())
    }

    /// Gives the computer a disk on which nothing is written.
    pub fn add_empty_disk(&mut self) -> Result<()> {
        self.disk = Some(Disk::empty(&self.directory)?);
        Ok(())
    }

    /// Whether the computer has a disk to boot from.
    pub fn has_disk(&self) -> bool {
        self.disk.is_some()
    }

    fn disk(&self) -> Result<&Disk> {
        let disk = self.disk.as_ref();
        disk.with_context(|| format!("{} has no disk", self.name))
    }

    /// QEMU's arguments for the disk, from which the firmware boots first, and for the sticks.
    fn drives(&self) -> Vec<String> {
        let disk = self.disk.iter().flat_map(|_| {
            let device = "virtio-blk-pci,drive=disk,bootindex=1".to_owned();
            [
                "-drive".to_owned(),
                Disk::drive("/mnt"),
                "-device".to_owned(),
                device,
            ]
        });
        let sticks = self.sticks.iter().flat_map(|device| {
            let drive = format!("if=virtio,format=raw,readonly=on,file={}", device.display());
            ["-drive".to_owned(), drive]
        });
        disk.chain(sticks).collect()
    }

    fn monitor(&self) -> Result<Monitor> {
        Monitor::connect(&self.directory.join(MONITOR))
    }

    fn child(&self) -> MutexGuard<'_, Option<Child>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn last_of_console(&self) -> String {
        let log = fs::read(self.directory.join("qemu.log")).unwrap_or_default();
        let text = self.console() + &String::from_utf8_lossy(&log);
        command::tail(&text, 40)
    }
}

/// The MAC address of the computer with a name.
pub fn mac(name: &str) -> String {
    let digest = Sha256::digest(name);
    // The first three bytes are those of QEMU.
    format!(
        "52:54:00:{:02x}:{:02x}:{:02x}",
        digest[0], digest[1], digest[2]
    )
}

impl Drop for Computer {
    fn drop(&mut self) {
        if let Err(error) = self.pull_plug() {
            eprintln!("testbed: {}: {error:#}", self.name);
        }
    }
}
