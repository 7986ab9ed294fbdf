//! The initramfs reports why Ignition failed. Ignition is real; a stand-in for journalctl prints its log,
//! and files stand for the consoles and the kernel's command line.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::thread::{self, JoinHandle};

use packages::command::check;
use serde_json::{Value, json};
use testbed::ignition::ENGINE;
use testbed::programs::workspace;
use testbed::requirements::{self, Purpose};
use testbed::web::WebServer;
use testbed::{Cache, Cloud, Lab, MetadataServer};

const SCRIPT: &str = "systemd/usr/lib/dracut/modules.d/60nkd/report-ignition";

/// Runs Ignition until a stage fails or takes long, then reports.
const RUN: &str = r#"
set -u
mount -t tmpfs tmpfs /run
mkdir /run/bin /run/root
ln -s /bin/true /run/bin/setfiles
printf '#!/bin/sh\ncase "$*" in *--sync*) ;; *) cat /run/log ;; esac\n' > /run/bin/journalctl
chmod +x /run/bin/journalctl
touch /run/console
mount --bind /run/console /dev/kmsg
mount --bind "$2" /proc/cmdline
export PATH=/run/bin:$PATH IGNITION_CONFIG_FILE=$1
# Ignition's own patience with a metadata server is 2 minutes.
[ "$5" = waiting ] && patience=2m || patience=2s
eval "$7"
for stage in fetch-offline fetch disks mount files; do
    timeout 5 "$3" --root=/run/root --platform="$6" --stage="$stage" --fetch-timeout="$patience" \
        --log-to-stdout >> /run/log 2>&1 || break
done
timeout 10 "$4" "$5"
cat /run/console
"#;

/// A network without anything in it but the machine itself, which is also its name server, and which does not answer.
const ALONE: &str = r"
ip link set lo up
echo 'nameserver 127.0.0.1' > /run/resolv.conf
mount --bind /run/resolv.conf /etc/resolv.conf
";

/// `OpenStack` without a metadata service, which Ignition asks beside the config drive. The drive is a directory. The
/// last error in the log is always one of the metadata service.
const CONFIG_DRIVE: &str = r#"
ip link set lo up
ip route add unreachable 169.254.169.254
mkdir -p /dev/disk /run/drive/openstack/latest
mount -t tmpfs tmpfs /dev/disk
mkdir /dev/disk/by-label
touch /dev/disk/by-label/config-2
cp "$1" /run/drive/openstack/latest/user_data
printf '#!/bin/sh\nfor last; do :; done\n/bin/mount --bind /run/drive "$last"\n' > /run/bin/mount
chmod +x /run/bin/mount
echo 'grep "169.254.169.254.*: \(attempt #2\|dial \)" /run/log' >> /run/bin/journalctl
"#;

/// A journal in which the config surrounds Ignition's last message, and the mounts are undone afterwards. Stages
/// without `--log-to-stdout` send the message to syslog's socket and the config to their standard error, and journald
/// reads the two in any order.
const JOURNAL: &str = r#"
cat > /run/bin/journalctl <<'END'
#!/bin/sh
case "$*" in *--sync*) exit ;; esac
sed -n 's/.*Ignition failed: /Ignition failed: /p' /run/log > /run/failure
grep -v 'Ignition failed: ' /run/log | sed '/Full config:/{n;r /run/failure
}'
echo 'INFO     : Stage: umount'
echo 'CRITICAL : Ignition failed: the file system is busy'
END
"#;

/// What the report prints on the console.
fn report(config: &str, mode: &str, kernel_arguments: &str) -> String {
    let unshare = Command::new("unshare");
    run(config, mode, kernel_arguments, ("file", ""), unshare)
}

/// The same on a platform in a network of its own, which a script prepares.
fn report_on(platform: (&str, &str), config: &str, mode: &str) -> String {
    let mut unshare = Command::new("unshare");
    unshare.arg("--net");
    run(config, mode, "", platform, unshare)
}

fn run(
    config: &str,
    mode: &str,
    kernel_arguments: &str,
    (platform, preparation): (&str, &str),
    mut unshare: Command,
) -> String {
    requirements::ensure(Purpose::Tests).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("config.ign");
    let cmdline = directory.path().join("cmdline");
    fs::write(&file, config).unwrap();
    fs::write(
        &cmdline,
        format!("root=LABEL=root {kernel_arguments} quiet\n"),
    )
    .unwrap();
    let script = workspace().join(SCRIPT);
    unshare
        .args(["--mount", "--propagation=private", "sh", "-c", RUN, "sh"])
        .args([&file, &cmdline, Path::new(ENGINE), &script])
        .args([mode, platform, preparation]);
    check(&mut unshare).unwrap()
}

