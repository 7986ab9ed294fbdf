use super::sugar;
use super::version::Version;
use crate::read::{Format, Lack, lacks};
use crate::spec::{Field, Kind, NEWEST, Object};
use nkd_document::Diagnostics;
use nkd_document::yaml::{Node, Value};

/// The names and values of Ignition's fields in Butane.
pub struct Butane {
    /// The variant and version of the document.
    pub version: Version,
}

impl Format for Butane {
    fn fields(&self, object: &'static Object) -> Vec<(String, &'static Field)> {
        // Ignition's version follows from Butane's.
        let derived = |field: &&Field| object.name == "ignition" && field.name == "version";
        let own = object.fields.iter().filter(|field| !derived(field));
        let own = own.map(|field| (snake_case(field.name), field));
        let sugar = sugar::fields(object).iter();
        own.chain(sugar.map(|field| (field.name.to_owned(), field)))
            .collect()
    }

    fn needs(&self, object: &'static Object, field: &Field) -> bool {
        field.needed && object.name != "config"
    }

    fn lacks(&self, object: &'static Object, field: &Field) -> Option<Lack> {
        let Version {
            variant,
            version,
            minor,
            ignition,
            ..
        } = self.version;
        let sugar = sugar::fields(object)
            .iter()
            .any(|known| std::ptr::eq(known, field));
        if sugar || sugar::is_sugar(object) {
            (field.since > minor).then(|| {
                Lack::in_version(format!(
                    "requires fcos 1.{}.0, but this config is {variant} {version}",
                    field.since
                ))
            })
        } else {
            let what = format!("but {variant} {version} is for");
            lacks(field.since, ignition, &what, NEWEST)
        }
    }

    fn value(&self, node: &Node, wanted: Kind, to: &Diagnostics) -> Option<Value> {
        let raw = to.text(node.span.source);
        let raw = raw.get(node.span.start..node.span.end).unwrap_or_default();
        match (&node.value, wanted) {
            // YAML's plain words are text where text is wanted.
            (Value::Number(_) | Value::Bool(_), Kind::Text) => {
                let is_word = !raw.is_empty() && !raw.starts_with(['*', '&', '!']);
                let text = if is_word {
                    raw.trim().to_owned()
                } else {
                    node.to_json().to_string()
                };
                Some(Value::Text(text))
            }
            (Value::Text(text), Kind::Whole) if !raw.starts_with(['"', '\'']) => {
                whole(text).map(|number| Value::Number(number.into()))
            }
            (Value::Text(text), Kind::Bool) => boolean(text).map(Value::Bool),
            _ => None,
        }
    }
}

/// Numbers that only YAML 1.1 has: octal numbers that begin with a zero, and numbers with `_` between
/// digits.
fn whole(text: &str) -> Option<u32> {
    let digits = text.replace('_', "");
    match digits.strip_prefix('0') {
        Some(octal) => u32::from_str_radix(octal, 8).ok(),
        None => digits.parse().ok(),
    }
}

/// YAML 1.1's words for `true` and `false`.
fn boolean(text: &str) -> Option<bool> {
    match text {
        "y" | "Y" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => Some(true),
        "n" | "N" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => Some(false),
        _ => None,
    }
}

/// `sizeMiB` is `size_mib` in Butane, and so on for all of Ignition's names.
fn snake_case(name: &str) -> String {
    let mut snake = String::with_capacity(name.len() + 4);
    for c in name.replace("MiB", "Mib").chars() {
        if c.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(c.to_ascii_lowercase());
    }
    snake
}

#[cfg(test)]
mod tests {
    use super::snake_case;

    #[test]
    fn names_are_those_of_butane() {
        for (ignition, butane) in [
            ("sizeMiB", "size_mib"),
            ("typeGuid", "type_guid"),
            ("httpResponseHeaders", "http_response_headers"),
            ("sshAuthorizedKeys", "ssh_authorized_keys"),
            ("tpm2", "tpm2"),
        ] {
            assert_eq!(snake_case(ignition), butane);
        }
    }
}
