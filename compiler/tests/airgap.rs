//! `airgap.bundles`: a plan names what the bundles have, down to the digest, and nothing is missing.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::fs;

use common::images::{Site, names, tiny_bundle};
use nkd_bundle::Reader;
use serde_json::{Value, json};

/// A site with a bundle of everything.
fn closed(version: &str, more: &str) -> Site {
    let site = Site::new();
    site.cluster(version, "");
    let images = names(&site.images());
    let images: Vec<_> = images.iter().map(String::as_str).collect();
    fs::write(site.path("bundle.tar"), tiny_bundle(&images, "amd64")).unwrap();
    site.cluster(version, more);
    site
}

/// The plan of a node, and its kubeadm configuration.
fn compiled(site: &Site, node: &str) -> (Value, String) {
    let out = site.path("out");
    if out.exists() {
        fs::remove_dir_all(&out).unwrap();
    }
    common::compile(&site.path("cluster.yaml"), &out, &[]);
    let config = common::ignition(&out, node);
    let plan = common::file(&config, "/etc/nkd/plan.json").unwrap();
    let kubeadm = common::file(&config, "/etc/nkd/kubeadm.yaml").unwrap();
    (serde_json::from_str(&plan).unwrap(), kubeadm)
}

fn digests(plan: &Value) -> Vec<&Value> {
    let required = plan["images"]["required"].as_array().unwrap();
    required.iter().map(|image| &image["digest"]).collect()
}

const BUNDLE: &str = "  airgap: {bundles: [bundle.tar]}\n";

#[test]
fn a_workers_plan_pins_bundle_and_images() {
    let more = "  airgap:
    bundles: [bundle.tar]
    sources:
      - {disk: NKD}
      - {urls: ['http://10.0.0.1/nkd/', 'https://mirror.example.org']}
      - {directory: /usr/lib/nkd/bundles}
";
    let (plan, _) = compiled(&closed("v1.31.2", more), "w1");
    let images = serde_json::to_string_pretty(&plan["images"]).unwrap();
    let record = common::tests().join("clusters/airgap/worker.json");
    snapbox::assert_data_eq!(images, snapbox::Data::read_from(&record, None).raw());
}

#[test]
fn without_sources_nodes_look_into_the_os_image() {
    let (plan, _) = compiled(&closed("v1.31.2", BUNDLE), "cp1");
    let bundles = &plan["images"]["source"]["bundles"];
    assert_eq!(
        bundles["sources"],
        json!([{"directory": "/usr/lib/nkd/bundles"}])
    );
    assert_eq!(bundles["registry"], Value::Null);
}

#[test]
fn each_runtime_gets_the_digest_it_knows_images_by() {
    for (runtime, of_manifest) in [
        ("containerd", true),
        ("crio", false),
        ("docker", false),
        ("isulad", false),
    ] {
        let more = format!("  runtime: {{name: {runtime}}}\n{BUNDLE}");
        let site = closed("v1.20.2", &more);
        let (plan, _) = compiled(&site, "cp1");
        let bytes = fs::read(site.path("bundle.tar")).unwrap();
        let reader = Reader::open(&*bytes, None).unwrap();
        for image in plan["images"]["required"].as_array().unwrap() {
            let bundled = reader
                .contents()
                .images
                .iter()
                .find(|pinned| image["name"] == pinned.name);
            let bundled = bundled.unwrap();
            let digest = if of_manifest {
                bundled.manifest.digest
            } else {
                bundled.config.digest
            };
            assert_eq!(image["digest"], digest.to_string(), "{runtime}");
        }
    }
}

#[test]
fn kubeadm_may_pull_nothing_where_its_version_can_be_told() {
    for (version, more, never) in [
        ("v1.31.2", BUNDLE, true),
        ("v1.22.17", BUNDLE, true),
        ("v1.21.14", BUNDLE, false),
        (
            "v1.31.2",
            "  airgap: {bundles: [bundle.tar], fallback: registry}\n",
            false,
        ),
        ("v1.31.2", "", false),
    ] {
        let site = closed(version, more);
        for node in ["cp1", "w1"] {
            let (_, kubeadm) = compiled(&site, node);
            let said = kubeadm.contains("imagePullPolicy: Never");
            assert_eq!(said, never, "{version} {more} {kubeadm}");
        }
    }
}

/// kubelet's configuration in what the init node's kubeadm is given.
fn kubelet(kubeadm: &str) -> Value {
    let documents = nkd_document::yaml::fragment(kubeadm).unwrap();
    let mut documents = documents.into_iter();
    let kubelets = documents.find(|document| document["kind"] == "KubeletConfiguration");
    kubelets.unwrap()
}

