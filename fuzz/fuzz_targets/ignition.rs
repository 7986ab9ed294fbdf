//! Any two texts, with a line `---` between them, as Ignition files: each is refused with a reason,
//! or they are merged, and the result is one that can be read again.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use nkd::config::SPEC_MINOR;
use nkd::config::user;
use nkd_document::Diagnostics;
use nkd_document::json;
use nkd_document::yaml::Node;
use nkd_ignition::merge::merge;
use nkd_ignition::{read, tree};

fuzz_target!(|text: &str| {
    let (parent, child) = text.split_once("\n---\n").unwrap_or((text, "{}"));
    let mut diagnostics = Diagnostics::new();
    let (parent, child) = (
        config(parent, &mut diagnostics),
        config(child, &mut diagnostics),
    );
    let (Some(parent), Some(child)) = (parent, child) else {
        assert!(!diagnostics.is_empty(), "refused without a reason");
        let _ = diagnostics.to_string();
        return;
    };
    let merged = merge(&parent, &child);
    let text = tree::to_json(&merged).to_string();
    let (_, unknown) = ignition_config::Config::parse_str(&text).expect(&text);
    assert!(unknown.is_empty(), "{unknown:?} in {text}");
    let source = diagnostics.add(Path::new("merged.ign"), text);
    let again = json::parse(source, &mut diagnostics).expect("JSON");
    let format = read::Json {
        minor: SPEC_MINOR,
        target: SPEC_MINOR,
    };
    let again = read::config(&again, &format, &mut diagnostics);
    let again = again.unwrap_or_else(|_| panic!("{diagnostics}"));
    assert!(diagnostics.is_empty(), "{diagnostics}");
    assert_eq!(tree::to_json(&again), tree::to_json(&merged));
});

fn config(text: &str, to: &mut Diagnostics) -> Option<Node> {
    let source = to.add(Path::new("fuzz.ign"), text.to_owned());
    user::read(source, to).ok().map(|user| user.config)
}
