//! The disk of a computer, with a boot partition (ESP) and a root file system, as mkosi makes it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};

use crate::cache::{Cache, Recipe};
use crate::kubernetes::Kubernetes;
use crate::programs::{Programs, workspace};
use crate::teardown::Scope;
use packages::command;

const FILE: &str = "disk.raw";
/// The partitions, in the order of `mkosi.repart`.
const BOOT: &str = "1";
const CONFIG: &str = "2";
const ROOT: &str = "3";
/// The size of an empty disk in bytes. Its file is sparse.
const SIZE: u64 = 8 << 30;
/// Where systemd-boot finds its entries.
const ENTRIES: &str = "::/loader/entries";

/// Where the definition has its profiles.
const PROFILES: &str = "mkosi/mkosi.profiles/";

/// What the initramfs has of the agent's tree.
const INITRAMFS_MODULES: &str = "systemd/usr/lib/dracut";

/// Puts the agent's tree into the root file system, and does what mkosi does for a tree that it is given.
const INSTALL: &str = r#"
set -eu
disk=$1 start=$2 root=$3 tree=$4
mount -o "loop,offset=$start" "$disk" "$root"
cp --recursive --no-dereference --preserve=mode,links "$tree/." "$root"
systemd-sysusers --root="$root"
journalctl --root="$root" --update-catalog
"$root/usr/bin/nkd-agent" check-image --root "$root" >&2
. "$root/etc/selinux/config"
mount -t proc proc "$root/proc"
chroot "$root" setfiles -F "/etc/selinux/$SELINUXTYPE/contexts/files/file_contexts" /etc /usr /var
umount "$root/proc" "$root"
"#;

/// Prints which files have another label than the policy defines for their paths.
const FIND_MISLABELLED: &str = r#"
set -eu
disk=$1 start=$2 root=$3
mount -o "ro,loop,offset=$start" "$disk" "$root"
. "$root/etc/selinux/config"
mount -t proc proc "$root/proc"
chroot "$root" setfiles -n -v "/etc/selinux/$SELINUXTYPE/contexts/files/file_contexts" /etc /opt /usr /var
umount "$root/proc" "$root"
"#;

/// A disk with the image, from which computers get copies.
#[derive(Debug)]
pub struct DiskImage {
    directory: Arc<Scope>,
}

impl DiskImage {
    /// The image that the product is used with. The cache has it without the product, which changes more often.
    pub fn build(cache: &Cache, kubernetes: &Kubernetes, programs: &Programs) -> Result<Self> {
        Self::with_profiles(&[], cache, kubernetes, programs)
    }

    /// The same with some of the profiles in `mkosi/mkosi.profiles`.
    pub fn with_profiles(
        profiles: &[&str],
        cache: &Cache,
        kubernetes: &Kubernetes,
        programs: &Programs,
    ) -> Result<Self> {
        let entry = without_product(profiles, cache, kubernetes)?;
        let scope = Scope::new(cache)?;
        let disk = Disk::copy(&entry.join(FILE), scope.directory())?;
        disk.install(programs.agent_tree(), &scope.directory().join("mounted"))?;
        Ok(Self {
            directory: Arc::new(scope),
        })
    }

    pub(super) fn copy(&self, directory: &Path) -> Result<Disk> {
        Disk::copy(&self.file(), directory)
    }

    /// Writes the image as an installer fetches it, compressed, for another of Ignition's platforms.
    pub fn export(&self, platform: &str, to: &Path) -> Result<()> {
        let directory = tempfile::tempdir_in(self.directory.directory())?;
        let disk = self.copy(directory.path())?;
        disk.replace_kernel_argument("ignition.platform.id", platform)?;
        let options = ["--quiet", "-1", "-o"].map(Path::new);
        command::run("zstd", options.into_iter().chain([to, &*disk.file])).map(drop)
    }

    pub(super) fn file(&self) -> PathBuf {
        self.directory.directory().join(FILE)
    }

    /// The disk itself, to be read.
    pub(super) fn disk(&self) -> Disk {
        Disk { file: self.file() }
    }
}

