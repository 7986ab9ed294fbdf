//! `nkd bundle create`: from whatever archives there are, complete or not at all.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::fs;

use common::images::{
    Image, Layout, Site, add, docker_archive, image, inspect, layer, names, skopeo,
};
use serde_json::{Value, json};

/// A site whose images are all in the layout `images`.
fn ready() -> (Site, Vec<Image>) {
    let site = Site::new();
    let images = site.images();
    Layout::of(&site.path("images"), &images);
    (site, images)
}

/// All images but the first are in the layout `images`.
fn all_but_one() -> (Site, Image) {
    let site = Site::new();
    let mut images = site.images();
    let first = images.remove(0);
    Layout::of(&site.path("images"), &images);
    (site, first)
}

#[test]
fn every_kind_of_archive_goes_in_and_skopeo_reads_the_bundle() {
    let (site, images) = ready();
    fs::create_dir(site.path("archives")).unwrap();
    for (number, image) in images.iter().enumerate() {
        let from = format!("oci:{}:{}", site.path("images").display(), image.name);
        let to = site.path("archives").join(format!("{number}"));
        let to = to.display();
        let kind = match number % 3 {
            0 => format!("docker-archive:{to}.tar:{}", image.name),
            1 => format!("oci-archive:{to}.tar:{}", image.name),
            _ => format!("oci:{to}:{}", image.name),
        };
        skopeo(&from, &kind);
    }
    let run = site.create(&["archives", "-o", "bundle.tar"]);
    assert!(run.stderr.contains("in archives/0.tar"), "{}", run.stderr);
    assert_eq!(site.listed("bundle.tar"), names(&images));
    let verified = site.nkd(&["bundle", "verify", "bundle.tar"]);
    assert_eq!(verified.status, Some(0), "{}", verified.stderr);
    for image in &images {
        let bundle = site.path("bundle.tar");
        let seen = inspect(&format!("oci-archive:{}:{}", bundle.display(), image.name));
        assert_eq!(seen["Architecture"], "amd64");
        assert_eq!(seen["Layers"].as_array().unwrap().len(), 2);
    }
}

#[test]
fn what_nkd_images_fetches_goes_in_as_it_is() {
    let (site, mut images) = ready();
    let mut layout = Layout::of(&site.path("images"), &images);
    let manifest = layout.image(&image("pinned"));
    let name = format!("r.example.org/a@{}", manifest["digest"].as_str().unwrap());
    layout.name(manifest, &name);
    pod(&site, &[&name]);
    images.push(image(&name));
    let commands = site.nkd(&["images", "cluster.yaml", "--commands"]).stdout;
    let for_arm = ["images", "cluster.yaml", "--commands", "--arch", "arm64"];
    let for_arm = site.nkd(&for_arm).stdout;
    assert_eq!(commands.replace("amd64", "arm64"), for_arm);
    // No registry is here: its place is taken by the layout with the same images.
    let layout = format!("oci:{}:", layout.path.display());
    let script = commands
        .replace("docker://", &layout)
        .replace("skopeo copy", "skopeo --insecure-policy copy --quiet")
        .replace("directory=images", "directory=fetched");
    let script = format!("cd {}\n{script}", site.path("").display());
    let run = common::program("/bin/sh", "dash", &["-c", &script]);
    assert_eq!(run.status, Some(0), "{}{script}", run.stderr);
    site.create(&["fetched", "-o", "bundle.tar"]);
    assert_eq!(site.listed("bundle.tar"), names(&images));
}

/// Adds a pod of these images to the cluster.
fn pod(site: &Site, images: &[&str]) {
    let containers = images
        .iter()
        .map(|image| json!({"name": "a", "image": image}));
    let pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "a"},
        "spec": {"containers": containers.collect::<Vec<_>>()},
    });
    fs::write(site.path("pod.yaml"), pod.to_string()).unwrap();
    site.cluster("v1.31.2", "  network: {manifests: [pod.yaml]}\n");
}

