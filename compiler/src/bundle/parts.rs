//! The files of a bundle: one file, or several files of a maximum size.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use nkd_bundle::{Image, Layout};

/// Divides images into parts of a maximum size. Each part is a bundle. An image that is too large for a
/// part is an error with its size.
pub fn divide(images: Vec<Image>, most: u64) -> Result<Vec<Vec<Image>>, BTreeMap<String, u64>> {
    let mut parts: Vec<Vec<Image>> = Vec::new();
    let mut large = BTreeMap::new();
    for image in images {
        let size = Layout::of(std::slice::from_ref(&image)).size();
        if size > most {
            large.insert(image.name, size);
            continue;
        }
        let fits = |part: &&mut Vec<Image>| {
            let with: Vec<_> = part.iter().chain([&image]).cloned().collect();
            Layout::of(&with).size() <= most
        };
        match parts.iter_mut().find(fits) {
            Some(part) => part.push(image),
            None => parts.push(vec![image]),
        }
    }
    if large.is_empty() {
        Ok(parts)
    } else {
        Err(large)
    }
}

/// The names of this number of parts: `bundle.tar`, or `bundle-1.tar` and so on.
pub fn paths(out: &Path, count: usize) -> Vec<PathBuf> {
    let (stem, extension) = split(out);
    let path = |number| out.with_file_name(format!("{stem}-{number}{extension}"));
    match count {
        1 => vec![out.to_owned()],
        _ => (1..=count).map(path).collect(),
    }
}

/// Whether a file has the name of a bundle or of one of its parts.
pub fn is_one(out: &Path, path: &Path) -> bool {
    let (Ok(directory), Ok(of)) = (
        directory(out).canonicalize(),
        directory(path).canonicalize(),
    ) else {
        return false;
    };
    let (stem, extension) = split(out);
    let (other, same) = split(path);
    let number = other.strip_prefix(&stem);
    let is_one = number.is_some_and(|number| {
        let digits = number.strip_prefix('-');
        let is_part = digits.is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_digit()));
        number.is_empty() || is_part
    });
    directory == of && extension == same && is_one
}

/// Files of an earlier bundle with this name that do not belong to the new one.
pub fn left_over(out: &Path, new: &[PathBuf]) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory(out)).into_iter().flatten().flatten();
    let paths = entries.map(|entry| out.with_file_name(entry.file_name()));
    let mut old: Vec<_> = paths
        .filter(|path| is_one(out, path) && !new.contains(path))
        .collect();
    old.sort();
    old
}

/// The directory that a file is in.
pub fn directory(path: &Path) -> &Path {
    let parent = path.parent();
    let parent = parent.filter(|parent| !parent.as_os_str().is_empty());
    parent.unwrap_or(Path::new("."))
}

fn split(path: &Path) -> (String, String) {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let dot = name.find(".tar").or_else(|| name.rfind('.'));
    let (stem, extension) = name.split_at(dot.unwrap_or(name.len()));
    (stem.to_owned(), extension.to_owned())
}