/// The cache's entry, which mkosi has built.
fn without_product(profiles: &[&str], cache: &Cache, kubernetes: &Kubernetes) -> Result<PathBuf> {
    let mkosi = cache.entry(&Recipe {
        name: "mkosi",
        script: include_str!("../../recipes/mkosi.sh"),
        ..Recipe::default()
    })?;
    let definition = definition(profiles)?;
    let list = profiles.join(",");
    let variables: &[_] = match profiles {
        [] => &[],
        _ => &[("PROFILES", &*list)],
    };
    let mut files: Vec<_> = definition
        .iter()
        .map(|(path, text)| (&**path, &**text))
        .collect();
    files.push(("crictl", include_str!("../../recipes/standins/crictl")));
    cache.entry(&Recipe {
        name: "computer",
        script: include_str!("../../recipes/computer.sh"),
        inputs: &[
            ("MKOSI", &mkosi.join("root")),
            ("BINARIES", kubernetes.directory()),
        ],
        variables,
        files: &files,
    })
}

/// The files from which mkosi builds the disk, by their paths in the workspace.
fn definition(profiles: &[&str]) -> Result<Vec<(String, String)>> {
    let list = command::check(
        Command::new("find")
            .args(["mkosi", INITRAMFS_MODULES, "-type", "f"])
            .args(["-not", "-name", "README.md"])
            .current_dir(workspace()),
    )?;
    let is_used = |path: &&str| match path.strip_prefix(PROFILES) {
        Some(rest) => profiles
            .iter()
            .any(|profile| rest.split('/').next() == Some(profile)),
        None => true,
    };
    let mut paths: Vec<_> = list.lines().filter(is_used).collect();
    paths.sort_unstable();
    let with_text = paths.into_iter().map(|path| {
        let text = fs::read_to_string(workspace().join(path))
            .with_context(|| format!("can't read {path}"))?;
        Ok((path.to_owned(), text))
    });
    with_text.collect()
}

/// A computer's disk, to be used while the computer is off.
#[derive(Debug)]
pub(super) struct Disk {
    file: PathBuf,
}

impl Disk {
    /// A disk on which nothing is written.
    pub(super) fn empty(directory: &Path) -> Result<Self> {
        let file = directory.join(FILE);
        fs::File::create(&file)?.set_len(SIZE)?;
        Ok(Self { file })
    }

    fn copy(from: &Path, directory: &Path) -> Result<Self> {
        let file = directory.join(FILE);
        let options = ["--reflink=auto", "--sparse=always"].map(Path::new);
        command::run("cp", options.into_iter().chain([from, &*file]))?;
        Ok(Self { file })
    }

    /// QEMU's drive `disk`, with the path of the computer's directory. A test that cuts the power must not
    /// use it: what the guest has flushed is in the host's memory only.
    pub(super) fn drive(directory: &str) -> String {
        format!("if=none,id=disk,format=raw,cache=unsafe,file={directory}/{FILE}")
    }

    fn install(&self, tree: &Path, mount_point: &Path) -> Result<()> {
        fs::create_dir_all(mount_point)?;
        self.run(INSTALL, &[mount_point, tree]).map(drop)
    }

    /// The files with another SELinux type than the policy of the image defines, as setfiles prints them.
    pub(super) fn find_mislabelled(&self, mount_point: &Path) -> Result<String> {
        fs::create_dir_all(mount_point)?;
        self.run(FIND_MISLABELLED, &[mount_point])
    }

    /// Copies a directory of the root file system into another.
    pub(super) fn copy_directory(&self, path: &str, into: &Path) -> Result<()> {
        let start = self.start_of(ROOT)?;
        let request = format!("rdump {path} {}", into.display());
        let disk = format!("{}?offset={start}", self.file.display());
        command::run("debugfs", ["-R", &request, &disk]).map(drop)
    }

