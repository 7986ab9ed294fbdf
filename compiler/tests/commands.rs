//! The commands that look: explain, diff, images, and answers for programs.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::fs;
use std::path::Path;

use common::{compile, demo, fixtures, nkd};
use serde_json::Value;

fn succeeds(arguments: &[&str]) -> String {
    let run = nkd(Path::new("/"), arguments);
    assert_eq!(run.status, Some(0), "{}", run.stderr);
    run.stdout
}

fn json(arguments: &[&str]) -> Value {
    let arguments = [arguments, &["--format", "json"]].concat();
    serde_json::from_str(&succeeds(&arguments)).unwrap()
}

#[test]
fn explain_knows_what_each_file_is_and_who_asked_for_it() {
    let directory = tempfile::tempdir().unwrap();
    let out = common::full(directory.path());
    let text = succeeds(&["explain", out.to_str().unwrap(), "cp1"]);
    let line = |path: &str| {
        let mut lines = text.lines();
        lines
            .find(|line| line.contains(path))
            .unwrap_or_else(|| panic!("{path}: {text}"))
    };
    let cluster_file = fs::read_to_string(directory.path().join("cluster.yaml")).unwrap();
    let report = cluster_file
        .lines()
        .position(|line| line.starts_with("  report:"))
        .unwrap();
    let from = format!("cluster.yaml:{} (spec.report)", report + 1);
    assert!(line("/etc/nkd/report.json").ends_with(&from), "{text}");
    assert!(line("/etc/nkd/report.json").contains("private"));
    assert!(line("/etc/nkd/pki/ca.key").contains(" key "));
    assert!(line("/etc/nkd/pki/ca.crt").contains("public"));
    assert!(line("/etc/sysctl.d").ends_with("on every node"));
    let entries = json(&[
        "explain",
        out.to_str().unwrap(),
        "cp1",
        "/etc/nkd/pki/ca.key",
    ]);
    assert_eq!(entries["entries"][0]["secrecy"], "key");
    assert_eq!(entries["entries"].as_array().unwrap().len(), 1);
}

#[test]
fn explain_shows_text_but_no_secret() {
    let directory = tempfile::tempdir().unwrap();
    let out = common::full(directory.path());
    let out = out.to_str().unwrap();
    let shown = succeeds(&["explain", out, "cp1", "/etc/sysctl.d/90-kubernetes.conf"]);
    assert!(shown.contains("net.ipv4.ip_forward"), "{shown}");
    let hidden = succeeds(&["explain", out, "cp1", "/etc/nkd/pki/ca.key"]);
    assert_eq!(hidden.lines().count(), 4, "{hidden}");
}

#[test]
fn explain_and_diff_refuse_what_is_not_there() {
    let directory = tempfile::tempdir().unwrap();
    let out = common::full(directory.path());
    let out = out.to_str().unwrap();
    let nowhere = directory.path().to_str().unwrap();
    for (arguments, code) in [
        (["explain", nowhere, "cp1", "/"], "NKD0403"),
        (["explain", out, "w9", "/"], "NKD0404"),
        (["explain", out, "cp1", "/usr"], "NKD0406"),
        (["diff", out, nowhere, "--format=text"], "NKD0403"),
    ] {
        let run = nkd(Path::new("/"), &arguments);
        assert_eq!(run.status, Some(3), "{}", run.stderr);
        assert!(run.stderr.contains(code), "{}", run.stderr);
    }
}

#[test]
fn diff_names_the_nodes_and_paths_that_change() {
    let directory = tempfile::tempdir().unwrap();
    let [a, b] = ["a", "b"].map(|name| directory.path().join(name));
    compile(&demo(), &a, &[]);
    let file = directory.path().join("cluster.yaml");
    let text = fs::read_to_string(demo()).unwrap();
    let text = text.replace(
        "  nodes:",
        "  report: {url: \"https://example.org/r\"}\n  nodes:",
    );
    fs::write(&file, text).unwrap();
    let secrets = a.join("secrets.json");
    compile(&file, &b, &["--secrets", secrets.to_str().unwrap()]);
    let [a, b] = [&a, &b].map(|path| path.to_str().unwrap());
    let text = "cp1: changed\n  added    /etc/nkd/report.json\nw1: changed\n  added    /etc/nkd/report.json\n";
    assert_eq!(succeeds(&["diff", a, b]), text);
    let same = json(&["diff", a, a]);
    assert_eq!(same["nodes"], serde_json::json!([]));
    let differ = json(&["diff", b, a]);
    assert_eq!(differ["nodes"][1]["paths"][0]["change"], "removed");
}

