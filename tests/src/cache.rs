//! Things that take minutes to build, kept between runs.
//!
//! An entry is named by the SHA-256 of its recipe: the script, its variables, and the names of the
//! entries it builds upon. A changed recipe is another entry, so nothing stale is ever used. A build removes entries of
//! the same name that nothing has used for a day, so that changes of a recipe do not fill the disk.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, bail};
use nix::fcntl::{Flock, FlockArg};
use sha2::{Digest, Sha256};

use packages::command::tail;

const PRELUDE: &str = include_str!("../recipes/common.sh");

/// How long an entry is kept after its last use. It is longer than any run that uses the entry.
const KEPT: Duration = Duration::from_secs(24 * 60 * 60);
/// The end of the name of an entry that is being removed.
const REMOVED: &str = ".removed";

/// The testbed's directory: built things, and the running labs' own files.
#[derive(Debug, Clone)]
pub struct Cache {
    directory: PathBuf,
}

/// How to build an entry.
#[derive(Debug, Default)]
pub struct Recipe<'a> {
    /// What it is, for people and file names.
    pub name: &'a str,
    /// A shell script that fills `$OUT`, see `recipes/common.sh`.
    pub script: &'a str,
    /// Variables it is given.
    pub variables: &'a [(&'a str, &'a str)],
    /// Entries, or files in them, that it is given as variables.
    pub inputs: &'a [(&'a str, &'a Path)],
    /// Files it finds below its working directory.
    pub files: &'a [(&'a str, &'a str)],
}

impl Cache {
    /// `$NKD_TESTBED_CACHE`, else `nkd-testbed` in the user's cache directory.
    pub fn open() -> Result<Self> {
        let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        let directory = variable("NKD_TESTBED_CACHE")
            .map(PathBuf::from)
            .or_else(|| variable("XDG_CACHE_HOME").map(|home| Path::new(&home).join("nkd-testbed")))
            .or_else(|| variable("HOME").map(|home| Path::new(&home).join(".cache/nkd-testbed")))
            .context("no cache directory: set NKD_TESTBED_CACHE")?;
        Self::at(&directory)
    }

    /// A cache in a directory of the caller's choice.
    pub fn at(directory: &Path) -> Result<Self> {
        fs::create_dir_all(directory)
            .with_context(|| format!("can't create {}", directory.display()))?;
        let directory = directory.canonicalize()?;
        Ok(Self { directory })
    }

    /// Where it is.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The entry made by a recipe, built first when it isn't there yet.
    pub fn entry(&self, recipe: &Recipe) -> Result<PathBuf> {
        let name = format!("{}-{}", recipe.name, recipe.key(&self.directory));
        let entry = self.directory.join(&name);
        if !entry.exists() {
            let _lock = lock(&self.directory.join(format!("{name}.lock")))?;
            if !entry.exists() {
                self.remove_unused(recipe.name)?;
                self.build(recipe, &name, &entry)?;
            }
        }
        // The time of the last use.
        File::open(&entry)?.set_modified(SystemTime::now())?;
        Ok(entry)
    }

    /// Removes the entries with a name that nothing has used lately.
    fn remove_unused(&self, name: &str) -> Result<()> {
        for file in fs::read_dir(&self.directory)? {
            let path = file?.path();
            let Some(key) = key_of_entry(&path, name) else {
                continue;
            };
            let interrupted = key.ends_with(REMOVED);
            let used = fs::metadata(&path)?.modified()?;
            if !interrupted && used.elapsed().unwrap_or_default() < KEPT {
                continue;
            }
            let mut removed = path.clone();
            if !interrupted {
                // Nothing finds an entry that is removed in part.
                removed.as_mut_os_string().push(REMOVED);
                fs::rename(&path, &removed)?;
                let _ = fs::remove_file(path.with_extension("log"));
            }
            fs::remove_dir_all(&removed)
                .with_context(|| format!("can't remove {}", removed.display()))?;
        }
        Ok(())
    }

