//! A bundle is read as it streams past; whatever isn't what index and manifests say is refused.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeMap;
use std::io::Write as _;

use common::{Bundle, bundle};
use nkd_bundle::{Digest, Error, Layout, Reader, Source, header, padding};
use proptest::prelude::*;

/// All blobs of a bundle, read to its end.
fn read(bytes: &[u8], pinned: Option<&Digest>) -> Result<BTreeMap<Digest, Vec<u8>>, Error> {
    let source = nkd_bundle::open(bytes)?;
    let mut reader = Reader::open(source, pinned)?;
    let mut blobs = BTreeMap::new();
    while let Some(blob) = reader.next_blob()? {
        let mut bytes = Vec::new();
        reader.read_blob(blob, |piece| {
            bytes.extend_from_slice(piece);
            Ok::<_, Error>(())
        })?;
        blobs.insert(blob.digest, bytes);
    }
    assert_eq!(reader.position(), reader.contents().size);
    Ok(blobs)
}

fn two() -> Bundle {
    bundle(&[
        ("example.org/a:1", vec![vec![7; 3000], vec![1; 512]]),
        ("example.org/b:1", vec![vec![7; 3000], vec![2; 100]]),
    ])
}

#[test]
fn what_was_written_is_read_and_shared_blobs_are_there_once() {
    let Bundle {
        images,
        blobs,
        bytes,
    } = two();
    let index = Reader::open(&*bytes, None).unwrap().contents().index;
    assert_eq!(read(&bytes, Some(&index)).unwrap(), blobs);
    let reader = Reader::open(&*bytes, None).unwrap();
    assert_eq!(reader.contents().images, images);
    let shared = Digest::of(&[7; 3000]);
    let there = reader
        .contents()
        .blobs
        .iter()
        .filter(|blob| blob.digest == shared);
    assert_eq!(there.count(), 1);
    assert_eq!(
        reader.contents().owners(&shared),
        "example.org/a:1, example.org/b:1"
    );
}

#[test]
fn a_compressed_bundle_is_the_same_bundle() {
    let Bundle { blobs, bytes, .. } = two();
    let compressed = zstd::encode_all(&*bytes, 3).unwrap();
    assert!(compressed.len() < bytes.len());
    assert_eq!(read(&compressed, None).unwrap(), blobs);
}

#[test]
fn blobs_can_be_left_out() {
    let Bundle { bytes, .. } = two();
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&bytes).unwrap();
    std::io::Seek::rewind(&mut file).unwrap();
    let sources: [Box<dyn Source + Send>; 2] = [
        nkd_bundle::open(file).unwrap(),
        nkd_bundle::open(&*bytes).unwrap(),
    ];
    for source in sources {
        let mut reader = Reader::open(source, None).unwrap();
        while let Some(blob) = reader.next_blob().unwrap() {
            reader.skip_blob(blob).unwrap();
        }
        assert_eq!(reader.position(), bytes.len() as u64);
    }
}

#[test]
fn another_bundle_than_the_pinned_one_is_refused_by_its_index() {
    let pinned = Digest::of(b"another");
    let error = read(&two().bytes, Some(&pinned)).unwrap_err();
    assert!(matches!(error, Error::Unexpected { at: 0, .. }), "{error}");
    assert!(error.to_string().contains(&pinned.to_string()), "{error}");
}

#[test]
fn a_flipped_byte_of_a_layer_names_the_layer_and_its_images() {
    let mut bytes = two().bytes;
    let at = bytes
        .windows(600)
        .position(|content| content == [7; 600])
        .unwrap();
    bytes[at + 5] ^= 1;
    let error = read(&bytes, None).unwrap_err().to_string();
    assert!(
        error.contains(&Digest::of(&[7; 3000]).to_string()),
        "{error}"
    );
    assert!(
        error.contains("example.org/a:1, example.org/b:1"),
        "{error}"
    );
}

