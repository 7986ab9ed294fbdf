//! Whatever is wrong with an archive or a bundle is found, and nothing outside of it is read.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::cell::Cell;
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use common::images::{Image, Layout, Site, add, docker_archive, gzip, image, layer};
use nkd::bundle::create::{Made, Request, create};
use nkd::bundle::{Progress, verify};
use nkd::diagnostics::Diagnostics;
use nkd_bundle::{Digest, header, padding};
use proptest::prelude::*;
use serde_json::{Value, json};

const NAME: &str = "example.org/a:1";

/// What is made of inputs that shall have one image, or the diagnostics.
fn made(
    from: &[PathBuf],
    out: &Path,
    progress: &dyn Progress,
) -> anyhow::Result<Result<Made, String>> {
    let request = Request {
        names: &BTreeSet::from([NAME]),
        arch: "amd64",
        from,
        pull: false,
        out,
        zstd: false,
        split: None,
        progress,
    };
    let mut diagnostics = Diagnostics::new();
    let made = create(&request, &mut diagnostics)?;
    Ok(if diagnostics.is_empty() {
        Ok(made)
    } else {
        Err(diagnostics.to_string())
    })
}

/// Refuses an input with a reason, and leaves nothing.
fn refused(input: &Path) -> String {
    let out = tempfile::tempdir().unwrap();
    let result = made(&[input.to_owned()], &out.path().join("b.tar"), &()).unwrap();
    assert_eq!(fs::read_dir(out.path()).unwrap().count(), 0);
    result.err().unwrap()
}

/// A good bundle.
fn bundle(directory: &Path) -> PathBuf {
    let layout = directory.join("layout");
    Layout::of(&layout, &[image(NAME)]);
    let out = directory.join("bundle.tar");
    made(&[layout], &out, &()).unwrap().unwrap();
    out
}

fn verdict(path: &Path) -> Result<(), String> {
    let verified = verify::verify(path, &());
    verified.map(drop).map_err(|error| format!("{error:#}"))
}

#[test]
fn a_compressed_archive_is_refused_with_the_way_out() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.tar.gz");
    fs::write(&path, gzip(&layer("a"))).unwrap();
    assert!(refused(&path).contains("it is compressed: unpack it first"));
    // In a directory it isn't passed over.
    assert!(refused(directory.path()).contains("it is compressed: unpack it first"));
}

#[test]
fn a_directory_without_archives_says_so() {
    let directory = tempfile::tempdir().unwrap();
    assert!(refused(directory.path()).contains("there is no archive in it"));
}

#[test]
fn a_cut_off_archive_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.tar");
    docker_archive(&path, &image(NAME), "c.json", &["1.tar", "2.tar"]);
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..2000]).unwrap();
    let stderr = refused(&path);
    assert!(stderr.contains("it is not a whole tar"), "{stderr}");
}

#[test]
fn a_layer_that_is_missing_is_named_with_its_image() {
    let directory = tempfile::tempdir().unwrap();
    let layout = Layout::of(directory.path(), &[image(NAME)]);
    let missing = Digest::of(&gzip(&layer(NAME)));
    fs::remove_file(layout.blob_path(&json!(missing))).unwrap();
    let stderr = refused(directory.path());
    assert!(
        stderr.contains(NAME) && stderr.contains(&missing.hex()),
        "{stderr}"
    );
}

#[test]
fn blobs_with_other_bytes_than_their_names_say_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let layout = Layout::of(directory.path(), &[image(NAME)]);
    let manifest = layout.blob_path(&layout.index[0]["digest"]);
    let document: Value = serde_json::from_slice(&fs::read(&manifest).unwrap()).unwrap();
    for (digest, reason) in [
        (
            &document["config"]["digest"],
            "its configuration has other bytes",
        ),
        (
            &document["layers"][1]["digest"],
            "has other bytes than its digest",
        ),
        (&layout.index[0]["digest"], "its manifest has other bytes"),
    ] {
        let path = layout.blob_path(digest);
        let good = fs::read(&path).unwrap();
        let mut bad = good.clone();
        // gzip's header has the time in it, which nothing else notices.
        bad[4] ^= 1;
        fs::write(&path, bad).unwrap();
        let stderr = refused(directory.path());
        assert!(stderr.contains(reason), "{stderr}");
        fs::write(&path, good).unwrap();
    }
}

