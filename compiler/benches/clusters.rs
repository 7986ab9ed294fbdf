//! How long clusters take, from the cluster file to what would be written: parsed, compiled, packed
//! for a carrier and proven. `cargo bench -p nkd`.
#![allow(clippy::unwrap_used, missing_docs)]

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use nkd::carrier::{self, Target};
use nkd::compile::{self, Request};
use nkd::compiled::Compiled;
use nkd_document::Diagnostics;

fn cluster_file(nodes: u64) -> String {
    let mut text = String::from(
        "apiVersion: nkd.openeuler.org/v1alpha1\nkind: Cluster\nmetadata: {name: full}\nspec:\n\
         \x20 kubernetes:\n    version: v1.31.2\n    networking: {podSubnet: 100.64.0.0/10}\n  nodes:\n",
    );
    for node in 0..nodes {
        let role = if node == 0 { "control-plane" } else { "worker" };
        let (a, b) = (node / 250, node % 250 + 1);
        writeln!(
            text,
            "    - {{name: n{node}, role: {role}, address: 10.0.{a}.{b}}}"
        )
        .unwrap();
    }
    text
}

fn compile(cluster_file: &Path) -> Compiled {
    let secrets = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clusters/full/secrets.json");
    let request = Request {
        cluster_file,
        out: None,
        secrets: Some(&secrets),
        nodes: &[],
    };
    let mut diagnostics = Diagnostics::new();
    compile::compile(&request, &mut diagnostics)
        .unwrap_or_else(|failure| panic!("{failure:?}\n{diagnostics}"))
}

fn clusters(criterion: &mut Criterion) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("cluster.yaml");
    let mut group = criterion.benchmark_group("clusters");
    group.sample_size(20);
    for nodes in [10, 100, 1000] {
        fs::write(&file, cluster_file(nodes)).unwrap();
        group.throughput(Throughput::Elements(nodes));
        group.bench_function(BenchmarkId::new("compile", nodes), |bencher| {
            bencher.iter(|| compile(&file));
        });
        let compiled = compile(&file);
        group.bench_function(BenchmarkId::new("pack", nodes), |bencher| {
            let carry = || carrier::carry(&compiled, &[Target::Aws], None, &mut Diagnostics::new());
            bencher.iter(|| carry().unwrap());
        });
    }
}

criterion_group!(benches, clusters);
criterion_main!(benches);
