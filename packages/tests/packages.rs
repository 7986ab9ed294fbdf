//! The packages are made by the real programs for packing, and opened by the real programs for unpacking.
//! This machine's architecture stands for both; the long test makes all of them, twice.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{self, Command};
use std::sync::LazyLock;

use packages::command::{check, run};
use packages::tools::Tools;
use packages::{Architecture, Release, dist};
use sha2::{Digest as _, Sha256};

/// The result of `cargo dist --arch x86_64`, made once for all tests of a run. nextest runs each test in a
/// process of its own.
fn distribution() -> &'static Path {
    static DISTRIBUTION: LazyLock<PathBuf> = LazyLock::new(|| {
        let run = std::env::var("NEXTEST_RUN_ID").unwrap_or_else(|_| process::id().to_string());
        let runs = Path::new(env!("CARGO_TARGET_TMPDIR")).join("packages");
        let directory = runs.join(&run);
        fs::create_dir_all(&runs).unwrap();
        let lock = File::create(runs.with_extension("lock")).unwrap();
        lock.lock().unwrap();
        if !directory.exists() {
            fs::remove_dir_all(&runs).unwrap();
            let building = runs.join("building");
            make(&[Architecture::X86_64], &building);
            fs::rename(building, &directory).unwrap();
        }
        directory
    });
    &DISTRIBUTION
}

fn make(architectures: &[Architecture], directory: &Path) {
    let release = Release::with_changes().unwrap();
    // `cargo selftest` keeps tools there.
    let tools = std::env::var_os("NKD_TOOLS")
        .map_or_else(|| release.workspace().join("target/tools"), PathBuf::from);
    dist::all(architectures, &release, &Tools::at(&tools), directory).unwrap();
}

fn package(end: &str) -> PathBuf {
    let version = Release::VERSION;
    distribution().join(end.replace("VERSION", version))
}

type Contents = BTreeMap<PathBuf, (u32, String)>;

/// Fails with the paths that differ.
fn assert_same(found: &Contents, expected: &Contents) {
    let lacks = |other: &Contents, one: &Contents| -> Vec<_> {
        let other = |path: &&PathBuf| other.get(*path) != one.get(*path);
        one.keys().filter(other).cloned().collect()
    };
    assert_eq!(
        [lacks(found, expected), lacks(expected, found)],
        [Vec::<PathBuf>::new(), Vec::new()]
    );
}

/// The mode and the SHA-256, or the target, of every file and link below a directory.
fn contents(root: &Path) -> Contents {
    let mut found = BTreeMap::new();
    let mut directories = vec![root.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let metadata = path.symlink_metadata().unwrap();
            let what = if metadata.is_symlink() {
                path.read_link().unwrap().display().to_string()
            } else if metadata.is_dir() {
                directories.push(path.clone());
                continue;
            } else {
                base16ct::lower::encode_string(&Sha256::digest(fs::read(&path).unwrap()))
            };
            let below = path.strip_prefix(root).unwrap().to_owned();
            found.insert(below, (metadata.mode(), what));
        }
    }
    found
}

#[test]
fn the_five_packages_of_the_agent_have_the_same_bytes() {
    let directory = tempfile::tempdir().unwrap();
    let unpacked = |name: &str| {
        let path = directory.path().join(name);
        fs::create_dir(&path).unwrap();
        path
    };
    let tree = contents(&package("nkd-agent-VERSION-x86_64"));
    assert!(tree.contains_key(Path::new("usr/bin/nkd-agent")));
    assert!(tree.contains_key(Path::new("usr/lib/systemd/system/nkd-agent.service")));

    let archive = unpacked("archive");
    unpack(&package("nkd-agent-VERSION-x86_64.tar.zst"), &archive);
    assert_same(&contents(&archive), &tree);

    let rpm = unpacked("rpm");
    install(&package("nkd-agent-VERSION-1.x86_64.rpm"), &rpm);
    let mut installed = contents(&rpm);
    installed.retain(|path, _| !path.starts_with("var/lib/rpm"));
    assert_same(&installed, &tree);

    assert_overlay_has(&tree, &unpacked("nestos-assembler"));
    assert_extension_has(&tree, &directory.path().join("sysext"));
    // The fifth, a container layer, has a test of its own.
}

/// Unpacks an archive with the program that users have.
fn unpack(archive: &Path, target: &Path) {
    let mut tar = Command::new("tar");
    tar.args(["--zstd", "-xpf"])
        .arg(archive)
        .arg("-C")
        .arg(target);
    check(&mut tar).unwrap();
}