#[test]
fn a_layer_of_another_image_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.tar");
    let image = image(NAME);
    let config = image.config();
    let list = json!([{"Config": "c.json", "RepoTags": [NAME], "Layers": ["1.tar", "2.tar"]}]);
    let mut builder = tar::Builder::new(Vec::new());
    add(&mut builder, "c.json", &config);
    add(&mut builder, "1.tar", &image.layers[0]);
    add(&mut builder, "2.tar", &layer("of another"));
    add(&mut builder, "manifest.json", list.to_string().as_bytes());
    fs::write(&path, builder.into_inner().unwrap()).unwrap();
    let stderr = refused(&path);
    assert!(
        stderr.contains("is not the one of its configuration"),
        "{stderr}"
    );
}

#[test]
fn a_layer_that_unpacks_to_far_more_than_layers_do_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let bomb = {
        use io::Write as _;
        let level = flate2::Compression::best();
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), level);
        let zeros = vec![0; 1 << 20];
        for _ in 0..1300 {
            encoder.write_all(&zeros).unwrap();
        }
        encoder.finish().unwrap()
    };
    let path = directory.path().join("a.tar");
    let bomb = Image {
        layers: vec![bomb],
        ..image(NAME)
    };
    docker_archive(&path, &bomb, "c.json", &["1.tar"]);
    let stderr = refused(&path);
    assert!(stderr.contains("it unpacks to more than"), "{stderr}");
}

#[test]
fn paths_that_lead_out_of_an_archive_stay_in_it() {
    let directory = tempfile::tempdir().unwrap();
    let host = directory.path().join("host");
    fs::create_dir(&host).unwrap();
    // All that the archive names is there on the host, and would do.
    let image = image(NAME);
    fs::write(host.join("c.json"), image.config()).unwrap();
    fs::write(host.join("1.tar"), &image.layers[0]).unwrap();
    fs::write(host.join("2.tar"), &image.layers[1]).unwrap();
    let path = directory.path().join("archives/a.tar");
    fs::create_dir(path.parent().unwrap()).unwrap();
    for prefix in ["../host".to_owned(), host.display().to_string()] {
        let file = |name: &str| format!("{prefix}/{name}");
        let list = json!([{
            "Config": file("c.json"),
            "RepoTags": [NAME],
            "Layers": [file("1.tar"), "link"],
        }]);
        let mut builder = tar::Builder::new(Vec::new());
        let mut link = tar::Header::new_gnu();
        link.set_entry_type(tar::EntryType::Symlink);
        link.set_size(0);
        builder
            .append_link(&mut link, "link", file("2.tar"))
            .unwrap();
        add(&mut builder, "manifest.json", list.to_string().as_bytes());
        fs::write(&path, builder.into_inner().unwrap()).unwrap();
        let stderr = refused(&path);
        assert!(stderr.contains("there is no "), "{stderr}");
    }
}

#[test]
fn a_layout_whose_files_are_links_out_of_it_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let layout = Layout::of(&directory.path().join("layout"), &[image(NAME)]);
    let blob = layout.blob_path(&json!(Digest::of(&gzip(&layer(NAME)))));
    let outside = directory.path().join("outside");
    fs::rename(&blob, &outside).unwrap();
    symlink(&outside, &blob).unwrap();
    let stderr = refused(&layout.path);
    assert!(stderr.contains("is outside"), "{stderr}");
    // Within it is the layout's own business.
    fs::remove_file(&blob).unwrap();
    fs::rename(&outside, layout.path.join("blobs/elsewhere")).unwrap();
    symlink("../elsewhere", &blob).unwrap();
    let out = directory.path().join("b.tar");
    made(&[layout.path], &out, &()).unwrap().unwrap();
}

