use std::fmt::Write;

use serde_json::{Map, Value};

/// The longest key, in bytes, that can be written without `?`: YAML readers don't look further for
/// the colon (YAML 1.2.2, 7.4.2).
const LONGEST_KEY: usize = 1024;

/// Writes a value as block YAML. Readers of YAML 1.1, which Kubernetes uses, and of YAML 1.2 read the
/// same value: text that could be read as another type is quoted as in JSON.
pub fn to_yaml(value: &Value) -> String {
    if is_block(value) {
        let mut out = String::new();
        block(&mut out, value, 0);
        out
    } else {
        scalar(value) + "\n"
    }
}

/// Writes a mapping or a list that is not empty.
fn block(out: &mut String, value: &Value, indent: usize) {
    let pad = " ".repeat(indent);
    for (key, value) in value.as_object().into_iter().flat_map(headed) {
        let mut key = text(key);
        if key.len() > LONGEST_KEY {
            key = format!("? {key}\n{pad}");
        }
        let _ = write!(out, "{pad}{key}:");
        if is_block(value) {
            out.push('\n');
            block(out, value, indent + 2);
        } else {
            let _ = writeln!(out, " {}", scalar(value));
        }
    }
    for item in value.as_array().into_iter().flatten() {
        let mut inner = String::new();
        if is_block(item) {
            block(&mut inner, item, indent + 2);
        } else {
            let _ = writeln!(inner, "{pad}  {}", scalar(item));
        }
        // The first line of the item follows the dash on the same line.
        let _ = write!(out, "{pad}- {}", &inner[indent + 2..]);
    }
}

/// The entries of a mapping. `apiVersion`, `kind` and `name` come first, as is usual in Kubernetes.
fn headed(map: &Map<String, Value>) -> impl Iterator<Item = (&String, &Value)> {
    const HEAD: [&str; 3] = ["apiVersion", "kind", "name"];
    let head = HEAD.iter().filter_map(|key| map.get_key_value(*key));
    head.chain(map.iter().filter(|(key, _)| !HEAD.contains(&key.as_str())))
}

fn is_block(value: &Value) -> bool {
    match value {
        Value::Object(map) => !map.is_empty(),
        Value::Array(list) => !list.is_empty(),
        _ => false,
    }
}

fn scalar(value: &Value) -> String {
    match value {
        Value::String(string) => text(string),
        other => other.to_string(),
    }
}

fn text(string: &str) -> String {
    const WORDS: [&str; 9] = ["null", "true", "false", "yes", "no", "on", "off", "y", "n"];
    let plain = string.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/')
        && string
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c))
        && !WORDS.contains(&string.to_ascii_lowercase().as_str());
    if plain {
        string.to_owned()
    } else {
        let json = Value::from(string).to_string();
        json.chars().fold(String::new(), escaped)
    }
}

/// Adds a character of a JSON string, escaped if YAML treats it as a line break or as not printable
/// (YAML 1.1, 5.1 and 5.4).
fn escaped(mut out: String, c: char) -> String {
    const UNPRINTABLE: [char; 5] = ['\u{2028}', '\u{2029}', '\u{feff}', '\u{fffe}', '\u{ffff}'];
    if c.is_control() || UNPRINTABLE.contains(&c) {
        let _ = write!(out, "\\u{:04x}", u32::from(c));
    } else {
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::to_yaml;

    #[test]
    fn text_that_could_be_something_else_is_quoted() {
        let value =
            json!({"b": ["on", "1e3", "12:30", "x", {"b": [], "c": {"d": "x y"}}], "a": {}});
        let expected = r#"a: {}
b:
  - "on"
  - "1e3"
  - "12:30"
  - x
  - b: []
    c:
      d: "x y"
"#;
        assert_eq!(to_yaml(&value), expected);
    }

    #[test]
    fn what_ends_lines_or_is_not_printable_is_escaped() {
        let value = json!({"a": "\u{7f}\u{85}\u{2028}\u{feff}é\n"});
        assert_eq!(to_yaml(&value), "a: \"\\u007f\\u0085\\u2028\\ufeffé\\n\"\n");
    }

    #[test]
    fn a_document_begins_with_what_it_is() {
        let value = json!({"a": 1, "kind": "K", "apiVersion": "v1"});
        assert_eq!(to_yaml(&value), "apiVersion: v1\nkind: K\na: 1\n");
    }
}
