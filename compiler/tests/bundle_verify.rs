//! `nkd bundle verify`: a bundle is what it says, to the last bit, or is refused.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::fs;
use std::io;
use std::path::Path;

use common::images::{NAME, Site, bundle, verdict};
use nkd_bundle::{Digest, header, padding};
use proptest::prelude::*;
use serde_json::{Value, json};

#[test]
fn a_bundle_that_is_what_it_says_is_whole() {
    let directory = tempfile::tempdir().unwrap();
    assert_eq!(verdict(&bundle(directory.path())), Ok(()));
}

/// A bundle of these entries.
fn written(path: &Path, entries: &[(String, Vec<u8>)]) {
    let mut bytes = Vec::new();
    for (path, content) in entries {
        let size = content.len() as u64;
        // A path that leads out is only possible past the function for good ones.
        let good = path.replace("..", "__");
        let mut header = tar::Header::from_byte_slice(&header(&good, size).unwrap()).clone();
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        header.set_cksum();
        bytes.extend(header.as_bytes());
        bytes.extend(content);
        bytes.resize(bytes.len() + usize::try_from(padding(size)).unwrap(), 0);
    }
    bytes.resize(bytes.len() + 1024, 0);
    fs::write(path, bytes).unwrap();
}

/// A bundle's entries.
fn entries(path: &Path) -> Vec<(String, Vec<u8>)> {
    let mut archive = tar::Archive::new(fs::File::open(path).unwrap());
    let entries = archive.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().display().to_string();
        let mut bytes = Vec::new();
        io::Read::read_to_end(&mut entry, &mut bytes).unwrap();
        (path, bytes)
    });
    entries.collect()
}

#[test]
fn a_bundle_with_a_file_more_or_less_is_not_whole() {
    let directory = tempfile::tempdir().unwrap();
    let path = bundle(directory.path());
    let good = entries(&path);
    for place in 0..=good.len() {
        let mut more = good.clone();
        more.insert(
            place,
            ("blobs/../../etc/passwd".to_owned(), b"root".to_vec()),
        );
        written(&path, &more);
        assert!(verdict(&path).is_err(), "more at {place}");
    }
    for place in 0..good.len() {
        let mut less = good.clone();
        less.remove(place);
        written(&path, &less);
        assert!(verdict(&path).is_err(), "less at {place}");
    }
}

#[test]
fn a_flipped_bit_in_an_index_that_nothing_pins_is_found() {
    let directory = tempfile::tempdir().unwrap();
    let path = bundle(directory.path());
    let good = fs::read(&path).unwrap();
    // After the layout file, and the index's own header.
    let index = 3 * 512..3 * 512 + entries(&path)[1].1.len();
    for at in index {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        fs::write(&path, bytes).unwrap();
        assert!(verdict(&path).is_err(), "byte {at}");
    }
}

/// A bundle whose index was changed.
fn with_index(change: impl FnOnce(&mut Value)) -> String {
    let directory = tempfile::tempdir().unwrap();
    let path = bundle(directory.path());
    let mut entries = entries(&path);
    let mut index: Value = serde_json::from_slice(&entries[1].1).unwrap();
    change(&mut index);
    entries[1].1 = index.to_string().into_bytes();
    written(&path, &entries);
    verdict(&path).unwrap_err()
}

#[test]
fn a_bundle_that_says_another_architecture_than_its_images_is_refused() {
    let reason =
        with_index(|index| index["manifests"][0]["platform"]["architecture"] = json!("arm64"));
    assert_eq!(
        reason,
        format!("{NAME} is for linux/amd64, but the bundle is for arm64")
    );
}

#[test]
fn a_name_that_points_at_another_digest_is_refused() {
    let digest = Digest::of(b"another").to_string();
    let reason = with_index(|index| index["manifests"][0]["digest"] = json!(digest));
    assert!(reason.contains("blobs/sha256"), "{reason}");
}

#[test]
fn a_bundle_whose_layers_are_not_its_configurations_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = bundle(directory.path());
    let mut entries = entries(&path);
    let mut manifest: Value = serde_json::from_slice(&entries[2].1).unwrap();
    manifest["layers"].as_array_mut().unwrap().reverse();
    entries[2].1 = manifest.to_string().into_bytes();
    let digest = Digest::of(&entries[2].1);
    entries[2].0 = format!("blobs/sha256/{}", digest.hex());
    entries.swap(4, 5);
    let mut index: Value = serde_json::from_slice(&entries[1].1).unwrap();
    index["manifests"][0]["digest"] = json!(digest);
    entries[1].1 = index.to_string().into_bytes();
    written(&path, &entries);
    let reason = verdict(&path).unwrap_err();
    assert_eq!(
        reason,
        format!("{NAME}: the layers differ from those in the image configuration")
    );
}

#[test]
fn verify_names_every_bundle_that_is_damaged() {
    let site = Site::new();
    fs::rename(bundle(&site.path("")), site.path("good.tar")).unwrap();
    let bytes = fs::read(site.path("good.tar")).unwrap();
    fs::write(site.path("short.tar"), &bytes[..bytes.len() - 1]).unwrap();
    let run = site.nkd(&["bundle", "verify", "good.tar", "short.tar", "none.tar"]);
    assert_eq!(run.status, Some(3));
    for line in [
        "error[NKD0501]: short.tar: the size is 7679 bytes",
        "error[NKD0501]: none.tar: No such file",
    ] {
        assert!(run.stderr.contains(line), "{}", run.stderr);
    }
    assert!(!run.stderr.contains("good.tar"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..Default::default() })]

    #[test]
    fn a_flipped_bit_anywhere_in_a_bundle_is_found(at in any::<prop::sample::Index>(), bit in 0..8_u32) {
        let directory = tempfile::tempdir().unwrap();
        let path = bundle(directory.path());
        let mut bytes = fs::read(&path).unwrap();
        let at = at.index(bytes.len());
        bytes[at] ^= 1_u8 << bit;
        fs::write(&path, bytes).unwrap();
        prop_assert!(verdict(&path).is_err(), "byte {at}");
    }

    #[test]
    fn a_bundle_that_ends_anywhere_else_is_refused(at in any::<prop::sample::Index>(), zstd: bool) {
        let directory = tempfile::tempdir().unwrap();
        let path = bundle(directory.path());
        let mut bytes = fs::read(&path).unwrap();
        if zstd {
            bytes = zstd::encode_all(&*bytes, 1).unwrap();
        }
        let length = at.index(bytes.len());
        fs::write(&path, &bytes[..length]).unwrap();
        prop_assert!(verdict(&path).is_err(), "{length} bytes");
    }
}
