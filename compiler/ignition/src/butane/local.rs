use std::path::{Component, Path, PathBuf};

use nkd_document::input;
use nkd_document::{Code, Diagnostics, Span};

/// The directory of local files. Files outside of it cannot be read.
pub struct LocalFiles<'a> {
    directory: Option<&'a Path>,
}

impl<'a> LocalFiles<'a> {
    pub fn new(directory: Option<&'a Path>) -> Self {
        // The directory of a file in the current one has no name.
        let is_current = |path: &Path| path.as_os_str().is_empty();
        Self {
            directory: directory.map(|directory| {
                if is_current(directory) {
                    Path::new(".")
                } else {
                    directory
                }
            }),
        }
    }

    /// The path of a file below the directory. A link that leads out of the directory is an error.
    pub fn path(&self, name: &str, asked_at: Span, to: &mut Diagnostics) -> Option<PathBuf> {
        let Some(directory) = self.directory else {
            let message = "no directory for local files is set";
            to.report(Code::LocalFile, asked_at, message);
            return None;
        };
        let below = below(name).map(|below| directory.join(below));
        let Some(path) = below else {
            to.report(Code::LocalFile, asked_at, escapes(name));
            return None;
        };
        match (path.canonicalize(), directory.canonicalize()) {
            (Ok(real), Ok(root)) if real.starts_with(&root) => Some(path),
            (Ok(_), Ok(_)) => {
                to.report(Code::LocalFile, asked_at, escapes(name));
                None
            }
            (Err(error), _) | (_, Err(error)) => {
                let message = format!("cannot read `{}`: {error}", path.display());
                to.report(Code::LocalFile, asked_at, message);
                None
            }
        }
    }

    /// A file's content.
    pub fn read(&self, name: &str, asked_at: Span, to: &mut Diagnostics) -> Option<Vec<u8>> {
        let path = self.path(name, asked_at, to)?;
        read(&path, asked_at, to)
    }
}

/// Reads a file. Text becomes one of the run's sources, for the record of inputs.
pub fn read(path: &Path, asked_at: Span, to: &mut Diagnostics) -> Option<Vec<u8>> {
    match input::read(path) {
        Ok(content) => {
            if let Ok(text) = std::str::from_utf8(&content) {
                to.add(path, text.to_owned());
            }
            Some(content)
        }
        Err(error) => {
            let message = format!("cannot read `{}`: {error}", path.display());
            to.report(Code::LocalFile, asked_at, message);
            None
        }
    }
}

fn escapes(name: &str) -> String {
    format!("`{name}` is outside the directory of local files")
}

/// The path in its shortest form, or `None` if it leads out of the directory. An absolute path starts at
/// the directory.
fn below(name: &str) -> Option<PathBuf> {
    let mut path = PathBuf::new();
    for component in Path::new(name).components() {
        match component {
            Component::Normal(part) => path.push(part),
            Component::ParentDir => {
                if !path.pop() {
                    return None;
                }
            }
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    Some(path)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::below;

    #[test]
    fn names_stay_below_the_directory() {
        for (name, path) in [("a/b", "a/b"), ("/a", "a"), ("a/../b", "b"), (".", "")] {
            assert_eq!(below(name).as_deref(), Some(Path::new(path)));
        }
        for name in ["..", "../a", "a/../../b", "/.."] {
            assert_eq!(below(name), None, "{name}");
        }
    }
}
