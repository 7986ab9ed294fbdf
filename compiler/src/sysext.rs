//! Files of system extensions: see systemd-sysext(8).

use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read, Seek as _};
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use backhand::compression::{CompressionAction, Compressor, DefaultCompressor};
use backhand::kind::Kind;
use backhand::{
    BackhandError, FilesystemCompressor, FilesystemReader, InnerNode, Node, SquashfsFileReader,
    SuperBlock,
};
use flate2::read::ZlibDecoder;
use nkd_bundle::Hasher;
use nkd_document::input;

use nkd_model::Architecture;
use nkd_model::version::Version;

/// The files that make an image a system extension. The name of each ends in that of the extension.
const RELEASE: &str = "/usr/lib/extension-release.d/extension-release.";
/// Only the files below these directories are merged into those of the OS.
const MERGED: [&str; 2] = ["/usr", "/opt"];
/// The programs that make an extension one with Kubernetes.
const KUBERNETES: [&str; 2] = ["/usr/bin/kubeadm", "/usr/bin/kubelet"];
/// The size in bytes of the largest file of [`RELEASE`] that is read.
const LIMIT: u64 = 64 << 10;
/// How many bytes of an image are read at once.
const BUFFER: usize = 1 << 20;

/// File systems that nkd cannot read: the offset and the bytes by which each is identified, and what it is.
const OTHERS: [(usize, &[u8], &str); 2] = [
    (1024, &[0xe2, 0xe1, 0xf5, 0xe0], "an erofs image"),
    (512, b"EFI PART", "an image with partitions"),
];
const SQUASHFS: &[u8] = b"hsqs";

/// A file of a system extension.
pub struct Image {
    /// The SHA-256 of the file, in hexadecimal.
    pub sha256: String,
    /// What the image has. If nkd cannot read it, the error is what the file is.
    pub contents: Result<Contents, &'static str>,
}

/// What an image has.
#[derive(Debug, PartialEq, Eq)]
pub struct Contents {
    /// The extensions that the image can be, usually one.
    pub names: Vec<String>,
    /// The value of `ARCHITECTURE`, if nkd supports it.
    pub architecture: Option<Architecture>,
    /// Whether it has programs of Kubernetes.
    pub has_kubernetes: bool,
    /// The version of Kubernetes, if the image or the name of its file has one.
    pub kubernetes_version: Option<Version>,
    /// The first file that is not below a directory that is merged.
    pub ignored: Option<String>,
}

/// Reads a file of a system extension.
///
/// # Errors
/// The file cannot be read, or is not a system extension.
pub fn read(path: &Path) -> Result<Image> {
    let mut file = input::open(path)?;
    let sha256 = digest(&file)?;
    file.rewind()?;
    let mut start = Vec::new();
    (&mut file).take(2048).read_to_end(&mut start)?;
    let has = |at: usize, bytes: &[u8]| start.get(at..).is_some_and(|rest| rest.starts_with(bytes));
    let other = OTHERS.iter().find(|(at, bytes, _)| has(*at, bytes));
    let contents = match other {
        _ if has(0, SQUASHFS) => Ok(contents(file, path)?),
        Some((_, _, name)) => Err(*name),
        None => bail!("it is not a squashfs image"),
    };
    Ok(Image { sha256, contents })
}

fn digest(file: &File) -> Result<String> {
    let mut reader = BufReader::with_capacity(BUFFER, file);
    let mut hasher = Hasher::default();
    loop {
        let bytes = reader.fill_buf()?;
        if bytes.is_empty() {
            return Ok(hasher.finish().hex());
        }
        hasher.update(bytes);
        let length = bytes.len();
        reader.consume(length);
    }
}

fn contents(mut file: File, path: &Path) -> Result<Contents> {
    file.rewind()?;
    let kind = Kind::new_v4(&Decompression);
    let reader = BufReader::new(file);
    let squashfs = FilesystemReader::from_reader_with_offset_and_kind(reader, 0, kind);
    let squashfs = squashfs.context("nkd cannot read its squashfs file system")?;
    let (mut names, mut fields) = (Vec::new(), None);
    let (mut has_kubernetes, mut ignored) = (false, None);
    for node in squashfs.files() {
        has_kubernetes |= KUBERNETES
            .iter()
            .any(|path| node.fullpath == Path::new(path));
        let is_merged = || MERGED.iter().any(|path| node.fullpath.starts_with(path));
        if ignored.is_none() && !matches!(node.inner, InnerNode::Dir(_)) && !is_merged() {
            ignored = Some(node.fullpath.display().to_string());
        }
        let name = node
            .fullpath
            .to_str()
            .and_then(|path| path.strip_prefix(RELEASE));
        if let Some(name) = name {
            fields = fields.or(Some(text(&squashfs, node)?));
            names.push(name.to_owned());
        }
    }
    let fields =
        fields.context("it does not contain usr/lib/extension-release.d/extension-release.NAME")?;
    let architecture = field(&fields, "ARCHITECTURE");
    let written = field(&fields, "NKD_KUBERNETES_VERSION").map(Version::parse);
    let in_file_name = || version_in_name(path).filter(|_| has_kubernetes);
    Ok(Contents {
        names,
        architecture: Architecture::ALL
            .into_iter()
            .find(|known| architecture == Some(known.name())),
        has_kubernetes: has_kubernetes || written.is_some(),
        kubernetes_version: written.and_then(Result::ok).or_else(in_file_name),
        ignored,
    })
}