#[test]
fn extra_images_are_listed_bundled_and_proved_to_be_there() {
    let (site, mut images) = ready();
    site.create(&["images", "-o", "earlier.tar"]);
    let extra = "registry.example.org/operator/agent:v1";
    let key = format!("  extraImages: [{extra}, operator/cache:v2]\n");
    site.cluster("v1.31.2", &key);
    let listed = site.nkd(&["images", "cluster.yaml"]).stdout;
    let names_of_extra = [extra, "docker.io/operator/cache:v2"];
    for name in names_of_extra {
        assert!(listed.lines().any(|line| line == name), "{listed}");
    }
    let stderr = site.refused(&["images", "-o", "bundle.tar"]);
    assert!(
        stderr.contains(&format!("no archive contains {extra}")),
        "{stderr}"
    );
    let closed = |bundle: &str| {
        let airgap = format!("{key}  airgap: {{bundles: [{bundle}]}}\n");
        site.cluster("v1.31.2", &airgap);
        site.nkd(&["compile", "cluster.yaml", "-o", "out"])
    };
    let run = closed("earlier.tar");
    assert_eq!(run.status, Some(3));
    assert_eq!(run.stderr.matches("NKD0502").count(), 2, "{}", run.stderr);

    let more: Vec<_> = names_of_extra.into_iter().map(image).collect();
    Layout::of(&site.path("more"), &more);
    images.extend(more);
    site.create(&["images", "more", "-o", "bundle.tar"]);
    assert_eq!(site.listed("bundle.tar"), names(&images));
    let run = closed("bundle.tar");
    assert_eq!(run.status, Some(0), "{}", run.stderr);
}

#[test]
fn a_layer_that_images_share_is_in_the_bundle_once() {
    let (site, images) = ready();
    site.create(&["images", "-o", "bundle.tar"]);
    let mut archive = tar::Archive::new(fs::File::open(site.path("bundle.tar")).unwrap());
    let entries = archive.entries().unwrap();
    let paths = entries.map(|entry| entry.unwrap().path().unwrap().into_owned());
    // Two files of the layout, the shared layer; manifest, configuration and layer of each image,
    // whose configurations differ with their layers.
    assert_eq!(paths.count(), 2 + 1 + 3 * images.len());
}

#[test]
fn the_same_images_give_the_same_bytes_in_whatever_order_they_come() {
    let site = Site::new();
    let images = site.images();
    let (a, b) = images.split_at(3);
    Layout::of(&site.path("a"), a);
    Layout::of(&site.path("b"), b);
    for more in [&[][..], &["--zstd"], &["--split", "1MiB"]] {
        site.create(&[&["a", "b", "-o", "one.tar"], more].concat());
        site.create(&[&["b", "a", "-o", "two.tar"], more].concat());
        let read = |name| fs::read(site.path(name)).unwrap();
        assert!(read("one.tar") == read("two.tar"), "{more:?}");
    }
}

#[test]
fn all_missing_images_are_named_and_nothing_is_written() {
    let site = Site::new();
    let images = site.images();
    Layout::of(&site.path("images"), &images[2..]);
    let stderr = site.refused(&["images", "-o", "bundle.tar"]);
    for missing in &images[..2] {
        let line = format!("error[NKD0502]: no archive contains {}", missing.name);
        assert!(stderr.contains(&line), "{stderr}");
    }
    assert_eq!(stderr.matches("NKD0502").count(), 2);
}

#[test]
fn a_name_without_its_registry_is_another_and_shown() {
    let (site, first) = all_but_one();
    let short = first.name.rsplit('/').next().unwrap();
    Layout::of(&site.path("short"), &[image(short)]);
    let stderr = site.refused(&["images", "short", "-o", "bundle.tar"]);
    let hint = format!(
        "ignoring short, because the cluster needs none of its images: docker.io/library/{short}"
    );
    assert!(stderr.contains(&hint), "{stderr}");
}

#[test]
fn an_earlier_bundle_stays_when_a_new_one_is_refused() {
    let (site, _) = all_but_one();
    fs::write(site.path("bundle.tar"), "earlier").unwrap();
    site.refused(&["images", "-o", "bundle.tar"]);
    assert_eq!(fs::read(site.path("bundle.tar")).unwrap(), b"earlier");
}