#[test]
fn images_are_those_of_kubernetes_and_of_manifests() {
    let directory = tempfile::tempdir().unwrap();
    let manifest = "apiVersion: apps/v1\nkind: DaemonSet\nspec: {template: {spec: {initContainers: [{image: a.example.org/b:1}], containers: [{name: c, image: \"c:2\"}]}}}\n";
    fs::write(directory.path().join("cni.yaml"), manifest).unwrap();
    let file = directory.path().join("cluster.yaml");
    let text = fs::read_to_string(demo()).unwrap();
    fs::write(
        &file,
        text.replace("  nodes:", "  network: {manifests: [cni.yaml]}\n  nodes:"),
    )
    .unwrap();
    let file = file.to_str().unwrap();
    let images = succeeds(&["images", file]);
    for image in [
        "a.example.org/b:1",
        "docker.io/library/c:2",
        "k8s.gcr.io/etcd:3.4.13-0",
        "k8s.gcr.io/kube-proxy:v1.20.2",
    ] {
        assert!(images.lines().any(|line| line == image), "{images}");
    }
    assert_eq!(
        json(&["images", file])["images"].as_array().unwrap().len(),
        images.lines().count()
    );
    let commands = succeeds(&["images", file, "--commands", "--arch", "arm64"]);
    assert!(commands.contains("--override-arch arm64 "), "{commands}");
    let line = "fetch 'docker.io/library/c:2' oci-archive 'docker.io_library_c_2.tar'\n";
    assert!(commands.contains(line), "{commands}");
    // The runtime reads these archives itself.
    let text = fs::read_to_string(file).unwrap();
    let directory = "  airgap: {images: /usr/share/nkd/images}\n  nodes:";
    fs::write(file, text.replace("  nodes:", directory)).unwrap();
    let commands = succeeds(&["images", file, "--commands"]);
    let line = "fetch 'docker.io/library/c:2' docker-archive 'docker.io_library_c_2.tar'\n";
    assert!(commands.contains(line), "{commands}");
}

#[test]
fn a_sandbox_image_that_kubeadm_does_not_know_is_said() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("cluster.yaml");
    let text = fs::read_to_string(demo()).unwrap();
    let own = "  runtime: {sandboxImage: r.example.org/pause:3.2}\n  nodes:";
    fs::write(&file, text.replace("  nodes:", own)).unwrap();
    let answer = json(&["images", file.to_str().unwrap()]);
    let note = answer["notes"][0].as_str().unwrap();
    assert!(
        note.contains("r.example.org/pause:3.2 differs from kubeadm's k8s.gcr.io/pause:3.2"),
        "{note}"
    );
    assert_eq!(answer["images"].as_array().unwrap().len(), 8);
    assert_eq!(
        json(&["images", demo().to_str().unwrap()])["notes"],
        serde_json::Value::Null
    );
}

#[test]
fn programs_get_one_json_document() {
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().join("out");
    let demo = demo();
    let arguments = [
        "compile",
        demo.to_str().unwrap(),
        "-o",
        out.to_str().unwrap(),
        "--target",
        "aws",
    ];
    let compiled = json(&arguments);
    assert_eq!(compiled["nodes"][0]["name"], "cp1");
    assert_eq!(compiled["nodes"][0]["carriers"][0]["form"], "packed");
    assert_eq!(
        json(&["validate", demo.to_str().unwrap()])["kubernetesVersion"],
        "v1.20.2"
    );
    let broken = fixtures().join("001-unknown-key");
    let run = nkd(&broken, &["--format", "json", "validate", "cluster.yaml"]);
    assert_eq!((run.status, run.stdout.as_str()), (Some(3), ""));
    let errors: Value = serde_json::from_str(&run.stderr).unwrap();
    let error = &errors["errors"][0];
    assert_eq!(error["code"], "NKD0006");
    assert_eq!(error["file"], "cluster.yaml");
    for number in ["line", "column"] {
        assert!(error[number].as_u64().unwrap() > 0);
    }
}

