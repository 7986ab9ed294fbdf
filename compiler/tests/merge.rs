//! Ignition's rules of merging, one by one. The testbed holds them against the real engine.
#![allow(missing_docs, clippy::unwrap_used)]

use std::path::Path;

use nkd::diagnostics::Diagnostics;
use nkd::ignition::{json, merge::merge, tree};
use serde_json::{Value, json};

fn merged(parent: &Value, child: &Value) -> Value {
    let mut diagnostics = Diagnostics::new();
    let mut read = |name: &str, value: &Value| {
        let source = diagnostics.add(Path::new(name), value.to_string());
        json::parse(source, &mut diagnostics).unwrap()
    };
    let (parent, child) = (read("parent", parent), read("child", child));
    tree::to_json(&merge(&parent, &child))
}

/// Asserts what becomes of a parent and a child.
fn rule(parent: &Value, child: &Value, expected: &Value) {
    assert_eq!(merged(parent, child), *expected, "{parent} + {child}");
}

#[test]
fn objects_are_merged_field_by_field_and_the_child_wins() {
    rule(
        &json!({"ignition": {"version": "3.3.0", "timeouts": {"httpTotal": 1, "httpResponseHeaders": 2}}}),
        &json!({"ignition": {"version": "3.3.0", "timeouts": {"httpTotal": 3}}, "passwd": {"users": [{"name": "a"}]}}),
        &json!({"ignition": {"version": "3.3.0", "timeouts": {"httpTotal": 3, "httpResponseHeaders": 2}}, "passwd": {"users": [{"name": "a"}]}}),
    );
}

#[test]
fn null_is_nothing() {
    rule(
        &json!({"storage": {"files": [{"path": "/a", "mode": 420}], "disks": null}}),
        &json!({"storage": {"files": [{"path": "/a", "mode": null}]}, "systemd": null}),
        &json!({"storage": {"files": [{"path": "/a", "mode": 420}]}}),
    );
}

#[test]
fn false_and_empty_text_are_values() {
    rule(
        &json!({"systemd": {"units": [{"name": "a.service", "mask": true, "enabled": true, "contents": "x"}]}}),
        &json!({"systemd": {"units": [{"name": "a.service", "mask": false, "contents": ""}]}}),
        &json!({"systemd": {"units": [{"name": "a.service", "mask": false, "enabled": true, "contents": ""}]}}),
    );
}

#[test]
fn items_of_one_key_are_merged_in_their_place_and_others_appended() {
    for (section, list, key) in [
        ("storage", "files", "path"),
        ("storage", "disks", "device"),
        ("storage", "filesystems", "device"),
        ("storage", "raid", "name"),
        ("storage", "luks", "name"),
        ("systemd", "units", "name"),
        ("passwd", "users", "name"),
        ("passwd", "groups", "name"),
    ] {
        let of = |items: Value| json!({section: {list: items}});
        rule(
            &of(json!([{key: "a"}, {key: "b"}])),
            &of(json!([{key: "c"}, {key: "a"}])),
            &of(json!([{key: "a"}, {key: "b"}, {key: "c"}])),
        );
    }
}

#[test]
fn partitions_are_told_apart_by_number_or_else_by_label() {
    let disk = |partitions: Value| json!({"storage": {"disks": [{"device": "/dev/sda", "partitions": partitions}]}});
    rule(
        &disk(
            json!([{"number": 1, "label": "a", "sizeMiB": 1}, {"label": "b", "sizeMiB": 1}, {"number": 0, "label": "c"}]),
        ),
        &disk(
            json!([{"number": 1, "sizeMiB": 2}, {"label": "a", "sizeMiB": 3}, {"label": "c", "sizeMiB": 4}]),
        ),
        &disk(json!([
            {"number": 1, "label": "a", "sizeMiB": 2},
            {"label": "b", "sizeMiB": 1},
            {"number": 0, "label": "c", "sizeMiB": 4},
            {"label": "a", "sizeMiB": 3},
        ])),
    );
}

#[test]
fn files_directories_and_links_share_their_keys() {
    rule(
        &json!({"storage": {
            "files": [{"path": "/a", "mode": 420}, {"path": "/b"}],
            "links": [{"path": "/c", "target": "/x"}],
            "directories": [{"path": "/d"}],
        }}),
        &json!({"storage": {
            "links": [{"path": "/a", "target": "/y"}],
            "files": [{"path": "/d"}],
            "directories": [{"path": "/c"}],
        }}),
        &json!({"storage": {
            "files": [{"path": "/b"}, {"path": "/d"}],
            "links": [{"path": "/a", "target": "/y"}],
            "directories": [{"path": "/c"}],
        }}),
    );
}