/// Fails unless the overlay for NestOS-Assembler has these files, and gives them their modes.
fn assert_overlay_has(tree: &Contents, directory: &Path) {
    let archive = package("nkd-agent-VERSION-x86_64.nestos-assembler.tar.zst");
    unpack(&archive, directory);
    let mut overlay = contents(&directory.join("overlay.d/40nkd"));
    overlay.remove(Path::new("statoverride")).unwrap();
    assert_same(&overlay, tree);
    let modes = fs::read_to_string(directory.join("overlay.d/40nkd/statoverride")).unwrap();
    let mut of_files = 0;
    for line in modes.lines().filter(|line| !line.starts_with('#')) {
        // As the assembler reads it: a decimal number, and a path.
        let (mode, path) = line.strip_prefix('=').unwrap().split_once(' ').unwrap();
        let mode: u32 = mode.parse().unwrap();
        assert_eq!(tree[Path::new(&path[1..])].0 & 0o7777, mode, "{line}");
        of_files += 1;
    }
    let is_file = |(mode, _): &&(u32, String)| mode & 0o170_000 == 0o100_000;
    assert_eq!(of_files, tree.values().filter(is_file).count());
    let manifest = fs::read_to_string(directory.join("manifests/nkd.yaml")).unwrap();
    let layer = "ostree-layers:\n  - overlay/40nkd\n";
    assert!(manifest.contains(layer), "{manifest}");
}

/// Fails unless the system extension has these files and its own, and nothing else.
fn assert_extension_has(tree: &Contents, directory: &Path) {
    let image = package("nkd-agent-VERSION-x86_64.sysext.raw");
    let mut unsquashfs = Command::new("unsquashfs");
    unsquashfs
        .args(["-quiet", "-no-progress", "-dest"])
        .arg(directory)
        .arg(&image);
    check(&mut unsquashfs).unwrap();
    let mut extension = contents(directory);
    let added: Vec<_> = extension
        .keys()
        .filter(|path| !tree.contains_key(*path))
        .map(|path| path.to_str().unwrap().to_owned())
        .collect();
    let expected = [
        "usr/lib/extension-release.d/extension-release.nkd",
        "usr/lib/systemd/system/multi-user.target.d/10-nkd.conf",
        "usr/lib/systemd/system/nkd.target",
    ];
    assert_eq!(added, expected);
    extension.retain(|path, _| tree.contains_key(path));
    assert_same(&extension, tree);
    let size = image.metadata().unwrap().len();
    let most = 14 * 1024 * 1024 / 10;
    assert!(size <= most, "{size} bytes are more than 1.4 MiB");
}

/// Installs an RPM into an empty root, as a compose does.
fn install(package: &Path, root: &Path) {
    let rpm = |arguments: &[&str]| {
        let mut rpm = Command::new("rpm");
        rpm.arg("--root")
            .arg(root)
            .args(["--dbpath", "/var/lib/rpm"]);
        check(rpm.args(arguments)).unwrap()
    };
    rpm(&["--initdb"]);
    rpm(&["--install", "--nosignature", package.to_str().unwrap()]);
    assert_eq!(rpm(&["--verify", "--all", "--nouser", "--nogroup"]), "");
}

/// Errors of rpmlint. The programs are static, so that one package fits every release of a distribution.
/// The others are tags that a distribution's own builders add.
const ACCEPTED: [&str; 5] = [
    "statically-linked-binary",
    "no-changelogname-tag",
    "no-group-tag",
    "no-packager-tag",
    "no-signature",
];

#[test]
fn the_rpms_need_nothing_run_nothing_and_own_nothing_that_a_compose_loses() {
    for name in ["nkd-agent-VERSION-1.x86_64.rpm", "nkd-VERSION-1.x86_64.rpm"] {
        let package = package(name);
        let query =
            |what: &str| run("rpm", [what.as_ref(), "-qp".as_ref(), package.as_os_str()]).unwrap();
        assert_eq!(query("--scripts"), "");
        assert_eq!(query("--triggers"), "");
        let requires = query("--requires");
        let needs: Vec<_> = requires
            .lines()
            .filter(|line| !line.starts_with("rpmlib("))
            .collect();
        assert_eq!(needs, [""; 0], "{name}");
        for line in query("-lv").lines() {
            let fields: Vec<_> = line.split_whitespace().collect();
            assert_eq!(fields[2..4], ["root", "root"], "{line}");
            assert!(fields[8].starts_with("/usr/"), "{line}");
        }
        let lint = Command::new("rpmlint").arg(&package).output().unwrap();
        let lint = String::from_utf8(lint.stdout).unwrap();
        let errors: Vec<_> = lint.lines().filter(|line| line.contains(" E: ")).collect();
        let allowed = |line: &&&str| ACCEPTED.iter().any(|name| line.contains(name));
        let refused: Vec<_> = errors.iter().filter(|line| !allowed(line)).collect();
        assert!(refused.is_empty(), "{lint}");
    }
}

