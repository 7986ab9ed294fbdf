//! Whatever is wrong with an archive is found, and nothing outside of it is read.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::cell::Cell;
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::Path;

use common::images::{Image, Layout, NAME, add, docker_archive, gzip, image, layer, made, verdict};
use nkd::bundle::ProgressMonitor;
use nkd_bundle::Digest;
use proptest::prelude::*;
use serde_json::{Value, json};

/// Refuses an input with a reason, and leaves nothing.
fn refused(input: &Path) -> String {
    let out = tempfile::tempdir().unwrap();
    let result = made(&[input.to_owned()], &out.path().join("b.tar"), &()).unwrap();
    assert_eq!(fs::read_dir(out.path()).unwrap().count(), 0);
    result.err().unwrap()
}

#[test]
fn a_compressed_archive_is_refused_with_the_way_out() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.tar.gz");
    fs::write(&path, gzip(&layer("a"))).unwrap();
    assert!(refused(&path).contains("the file is compressed; decompress it first"));
    // In a directory it isn't passed over.
    assert!(refused(directory.path()).contains("the file is compressed; decompress it first"));
}

#[test]
fn a_directory_without_archives_says_so() {
    let directory = tempfile::tempdir().unwrap();
    assert!(refused(directory.path()).contains("the directory contains no archive"));
}

#[test]
fn a_cut_off_archive_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.tar");
    docker_archive(&path, &image(NAME), "c.json", &["1.tar", "2.tar"]);
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..2000]).unwrap();
    let stderr = refused(&path);
    assert!(stderr.contains("the tar archive is incomplete"), "{stderr}");
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
            "the image configuration does not match its digest",
        ),
        (
            &document["layers"][1]["digest"],
            "does not match its digest",
        ),
        (
            &layout.index[0]["digest"],
            "the manifest does not match its digest",
        ),
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
        stderr.contains("differs from the one in the image configuration"),
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
    assert!(stderr.contains("bytes after decompression"), "{stderr}");
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
        assert!(stderr.contains(" is missing"), "{stderr}");
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
    assert!(
        stderr.contains("`../c.json` is outside the directory"),
        "{stderr}"
    );
}

/// Wants to stop after so many bytes of writing.
struct Stops {
    writing: Cell<bool>,
    after: Cell<u64>,
}

impl ProgressMonitor for Stops {
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

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..Default::default() })]

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
