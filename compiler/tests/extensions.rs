//! `os.extensions`: what nodes get, and how it fits the rest of the cluster.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::fs;
use std::path::Path;

use common::images::tiny_bundle;
use common::{Run, assert_ignition_takes, compile, file, fixtures, ignition, nkd, tests, text};
use serde_json::{Value, json};

const SHA256: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const LIST: &str = "/etc/nkd/extensions";

/// A cluster with these keys of `spec.os` and, before `nodes`, of `spec`.
fn cluster(at: &Path, os: &str, more: &str) {
    let text = format!(
        "apiVersion: nkd.openeuler.org/v1alpha1\nkind: Cluster\nmetadata: {{name: a}}\nspec:\n  \
         kubernetes: {{version: v1.31.2}}\n  os: {{{os}}}\n{more}  nodes:\n  \
         - {{name: cp1, role: control-plane, address: 10.200.0.11}}\n"
    );
    fs::write(at.join("cluster.yaml"), text).unwrap();
}

/// An extension for 64-bit x86 with the remaining keys.
fn item(name: &str, keys: &str) -> String {
    format!("{{name: {name}, sha256: {SHA256}, architecture: x86-64, {keys}}}")
}

fn compiled(at: &Path, out: &str) -> Value {
    let out = at.join(out);
    compile(&at.join("cluster.yaml"), &out, &["--allow", "NKD0181"]);
    assert_ignition_takes(&out);
    ignition(&out, "cp1")
}

fn units(config: &Value) -> Vec<&str> {
    let units = config["systemd"]["units"].as_array().unwrap().iter();
    let enabled = units.filter(|unit| unit["enabled"] == true);
    enabled.map(|unit| unit["name"].as_str().unwrap()).collect()
}

fn storage<'a>(config: &'a Value, path: &str) -> &'a Value {
    let mut files = config["storage"]["files"].as_array().unwrap().iter();
    files.find(|file| file["path"] == path).unwrap()
}

#[test]
fn ignition_fetches_what_the_cluster_file_declares_and_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    let url = "https://files.example.org/nkd.raw?x=1";
    let authority = tests().join("clusters/external/ca.crt");
    fs::copy(&authority, at.join("ca.crt")).unwrap();
    let items = [
        item("nkd", &format!("url: '{url}', caFile: ca.crt")),
        item("tools", "url: 'http://10.0.0.1/t.raw', caFile: ca.crt"),
    ];
    cluster(at, &format!("extensions: [{}]", items.join(", ")), "");
    let config = compiled(at, "out");
    let list = file(&config, LIST).unwrap();
    let expected = format!("nkd x86-64 {SHA256} ignition\ntools x86-64 {SHA256} ignition\n");
    assert_eq!(list, expected);
    let image = storage(&config, "/var/lib/extensions/nkd.raw");
    let hash = format!("sha256-{SHA256}");
    let contents = json!({"source": url, "verification": {"hash": hash}});
    assert_eq!(image["contents"], contents);
    assert_eq!(image["mode"], 0o644);
    assert_eq!(storage(&config, "/etc/nkd/merge-extensions")["mode"], 0o755);
    let trusted = &config["ignition"]["security"]["tls"]["certificateAuthorities"];
    assert_eq!(trusted.as_array().unwrap().len(), 1);
    let authority = fs::read_to_string(authority).unwrap();
    assert_eq!(text(&trusted[0]).trim(), authority.trim());
    let expected = [
        "nkd-extensions.service",
        "systemd-sysext.service",
        "kubelet.service",
    ];
    assert_eq!(units(&config), expected);
}

#[test]
fn other_sources_need_the_unit_that_copies() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    let pool = format!(
        "  pools: [{{name: p, role: worker, open: true, os: {{extensions: [{}]}}}}]\n",
        item("b", "directory: /usr/share/extensions")
    );
    let os = format!("extensions: [{}]", item("a", "disk: EXTENSIONS"));
    cluster(at, &os, &pool);
    let config = compiled(at, "out");
    let line = format!("a x86-64 {SHA256} disk=EXTENSIONS\n");
    assert_eq!(file(&config, LIST).unwrap(), line);
    assert!(units(&config).contains(&"nkd-extension-files.service"));
    let files = config["storage"]["files"].to_string();
    assert!(!files.contains("/var/lib/extensions"));
    let pool = ignition(&at.join("out"), "p");
    let second = format!("b x86-64 {SHA256} directory=/usr/share/extensions\n");
    assert_eq!(file(&pool, LIST).unwrap(), line + &second);
}

#[test]
fn a_file_of_an_extension_needs_no_further_keys() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    let from = fixtures().join("352-extension-contradicts-file");
    for name in ["nkd.raw", "k8s.raw", "erofs.raw"] {
        fs::copy(from.join(name), at.join(name)).unwrap();
    }
    let os = "extensions: [{file: nkd.raw, disk: A}, {file: k8s.raw, disk: A}, \
              {file: erofs.raw, name: e, architecture: x86-64, disk: A}]";
    cluster(at, os, "");
    let list = file(&compiled(at, "out"), LIST).unwrap();
    let digest = |name: &str| {
        let digest = nkd_bundle::Digest::of(&fs::read(from.join(name)).unwrap());
        digest.hex()
    };
    let expected = format!(
        "nkd x86-64 {} disk=A\nk8s x86-64 {} disk=A\ne x86-64 {} disk=A\n",
        digest("nkd.raw"),
        digest("k8s.raw"),
        digest("erofs.raw")
    );
    assert_eq!(list, expected);
}