#[test]
fn systemd_accepts_what_the_agents_package_installs() {
    let directory = tempfile::tempdir().unwrap();
    install(&package("nkd-agent-VERSION-1.x86_64.rpm"), directory.path());
    let root = format!("--root={}", directory.path().display());
    let etc = directory.path().join("etc");
    fs::create_dir_all(&etc).unwrap();
    run("systemd-sysusers", [root.as_str()]).unwrap();
    let users = fs::read_to_string(etc.join("passwd")).unwrap();
    assert!(
        users.lines().any(|line| line.starts_with("nkd-reporter:")),
        "{users}"
    );
    run("systemd-tmpfiles", [root.as_str(), "--create", "nkd.conf"]).unwrap();
    fs::create_dir_all(directory.path().join("var/lib/systemd/catalog")).unwrap();
    run("journalctl", [root.as_str(), "--update-catalog"]).unwrap();
    assert!(
        directory
            .path()
            .join("var/lib/systemd/catalog/database")
            .exists()
    );
}

#[test]
fn the_operators_packages_have_the_program_its_manuals_and_the_documentation() {
    let directory = tempfile::tempdir().unwrap();
    let tree = contents(&package("nkd-VERSION-x86_64"));
    for path in [
        "usr/bin/nkd",
        "usr/share/man/man1/nkd.1.gz",
        "usr/share/man/man1/nkd-compile.1.gz",
        "usr/share/bash-completion/completions/nkd",
        "usr/share/doc/nkd/docs/cluster-file.md",
        "usr/share/doc/nkd/examples/demo/cluster.yaml",
    ] {
        assert!(tree.contains_key(Path::new(path)), "{path}");
    }
    let deb = directory.path().join("deb");
    let package = package("nkd_VERSION-1_amd64.deb");
    run(
        "dpkg-deb",
        ["-x".as_ref(), package.as_os_str(), deb.as_os_str()],
    )
    .unwrap();
    assert_same(&contents(&deb), &tree);
    let rpm = directory.path().join("rpm");
    fs::create_dir(&rpm).unwrap();
    install(&self::package("nkd-VERSION-1.x86_64.rpm"), &rpm);
    let mut installed = contents(&rpm);
    installed.retain(|path, _| !path.starts_with("var/lib/rpm"));
    assert_same(&installed, &tree);
    // The C parts of the static program are built with headers of another libc: they sign, compress and decompress.
    let nkd = |arguments: &[&str]| {
        let program = deb.join("usr/bin/nkd");
        run(program.to_str().unwrap(), arguments).unwrap()
    };
    let version = format!("nkd {}\n", Release::VERSION);
    assert_eq!(nkd(&["--version"]), version);
    let example = deb.join("usr/share/doc/nkd/examples/demo/cluster.yaml");
    let out = directory.path().join("out");
    let [example, out] = [&example, &out].map(|path| path.to_str().unwrap());
    nkd(&["compile", example, "-o", out, "--target", "aws"]);
    assert!(nkd(&["explain", out, "cp1"]).contains("/etc/nkd/plan.json"));
    let image = self::package("nkd-agent-VERSION-x86_64.sysext.raw");
    let printed = nkd(&["extension", image.to_str().unwrap()]);
    assert!(printed.contains("architecture: x86-64"), "{printed}");
}

#[test]
fn every_program_is_static_and_names_its_dependencies() {
    for (program, dependency) in [("nkd-agent", "zbus"), ("nkd", "annotate-snippets")] {
        let tree = package(&format!("{program}-VERSION-x86_64"));
        let path = tree.join("usr/bin").join(program);
        let sections = run("readelf", ["--program-headers".as_ref(), path.as_os_str()]).unwrap();
        assert!(!sections.contains("INTERP"), "{program} is not static");
        let sbom = fs::read(package(&format!("{program}-VERSION-x86_64.cdx.json"))).unwrap();
        let sbom: serde_json::Value = serde_json::from_slice(&sbom).unwrap();
        assert_eq!(sbom["bomFormat"], "CycloneDX");
        let names = sbom["components"].as_array().unwrap();
        assert!(
            names
                .iter()
                .any(|component| component["name"] == dependency),
            "{program}"
        );
        // Nothing of the machine that built it, and not the date as C compilers write it.
        let bytes = fs::read(&path).unwrap();
        let date = run("env", ["LC_ALL=C", "date", "+%b %e %Y"])
            .unwrap()
            .trim()
            .to_owned();
        let home = std::env::var("HOME").unwrap() + "/.cargo";
        let workspace = Release::with_changes().unwrap().workspace().to_owned();
        for place in [home, workspace.to_str().unwrap().to_owned(), date] {
            let found = bytes
                .windows(place.len())
                .any(|part| part == place.as_bytes());
            assert!(!found, "{program} contains {place}");
        }
    }
}