/// A web server for some requests, which answers all of them in the same way and returns their bodies.
fn serve(requests: usize, answer: impl Into<String>) -> (String, JoinHandle<Vec<String>>) {
    let answer = answer.into();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let thread = thread::spawn(move || {
        let mut received = Vec::new();
        for stream in listener.incoming().take(requests) {
            let mut stream = stream.unwrap();
            let mut request = Vec::new();
            let mut part = [0; 4096];
            let is_whole = |request: &[u8]| {
                let text = String::from_utf8_lossy(request);
                text.split_once("\r\n\r\n").is_some_and(|(head, body)| {
                    let length = head.to_lowercase();
                    let length = length.split("content-length: ").nth(1);
                    let length = length.and_then(|rest| rest.lines().next()?.parse().ok());
                    body.len() >= length.unwrap_or(0)
                })
            };
            while !is_whole(&request) {
                let length = stream.read(&mut part).unwrap();
                request.extend_from_slice(&part[..length]);
            }
            stream.write_all(answer.as_bytes()).unwrap();
            received.push(String::from_utf8(request).unwrap());
        }
        received
    });
    (address, thread)
}

const NOT_FOUND: &str = "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
const OTHER: &str = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nother";
const ACCEPTED: &str = "HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n";
const ZEROS: &str = "sha256-0000000000000000000000000000000000000000000000000000000000000000";

fn pointer(source: &str) -> String {
    let source = json!({ "source": source, "verification": { "hash": ZEROS } });
    json!({ "ignition": { "version": "3.3.0", "config": { "replace": source } } }).to_string()
}

fn storage(storage: &Value) -> String {
    json!({ "ignition": { "version": "3.3.0" }, "storage": storage }).to_string()
}

/// Fails unless the console has one line with the cause, without anything that is secret.
fn assert_names(console: &str, cause: &str, words: &str) {
    assert_eq!(console.lines().count(), 1, "{console}");
    assert!(console.starts_with("<0>nkd: Ignition "), "{console}");
    assert!(
        console.contains(&format!("[ignition.{cause}]")),
        "{console}"
    );
    assert!(console.contains(words), "{console}");
    assert!(!console.contains("hidden"), "{console}");
}

#[test]
fn a_failure_of_ignition_is_named_on_the_console_without_the_config() {
    let console = report("{ \"hidden\"", "failed", "");
    assert_names(&console, "config-invalid", "in the stage fetch-offline");
    let console = report(r#"{"ignition":{"version":"9.0.0"}}"#, "failed", "");
    assert_names(&console, "config-version", "Ignition 2.11 or later");

    let (address, server) = serve(1, NOT_FOUND);
    let url = format!("http://user:hidden@{address}/hidden?token=hidden");
    let console = report(&pointer(&url), "failed", "");
    assert_names(&console, "not-found", &format!("not on http://{address}."));
    server.join().unwrap();

    let (address, server) = serve(1, OTHER);
    let console = report(&pointer(&format!("http://{address}/hidden")), "failed", "");
    assert_names(
        &console,
        "hash-mismatch",
        &format!("from http://{address} "),
    );
    server.join().unwrap();

    // Ignition prints the whole config when these stages fail.
    let contents = json!({ "source": "data:,hidden", "verification": { "hash": ZEROS } });
    let files = storage(&json!({ "files": [{ "path": "/etc/a", "contents": contents }] }));
    assert_names(
        &report(&files, "failed", ""),
        "hash-mismatch",
        "in the stage files",
    );
    let link = json!([{ "path": "/a/b", "target": "hidden", "hard": true }]);
    let links = storage(&json!({ "links": link }));
    assert_names(
        &report(&links, "failed", ""),
        "files",
        "could not be written",
    );
    let device = json!([{ "device": "/dev/disk/by-id/hidden", "wipeTable": true }]);
    let disks = storage(&json!({ "disks": device }));
    assert_names(&report(&disks, "failed", ""), "disks", "in the stage disks");
}

#[test]
fn the_first_failure_is_named_wherever_the_journal_has_it() {
    for (storage_of, cause, stage) in [
        (
            json!({ "disks": [{ "device": "/dev/disk/by-id/hidden", "wipeTable": true }] }),
            "disks",
            "in the stage disks ",
        ),
        (
            json!({ "links": [{ "path": "/a/b", "target": "hidden", "hard": true }] }),
            "files",
            "in the stage files ",
        ),
    ] {
        let config = storage(&storage_of);
        let console = report_on(("file", JOURNAL), &config, "failed");
        assert_names(&console, cause, stage);
    }
}

#[test]
fn a_path_with_the_words_of_another_failure_is_not_taken_for_it() {
    let link = json!([{ "path": "/a/b", "target": "/etc/connection refused", "hard": true }]);
    let console = report(&storage(&json!({ "links": link })), "failed", "");
    assert_names(&console, "files", "in the stage files ");
}

#[test]
fn what_ignition_waits_for_is_named_while_it_waits() {
    // No server listens on a port that was free a moment ago.
    let address = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let url = format!("http://user:hidden@{address}/hidden");
    let console = report(&pointer(&url), "waiting", "");
    let words = format!("http://{address} refuses connections");
    assert_names(&console, "unreachable", &words);

    // The config is there, but one of its files is not.
    let file = json!({ "path": "/etc/a", "contents": { "source": url } });
    let config = storage(&json!({ "files": [file] }));
    assert_names(&report(&config, "waiting", ""), "unreachable", &words);
}

#[test]
fn the_server_to_which_a_request_is_redirected_is_named() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let redirect = format!(
        "HTTP/1.1 302 Found\r\nlocation: http://localhost:{port}/hidden\r\ncontent-length: 0\r\nconnection: \
         close\r\n\r\n"
    );
    let (address, _) = serve(usize::MAX, redirect);
    let config = pointer(&format!("http://{address}/hidden"));
    let console = report(&config, "waiting", "");
    let words = format!("http://localhost:{port} refuses connections");
    assert_names(&console, "unreachable", &words);
}