#[test]
fn completions_and_manual_pages_are_made_from_the_command_line() {
    for shell in ["bash", "zsh", "fish"] {
        assert!(succeeds(&["completions", shell]).contains("validate"));
    }
    let directory = tempfile::tempdir().unwrap();
    let pages = directory.path().join("share/man1");
    succeeds(&["man", pages.to_str().unwrap()]);
    let page = fs::read_to_string(pages.join("nkd-compile.1")).unwrap();
    assert!(page.contains("CLUSTER.yaml"), "{page}");
}

#[test]
fn secrets_can_be_made_before_and_are_never_shown_nor_overwritten() {
    let directory = tempfile::tempdir().unwrap();
    let [file, out] = ["s.json", "out"].map(|name| directory.path().join(name));
    let (demo, file_text) = (demo(), file.to_str().unwrap());
    let new = ["secrets", "new", demo.to_str().unwrap(), "-o", file_text];
    assert_eq!(succeeds(&new), "");
    let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&file).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    let text = fs::read_to_string(&file).unwrap();
    let mut shown = vec![succeeds(&["secrets", "show", file_text])];
    assert_eq!(nkd(Path::new("/"), &new).status, Some(1));
    assert_eq!(fs::read_to_string(&file).unwrap(), text);
    compile(&demo, &out, &["--secrets", file_text]);
    assert_eq!(fs::read_to_string(out.join("secrets.json")).unwrap(), text);
    let out = out.to_str().unwrap();
    for arguments in [["explain", out, "cp1"], ["diff", out, out]] {
        shown.push(succeeds(&arguments));
    }
    let paths = json(&["explain", out, "cp1"]);
    for entry in paths["entries"].as_array().unwrap() {
        shown.push(succeeds(&[
            "explain",
            out,
            "cp1",
            entry["path"].as_str().unwrap(),
        ]));
    }
    let secrets = nkd::pki::Secrets::parse(&text).unwrap();
    for secret in secrets.private_texts() {
        // The last line of a key is its public part.
        let lines: Vec<_> = secret
            .lines()
            .filter(|line| !line.starts_with('-'))
            .collect();
        for line in &lines[..lines.len().max(2) - 1] {
            assert!(
                !shown.iter().any(|text| text.contains(line)),
                "{line} is shown"
            );
        }
    }
}

#[test]
fn an_endpoint_that_is_the_control_plane_is_where_its_api_listens() {
    let directory = tempfile::tempdir().unwrap();
    let cluster_file = directory.path().join("cluster.yaml");
    let text = fs::read_to_string(demo()).unwrap();
    let both = "networking: {podSubnet: \"10.244.0.0/16,fd00:10:244::/56\", serviceSubnet: \
                \"10.96.0.0/16,fd00:10:96::/112\"}";
    let text = text
        .replace(
            "v1.20.2",
            &format!("v1.31.2\n    {both}\n    endpoint: ENDPOINT"),
        )
        .replace("10.200.0.11", "\"10.200.0.11,fd00::11\"")
        .replace("10.200.0.12", "\"10.200.0.12,fd00::12\"");
    for (endpoint, port) in [
        ("10.200.0.11:7443", 7443),
        ("\"[fd00:0::11]:7443\"", 7443),
        ("cp1:7443", 7443),
        ("api.example.org:7443", 6443),
    ] {
        fs::write(&cluster_file, text.replace("ENDPOINT", endpoint)).unwrap();
        let out = directory.path().join("out");
        compile(&cluster_file, &out, &[]);
        let documents = common::file(&common::ignition(&out, "cp1"), "/etc/nkd/kubeadm.yaml");
        let documents = documents.unwrap();
        assert!(
            documents.contains(&format!("bindPort: {port}\n")),
            "{documents}"
        );
    }
}