/// The images that CRI-O pins on a node, if it is told any.
fn pinned_by_crio(site: &Site, node: &str) -> Option<Vec<String>> {
    let config = common::ignition(&site.path("out"), node);
    let text = common::file(&config, "/etc/crio/crio.conf.d/91-nkd-pinned.conf")?;
    let (_, list) = text
        .split_once("[crio.image]\npinned_images = [\n")
        .unwrap();
    let names = list.strip_suffix("]\n").unwrap().lines();
    let unquoted = |line: &str| {
        let name = line.strip_prefix("  \"")?.strip_suffix("\",")?;
        Some(name.to_owned())
    };
    Some(names.map(|line| unquoted(line).unwrap()).collect())
}

#[test]
fn images_that_no_registry_brings_back_are_pinned_or_never_collected() {
    const FALLBACK: &str = "  airgap: {bundles: [bundle.tar], fallback: registry}\n";
    const DIRECTORY: &str = "  airgap: {images: /usr/share/nkd/images}\n";
    for (runtime, version, airgap, crio_pins, collects) in [
        // kubelet heeds what is pinned, and the agent pins it.
        ("containerd", "v1.28.2", BUNDLE, false, true),
        ("containerd", "v1.28.1", BUNDLE, false, false),
        ("containerd", "v1.25.14", BUNDLE, false, true),
        ("containerd", "v1.25.13", DIRECTORY, false, false),
        ("crio", "v1.28.2", BUNDLE, true, true),
        ("crio", "v1.31.2", DIRECTORY, true, true),
        ("crio", "v1.27.6", BUNDLE, false, false),
        ("docker", "v1.31.2", BUNDLE, false, false),
        ("isulad", "v1.31.2", DIRECTORY, false, false),
        // A registry brings them back.
        ("crio", "v1.31.2", FALLBACK, false, true),
        ("docker", "v1.20.2", FALLBACK, false, true),
        ("docker", "v1.20.2", "", false, true),
    ] {
        let case = format!("{runtime} {version} {airgap}");
        let site = closed(
            version,
            &format!("  runtime: {{name: {runtime}}}\n{airgap}"),
        );
        let (plan, kubeadm) = compiled(&site, "cp1");
        let kubelet = kubelet(&kubeadm);
        if collects {
            assert_eq!(
                kubelet["imageGCHighThresholdPercent"],
                Value::Null,
                "{case}"
            );
            assert_eq!(kubelet["evictionHard"], Value::Null, "{case}");
        } else {
            assert_eq!(kubelet["imageGCHighThresholdPercent"], 100, "{case}");
            let evicts = &kubelet["evictionHard"];
            assert_eq!(evicts["imagefs.available"], "5%", "{case}");
            assert_eq!(evicts["nodefs.available"], "5%", "{case}");
            assert_eq!(evicts["memory.available"], "100Mi", "{case}");
        }
        let required = plan["images"]["required"].as_array().unwrap().iter();
        let mut required: Vec<_> = required
            .map(|image| image["name"].as_str().unwrap().to_owned())
            .collect();
        required.sort();
        assert_eq!(
            pinned_by_crio(&site, "cp1"),
            crio_pins.then_some(required),
            "{case}"
        );
        assert_eq!(pinned_by_crio(&site, "w1").is_some(), crio_pins, "{case}");
    }
}

#[test]
fn a_users_own_thresholds_of_image_collection_stay() {
    for (own, percent, memory) in [
        ("imageGCHighThresholdPercent: 90", json!(90), Value::Null),
        (
            "evictionHard: {memory.available: 1Gi}",
            json!(100),
            json!("1Gi"),
        ),
        ("maxPods: 50", json!(100), json!("100Mi")),
        // Above kubelet's default of the high threshold, but below that of nkd.
        ("imageGCLowThresholdPercent: 90", json!(100), json!("100Mi")),
    ] {
        let site = closed("v1.20.2", BUNDLE);
        let file = fs::read_to_string(site.path("cluster.yaml")).unwrap();
        let version = "kubernetes: {version: v1.20.2";
        assert!(file.contains(version), "{file}");
        let with = format!("{version}, kubeadm: [kubelet.yaml]");
        fs::write(site.path("cluster.yaml"), file.replace(version, &with)).unwrap();
        let head = "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration";
        fs::write(site.path("kubelet.yaml"), format!("{head}\n{own}\n")).unwrap();
        let (_, kubeadm) = compiled(&site, "cp1");
        let kubelet = kubelet(&kubeadm);
        assert_eq!(kubelet["imageGCHighThresholdPercent"], percent, "{own}");
        assert_eq!(kubelet["evictionHard"]["memory.available"], memory, "{own}");
        let only_memory = own.starts_with("evictionHard");
        let image = &kubelet["evictionHard"]["imagefs.available"];
        assert_eq!(image.is_null(), only_memory || percent == 90, "{own}");
    }
}

