use std::collections::HashSet;
use std::io::{self, ErrorKind, Read};

use crate::layout::{INDEX, OCI_LAYOUT, blob_path};
use crate::model::{JSON_LIMIT, read_index};
use crate::{Blob, Digest, Error, Hasher, Image, Source, header, padding};

/// How many bytes are read at once.
const CHUNK: usize = 128 << 10;

/// What is in a bundle, according to its index and manifests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contents {
    /// The digest of the index, which identifies the bundle.
    pub index: Digest,
    /// The images, in the order of the index.
    pub images: Vec<Image>,
    /// The blobs that follow the manifests, in their order.
    pub blobs: Vec<Blob>,
    /// The size of the uncompressed bundle in bytes.
    pub size: u64,
}

impl Contents {
    fn new(index: Digest, index_size: u64, images: Vec<Image>) -> Self {
        let length = |size| 512 + size + padding(size);
        let mut seen = HashSet::new();
        let manifests = images.iter().map(|image| image.manifest);
        let manifests: Vec<_> = manifests.filter(|blob| seen.insert(blob.digest)).collect();
        let blobs = images.iter().flat_map(Image::blobs);
        let blobs: Vec<_> = blobs.filter(|blob| seen.insert(blob.digest)).collect();
        let sizes = manifests.iter().chain(&blobs).map(|blob| blob.size);
        let sizes = sizes.chain([index_size, OCI_LAYOUT.1.len() as u64]);
        let size = sizes.map(length).fold(1024, u64::saturating_add);
        Self {
            index,
            images,
            blobs,
            size,
        }
    }

    /// The names of the images that contain a blob, for a person.
    pub fn owners(&self, blob: &Digest) -> String {
        let has = |image: &&Image| {
            image.manifest.digest == *blob || image.blobs().any(|other| other.digest == *blob)
        };
        let names = self
            .images
            .iter()
            .filter(has)
            .map(|image| image.name.as_str());
        names.collect::<Vec<_>>().join(", ")
    }
}

/// Reads a bundle once, from its beginning to its end, and verifies everything in it.
pub struct Reader<S> {
    input: S,
    /// How many uncompressed bytes have been read.
    at: u64,
    contents: Contents,
    /// How many blobs have been returned.
    over: usize,
    buffer: Vec<u8>,
}

impl<S: Source> Reader<S> {
    /// Reads the index and the manifests. `pinned` is the digest that the index must have, if it is known;
    /// an index with another digest is not parsed.
    ///
    /// # Errors
    /// The source cannot be read, is not a bundle, or is another bundle.
    pub fn open(input: S, pinned: Option<&Digest>) -> Result<Self, Error> {
        let mut head = Head { input, at: 0 };
        head.oci_layout()?;
        let json = head.json(INDEX, None)?;
        let index = Digest::of(&json);
        if let Some(pinned) = pinned.filter(|pinned| **pinned != index) {
            return Err(Error::Unexpected {
                at: 0,
                expected: format!("the bundle {pinned}"),
                found: format!("the bundle {index}"),
            });
        }
        let listed = read_index(&json).map_err(|reason| Error::Invalid {
            what: INDEX.to_owned(),
            reason,
        })?;
        let mut images: Vec<Image> = Vec::new();
        for listed in listed {
            let blob = listed.manifest;
            let known = images.iter().find(|image| image.manifest == blob);
            let bytes = match known {
                Some(image) => image.manifest_bytes.clone(),
                None => head.json(&blob_path(&blob.digest), Some(blob.size))?,
            };
            if Digest::of(&bytes) != blob.digest {
                return Err(Error::Digest {
                    blob: blob.digest,
                    images: listed.name,
                });
            }
            let what = format!("the manifest of {}", listed.name);
            let image = listed.with_manifest(bytes);
            images.push(image.map_err(|reason| Error::Invalid { what, reason })?);
        }
        Ok(Self {
            input: head.input,
            at: head.at,
            contents: Contents::new(index, json.len() as u64, images),
            over: 0,
            buffer: vec![0; CHUNK],
        })
    }

    /// What is in the bundle.
    pub fn contents(&self) -> &Contents {
        &self.contents
    }

    /// How many uncompressed bytes have been read.
    pub fn position(&self) -> u64 {
        self.at
    }

    /// The blob that comes next. `None` means that the last blob was read and that the bundle ends after
    /// it as it must.
    ///
    /// # Errors
    /// The source cannot be read, or contains something else.
    pub fn next_blob(&mut self) -> Result<Option<Blob>, Error> {
        let mut head = Head {
            input: &mut self.input,
            at: self.at,
        };
        let Some(blob) = self.contents.blobs.get(self.over).copied() else {
            head.end()?;
            self.at = head.at;
            return Ok(None);
        };
        head.entry(&blob_path(&blob.digest), blob.size)?;
        self.at = head.at;
        self.over += 1;
        Ok(Some(blob))
    }

    /// Reads the blob that [`next_blob`](Self::next_blob) returned, piece by piece. The bytes are verified
    /// only when this has returned.
    ///
    /// # Errors
    /// The source cannot be read, the digest does not match, or `take` fails.
    pub fn read_blob<E: From<Error>>(
        &mut self,
        blob: Blob,
        mut take: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut hasher = Hasher::default();
        let mut left = blob.size;
        while left > 0 {
            let most = usize::try_from(left).map_or(CHUNK, |left| left.min(CHUNK));
            let piece = &mut self.buffer[..most];
            let read = read_some(&mut self.input, piece, self.at)?;
            let piece = &self.buffer[..read];
            self.at += read as u64;
            left -= read as u64;
            hasher.update(piece);
            take(piece)?;
        }
        if hasher.finish() != blob.digest {
            let images = self.contents.owners(&blob.digest);
            let blob = blob.digest;
            return Err(Error::Digest { blob, images }.into());
        }
        self.pad(blob.size)?;
        Ok(())
    }

