use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::config::SPEC;

/// A config that holds another one, compressed as a whole.
///
/// Compressing everything at once finds what files have in common, and pays base64's third only
/// once; for that, what was compressed by itself has to become text again. A `data:` URL needs no
/// network, so such a config works wherever its content would.
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

/// Turns compressed resources that are text into text.
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
