//! Any files, each after a line `=== NAME`, in a tar; or else any bytes. As an archive of images it
//! is refused with a reason and nothing is written, or the bundle made of it is whole. As a bundle
//! it is whole or it is not.
#![no_main]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use libfuzzer_sys::fuzz_target;
use nkd::bundle::create::{Request, create};
use nkd::bundle::verify::verify;
use nkd::failure::Failure;
use nkd_document::Diagnostics;

fuzz_target!(|bytes: &[u8]| {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("archive.tar");
    fs::write(&path, archive(bytes)).expect("a file");
    let _ = verify(&path, &());
    becomes_whole_or_nothing(&path, &directory.path().join("bundle.tar"));
});

fn archive(bytes: &[u8]) -> Vec<u8> {
    let text = std::str::from_utf8(bytes).ok();
    let Some(text) = text.and_then(|text| text.strip_prefix("=== ")) else {
        return bytes.to_vec();
    };
    let mut builder = tar::Builder::new(Vec::new());
    for file in text.split("\n=== ") {
        let (name, content) = file.split_once('\n').unwrap_or((file, ""));
        let name = &name.as_bytes()[..name.len().min(99)];
        let mut header = tar::Header::new_gnu();
        // `set_path` would refuse names that lead out.
        header.as_old_mut().name[..name.len()].copy_from_slice(name);
        header.set_size(content.len() as u64);
        header.set_cksum();
        builder
            .append(&header, content.as_bytes())
            .expect("an entry");
    }
    builder.into_inner().expect("a tar")
}

fn becomes_whole_or_nothing(path: &Path, out: &Path) {
    let request = Request {
        names: &BTreeSet::from(["example.org/a:1"]),
        arch: "amd64",
        from: &[path.to_owned()],
        pull: false,
        out,
        zstd: false,
        split: None,
        progress: &(),
    };
    let mut diagnostics = Diagnostics::new();
    match create(&request, &mut diagnostics) {
        Ok(_) => {
            verify(out, &()).expect("a whole bundle");
        }
        Err(Failure::Input(_)) => assert!(!out.exists(), "{diagnostics}"),
        Err(Failure::Nkd(error)) => panic!("{error:#}"),
    }
}