    /// Skips the blob that [`next_blob`](Self::next_blob) returned.
    ///
    /// # Errors
    /// The source cannot be read.
    pub fn skip_blob(&mut self, blob: Blob) -> Result<(), Error> {
        self.input.skip(blob.size)?;
        self.at += blob.size;
        self.pad(blob.size)
    }

    fn pad(&mut self, size: u64) -> Result<(), Error> {
        let mut head = Head {
            input: &mut self.input,
            at: self.at,
        };
        head.zeros(padding(size))?;
        self.at = head.at;
        Ok(())
    }
}

fn read_some(input: &mut impl Read, into: &mut [u8], at: u64) -> Result<usize, Error> {
    loop {
        match input.read(into) {
            Ok(0) => return Err(Error::Truncated { at }),
            Ok(read) => return Ok(read),
            Err(error) => match error.kind() {
                ErrorKind::Interrupted => {}
                ErrorKind::UnexpectedEof => return Err(Error::Truncated { at }),
                _ => return Err(error.into()),
            },
        }
    }
}

/// Reads the parts of a tar whose every byte is known in advance.
struct Head<S> {
    input: S,
    at: u64,
}

impl<S: Read> Head<S> {
    fn exact(&mut self, into: &mut [u8]) -> Result<(), Error> {
        let mut filled = 0;
        while let Some(rest) = into.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            let read = read_some(&mut self.input, rest, self.at)?;
            filled += read;
            self.at += read as u64;
        }
        Ok(())
    }

    fn zeros(&mut self, count: u64) -> Result<(), Error> {
        let at = self.at;
        let mut bytes = vec![0; usize::try_from(count).map_err(io::Error::other)?];
        self.exact(&mut bytes)?;
        if bytes.iter().all(|byte| *byte == 0) {
            return Ok(());
        }
        Err(Error::Unexpected {
            at,
            expected: "zeros".to_owned(),
            found: "other data".to_owned(),
        })
    }

    fn oci_layout(&mut self) -> Result<(), Error> {
        let (path, bytes) = OCI_LAYOUT;
        let mut found = [0; 512];
        self.exact(&mut found).map_err(|error| match error {
            Error::Truncated { .. } => Error::NotABundle("the file is too short".to_owned()),
            other => other,
        })?;
        if found != header(path, bytes.len() as u64)? {
            let found = describe(&found);
            return Err(Error::NotABundle(format!("the file begins with {found}")));
        }
        let mut found = vec![0; bytes.len()];
        self.exact(&mut found)?;
        if found != bytes {
            return Err(Error::NotABundle(format!(
                "{path} is for another version of the OCI image layout"
            )));
        }
        self.zeros(padding(bytes.len() as u64))
    }

    /// Reads the header of a file whose path and size are known.
    fn entry(&mut self, path: &str, size: u64) -> Result<(), Error> {
        let at = self.at;
        let mut found = [0; 512];
        self.exact(&mut found)?;
        if found == header(path, size)? {
            return Ok(());
        }
        Err(Error::Unexpected {
            at,
            expected: format!("{path} of {size} bytes"),
            found: describe(&found),
        })
    }

    /// Reads a whole file whose path is known, and perhaps its size.
    fn json(&mut self, path: &str, size: Option<u64>) -> Result<Vec<u8>, Error> {
        let at = self.at;
        let size = if let Some(size) = size {
            self.entry(path, size)?;
            size
        } else {
            let mut found = [0; 512];
            self.exact(&mut found)?;
            let size = size_of(&found).filter(|size| *size <= JSON_LIMIT);
            let size = size.ok_or_else(|| unexpected(at, path, &found))?;
            if found != header(path, size)? {
                return Err(unexpected(at, path, &found));
            }
            size
        };
        let mut bytes = vec![0; usize::try_from(size).map_err(io::Error::other)?];
        self.exact(&mut bytes)?;
        self.zeros(padding(size))?;
        Ok(bytes)
    }

    fn end(&mut self) -> Result<(), Error> {
        let at = self.at;
        let mut found = [0; 512];
        self.exact(&mut found)?;
        if found != [0; 512] {
            return Err(unexpected(at, "the end of the bundle", &found));
        }
        self.zeros(512)?;
        let mut more = [0; 1];
        match read_some(&mut self.input, &mut more, self.at) {
            Err(Error::Truncated { .. }) => Ok(()),
            Err(other) => Err(other),
            Ok(_) => Err(Error::Unexpected {
                at: self.at,
                expected: "the end of the bundle".to_owned(),
                found: "more data".to_owned(),
            }),
        }
    }
}

fn size_of(found: &[u8; 512]) -> Option<u64> {
    tar::Header::from_byte_slice(found).entry_size().ok()
}

fn unexpected(at: u64, expected: &str, found: &[u8; 512]) -> Error {
    Error::Unexpected {
        at,
        expected: expected.to_owned(),
        found: describe(found),
    }
}

/// Describes the header of a tar archive for people. The header may have any content.
fn describe(found: &[u8; 512]) -> String {
    let header = tar::Header::from_byte_slice(found);
    let name = String::from_utf8_lossy(&header.path_bytes()).into_owned();
    let name: String = name.chars().take(100).collect();
    match header.entry_size() {
        _ if found == &[0; 512] => "the end of an archive".to_owned(),
        Ok(size) if header.cksum().is_ok() => format!("{name:?} of {size} bytes"),
        _ => "data that are not a tar header".to_owned(),
    }
}
