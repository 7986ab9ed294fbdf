use std::collections::HashSet;
use std::io::{self, Write};

use crate::{Blob, Digest, Image, index};

const BLOCK: u64 = 512;
/// The end of a tar: two blocks of zeros.
pub const END: [u8; 1024] = [0; 1024];
/// The file that identifies an OCI image layout.
pub(crate) const OCI_LAYOUT: (&str, &[u8]) = ("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#);
pub(crate) const INDEX: &str = "index.json";

/// What an entry holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// Bytes.
    Bytes(Vec<u8>),
    /// The blob with this digest.
    Blob(Digest),
}

/// A file in a tar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The path of the file.
    pub path: String,
    /// The size of the file in bytes.
    pub size: u64,
    /// The contents of the file.
    pub content: Content,
}

impl Entry {
    /// A file with these bytes.
    pub fn bytes(path: impl Into<String>, bytes: Vec<u8>) -> Self {
        Self {
            path: path.into(),
            size: bytes.len() as u64,
            content: Content::Bytes(bytes),
        }
    }

    /// A blob, at its path in an OCI image layout.
    pub fn blob(blob: Blob) -> Self {
        Self {
            path: blob_path(&blob.digest),
            size: blob.size,
            content: Content::Blob(blob.digest),
        }
    }

    /// How many bytes the file takes in the tar, with its header.
    pub fn length(&self) -> u64 {
        BLOCK + self.size + padding(self.size)
    }
}

pub(crate) fn blob_path(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

/// All files of a bundle, in their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// The files.
    pub entries: Vec<Entry>,
}

impl Layout {
    /// The bundle with these images.
    pub fn of(images: &[Image]) -> Self {
        Self::without(images, &HashSet::new())
    }

    /// The bundle without the blobs that its reader already has.
    pub fn without(images: &[Image], present: &HashSet<Digest>) -> Self {
        let mut entries = head(index(images));
        let mut seen = present.clone();
        for image in images {
            if seen.insert(image.manifest.digest) {
                let path = blob_path(&image.manifest.digest);
                entries.push(Entry::bytes(path, image.manifest_bytes.clone()));
            }
        }
        let blobs = images.iter().flat_map(Image::blobs);
        let blobs = blobs.filter(|blob| seen.insert(blob.digest));
        entries.extend(blobs.map(Entry::blob));
        Self { entries }
    }

    /// The size of the tar.
    pub fn size(&self) -> u64 {
        let entries = self.entries.iter().map(Entry::length);
        entries.fold(END.len() as u64, u64::saturating_add)
    }

    /// Writes the tar; `give` writes a blob's bytes.
    ///
    /// # Errors
    /// Errors of the writer and of `give`.
    pub fn write<W: Write>(
        &self,
        out: &mut W,
        mut give: impl FnMut(Blob, &mut W) -> io::Result<()>,
    ) -> io::Result<()> {
        for entry in &self.entries {
            out.write_all(&header(&entry.path, entry.size)?)?;
            match &entry.content {
                Content::Bytes(bytes) => out.write_all(bytes)?,
                Content::Blob(digest) => give(
                    Blob {
                        digest: *digest,
                        size: entry.size,
                    },
                    out,
                )?,
            }
            out.write_all(zeros(padding(entry.size)))?;
        }
        out.write_all(&END)
    }
}

fn head(index: Vec<u8>) -> Vec<Entry> {
    let (path, bytes) = OCI_LAYOUT;
    vec![
        Entry::bytes(path, bytes.to_vec()),
        Entry::bytes(INDEX, index),
    ]
}

/// Zeros, fewer than a block has.
fn zeros(count: u64) -> &'static [u8] {
    let count = usize::try_from(count).unwrap_or(0);
    END.get(..count).unwrap_or(&END)
}

/// How many bytes fill an entry's last block.
pub const fn padding(size: u64) -> u64 {
    size.next_multiple_of(BLOCK) - size
}

/// The header of a file in a tar. It depends on path and size alone: the owner is root, the time is 0.
///
/// # Errors
/// The path is too long for a tar. Paths of a layout never are.
pub fn header(path: &str, size: u64) -> io::Result<[u8; 512]> {
    let mut header = tar::Header::new_ustar();
    header.set_path(path)?;
    header.set_size(size);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_entry_type(tar::EntryType::Regular);
    header.set_cksum();
    Ok(*header.as_bytes())
}