#[test]
fn a_workers_bundle_has_nothing_of_control_planes() {
    let (site, images) = ready();
    site.create(&["images", "-o", "worker.tar", "--role", "worker"]);
    let listed = site.listed("worker.tar").join(" ");
    for name in ["kube-proxy", "pause", "coredns"] {
        assert!(listed.contains(name), "{listed}");
    }
    assert_eq!(site.listed("worker.tar").len(), 3);
    site.create(&["images", "-o", "cp.tar", "--role", "control-plane"]);
    assert_eq!(site.listed("cp.tar"), names(&images));
}

#[test]
fn parts_are_bundles_of_the_size_and_together_have_everything() {
    let (site, images) = ready();
    let run = site.create(&[
        "images", "-o", "b.tar", "--split", "16000", "--format", "json",
    ]);
    let json: Value = serde_json::from_str(&run.stdout).unwrap();
    let parts = json["bundles"].as_array().unwrap();
    assert!(parts.len() > 2, "{parts:?}");
    let mut all = Vec::new();
    for (number, part) in parts.iter().enumerate() {
        let file = part["file"].as_str().unwrap();
        assert_eq!(file, format!("b-{}.tar", number + 1));
        assert!(fs::metadata(site.path(file)).unwrap().len() <= 16000);
        let verified = site.nkd(&["bundle", "verify", file]);
        assert_eq!(verified.status, Some(0), "{}", verified.stderr);
        all.extend(site.listed(file));
    }
    all.sort();
    assert_eq!(all, names(&images));
}

#[test]
fn parts_of_an_earlier_bundle_are_pointed_out() {
    let (site, _) = ready();
    site.create(&["images", "-o", "b.tar", "--split", "12000"]);
    assert!(site.path("b-3.tar").exists());
    let run = site.create(&["images", "-o", "b.tar"]);
    let note = "these files are left over from an earlier bundle: b-1.tar, b-2.tar, b-3.tar";
    assert!(run.stderr.contains(note), "{}", run.stderr);
}

#[test]
fn an_image_larger_than_a_part_is_refused() {
    let (site, images) = ready();
    let stderr = site.refused(&["images", "-o", "b.tar", "--split", "4000"]);
    assert_eq!(stderr.matches("NKD0504").count(), images.len(), "{stderr}");
    assert!(
        stderr.contains("use a larger size with `--split`"),
        "{stderr}"
    );
}

#[test]
fn a_compressed_bundle_is_the_same_one_and_smaller() {
    let (site, _) = ready();
    let bundles = |arguments: &[&str]| {
        let run = site.create(&[&["images", "--format", "json"], arguments].concat());
        assert_eq!(run.stderr, "");
        serde_json::from_str::<Value>(&run.stdout).unwrap()["bundles"][0].clone()
    };
    let plain = bundles(&["-o", "a.tar"]);
    let compressed = bundles(&["-o", "a.tar.zst", "--zstd"]);
    assert_eq!(plain["index"], compressed["index"]);
    assert!(plain["bytes"].as_u64() > compressed["bytes"].as_u64());
    let verified = site.nkd(&["bundle", "verify", "a.tar.zst"]);
    assert_eq!(verified.status, Some(0), "{}", verified.stderr);
}

#[test]
fn an_image_that_is_there_for_another_architecture_says_so() {
    let (site, first) = all_but_one();
    let arm = Image {
        arch: "arm64".to_owned(),
        ..first.clone()
    };
    Layout::of(&site.path("arm"), &[arm]);
    let stderr = site.refused(&["images", "arm", "-o", "bundle.tar"]);
    let line = format!(
        "{} is only available for linux/arm64 in arm, not for amd64",
        first.name
    );
    assert!(stderr.contains(&line), "{stderr}");
}