    /// Reads a file of the root file system.
    pub(super) fn read(&self, path: &str) -> Result<String> {
        let start = self.start_of(ROOT)?;
        let output = command::output(
            Command::new("debugfs")
                .args(["-R", &format!("cat {path}")])
                .arg(format!("{}?offset={start}", self.file.display())),
        )?;
        let messages = String::from_utf8_lossy(&output.stderr);
        // The first line is the program's version.
        ensure!(
            output.status.success() && messages.lines().count() <= 1,
            "can't read {path}: {messages}"
        );
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// The kernel arguments of the boot entry.
    pub(super) fn kernel_arguments(&self) -> Result<String> {
        let entry = self.boot_entry()?;
        let mut lines = entry.lines();
        let arguments = lines.find_map(|line| line.strip_prefix("options "));
        Ok(arguments.context("an entry without options")?.to_owned())
    }

    pub(super) fn add_kernel_arguments(&self, more: &str) -> Result<()> {
        let arguments = self.kernel_arguments()?;
        self.set_kernel_arguments(&format!("{arguments} {more}"))
    }

    /// Gives a kernel argument another value.
    pub(super) fn replace_kernel_argument(&self, name: &str, value: &str) -> Result<()> {
        let arguments = self.kernel_arguments()?;
        let replaced: Vec<_> = arguments
            .split(' ')
            .map(|argument| match argument.split_once('=') {
                Some((found, _)) if found == name => format!("{name}={value}"),
                _ => argument.to_owned(),
            })
            .collect();
        self.set_kernel_arguments(&replaced.join(" "))
    }

    fn set_kernel_arguments(&self, arguments: &str) -> Result<()> {
        let entry = self.boot_entry()?;
        let lines = entry.lines().map(|line| match line.split_once(' ') {
            Some(("options", _)) => format!("options {arguments}\n"),
            _ => format!("{line}\n"),
        });
        let file = self.file.with_extension("conf");
        fs::write(&file, lines.collect::<String>())?;
        let (partition, path) = (self.boot_partition()?, self.entry_path()?);
        let file = file.to_string_lossy();
        command::run("mcopy", ["-o", "-i", &partition, &file, &path]).map(drop)
    }

    /// Puts a config on the partition for configs, as an installer does.
    pub(super) fn insert(&self, config: &Path) -> Result<()> {
        let file = format!("{}?offset={}", self.file.display(), self.start_of(CONFIG)?);
        // These fail where there is nothing yet.
        for step in ["mkdir ignition", "rm ignition/config.ign"] {
            command::run("debugfs", ["-w", "-R", step, &file])?;
        }
        let write = format!("write {} ignition/config.ign", config.display());
        command::run("debugfs", ["-w", "-R", &write, &file]).map(drop)
    }

    /// Copies the files that a line of the boot entry names, such as `initrd`, into one.
    pub(super) fn copy_boot_files(&self, key: &str, target: &Path) -> Result<()> {
        let (partition, entry) = (self.boot_partition()?, self.boot_entry()?);
        let target = fs::File::create(target)?;
        for path in entry.lines().filter_map(|line| line.strip_prefix(key)) {
            let mut copy = Command::new("mtype");
            copy.args(["-i", &partition, &format!("::{}", path.trim())]);
            let status = copy.stdout(target.try_clone()?).status()?;
            ensure!(status.success(), "can't copy {path}");
        }
        Ok(())
    }

    /// Runs a shell script with the disk, the place of the root file system there, and more arguments, in a
    /// mount namespace of its own. Gives what the script prints.
    pub(super) fn run(&self, script: &str, arguments: &[&Path]) -> Result<String> {
        command::check(
            Command::new("unshare")
                .args(["--mount", "--propagation=private"])
                .args(["sh", "-c", script, "sh"])
                .arg(&self.file)
                .arg(self.start_of(ROOT)?.to_string())
                .args(arguments),
        )
    }

    fn boot_entry(&self) -> Result<String> {
        let (partition, path) = (self.boot_partition()?, self.entry_path()?);
        command::run("mtype", ["-i", &partition, &path])
    }

    /// The only entry: the image has one kernel.
    fn entry_path(&self) -> Result<String> {
        let list = command::run("mdir", ["-b", "-i", &self.boot_partition()?, ENTRIES])?;
        let mut paths = list.lines();
        let path = paths.next().context("the disk has no boot entry")?;
        ensure!(paths.next().is_none(), "more than one boot entry: {list}");
        Ok(path.to_owned())
    }

    /// The partition, as the mtools name it.
    fn boot_partition(&self) -> Result<String> {
        Ok(format!("{}@@{}", self.file.display(), self.start_of(BOOT)?))
    }

    /// Where a partition begins, in bytes.
    fn start_of(&self, partition: &str) -> Result<u64> {
        let columns = [
            "--show",
            "--noheadings",
            "--output=START",
            "--nr",
            partition,
        ];
        let file = self.file.as_os_str();
        let start = command::run(
            "partx",
            columns.map(AsRef::as_ref).into_iter().chain([file]),
        )?;
        let sectors: u64 = start.trim().parse().context("no such partition")?;
        Ok(sectors * 512)
    }
}
