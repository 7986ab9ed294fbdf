//! Archives that depend on nothing but the tree and the time of the release.

use std::fs::File;
use std::path::Path;

use anyhow::{Context, Result};
use tar::{EntryType, Header};

use crate::tree::{Entry, Kind, Tree};

/// How much time is spent on compression.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Effort {
    /// For programs, which are packed once and fetched often.
    High = 19,
    /// For the sources of all crates, which would take minutes.
    Low = 9,
}

/// Writes a tree as `tar.zst`. All files belong to root and have this time.
pub(crate) fn tar_zst(tree: &Tree, time: u64, effort: Effort, archive: &Path) -> Result<()> {
    let write = || -> Result<()> {
        let encoder = zstd::Encoder::new(File::create(archive)?, effort as i32)?;
        let mut builder = tar::Builder::new(encoder);
        for entry in tree.entries()? {
            append(&mut builder, tree, &entry, time)?;
        }
        builder.into_inner()?.finish()?;
        Ok(())
    };
    write().with_context(|| format!("cannot write {}", archive.display()))
}

fn append(
    builder: &mut tar::Builder<impl std::io::Write>,
    tree: &Tree,
    entry: &Entry,
    time: u64,
) -> Result<()> {
    let mut header = Header::new_gnu();
    header.set_mode(entry.mode());
    header.set_mtime(time);
    header.set_uid(0);
    header.set_gid(0);
    header.set_username("root")?;
    header.set_groupname("root")?;
    header.set_size(0);
    match &entry.kind {
        Kind::Directory => {
            header.set_entry_type(EntryType::Directory);
            builder.append_data(&mut header, &entry.path, std::io::empty())?;
        }
        Kind::Link(to) => {
            header.set_entry_type(EntryType::Symlink);
            builder.append_link(&mut header, &entry.path, to)?;
        }
        Kind::File { .. } => {
            let file = File::open(tree.root().join(&entry.path))?;
            header.set_entry_type(EntryType::Regular);
            header.set_size(file.metadata()?.len());
            builder.append_data(&mut header, &entry.path, file)?;
        }
    }
    Ok(())
}