#[test]
fn compile_names_the_nodes_to_which_the_cluster_file_gives_no_name_server() {
    let directory = tempfile::tempdir().unwrap();
    let demo = fs::read_to_string(demo()).unwrap();
    let nodes = "  nodes:
    - {name: cp1, role: control-plane, address: 10.200.0.11, interfaces: [
        {name: e0, addresses: [10.200.0.11/24], dns: [10.200.0.5]}, {name: e1, addresses: [10.9.0.1/24]}]}
    - {name: none, role: worker, address: 10.200.0.12, interfaces: [
        {name: e0, addresses: [10.200.0.12/24]}, {name: e1, addresses: [10.9.0.2/24]}]}
    - {name: dhcp, role: worker, address: 10.200.0.13, interfaces: [
        {name: e0, addresses: [10.200.0.13/24]}, {name: e1}]}
    - {name: image, role: worker, address: 10.200.0.14}
";
    let file = directory.path().join("cluster.yaml");
    let (before, _) = demo.split_once("  nodes:\n").unwrap();
    fs::write(&file, format!("{before}{nodes}")).unwrap();
    let note = "no name server on none: all interfaces are static and none sets `dns`. Pods there can only \
                resolve names inside the cluster, unless the OS image or one of your own files sets a name \
                server";
    let out = directory.path().join("out");
    let run = compile(&file, &out, &["--allow", "NKD0181"]);
    assert_eq!(run.stderr, format!("note: {note}\n"));
    let run = compile(&file, &out, &["--format", "json"]);
    let answer: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(answer["notes"][0], note);

    fs::write(
        &file,
        format!(
            "{before}{}",
            nodes.replace("12/24]", "12/24], dns: [10.200.0.5]")
        ),
    )
    .unwrap();
    let run = compile(&file, &out, &["--allow", "NKD0181"]);
    assert_eq!(run.stderr, "");
}

#[test]
fn a_full_standard_output_spoils_answers_but_no_files_and_a_full_standard_error_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().join("out");
    let (demo, out_text) = (demo(), out.to_str().unwrap());
    let full = || fs::File::options().write(true).open("/dev/full").unwrap();
    let nkd = |arguments: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_nkd"));
        command.args(arguments);
        command
    };
    let allow = ["--allow", "NKD0181"];
    let compile = ["compile", demo.to_str().unwrap(), "-o", out_text];
    let run = nkd(&compile).args(allow).stdout(full()).output().unwrap();
    let stderr = String::from_utf8(run.stderr).unwrap();
    assert_eq!(run.status.code(), Some(0), "{stderr}");
    assert!(
        stderr.starts_with("warning: the files are written"),
        "{stderr}"
    );
    assert!(out.join("nodes/cp1.ign").exists());
    let explain = ["explain", out_text, "cp1"];
    let run = nkd(&explain).stdout(full()).output().unwrap();
    assert_eq!(run.status.code(), Some(1));
    for (arguments, status) in [(&["explain", "nowhere", "cp1"], 3), (&explain, 0)] {
        let run = nkd(arguments).stderr(full()).output().unwrap();
        assert_eq!(run.status.code(), Some(status));
    }
}

#[test]
fn programs_get_json_on_wrong_usage_too() {
    for arguments in [
        &["compile", "--format", "json"][..],
        &["--format=json", "frobnicate"],
        &["schema", "--format", "json", "--allow", "NKD9999"],
    ] {
        let run = nkd(Path::new("/"), arguments);
        assert_eq!((run.status, run.stdout.as_str()), (Some(2), ""));
        let errors: Value = serde_json::from_str(&run.stderr).unwrap();
        let message = errors["errors"][0]["message"].as_str().unwrap();
        assert!(message.starts_with("error: "), "{message}");
    }
}

#[test]
fn warnings_are_printed_or_dropped_or_errors() {
    let directory = tempfile::tempdir().unwrap();
    let butane = "variant: fcos\nversion: 1.4.0\nstorage: {files: [{path: /a, mode: 644}]}\n";
    fs::write(directory.path().join("a.bu"), butane).unwrap();
    let butane = |more: &[&str]| nkd(directory.path(), &[&["butane", "a.bu"], more].concat());
    let run = butane(&[]);
    assert_eq!(run.status, Some(0), "{}", run.stderr);
    assert!(
        run.stderr.starts_with("warning[NKD0313]: a.bu:3:"),
        "{}",
        run.stderr
    );
    let plain = run.stdout;
    let run = butane(&["--format", "json"]);
    let remarks: Value = serde_json::from_str(&run.stderr).unwrap();
    assert_eq!(remarks["warnings"][0]["code"], "NKD0313");
    assert_eq!(remarks["warnings"][0]["line"], 3);
    assert_eq!(run.stdout, plain);
    let run = butane(&["--allow", "NKD0313", "--strict"]);
    assert_eq!((run.status, run.stderr.as_str()), (Some(0), ""));
    let run = butane(&["--strict"]);
    assert_eq!((run.status, run.stdout.as_str()), (Some(3), ""));
    assert!(run.stderr.starts_with("error[NKD0313]"), "{}", run.stderr);
}