#[test]
fn a_name_server_that_does_not_answer_is_not_taken_for_the_server_of_the_config() {
    let config = pointer("https://files.site.test/hidden");
    let console = report_on(("file", ALONE), &config, "waiting");
    let words = "The name of https://files.site.test cannot be resolved.";
    assert_names(&console, "unreachable", words);
}

#[test]
fn a_config_drive_that_points_to_a_server_is_not_blamed_on_the_metadata_service() {
    let config = pointer("http://user:hidden@127.0.0.1:9/hidden");
    let console = report_on(("openstack", CONFIG_DRIVE), &config, "waiting");
    let words = "http://127.0.0.1:9 refuses connections.";
    assert_names(&console, "unreachable", words);
}

#[test]
fn a_failure_is_sent_to_the_server_that_the_kernel_command_line_names() {
    let (address, server) = serve(1, ACCEPTED);
    // As in a GRUB file that quotes it.
    let argument = format!("nkd.report=\"http://{address}/machines\"");
    let contents = json!({ "source": "data:,hidden", "verification": { "hash": ZEROS } });
    let config = storage(&json!({ "files": [{ "path": "/etc/a", "contents": contents }] }));
    report(&config, "failed", &argument);
    let requests = server.join().unwrap();
    let (head, body) = requests[0].split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("POST /machines HTTP/1.1"), "{head}");
    assert!(head.contains("application/cloudevents+json"), "{head}");
    assert!(!body.contains("hidden"), "{body}");
    let event: Value = serde_json::from_str(body).unwrap();
    assert_eq!(event["specversion"], "1.0");
    assert_eq!(event["type"], "org.openeuler.nkd1.machine.ignition-failed");
    assert!(event["source"].as_str().unwrap().starts_with("/machines/"));
    // Another cause is another event of the same boot.
    let id = event["id"].as_str().unwrap();
    assert!(id.ends_with("-failed-hash-mismatch"), "{id}");
    assert_eq!(event["data"]["cause"], "ignition.hash-mismatch");
    assert_eq!(event["data"]["stage"], "files");
    assert!(event["data"]["macs"].is_array());
}

const CLOUDS: [Cloud; 4] = [Cloud::OpenStack, Cloud::Aws, Cloud::Gcp, Cloud::Azure];
const METADATA: &str = "http://169.254.169.254";

/// A lab, and what the report prints there on a machine of a cloud.
struct Site(Lab);

impl Site {
    fn new() -> Self {
        requirements::ensure(Purpose::Tests).unwrap();
        Self(Lab::new(&Cache::open().unwrap()).unwrap())
    }