#[test]
fn kernel_arguments_share_their_keys() {
    rule(
        &json!({"kernelArguments": {"shouldExist": ["a", "b"], "shouldNotExist": ["c"]}}),
        &json!({"kernelArguments": {"shouldExist": ["c", "d"], "shouldNotExist": ["a"]}}),
        &json!({"kernelArguments": {"shouldExist": ["b", "c", "d"], "shouldNotExist": ["a"]}}),
    );
}

#[test]
fn appends_and_options_of_programs_are_appended() {
    let storage = |n: &str| {
        json!({"storage": {
            "files": [{"path": "/a", "append": [{"source": "data:,x"}, {"source": n}]}],
            "filesystems": [{"device": "/dev/a", "options": ["-x", n], "mountOptions": ["ro", n]}],
            "luks": [{"name": "a", "options": ["-x", n]}],
            "raid": [{"name": "a", "options": ["-x", n]}],
        }})
    };
    rule(
        &storage("1"),
        &storage("2"),
        &json!({"storage": {
            "files": [{"path": "/a", "append": [{"source": "data:,x"}, {"source": "1"}, {"source": "data:,x"}, {"source": "2"}]}],
            "filesystems": [{"device": "/dev/a", "options": ["-x", "1", "-x", "2"], "mountOptions": ["ro", "1", "ro", "2"]}],
            "luks": [{"name": "a", "options": ["-x", "1", "-x", "2"]}],
            "raid": [{"name": "a", "options": ["-x", "1", "-x", "2"]}],
        }}),
    );
}

#[test]
fn texts_are_there_once() {
    let user = |keys: Value, groups: Value| json!({"passwd": {"users": [{"name": "a", "sshAuthorizedKeys": keys, "groups": groups}]}});
    rule(
        &user(json!(["k1", "k2"]), json!(["wheel"])),
        &user(json!(["k3", "k1"]), json!(["wheel", "adm"])),
        &user(json!(["k1", "k2", "k3"]), json!(["wheel", "adm"])),
    );
}

#[test]
fn a_header_without_a_value_takes_the_parents_away() {
    let file = |headers: Value| json!({"storage": {"files": [{"path": "/a", "contents": {"source": "https://x", "httpHeaders": headers}}]}});
    rule(
        &file(
            json!([{"name": "a", "value": "1"}, {"name": "b", "value": "1"}, {"name": "c", "value": "1"}]),
        ),
        &file(
            json!([{"name": "a"}, {"name": "b", "value": "2"}, {"name": "c", "value": null}, {"name": "d"}]),
        ),
        &file(json!([{"name": "b", "value": "2"}, {"name": "d"}])),
    );
}

#[test]
fn contents_are_merged_too() {
    let file =
        |contents: Value| json!({"storage": {"files": [{"path": "/a", "contents": contents}]}});
    rule(
        &file(
            json!({"source": "data:;base64,H4s", "compression": "gzip", "verification": {"hash": "sha256-0"}}),
        ),
        &file(json!({"source": "data:,x", "compression": ""})),
        &file(
            json!({"source": "data:,x", "compression": "", "verification": {"hash": "sha256-0"}}),
        ),
    );
}

#[test]
fn dropins_and_tang_servers_are_merged_by_key() {
    rule(
        &json!({
            "systemd": {"units": [{"name": "a.service", "dropins": [{"name": "1.conf", "contents": "x"}, {"name": "2.conf"}]}]},
            "storage": {"luks": [{"name": "a", "clevis": {"tang": [{"url": "u", "thumbprint": "t"}], "tpm2": true}}]},
        }),
        &json!({
            "systemd": {"units": [{"name": "a.service", "dropins": [{"name": "1.conf", "contents": "y"}]}]},
            "storage": {"luks": [{"name": "a", "clevis": {"tang": [{"url": "u", "thumbprint": "s"}, {"url": "v"}]}}]},
        }),
        &json!({
            "systemd": {"units": [{"name": "a.service", "dropins": [{"name": "1.conf", "contents": "y"}, {"name": "2.conf"}]}]},
            "storage": {"luks": [{"name": "a", "clevis": {"tang": [{"url": "u", "thumbprint": "s"}, {"url": "v"}], "tpm2": true}}]},
        }),
    );
}