#[test]
fn a_node_gets_the_smallest_bundle_that_has_all_it_runs() {
    let site = closed("v1.31.2", "  airgap: {bundles: [bundle.tar, worker.tar]}\n");
    let worker = [
        "kube-proxy:v1.31.2",
        "pause:3.10",
        "coredns/coredns:v1.11.3",
    ];
    let names = worker.map(|image| format!("registry.k8s.io/{image}"));
    let worker = names.each_ref().map(String::as_str);
    fs::write(site.path("worker.tar"), tiny_bundle(&worker, "amd64")).unwrap();
    let files = |node| {
        let (plan, _) = compiled(&site, node);
        let bundles = plan["images"]["source"]["bundles"]["bundles"].clone();
        let bundles = bundles.as_array().unwrap().clone();
        bundles
            .into_iter()
            .map(|bundle| bundle["file"].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(files("w1"), ["worker.tar"]);
    assert_eq!(files("cp1"), ["bundle.tar"]);
}

#[test]
fn parts_are_all_named_but_for_those_with_nothing_new() {
    let site = closed("v1.31.2", "  airgap: {bundles: [a.tar, a2.tar, b.tar]}\n");
    let images = names(&site_images());
    let images: Vec<_> = images.iter().map(String::as_str).collect();
    let (a, b) = images.split_at(3);
    for (name, images) in [("a.tar", a), ("a2.tar", &a[1..]), ("b.tar", b)] {
        fs::write(site.path(name), tiny_bundle(images, "amd64")).unwrap();
    }
    let (plan, _) = compiled(&site, "cp1");
    let bundles = &plan["images"]["source"]["bundles"]["bundles"];
    let files: Vec<_> = bundles
        .as_array()
        .unwrap()
        .iter()
        .map(|bundle| &bundle["file"])
        .collect();
    assert_eq!(files, ["a.tar", "b.tar"]);
    assert!(digests(&plan).iter().all(|digest| digest.is_string()));
}

fn site_images() -> Vec<common::images::Image> {
    Site::new().images()
}

#[test]
fn with_a_fallback_what_no_bundle_has_is_pulled_and_not_pinned() {
    let more = "  airgap: {bundles: [bundle.tar], fallback: registry}\n";
    let site = closed("v1.31.2", more);
    let pause = tiny_bundle(&["registry.k8s.io/pause:3.10"], "amd64");
    fs::write(site.path("bundle.tar"), pause).unwrap();
    let (plan, _) = compiled(&site, "w1");
    assert_eq!(plan["images"]["source"]["bundles"]["registry"], true);
    let pinned = digests(&plan)
        .iter()
        .filter(|digest| digest.is_string())
        .count();
    assert_eq!((pinned, digests(&plan).len()), (1, 3));
}

#[test]
fn images_can_be_listed_and_bundled_before_the_bundle_is_there() {
    let site = Site::with(BUNDLE);
    assert_eq!(site.images().len(), 7);
}

/// Bundles of broken input: `SNAPSHOTS=overwrite` writes them.
#[test]
fn bundles_in_broken_input_are_as_they_are_made_here() {
    let kubernetes =
        ["pause:3.10", "kube-proxy:v1.31.2"].map(|image| format!("registry.k8s.io/{image}"));
    let kubernetes = kubernetes.each_ref().map(String::as_str);
    let zeros = format!("example.org/a@sha256:{}", "0".repeat(64));
    let pause = &kubernetes[..1];
    for (path, names, arch) in [
        ("168-incomplete-bundle/bundle.tar", &kubernetes[..], "amd64"),
        ("169-bundles-together/amd64.tar", pause, "amd64"),
        ("169-bundles-together/arm64.tar", pause, "arm64"),
        ("169-bundles-together/more/amd64.tar", pause, "amd64"),
        ("174-bundle-digest/bundle.tar", &[&*zeros], "amd64"),
        ("175-bundle-digest-crio/bundle.tar", &[&*zeros], "amd64"),
    ] {
        let path = common::fixtures().join(path);
        let bytes = tiny_bundle(names, arch);
        if std::env::var("SNAPSHOTS").is_ok_and(|value| value == "overwrite") {
            fs::write(&path, &bytes).unwrap();
        }
        assert!(fs::read(&path).unwrap() == bytes, "{}", path.display());
    }
}