#[test]
fn a_list_gives_the_image_for_the_architecture() {
    let (site, first) = all_but_one();
    let mut layout = Layout::new(&site.path("list"));
    let platforms = [
        ("linux", "amd64", ""),
        ("linux", "arm", "v6"),
        ("linux", "arm", "v7"),
        ("linux", "arm", "v5"),
        ("windows", "amd64", ""),
    ];
    let entries = platforms.map(|(os, arch, variant)| {
        let mut entry = layout.image(&Image {
            name: first.name.clone(),
            os,
            arch: arch.to_owned(),
            layers: vec![layer(os), layer(variant)],
        });
        entry["platform"] = json!({"os": os, "architecture": arch, "variant": variant});
        entry
    });
    let list = json!({"schemaVersion": 2, "manifests": entries});
    let list = layout.blob("index.v1+json", list.to_string().as_bytes());
    layout.name(list, &first.name);
    let of = |arch: &str, out: &str| {
        let run = site.nkd(&[
            "bundle",
            "create",
            "cluster.yaml",
            "list",
            "images",
            "-o",
            out,
            "--arch",
            arch,
        ]);
        (run.stdout, run.stderr)
    };
    let (stdout, stderr) = of("amd64", "amd64.tar");
    assert!(
        stdout.contains(entries[0]["digest"].as_str().unwrap()),
        "{stdout}{stderr}"
    );
    let arm = |image: Image| Image {
        arch: "arm".to_owned(),
        ..image
    };
    let others = site.images().into_iter().skip(1).map(arm);
    Layout::of(&site.path("images"), &others.collect::<Vec<_>>());
    let (stdout, stderr) = of("arm", "arm.tar");
    assert!(
        stdout.contains(entries[2]["digest"].as_str().unwrap()),
        "{stdout}{stderr}"
    );
    let (_, stderr) = of("s390x", "s390x.tar");
    let there = format!(
        "{} is only available for linux/amd64 in list and for linux/arm in list",
        first.name
    );
    assert!(stderr.contains(&there), "{stderr}");
}

#[test]
fn one_image_can_have_several_names() {
    let site = Site::new();
    let images = site.images();
    let mut layout = Layout::of(&site.path("images"), &images[1..]);
    let same = layout.index[0].clone();
    layout.name(same, &images[0].name);
    site.create(&["images", "-o", "bundle.tar"]);
    assert_eq!(site.listed("bundle.tar"), names(&images));
}

#[test]
fn an_archive_with_index_and_list_knows_the_names_of_both() {
    let (site, first) = all_but_one();
    // As docker writes it from 25 on: the index has containerd's name, and the tag for the rest.
    let mut layout = Layout::new(&site.path("docker"));
    let mut manifest = layout.image(&first);
    manifest["annotations"] = json!({
        "io.containerd.image.name": first.name,
        "org.opencontainers.image.ref.name": first.name.rsplit(':').next(),
    });
    layout.index.push(manifest);
    layout.write();
    layout.archive(&site.path("docker25.tar"), None);
    site.create(&["images", "docker25.tar", "-o", "a.tar"]);
    // As containerd writes it for an image whose name is in the list alone.
    layout.index[0]["annotations"] = json!({});
    layout.write();
    let manifest = fs::read(layout.blob_path(&layout.index[0]["digest"])).unwrap();
    let manifest: Value = serde_json::from_slice(&manifest).unwrap();
    let file = |descriptor: &Value| {
        let digest = descriptor["digest"].as_str().unwrap();
        digest.replace("sha256:", "blobs/sha256/")
    };
    let layers = manifest["layers"].as_array().unwrap();
    let list = json!([{
        "Config": file(&manifest["config"]),
        "RepoTags": [first.name],
        "Layers": layers.iter().map(file).collect::<Vec<_>>(),
    }]);
    layout.archive(&site.path("list.tar"), Some(&list));
    site.create(&["images", "list.tar", "-o", "b.tar"]);
    let read = |name| fs::read(site.path(name)).unwrap();
    assert!(read("a.tar") == read("b.tar"));
}

