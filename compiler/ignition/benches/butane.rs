//! How long a Butane document takes to become an Ignition config, inside the process: twelve files
//! of what people put into them, with users, units and a filesystem. `cargo bench -p nkd-ignition`.
#![allow(clippy::unwrap_used, missing_docs)]

use std::fmt::Write as _;
use std::path::Path;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use nkd_document::Diagnostics;
use nkd_ignition::butane;
use nkd_ignition::tree;

fn document() -> String {
    let mut text = String::from(
        "variant: nestos\nversion: 1.0.0\npasswd:\n  users:\n    - name: ops\n      groups: [wheel]\n\
         \x20     ssh_authorized_keys: [ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ9sOOhXAZUqVgBMqUa ops]\n\
         systemd:\n  units:\n    - name: hello.service\n      enabled: true\n      contents: |\n\
         \x20       [Service]\n        ExecStart=/usr/bin/true\n        [Install]\n\
         \x20       WantedBy=multi-user.target\n\
         storage:\n  filesystems:\n    - {device: /dev/vdb, format: xfs, path: /var/lib/data, with_mount_unit: true}\n\
         \x20 files:\n",
    );
    for file in 0..12 {
        let path = format!("/etc/site.d/{file:02}.conf");
        writeln!(
            text,
            "    - path: {path}\n      mode: 0644\n      contents:\n        inline: |"
        )
        .unwrap();
        // A line, a screenful, and all between.
        for line in 0..=4 * file {
            writeln!(
                text,
                "          setting-{line} = value of {file} # as agreed"
            )
            .unwrap();
        }
    }
    text
}

fn translate(text: &str) -> String {
    let mut diagnostics = Diagnostics::new();
    let source = diagnostics.add(Path::new("config.bu"), text.to_owned());
    let translated = butane::translate(source, None, &mut diagnostics);
    let translated = translated.unwrap_or_else(|_| panic!("{diagnostics}"));
    tree::to_json(&translated.config).to_string()
}

fn documents(criterion: &mut Criterion) {
    let text = document();
    let mut group = criterion.benchmark_group("butane");
    group.throughput(Throughput::Bytes(text.len() as u64));
    group.bench_function("twelve files", |bencher| bencher.iter(|| translate(&text)));
}

criterion_group!(benches, documents);
criterion_main!(benches);
