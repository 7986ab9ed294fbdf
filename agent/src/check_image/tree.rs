//! The files of an image. Symbolic links lead to where they will lead on a machine, which is inside the image.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::system::{Root, SEARCH_PATH};

/// The number of symbolic links after which Linux gives up (`path_resolution(7)`).
const MOST_LINKS: usize = 40;

/// The files of an image.
#[derive(Debug)]
pub(super) struct Tree {
    root: PathBuf,
    /// Whether this is the tree of an `OSTree` commit, which has /usr/etc in place of /etc.
    is_commit: bool,
}

impl Tree {
    pub(super) fn new(root: &Root) -> Self {
        let is_commit = !root.path("/etc").exists() && root.path("/usr/etc").is_dir();
        let root = root.path("/");
        Self { root, is_commit }
    }

    /// The root directory, on this machine.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// The place of an absolute path of the image on this machine, if its links have not been resolved.
    fn place(&self, path: &str) -> PathBuf {
        let path = path.trim_start_matches('/');
        let is_moved = self.is_commit && path.starts_with("etc/");
        let parent = if is_moved { "usr" } else { "" };
        self.root.join(parent).join(path)
    }

    /// An absolute path of the image without symbolic links. What does not exist is kept as it is. A loop of
    /// links leads nowhere, and is also kept as it is.
    pub(super) fn resolve(&self, path: &str) -> String {
        let mut left: VecDeque<String> = path.split('/').map(str::to_owned).collect();
        let mut resolved: Vec<String> = Vec::new();
        let mut links = 0;
        while let Some(name) = left.pop_front() {
            match name.as_str() {
                "" | "." => continue,
                ".." => {
                    resolved.pop();
                    continue;
                }
                _ => resolved.push(name),
            }
            let Ok(target) = fs::read_link(self.place(&resolved.join("/"))) else {
                continue;
            };
            links += 1;
            if links > MOST_LINKS {
                return path.to_owned();
            }
            let target = target.to_string_lossy();
            if target.starts_with('/') {
                resolved.clear();
            } else {
                resolved.pop();
            }
            for name in target.split('/').rev() {
                left.push_front(name.to_owned());
            }
        }
        format!("/{}", resolved.join("/"))
    }

    /// The file at an absolute path of the image, on this machine.
    pub(super) fn path(&self, path: &str) -> PathBuf {
        self.place(&self.resolve(path))
    }

    pub(super) fn exists(&self, path: &str) -> bool {
        self.path(path).symlink_metadata().is_ok()
    }

    /// Whether there is a symbolic link at the path itself, wherever it leads.
    pub(super) fn is_link(&self, path: &str) -> bool {
        let (directory, name) = path.rsplit_once('/').unwrap_or(("", path));
        self.path(directory).join(name).is_symlink()
    }

    pub(super) fn is_directory(&self, path: &str) -> bool {
        self.path(path).is_dir()
    }

    pub(super) fn is_executable(&self, path: &str) -> bool {
        let metadata = self.path(path).metadata();
        metadata.is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
    }

    /// The text of a file, or nothing if it cannot be read.
    pub(super) fn read(&self, path: &str) -> String {
        let bytes = fs::read(self.path(path)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The sorted names in a directory, or none if it cannot be read.
    pub(super) fn names(&self, directory: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path(directory)).into_iter().flatten();
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let mut names: Vec<_> = names.collect();
        names.sort();
        names
    }

    /// The same, of files with an extension only.
    pub(super) fn names_with(&self, directory: &str, extension: &str) -> Vec<String> {
        let mut names = self.names(directory);
        names.retain(|name| Path::new(name).extension() == Some(OsStr::new(extension)));
        names
    }

    /// The path of a program, on the search path of the agent and of what it runs.
    pub(super) fn program(&self, name: &str) -> Option<String> {
        let mut paths = SEARCH_PATH
            .iter()
            .map(|directory| format!("{directory}/{name}"));
        paths.find(|path| self.is_executable(path))
    }

    /// Whether the file system of the image is made of an `OSTree` commit, as those of NestOS, Fedora `CoreOS`
    /// and bootc are. Then /usr is read-only, and the image has nothing in /var.
    pub(super) fn is_ostree(&self) -> bool {
        let signs = ["/usr/bin/rpm-ostree", "/usr/bin/bootc", "/sysroot/ostree"];
        signs.into_iter().any(|path| self.exists(path))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_stay_inside_the_image() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        fs::create_dir_all(root.join("usr/bin")).unwrap();
        symlink("usr/bin", root.join("bin")).unwrap();
        symlink("/etc/alternatives/ip", root.join("usr/bin/ip")).unwrap();
        symlink("../../../../var/opt", root.join("opt")).unwrap();
        symlink("loop", root.join("loop")).unwrap();
        let tree = Tree::new(&Root::new(root.to_owned()));
        assert_eq!(tree.resolve("/bin/ip"), "/etc/alternatives/ip");
        assert_eq!(tree.resolve("/opt/cni//bin/."), "/var/opt/cni/bin");
        assert_eq!(tree.resolve("/loop"), "/loop");
        assert!(tree.is_link("/bin/ip") && !tree.exists("/bin/ip"));
        assert!(!tree.is_link("/usr/bin"));
    }

    #[test]
    fn a_commit_of_ostree_has_etc_in_usr() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        fs::create_dir_all(root.join("usr/etc")).unwrap();
        fs::write(root.join("usr/etc/fstab"), "text").unwrap();
        let tree = || Tree::new(&Root::new(root.to_owned()));
        assert_eq!(tree().read("/etc/fstab"), "text");
        assert_eq!(tree().resolve("/etc/fstab"), "/etc/fstab");
        fs::create_dir(root.join("etc")).unwrap();
        assert_eq!(tree().read("/etc/fstab"), "");
    }
}