/// Decompresses gzip and zstd with the libraries that nkd has anyway. For gzip, backhand would make flate2 use another
/// implementation everywhere, and with that the same input would give other bytes in Ignition configs.
struct Decompression;

impl CompressionAction for Decompression {
    type Error = BackhandError;
    type Compressor = Compressor;
    type FilesystemCompressor = FilesystemCompressor;
    type SuperBlock = SuperBlock;

    fn decompress(
        &self,
        bytes: &[u8],
        out: &mut Vec<u8>,
        compressor: Compressor,
    ) -> Result<(), BackhandError> {
        let reader: Box<dyn Read + '_> = match compressor {
            Compressor::Gzip => Box::new(ZlibDecoder::new(bytes)),
            Compressor::Zstd => Box::new(zstd::Decoder::with_buffer(bytes)?),
            other => return DefaultCompressor.decompress(bytes, out, other),
        };
        let limit = u64::from(backhand::MAX_BLOCK_SIZE);
        reader.take(limit).read_to_end(out)?;
        Ok(())
    }

    fn compress(
        &self,
        _: &[u8],
        _: FilesystemCompressor,
        _: u32,
    ) -> Result<Vec<u8>, BackhandError> {
        Err(BackhandError::Unreachable)
    }
}

fn text(squashfs: &FilesystemReader<'_>, node: &Node<SquashfsFileReader>) -> Result<String> {
    let path = node.fullpath.display();
    let InnerNode::File(file) = &node.inner else {
        bail!("{path} is not a regular file");
    };
    let mut text = String::new();
    let reader = squashfs.file(file).reader();
    let size = reader.take(LIMIT).read_to_string(&mut text);
    let size = size.with_context(|| format!("cannot read {path}"))?;
    ensure!((size as u64) < LIMIT, "{path} is too large");
    Ok(text)
}

/// A field of a file in the format of os-release(5).
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let mut values = text.lines().filter_map(|line| {
        let (key, value) = line.split_once('=')?;
        (key.trim() == name).then(|| value.trim().trim_matches(['"', '\'']))
    });
    values.next_back()
}

/// The version in names such as `kubernetes-v1.31.3-x86-64.raw`.
fn version_in_name(path: &Path) -> Option<Version> {
    let name = path.file_stem().and_then(OsStr::to_str)?;
    let mut parts = name.split(['-', '_']);
    parts.find_map(|part| Version::parse(part).ok())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;
    use std::process::Command;

    use super::{field, read, version_in_name};
    use nkd_model::Architecture;
    use nkd_model::version::Version;

    #[test]
    fn images_of_every_compression_are_read() {
        let directory = tempfile::tempdir().unwrap();
        let tree = directory.path().join("tree");
        let releases = tree.join("usr/lib/extension-release.d");
        fs::create_dir_all(&releases).unwrap();
        fs::create_dir_all(tree.join("usr/bin")).unwrap();
        fs::write(tree.join("usr/bin/kubelet"), vec![7; 300_000]).unwrap();
        let fields = "ID=_any\nARCHITECTURE=\"arm64\"\n";
        fs::write(releases.join("extension-release.k8s"), fields).unwrap();
        for compression in ["gzip", "xz", "zstd"] {
            let path = directory.path().join("k8s-v1.31.3-arm64.raw");
            let made = Command::new("mksquashfs")
                .args([&tree, &path])
                .args(["-noappend", "-quiet", "-no-progress", "-comp", compression])
                .status();
            assert!(made.unwrap().success());
            let contents = read(&path).unwrap().contents.unwrap();
            assert_eq!(contents.names, ["k8s"], "{compression}");
            assert_eq!(contents.architecture, Some(Architecture::Arm64));
            assert!(contents.has_kubernetes && contents.ignored.is_none());
            let version = contents.kubernetes_version.unwrap();
            assert_eq!(version.to_string(), "v1.31.3");
            damaged_images_are_refused(&path);
        }
    }

    /// An image that is cut, and images in which one byte is different.
    fn damaged_images_are_refused(path: &Path) {
        let whole = fs::read(path).unwrap();
        for length in (4..whole.len()).step_by(61) {
            fs::write(path, &whole[..length]).unwrap();
            drop(read(path));
        }
        // The first 96 bytes are the superblock.
        for at in (4..96).chain((96..whole.len()).step_by(13)) {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x55;
            fs::write(path, &bytes).unwrap();
            drop(read(path));
        }
    }

    #[test]
    fn the_last_value_of_a_field_counts_and_quotes_do_not() {
        let text = "A=1\nAB=2\nA='3'\n";
        assert_eq!(field(text, "A"), Some("3"));
        assert_eq!(field(text, "B"), None);
    }

    #[test]
    fn the_name_of_a_file_can_have_a_version() {
        let version = |name: &str| version_in_name(Path::new(name));
        let (minor, patch) = (31, 3);
        let known = Some(Version { minor, patch });
        assert_eq!(version("x/kubernetes-v1.31.3-x86-64.raw"), known);
        assert_eq!(version("kubernetes_1.31.3.raw"), known);
        assert_eq!(version("kubernetes-v1.31-x86-64.raw"), None);
    }
}