#[test]
fn the_sums_are_those_of_all_files() {
    let mut sha256sum = Command::new("sha256sum");
    sha256sum.args(["--check", "--strict", "--quiet", "SHA256SUMS"]);
    check(sha256sum.current_dir(distribution())).unwrap();
    let sums = fs::read_to_string(package("SHA256SUMS")).unwrap();
    let files = fs::read_dir(distribution()).unwrap();
    let files = files
        .filter(|entry| entry.as_ref().unwrap().path().is_file())
        .count();
    assert_eq!(sums.lines().count(), files - 1);
}

#[test]
fn a_container_image_gets_the_agent_as_a_layer() {
    let directory = tempfile::tempdir().unwrap();
    // Any image will do: what is tested is what the Containerfile adds.
    let base = directory.path().join("base");
    fs::create_dir_all(base.join("bin")).unwrap();
    fs::copy("/bin/busybox", base.join("bin/sh")).unwrap();
    let buildah = |arguments: &[&str]| {
        let store = directory.path().join("store");
        let mut command = Command::new("buildah");
        command
            .args(["--storage-driver", "vfs", "--root"])
            .arg(store);
        command
            .arg("--runroot")
            .arg(directory.path().join("run"))
            .args(arguments);
        check(&mut command).unwrap().trim().to_owned()
    };
    let container = buildah(&["from", "scratch"]);
    buildah(&["copy", &container, base.to_str().unwrap(), "/"]);
    buildah(&["commit", &container, "base"]);
    let version = Release::VERSION;
    let tree = format!("TREE=nkd-agent-{version}-x86_64");
    let context = distribution().to_str().unwrap();
    let build = [
        "build",
        "--isolation",
        "chroot",
        "--build-arg",
        "BASE=localhost/base",
    ];
    let target = ["--build-arg", &tree, "--tag", "image", context];
    buildah(&[&build[..], &target[..]].concat());
    let container = buildah(&["from", "localhost/image"]);
    let mounted = PathBuf::from(buildah(&["mount", &container]));
    let mut layered = contents(&mounted);
    layered.remove(Path::new("bin/sh"));
    let tree = contents(&package("nkd-agent-VERSION-x86_64"));
    layered.retain(|path, _| path.starts_with("usr"));
    assert_same(&layered, &tree);
    buildah(&["umount", &container]);
}

#[test]
fn a_directory_with_other_files_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("thesis.tex"), "years of work").unwrap();
    let release = Release::with_changes().unwrap();
    let tools = Tools::at(directory.path());
    let refused = dist::all(&[], &release, &tools, directory.path()).unwrap_err();
    assert!(
        format!("{refused:#}").contains("thesis.tex is not a package of nkd"),
        "{refused:#}"
    );
    assert!(directory.path().join("thesis.tex").exists());
}

#[test]
#[ignore = "long: builds all programs for both architectures, in two places"]
fn two_builds_in_two_places_make_the_same_bytes() {
    let release = Release::committed().unwrap();
    let sums = ["first", "a/second"].map(|place| {
        let directory = tempfile::tempdir().unwrap();
        let clone = directory.path().join(place);
        let workspace = release.workspace().to_str().unwrap();
        run(
            "git",
            ["clone", "--quiet", workspace, clone.to_str().unwrap()],
        )
        .unwrap();
        let mut dist = packages::tools::cargo();
        dist.arg("dist")
            .current_dir(&clone)
            .env_remove("CARGO_TARGET_DIR");
        check(&mut dist).unwrap();
        fs::read_to_string(clone.join("dist/SHA256SUMS")).unwrap()
    });
    assert_eq!(sums[0], sums[1]);
}

#[test]
#[ignore = "long: builds both programs"]
fn the_source_package_builds_the_binary_packages_without_network() {
    let directory = tempfile::tempdir().unwrap();
    let source = package("nkd-VERSION-1.src.rpm");
    let mut build = Command::new("unshare");
    build
        .args(["--net", "rpmbuild", "--rebuild", "--nodeps", "--define"])
        .arg(format!("_topdir {}", directory.path().display()))
        .arg(source);
    check(&mut build).unwrap();
    for name in ["nkd-agent", "nkd"] {
        let rpm = format!("RPMS/x86_64/{name}-{}-1.x86_64.rpm", Release::VERSION);
        let list = |package: &Path| run("rpm", ["-qlp".as_ref(), package.as_os_str()]).unwrap();
        let of_dist = package(&format!("{name}-VERSION-1.x86_64.rpm"));
        assert_eq!(list(&directory.path().join(rpm)), list(&of_dist));
    }
}