    fn build(&self, recipe: &Recipe, name: &str, entry: &Path) -> Result<()> {
        let log = self.directory.join(format!("{name}.log"));
        let scratch = self.directory.join(format!("{name}.building"));
        // What an interrupted build left; the lock says that nobody is at it.
        if scratch.exists() {
            fs::remove_dir_all(&scratch)?;
        }
        fs::create_dir(&scratch)?;
        let scratch = Scratch(scratch);
        let (out, work) = (scratch.0.join("out"), scratch.0.join("work"));
        for directory in [&out, &work] {
            fs::create_dir(directory)?;
        }
        for (file, text) in recipe.files {
            let path = work.join(file);
            fs::create_dir_all(path.parent().unwrap_or(&work))?;
            fs::write(path, text)?;
        }
        let script = scratch.0.join("recipe.sh");
        fs::write(&script, format!("{PRELUDE}\n{}", recipe.script))?;
        let mut build = Command::new("setpriv");
        build
            .args(["--pdeathsig", "TERM", "bash"])
            .arg(&script)
            .env("OUT", &out)
            .env("WORK", &work)
            .envs(recipe.variables.iter().copied())
            .envs(recipe.inputs.iter().copied())
            .current_dir(&work);
        run_logged(&mut build, recipe.name, &log)?;
        fs::rename(&out, entry).with_context(|| format!("can't put {name} into the cache"))
    }
}

/// The key in the path of an entry with this name, with [`REMOVED`] where its removal has begun.
fn key_of_entry<'a>(path: &'a Path, name: &str) -> Option<&'a str> {
    let rest = path.file_name()?.to_str()?.strip_prefix(name)?;
    let key = rest.strip_prefix('-')?;
    let digits = key.strip_suffix(REMOVED).unwrap_or(key);
    let is_key = digits.len() == 16 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    (is_key && path.is_dir()).then_some(key)
}

/// A directory that is removed when it goes out of scope.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        // Left over it only takes space, until the next build.
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Recipe<'_> {
    fn key(&self, cache: &Path) -> String {
        let mut hash = Sha256::new();
        let mut add = |text: &str| {
            hash.update(text.len().to_le_bytes());
            hash.update(text);
        };
        [PRELUDE, self.script].into_iter().for_each(&mut add);
        for (name, value) in self.variables.iter().chain(self.files) {
            [*name, *value].into_iter().for_each(&mut add);
        }
        for (name, path) in self.inputs {
            let path = path.strip_prefix(cache).unwrap_or(path).to_string_lossy();
            [*name, &*path].into_iter().for_each(&mut add);
        }
        base16ct::lower::encode_string(&hash.finalize()[..8])
    }
}

/// Runs a build with its output in a file, saying now and then that it is still at it.
fn run_logged(build: &mut Command, name: &str, log: &Path) -> Result<()> {
    let file = File::create(log).with_context(|| format!("can't write {}", log.display()))?;
    let start = Instant::now();
    eprintln!("testbed: building {name} (log: {})", log.display());
    let mut child = build
        .stdin(Stdio::null())
        .stdout(file.try_clone()?)
        .stderr(file)
        .spawn()
        .with_context(|| format!("can't build {name}"))?;
    let mut said = start;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if said.elapsed() > Duration::from_secs(30) {
            said = Instant::now();
            eprintln!(
                "testbed: still building {name}, {} s",
                start.elapsed().as_secs()
            );
        }
        std::thread::sleep(Duration::from_millis(200));
    };
    if !status.success() {
        let text = fs::read(log).unwrap_or_default();
        let text = tail(&String::from_utf8_lossy(&text), 20);
        bail!(
            "building {name}: {status}; the end of {}:\n{text}",
            log.display()
        );
    }
    eprintln!("testbed: built {name} in {} s", start.elapsed().as_secs());
    Ok(())
}

/// Takes a lock that is given up with the process.
pub(crate) fn lock(path: &Path) -> Result<Flock<File>> {
    let file = File::create(path).with_context(|| format!("can't write {}", path.display()))?;
    Flock::lock(file, FlockArg::LockExclusive)
        .map_err(|(_, error)| error)
        .with_context(|| format!("can't lock {}", path.display()))
}