#[test]
fn layers_that_docker_links_are_found() {
    let (site, first) = all_but_one();
    let path = site.path("docker.tar");
    let list = json!([{
        "Config": "config.json",
        "RepoTags": [first.name],
        "Layers": ["a/layer.tar", "b/layer.tar"],
    }]);
    let mut builder = tar::Builder::new(Vec::new());
    add(&mut builder, "config.json", &first.config());
    for (link, target, bytes) in [
        ("a/layer.tar", "../c/layer.tar", &first.layers[0]),
        ("b/layer.tar", "../d/layer.tar", &first.layers[1]),
    ] {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        builder.append_link(&mut header, link, target).unwrap();
        add(&mut builder, target.trim_start_matches("../"), bytes);
    }
    add(&mut builder, "manifest.json", list.to_string().as_bytes());
    fs::write(&path, builder.into_inner().unwrap()).unwrap();
    site.create(&["images", "docker.tar", "-o", "bundle.tar"]);
}

#[test]
fn two_images_of_one_name_are_refused_and_two_copies_of_one_are_not() {
    let (site, first) = all_but_one();
    Layout::of(&site.path("a"), std::slice::from_ref(&first));
    docker_archive(&site.path("b.tar"), &first, "c.json", &["1.tar", "2.tar"]);
    let create = |order: [&str; 2], out| {
        site.create(&["images", order[0], order[1], "-o", out]);
        fs::read(site.path(out)).unwrap()
    };
    assert!(create(["a", "b.tar"], "one.tar") == create(["b.tar", "a"], "two.tar"));
    let other = Image {
        layers: vec![layer("something else")],
        ..first.clone()
    };
    Layout::of(&site.path("other"), &[other]);
    let stderr = site.refused(&["images", "a", "other", "-o", "bundle.tar"]);
    let line = format!("{} is not the same image in other and in a", first.name);
    assert!(stderr.contains(&line), "{stderr}");
}

#[test]
fn short_names_and_digests_name_what_runtimes_would_run() {
    let site = Site::new();
    let mut images = site.images();
    let mut layout = Layout::of(&site.path("images"), &images);
    let pinned = layout.image(&image("pinned"));
    let digest = pinned["digest"].as_str().unwrap().to_owned();
    pod(&site, &["nginx", &format!("r.example.org/b:1@{digest}")]);
    let stderr = site.refused(&["images", "-o", "bundle.tar"]);
    assert!(
        stderr.contains("no archive contains docker.io/library/nginx:latest"),
        "{stderr}"
    );
    let name = format!("r.example.org/b@{digest}");
    assert!(
        stderr.contains(&format!("no archive contains {name}")),
        "{stderr}"
    );
    layout.name(pinned, &name);
    let nginx = layout.image(&image("nginx"));
    layout.name(nginx.clone(), "nginx");
    site.create(&["images", "-o", "bundle.tar"]);
    images.extend([image("docker.io/library/nginx:latest"), image(&name)]);
    assert_eq!(site.listed("bundle.tar"), names(&images));
    // Another image under the name with the digest.
    layout
        .index
        .retain(|manifest| manifest["annotations"]["org.opencontainers.image.ref.name"] != name);
    layout.name(nginx.clone(), &name);
    let stderr = site.refused(&["images", "-o", "b.tar"]);
    let line = format!(
        "{name} has the digest {} for amd64",
        nginx["digest"].as_str().unwrap()
    );
    assert!(stderr.contains(&line), "{stderr}");
}

#[test]
fn the_bundle_of_an_earlier_run_is_no_input_of_the_next() {
    let site = Site::new();
    let images = site.images();
    let layout = Layout::of(&site.path("layout"), &images);
    fs::create_dir(site.path("archives")).unwrap();
    layout.archive(&site.path("archives/images.tar"), None);
    site.create(&["archives", "-o", "archives/bundle.tar"]);
    let run = site.create(&["archives", "-o", "archives/bundle.tar"]);
    assert!(
        !run.stderr.contains("in archives/bundle.tar"),
        "{}",
        run.stderr
    );
    // Named by itself it is one, and may be written again.
    site.create(&["archives/bundle.tar", "-o", "archives/bundle.tar"]);
    assert_eq!(site.listed("archives/bundle.tar"), names(&images));
}

#[test]
fn a_name_that_not_every_server_has_is_refused_at_once() {
    let (site, _) = ready();
    let stderr = site.refused(&["images", "-o", "my bundle.tar"]);
    assert!(stderr.contains("NKD0501"), "{stderr}");
}
