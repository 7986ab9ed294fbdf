//! Any text as a Butane file: it is refused with a reason, or what comes out is a config that
//! Ignition's reader and nkd's own take.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use nkd_document::Diagnostics;
use nkd_document::json;
use nkd_ignition::butane;
use nkd_ignition::{read, tree};

/// Where `local` files are read from.
const FILES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/seeds/butane");

fuzz_target!(|text: &str| {
    let mut diagnostics = Diagnostics::new();
    let source = diagnostics.add(Path::new("fuzz.bu"), text.to_owned());
    let translated = butane::translate(source, Some(Path::new(FILES)), &mut diagnostics);
    let Ok(translated) = translated else {
        assert!(!diagnostics.is_empty(), "refused without a reason");
        // Every place is in its source, and can be shown.
        let _ = diagnostics.to_string();
        return;
    };
    assert!(diagnostics.is_empty(), "taken, but:\n{diagnostics}");
    let config = tree::to_json(&translated.config).to_string();
    let (_, unknown) = ignition_config::Config::parse_str(&config).expect(&config);
    assert!(unknown.is_empty(), "{unknown:?} in {config}");
    let source = diagnostics.add(Path::new("fuzz.ign"), config);
    let again = json::parse(source, &mut diagnostics).expect("JSON");
    let minor = translated.version.ignition;
    let format = read::Json {
        minor,
        target: minor,
    };
    let again = read::config(&again, &format, &mut diagnostics);
    assert!(again.is_ok() && diagnostics.is_empty(), "{diagnostics}");
});
