//! Any text as a cluster file and the files it names, after lines `=== NAME`: it is refused with a
//! reason, or every node's file is one that Ignition takes, for every carrier. The proof over the
//! whole cluster never fails: what would make it fail is refused before.
#![no_main]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use nkd::carrier::{self, Server, Target, unpack};
use nkd::compile::{self, Request};
use nkd::compiled::Compiled;
use nkd::failure::Failure;
use nkd::pki::Secrets;
use nkd_document::Diagnostics;

/// Of a cluster `full`. New keys for each input would take longer than all else.
const SECRETS: &str = include_str!("../../compiler/tests/clusters/full/secrets.json");

static DIRECTORY: LazyLock<tempfile::TempDir> = LazyLock::new(|| {
    let directory = tempfile::tempdir().expect("a directory");
    let secrets = directory.path().join("secrets.json");
    fs::write(&secrets, SECRETS).expect("a secrets file");
    fs::set_permissions(&secrets, fs::Permissions::from_mode(0o600)).expect("its mode");
    directory
});

fuzz_target!(|text: &str| {
    let directory = DIRECTORY.path().join("in");
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir(&directory).expect("a directory");
    let mut files = text.split("\n=== ");
    let cluster_file = directory.join("cluster.yaml");
    fs::write(&cluster_file, files.next().unwrap_or_default()).expect("a file");
    for file in files {
        let (name, text) = file.split_once('\n').unwrap_or((file, ""));
        if is_name(name) {
            fs::write(directory.join(name), text).expect("a file");
        }
    }
    let mut diagnostics = Diagnostics::new();
    let secrets = DIRECTORY.path().join("secrets.json");
    let request = Request {
        cluster_file: &cluster_file,
        out: None,
        secrets: Some(&secrets),
        nodes: &[],
    };
    let compiled = match compile::compile(&request, &mut diagnostics) {
        Ok(compiled) => Some(compiled),
        Err(Failure::Input(_)) => None,
        Err(Failure::Nkd(error)) => panic!("{error:#}"),
    };
    match &compiled {
        Some(compiled) => ignition_takes(compiled, &mut diagnostics),
        None => assert!(!diagnostics.is_empty(), "refused without a reason"),
    }
    // Every place is in its source, and can be shown, but for what is secret.
    let shown = diagnostics.to_string();
    let secrets = Secrets::parse(SECRETS).expect("secrets");
    let shows = secrets
        .private_texts()
        .into_iter()
        .find(|secret| shown.contains(secret));
    assert!(shows.is_none(), "{shown}");
    assert!(
        compiled.is_none() || diagnostics.is_empty(),
        "taken, but:\n{shown}"
    );
});

/// What may be named; nothing is written elsewhere.
fn is_name(name: &str) -> bool {
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '.' || c == '-';
    let short = (1..=20).contains(&name.len());
    short && name.chars().all(good) && !name.starts_with('.') && name != "cluster.yaml"
}

fn ignition_takes(compiled: &Compiled, to: &mut Diagnostics) {
    let server = Server {
        url: "http://10.0.0.1".to_owned(),
        authority: None,
    };
    for node in &compiled.nodes {
        takes(&node.ignition);
    }
    let carried = carrier::carry(compiled, &Target::ALL, Some(&server), to).expect("carriers");
    for config in carried {
        takes(&config.text);
        let limit = config.target.limit().unwrap_or(usize::MAX);
        assert!(config.text.len() <= limit, "{} bytes", config.text.len());
        if config.form == carrier::Form::Packed {
            takes(&unpack(&config.text).expect("a packed config"));
        }
    }
}

fn takes(config: &str) {
    let (_, unknown) = ignition_config::Config::parse_str(config).expect(config);
    assert!(unknown.is_empty(), "{unknown:?} in {config}");
}