    fn metadata(&self, cloud: Cloud, user_data: Option<&str>) -> MetadataServer {
        let bytes = user_data.map(str::as_bytes);
        self.0.metadata(cloud, bytes).unwrap()
    }

    fn report(&self, cloud: Cloud, mode: &str) -> String {
        let unshare = self.0.host_command("unshare");
        run("", mode, "", (cloud.name(), ""), unshare)
    }
}

#[test]
fn a_config_from_a_metadata_server_is_used() {
    let site = Site::new();
    let link = json!([{ "path": "/a/b", "target": "hidden", "hard": true }]);
    let links = storage(&json!({ "links": link }));
    for cloud in CLOUDS {
        let server = site.metadata(cloud, Some(&links));
        assert_names(&site.report(cloud, "failed"), "files", "in the stage files");
        let requests = server.requests();
        assert!(!requests.is_empty());
        assert!(
            requests.iter().all(|request| request.ends_with(": 200")),
            "{requests:?}"
        );
    }
}

#[test]
fn wrong_user_data_are_named() {
    let site = Site::new();
    let (file, directory) = ("other", tempfile::tempdir().unwrap());
    fs::write(directory.path().join(file), "other").unwrap();
    let _web = site.0.web_server(&[directory.path().join(file)]).unwrap();
    let pointer = pointer(&format!("{}/{file}", WebServer::url()));
    for cloud in CLOUDS {
        let server = site.metadata(cloud, Some("{ \"hidden\""));
        assert_names(
            &site.report(cloud, "failed"),
            "config-invalid",
            "stage fetch ",
        );
        drop(server);
        let _server = site.metadata(cloud, Some(&pointer));
        let words = format!("from {} ", WebServer::url());
        assert_names(&site.report(cloud, "failed"), "hash-mismatch", &words);
    }
}

#[test]
#[ignore = "long: Ignition waits on each cloud"]
fn a_metadata_server_that_cannot_be_reached_is_named() {
    let site = Site::new();
    let waits = &|cloud: Cloud, words: &str| {
        assert_names(&site.report(cloud, "waiting"), "unreachable", words);
    };
    let waits_for = |words: &str| {
        thread::scope(|scope| {
            for cloud in CLOUDS {
                scope.spawn(move || waits(cloud, words));
            }
        });
    };
    waits_for("does not answer");
    site.0.metadata_refuses().unwrap();
    let refuses = format!("{METADATA} refuses connections");
    waits_for(&refuses);
    for cloud in [Cloud::Gcp, Cloud::Azure] {
        assert_names(&site.report(cloud, "failed"), "unreachable", &refuses);
    }
    // OpenStack's machines do not stop. They wait for a config drive.
    let gave_up = ("openstack", "patience=2s");
    let console = run("", "waiting", "", gave_up, site.0.host_command("unshare"));
    assert_names(&console, "unreachable", "Ignition does not ask again");
}

#[test]
fn a_metadata_server_that_refuses_a_request_is_named() {
    let site = Site::new();
    // Another cloud's server stands for one that is not enabled for the machine.
    let _server = site.metadata(Cloud::Gcp, None);
    assert_names(&site.report(Cloud::Aws, "failed"), "fetch", "Forbidden");
}

#[test]
fn a_machine_without_user_data_is_named() {
    let site = Site::new();
    for cloud in [Cloud::OpenStack, Cloud::Aws, Cloud::Gcp] {
        for user_data in [None, Some("")] {
            let _server = site.metadata(cloud, user_data);
            let words = format!("{METADATA} has no config");
            assert_names(&site.report(cloud, "empty"), "no-config", &words);
        }
    }
    // Ignition waits for the CD with the custom data.
    let server = site.metadata(Cloud::Azure, None);
    let console = site.report(Cloud::Azure, "waiting");
    assert_names(&console, "no-config", "no CD with custom data");
    drop(server);
    let _server = site.metadata(Cloud::OpenStack, None);
    let console = site.report(Cloud::Azure, "failed");
    assert_names(&console, "no-config", "no config");
    // Without a carrier there is no server either.
    let console = report_on(("metal", ""), "", "empty");
    assert_names(&console, "no-config", "nkd-agent does not start");
}

#[test]
fn a_config_is_not_called_missing() {
    let console = report(&storage(&json!({})), "empty", "");
    assert_eq!(console, "");
}
