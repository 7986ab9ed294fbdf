use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::config::SPEC;

/// Packs a config: the result contains the whole config in compressed form.
///
/// Compressing the whole config makes use of what files have in common, and base64 adds a third only
/// once. For that, resources that are compressed on their own have to become text again. A `data:` URL
/// needs no network, so a packed config works on every machine.
pub fn pack(config: &str) -> Result<String> {
    let mut inner: Value = serde_json::from_str(config)?;
    loosen(&mut inner);
    let source = nkd_ignition::gzip(inner.to_string()).context("cannot compress")?;
    let outer = json!({"ignition": {
        "version": SPEC,
        "config": {"merge": [{"source": source, "compression": "gzip"}]},
    }});
    let text = outer.to_string() + "\n";
    let back: Value = serde_json::from_str(&unpack(&text)?)?;
    ensure!(
        back == inner,
        "a compressed config differs from the original after decompression"
    );
    Ok(text)
}

/// The config inside a packed one.
pub fn unpack(packed: &str) -> Result<String> {
    let outer: Value = serde_json::from_str(packed)?;
    let resource = outer
        .pointer("/ignition/config/merge/0")
        .context("not packed")?;
    let source = resource["source"].as_str().context("not packed")?;
    let inner = nkd_ignition::decode(source, "gzip").context("not packed")?;
    Ok(String::from_utf8(inner)?)
}

/// Replaces compressed resources that are text with plain text.
fn loosen(value: &mut Value) {
    match value {
        Value::Object(map) => {
            let text = map.get("source").and_then(Value::as_str).and_then(|url| {
                let compression = map.get("compression")?.as_str()?;
                String::from_utf8(nkd_ignition::decode(url, compression)?).ok()
            });
            if let Some(text) = text {
                map.insert("source".into(), nkd_ignition::plain(&text).into());
                map.insert("compression".into(), "".into());
            }
            map.values_mut().for_each(loosen);
        }
        Value::Array(items) => items.iter_mut().for_each(loosen),
        _ => {}
    }
}
