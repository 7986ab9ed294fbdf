//! What holds for any input.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::fmt::Write as _;
use std::path::Path;

use common::{assert_ignition_takes, demo, tests};
use nkd::compile::{self, Request};
use nkd::diagnostics::Diagnostics;
use nkd::output;
use proptest::prelude::*;

/// A cluster file that nkd should take.
fn accepted() -> impl Strategy<Value = String> {
    let label = (
        "[a-z]([a-z0-9-]{0,20}[a-z0-9])?",
        "[A-Za-z0-9]([A-Za-z0-9_.-]{0,30}[A-Za-z0-9])?",
    );
    let labels = prop::collection::btree_map(label.0, label.1, 0..3);
    let workers = prop::collection::btree_map("w[a-z0-9]{1,20}(\\.[a-z0-9]{1,8})?", labels, 0..4);
    let more = (any::<bool>(), prop::option::of(1u16..), 0..3usize);
    (20u32..=36, 0u32..20, workers, more).prop_map(|(minor, patch, workers, more)| {
        let (airgap, port, taints) = more;
        let mut file = String::from(
            "apiVersion: nkd.openeuler.org/v1alpha1\nkind: Cluster\nmetadata: {name: full}\nspec:\n",
        );
        writeln!(file, "  kubernetes:\n    version: 1.{minor}.{patch}").unwrap();
        if let Some(port) = port {
            writeln!(file, "    endpoint: api.example.org:{port}").unwrap();
        }
        if airgap {
            writeln!(file, "  airgap: {{images: /usr/share/nkd/images}}").unwrap();
        }
        writeln!(file, "  report: {{url: \"http://nkd.example.org:8080/report\"}}").unwrap();
        writeln!(file, "  nodes:").unwrap();
        let taints = ["", ", taints: []", ", taints: [{key: a, effect: NoExecute}]"][taints];
        writeln!(file, "    - {{name: cp1, role: control-plane, address: 10.200.0.1{taints}}}").unwrap();
        for (index, (name, labels)) in workers.iter().enumerate() {
            let labels: Vec<_> = labels.iter().map(|(key, value)| format!("\"{key}\": \"{value}\"")).collect();
            writeln!(
                file,
                "    - {{name: {name}, role: worker, address: 10.200.1.{index}, labels: {{{}}}}}",
                labels.join(", ")
            )
            .unwrap();
        }
        file
    })
}

fn compile(directory: &Path, text: &[u8], secrets: Option<&Path>) -> (bool, String) {
    let cluster_file = directory.join("cluster.yaml");
    std::fs::write(&cluster_file, text).unwrap();
    let mut diagnostics = Diagnostics::new();
    let request = Request {
        cluster_file: &cluster_file,
        out: None,
        secrets,
        nodes: &[],
    };
    let compiled = compile::compile(&request, &mut diagnostics).unwrap();
    if let Some(compiled) = &compiled {
        output::write(&directory.join("out"), compiled, Vec::new()).unwrap();
    }
    (compiled.is_some(), diagnostics.to_string())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_accepted_cluster_file_gives_what_ignition_takes(file in accepted()) {
        let directory = tempfile::tempdir().unwrap();
        let secrets = common::full_secrets();
        let (compiled, diagnostics) = compile(directory.path(), file.as_bytes(), Some(&secrets));
        prop_assert!(compiled, "{file}\n{diagnostics}");
        assert_ignition_takes(&directory.path().join("out"));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damaged_cluster_files_are_taken_or_explained(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut text = std::fs::read(demo()).unwrap();
        for (index, byte) in changes {
            let index = index.index(text.len());
            text[index] = byte;
        }
        taken_or_explained(&text)?;
    }

    #[test]
    fn damaged_files_it_names_are_taken_or_explained(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let directory = tempfile::tempdir().unwrap();
        let from = tests().join("clusters/full");
        for name in ["components.yaml", "overlay-v1beta4.yaml", "w1.ign", "users.ign", "cni.yaml", "report-ca.crt"] {
            let mut bytes = std::fs::read(from.join(name)).unwrap();
            for (index, byte) in &changes {
                let index = index.index(bytes.len());
                bytes[index] = *byte;
            }
            std::fs::write(directory.path().join(name), bytes).unwrap();
        }
        let file = std::fs::read_to_string(from.join("cluster.yaml")).unwrap();
        let file = file.replace("VERSION", "1.31.2").replace("KUBEADM", "v1beta4");
        let (compiled, diagnostics) = compile(directory.path(), file.as_bytes(), None);
        prop_assert!(compiled != diagnostics.contains("error["), "{}", diagnostics);
    }

    #[test]
    fn any_bytes_are_explained(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        taken_or_explained(&bytes)?;
    }

    #[test]
    fn any_yaml_like_text_is_explained(text in "([a-z]{1,6}: ?|- |\\{|\\}|\\[|\\]|&a |\\*a|<<: |\"|'|\\||> |# |\n *|!!str |[0-9.]{1,4}){0,40}") {
        taken_or_explained(text.as_bytes())?;
    }
}

fn taken_or_explained(text: &[u8]) -> Result<(), TestCaseError> {
    let directory = tempfile::tempdir().unwrap();
    let cluster_file = directory.path().join("cluster.yaml");
    std::fs::write(&cluster_file, text).unwrap();
    let mut diagnostics = Diagnostics::new();
    let cluster = nkd::cluster_file::read(&cluster_file, &mut diagnostics);
    prop_assert_eq!(cluster.is_some(), diagnostics.is_empty());
    prop_assert!(
        diagnostics.to_string().is_empty() || !diagnostics.to_string().contains("PRIVATE KEY")
    );
    Ok(())
}