#[test]
fn a_layout_with_dockers_list_names_no_files_outside() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("layout");
    Layout::new(&path);
    let image = image(NAME);
    let file = |name: &str, bytes: &[u8]| {
        fs::write(directory.path().join(name), bytes).unwrap();
        format!("../{name}")
    };
    let list = json!([{
        "Config": file("c.json", &image.config()),
        "RepoTags": [NAME],
        "Layers": [file("1.tar", &image.layers[0]), file("2.tar", &image.layers[1])],
    }]);
    fs::write(path.join("manifest.json"), list.to_string()).unwrap();
    let stderr = refused(&path);
    assert!(stderr.contains("../c.json is outside"), "{stderr}");
}

/// Wants to stop after so many bytes of writing.
struct Stops {
    writing: Cell<bool>,
    after: Cell<u64>,
}

impl Progress for Stops {
    fn say(&self, _: &str) {}

    fn begin(&self, what: &str, _: u64) {
        self.writing.set(what.starts_with("writing"));
    }

    fn advance(&self, bytes: u64) -> io::Result<()> {
        if self.writing.get() {
            self.after.set(self.after.get().saturating_sub(bytes));
        }
        match self.after.get() {
            0 => Err(io::Error::other("it was interrupted")),
            _ => Ok(()),
        }
    }
}

#[test]
fn an_interrupted_run_leaves_nothing_and_an_earlier_bundle_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let layout = directory.path().join("layout");
    Layout::of(&layout, &[image(NAME)]);
    let out = directory.path().join("out");
    fs::create_dir(&out).unwrap();
    fs::write(out.join("b.tar"), "earlier").unwrap();
    let stops = Stops {
        writing: Cell::new(false),
        after: Cell::new(300),
    };
    let error = made(&[layout], &out.join("b.tar"), &stops).err().unwrap();
    assert!(format!("{error:#}").contains("it was interrupted"));
    assert_eq!(fs::read(out.join("b.tar")).unwrap(), b"earlier");
    assert_eq!(fs::read_dir(&out).unwrap().count(), 1);
}

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
    let reason = with_index(|it| it["manifests"][0]["platform"]["architecture"] = json!("arm64"));
    assert_eq!(
        reason,
        format!("{NAME} is for linux/amd64, not for arm64 as the bundle says")
    );
}

#[test]
fn a_name_that_points_at_another_digest_is_refused() {
    let digest = Digest::of(b"another").to_string();
    let reason = with_index(|it| it["manifests"][0]["digest"] = json!(digest));
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
        format!("{NAME}: its layers are not those of its configuration")
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
        "error[NKD0501]: short.tar: it has",
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

    #[test]
    fn any_bytes_as_an_archive_are_refused_with_a_reason(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.tar");
        fs::write(&path, bytes).unwrap();
        prop_assert!(!refused(&path).is_empty());
    }

    /// Bytes that the image doesn't need may change; then the bundle is a good one all the same.
    #[test]
    fn a_damaged_archive_is_refused_or_gives_a_whole_bundle(
        docker: bool,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.tar");
        if docker {
            docker_archive(&path, &image(NAME), "c.json", &["1.tar", "2.tar"]);
        } else {
            let layout = Layout::of(&directory.path().join("layout"), &[image(NAME)]);
            layout.archive(&path, None);
        }
        let mut bytes = fs::read(&path).unwrap();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        fs::write(&path, bytes).unwrap();
        let out = directory.path().join("b.tar");
        match made(&[path], &out, &()).unwrap() {
            Ok(_) => prop_assert_eq!(verdict(&out), Ok(())),
            Err(reason) => prop_assert!(!reason.is_empty() && !out.exists()),
        }
    }
}