#[test]
fn an_extension_is_for_the_architecture_of_the_images() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    cluster(at, "", "");
    let images = nkd(at, &["images", "cluster.yaml"]).stdout;
    let images: Vec<_> = images.lines().collect();
    let bundles = "  airgap: {bundles: [bundle.tar]}\n";
    let os = format!("extensions: [{}]", item("a", "disk: EXTENSIONS"));
    cluster(at, &os, bundles);
    for (architecture, status) in [("amd64", 0), ("arm64", 3)] {
        fs::write(at.join("bundle.tar"), tiny_bundle(&images, architecture)).unwrap();
        let run: Run = nkd(at, &["validate", "cluster.yaml"]);
        assert_eq!(run.status, Some(status), "{}", run.stderr);
        let message = "the extension `a` is for x86-64, but the bundle `bundle.tar` is for arm64";
        assert_eq!(run.stderr.contains(message), status != 0, "{}", run.stderr);
    }
}

#[test]
fn the_users_own_configs_can_trust_more_authorities_and_bring_more_extensions() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    fs::copy(tests().join("clusters/external/ca.crt"), at.join("ca.crt")).unwrap();
    let own = "variant: fcos\nversion: 1.4.0\nignition:\n  security:\n    tls:\n      \
               certificate_authorities: [{source: 'https://a.example.org/ca.crt'}]\nstorage:\n  files:\n  \
               - {path: /var/lib/extensions/more.raw, contents: {source: 'https://a.example.org/more.raw'}}\n\
               systemd:\n  units:\n  - {name: systemd-sysext.service, enabled: true}\n";
    fs::write(at.join("own.bu"), own).unwrap();
    let nkd = item(
        "nkd",
        "url: 'https://files.example.org/nkd.raw', caFile: ca.crt",
    );
    cluster(at, &format!("butane: [own.bu], extensions: [{nkd}]"), "");
    let config = compiled(at, "out");
    let trusted = &config["ignition"]["security"]["tls"]["certificateAuthorities"];
    assert_eq!(trusted.as_array().unwrap().len(), 2);
    storage(&config, "/var/lib/extensions/more.raw");
}

#[test]
fn explain_names_the_key_and_diff_a_new_hash() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    let keys = "url: 'https://files.example.org/nkd.raw'";
    let os = format!("extensions: [{}]", item("nkd", keys));
    cluster(at, &os, "");
    compiled(at, "a");
    let run = nkd(at, &["explain", "a", "cp1", "/var/lib/extensions"]);
    assert!(
        run.stdout.contains("/var/lib/extensions/nkd.raw"),
        "{}",
        run.stdout
    );
    assert!(
        run.stdout.contains("cluster.yaml:6 (spec.os.extensions)"),
        "{}",
        run.stdout
    );
    cluster(at, &os.replace("0123", "3210"), "");
    fs::copy(at.join("a/secrets.json"), at.join("secrets.json")).unwrap();
    common::set_mode(&at.join("secrets.json"), 0o600);
    let secrets = ["--secrets", "secrets.json", "--allow", "NKD0181"];
    let run = nkd(
        at,
        &[&["compile", "cluster.yaml", "-o", "b"], &secrets[..]].concat(),
    );
    assert_eq!(run.status, Some(0), "{}", run.stderr);
    let run = nkd(at, &["diff", "a", "b"]);
    for path in [LIST, "/var/lib/extensions/nkd.raw"] {
        assert!(
            run.stdout.contains(&format!("changed  {path}\n")),
            "{}",
            run.stdout
        );
    }
}

#[test]
fn the_keys_of_a_file_can_be_written_without_the_file() {
    let directory = fixtures().join("352-extension-contradicts-file");
    let run = nkd(&directory, &["extension", "k8s.raw", "nkd.raw"]);
    assert_eq!(run.status, Some(0), "{}", run.stderr);
    let site = tempfile::tempdir().unwrap();
    let at = site.path();
    let with_source = |line: &str| match line.strip_prefix("- ") {
        Some(first) => format!("    - disk: A\n      {first}\n"),
        None => format!("    {line}\n"),
    };
    let lines: String = run.stdout.lines().map(with_source).collect();
    cluster(at, "", "");
    let text = fs::read_to_string(at.join("cluster.yaml")).unwrap();
    let os = format!("  os:\n    extensions:\n{lines}");
    fs::write(at.join("cluster.yaml"), text.replace("  os: {}\n", &os)).unwrap();
    let list = file(&compiled(at, "out"), LIST).unwrap();
    let names: Vec<_> = list.lines().map(|line| line.split(' ').next()).collect();
    assert_eq!(names, [Some("k8s"), Some("nkd")]);
    let erofs = nkd(&directory, &["extension", "erofs.raw", "--format", "json"]);
    let answer: Value = serde_json::from_str(&erofs.stdout).unwrap();
    assert_eq!(answer["extensions"][0].as_object().unwrap().len(), 1);
    assert!(answer["notes"].to_string().contains("erofs"), "{answer}");
    let wrong = nkd(&directory, &["extension", "cluster.yaml"]);
    assert_eq!(wrong.status, Some(3), "{}", wrong.stderr);
}