#[test]
fn a_missing_layer_an_extra_file_and_a_path_that_leads_out_are_unexpected() {
    let bundle = two();
    let write = |change: &dyn Fn(&mut Layout)| {
        let mut layout = Layout::of(&bundle.images);
        change(&mut layout);
        let mut bytes = Vec::new();
        let give =
            |blob: nkd_bundle::Blob, out: &mut Vec<u8>| out.write_all(&bundle.blobs[&blob.digest]);
        layout.write(&mut bytes, give).unwrap();
        bytes
    };
    let missing = write(&|layout| drop(layout.entries.pop()));
    let extra = write(&|layout| {
        layout
            .entries
            .push(nkd_bundle::Entry::bytes("blobs/sha256/extra", vec![1]));
    });
    let mut path = bundle.bytes.clone();
    let last = path.len() - 1024 - 512 - 512;
    let mut header = tar::Header::new_ustar();
    header.as_old_mut().name[..11].copy_from_slice(b"/etc/passwd");
    header.set_size(100);
    header.set_cksum();
    path[last..last + 512].copy_from_slice(header.as_bytes());
    for (bytes, expected) in [(missing, "the end"), (extra, "extra"), (path, "passwd")] {
        match read(&bytes, None).unwrap_err() {
            Error::Unexpected { found, .. } => assert!(found.contains(expected), "{found}"),
            other => panic!("{other}"),
        }
    }
}

#[test]
fn a_tag_twice_and_a_name_that_is_an_option_are_invalid() {
    let twice = bundle(&[("a:1", vec![vec![1]]), ("a:1", vec![vec![2]])]);
    let option = bundle(&[("--all", vec![vec![1]])]);
    for (bundle, said) in [
        (twice, "duplicate image a:1"),
        (option, "\"--all\" is not the name"),
    ] {
        let error = read(&bundle.bytes, None).unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
    }
}

#[test]
fn what_is_no_bundle_is_called_that() {
    let mut other = header("manifest.json", 2).unwrap().to_vec();
    other.extend(b"[]");
    other.resize(512 + 2 + usize::try_from(padding(2)).unwrap(), 0);
    for bytes in [&b""[..], b"{}", &other] {
        let error = read(bytes, None).unwrap_err();
        assert!(matches!(error, Error::NotABundle(_)), "{error}");
    }
}

#[test]
fn an_index_that_claims_to_be_huge_is_not_read() {
    let mut bytes = two().bytes[..1024].to_vec();
    bytes.extend(header("index.json", 1 << 40).unwrap());
    let error = read(&bytes, None).unwrap_err();
    assert!(matches!(error, Error::Unexpected { .. }), "{error}");
}

#[test]
fn a_compressed_bundle_that_wants_a_huge_window_is_refused() {
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
    encoder.window_log(27).unwrap();
    encoder.write_all(&vec![0; 1 << 20]).unwrap();
    let bytes = encoder.finish().unwrap();
    assert!(matches!(read(&bytes, None), Err(Error::Io(_))));
}

proptest! {
    /// No flipped bit anywhere is overlooked.
    #[test]
    fn a_flipped_bit_is_never_overlooked(at in any::<prop::sample::Index>(), bit in 0..8_u32) {
        let mut bytes = two().bytes;
        let index = Reader::open(&*bytes, None).unwrap().contents().index;
        let at = at.index(bytes.len());
        bytes[at] ^= 1_u8 << bit;
        prop_assert!(read(&bytes, Some(&index)).is_err());
    }

    /// Nor is a bundle that is cut off anywhere, and the place is said.
    #[test]
    fn a_cut_bundle_is_truncated(at in any::<prop::sample::Index>()) {
        let bytes = two().bytes;
        let at = at.index(bytes.len());
        match read(&bytes[..at], None).unwrap_err() {
            Error::Truncated { at: said } => prop_assert_eq!(said, at as u64),
            other => prop_assert!(at < 512, "{}", other),
        }
    }

    /// Nor what is appended.
    #[test]
    fn nothing_may_follow(more in prop::collection::vec(any::<u8>(), 1..600)) {
        let mut bytes = two().bytes;
        bytes.extend(more);
        prop_assert!(read(&bytes, None).is_err());
    }

    /// Whatever comes in, an error comes out.
    #[test]
    fn anything_else_is_an_error(head in any::<bool>(), mut more in prop::collection::vec(any::<u8>(), 0..4096)) {
        if head {
            let mut bytes = two().bytes[..1024].to_vec();
            bytes.append(&mut more);
            more = bytes;
        }
        prop_assert!(read(&more, None).is_err());
    }
}
