use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;

use super::file::data;

/// One file per API group.
pub(super) const TEXTS: [&str; 3] = [
    include_str!("../../releases/kubeadm.yaml"),
    include_str!("../../releases/kubelet.yaml"),
    include_str!("../../releases/kube-proxy.yaml"),
];

static TYPES: LazyLock<Types> = LazyLock::new(|| {
    let files = TEXTS.into_iter().map(data::<Fields>);
    files.flat_map(|file| file.types).collect()
});

/// Types by their names, and their fields by theirs.
type Types = BTreeMap<String, BTreeMap<String, Field>>;

#[derive(Default, Deserialize)]
struct Fields {
    types: Types,
}

/// A field of a configuration.
#[derive(Deserialize)]
#[serde(from = "Written")]
pub struct Field {
    /// What its value is.
    pub kind: Type,
    /// The first minor version that has it.
    pub since: u32,
    /// The last minor version that has it.
    pub until: u32,
}

impl Field {
    /// Whether a minor version has it.
    pub fn is_in(&self, minor: u32) -> bool {
        (self.since..=self.until).contains(&minor)
    }
}

/// A field as the files have it.
#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Always(Type),
    Limited(Limited),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Limited {
    r#type: Type,
    #[serde(default)]
    since: u32,
    #[serde(default = "forever")]
    until: u32,
}

/// The last minor version of what no release has removed.
pub(super) fn forever() -> u32 {
    u32::MAX
}

impl From<Written> for Field {
    fn from(written: Written) -> Self {
        let Limited {
            r#type,
            since,
            until,
        } = match written {
            Written::Limited(limited) => limited,
            Written::Always(r#type) => Limited {
                r#type,
                since: 0,
                until: forever(),
            },
        };
        Self {
            kind: r#type,
            since,
            until,
        }
    }
}

/// What the value of a field is.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Type {
    /// Anything.
    Any,
    /// Text.
    Text,
    /// A quantity, as text or as a number.
    Quantity,
    /// A quantity as text.
    TextQuantity,
    /// A quantity or a percentage, as text.
    Threshold,
    /// A duration as Go writes it.
    Duration,
    /// An IP address.
    Address,
    /// A boolean.
    Boolean,
    /// A number.
    Number,
    /// A whole number from the first to the second.
    Integer(i64, i64),
    /// Arguments of a component: a mapping before kubeadm's v1beta4, and then a list.
    Arguments,
    /// One of these words.
    Words(Vec<Word>),
    /// A list.
    List(Box<Self>),
    /// A mapping with any keys.
    Map(Box<Self>),
    /// A mapping with the fields of the type of this name.
    Object(String),
}

/// A word that a field allows.
#[derive(Debug, PartialEq, Eq)]
pub struct Word {
    /// The word.
    pub text: String,
    /// The first minor version that has it.
    pub since: u32,
    /// The last minor version that has it.
    pub until: u32,
}

impl Word {
    fn read(text: &str) -> Result<Self, String> {
        let (text, versions) = text.split_once('@').unwrap_or((text, "-"));
        let (since, until) = limits(versions, "-", (0, forever()))?;
        Ok(Self {
            text: text.to_owned(),
            since,
            until,
        })
    }
}

/// Two numbers with a text between them. An absent number is the default.
fn limits<T: std::str::FromStr>(
    text: &str,
    between: &str,
    (least, most): (T, T),
) -> Result<(T, T), String> {
    let number = |text: &str, default: T| match text {
        "" => Ok(default),
        text => text
            .parse()
            .map_err(|_| format!("`{text}` is not a number")),
    };
    let (from, to) = text
        .split_once(between)
        .ok_or_else(|| format!("`{text}` is not a range"))?;
    Ok((number(from, least)?, number(to, most)?))
}

impl TryFrom<String> for Type {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let inner = |item: &str| Self::try_from(item.to_owned()).map(Box::new);
        if let Some(item) = text.strip_prefix("list:") {
            return inner(item).map(Self::List);
        }
        if let Some(item) = text.strip_prefix("map:") {
            return inner(item).map(Self::Map);
        }
        if let Some(range) = text.strip_prefix("int:") {
            let (least, most) = limits(range, "..", (i64::MIN, i64::MAX))?;
            return Ok(Self::Integer(least, most));
        }
        Ok(match text.as_str() {
            "any" => Self::Any,
            "string" => Self::Text,
            "text-quantity" => Self::TextQuantity,
            "threshold" => Self::Threshold,
            "duration" => Self::Duration,
            "ip" => Self::Address,
            "quantity" => Self::Quantity,
            "bool" => Self::Boolean,
            "number" => Self::Number,
            "int" => Self::Integer(i64::MIN, i64::MAX),
            "args" => Self::Arguments,
            words if words.contains('|') => {
                Self::Words(words.split('|').map(Word::read).collect::<Result<_, _>>()?)
            }
            name if name.starts_with(|first: char| first.is_ascii_uppercase()) => {
                Self::Object(text)
            }
            _ => return Err(format!("unknown type `{text}`")),
        })
    }
}

/// The fields of a kind of document, or of a type that a field names.
pub fn fields(kind: &str) -> Option<&'static BTreeMap<String, Field>> {
    TYPES.get(kind)
}

#[cfg(test)]
mod tests {
    use super::{Fields, TEXTS, Type, Types};
    use crate::releases::file::parse;

    fn assert_is_declared(kind: &Type, types: &Types, place: &str) {
        match kind {
            Type::List(item) | Type::Map(item) => assert_is_declared(item, types, place),
            Type::Object(name) => assert!(types.contains_key(name), "{place}: {name}"),
            Type::Arguments => assert!(types.contains_key("Arg"), "{place}"),
            _ => {}
        }
    }

    #[test]
    fn every_file_can_be_read_and_declares_what_its_fields_name() {
        let mut types = Types::new();
        for text in TEXTS {
            let file: Fields = parse(text).unwrap();
            for (name, fields) in file.types {
                assert!(types.insert(name.clone(), fields).is_none(), "{name}");
            }
        }
        for (name, fields) in &types {
            for (field, declared) in fields {
                let place = format!("{name}.{field}");
                assert_is_declared(&declared.kind, &types, &place);
                assert!(declared.since <= declared.until, "{place}");
            }
        }
    }

    #[test]
    fn a_type_that_does_not_exist_is_an_error() {
        assert!(Type::try_from("text".to_owned()).is_err());
        assert!(Type::try_from("list:text".to_owned()).is_err());
        assert!(Type::try_from("int:1".to_owned()).is_err());
        assert!(Type::try_from("a@x-|b".to_owned()).is_err());
        assert!(parse::<Fields>("types: {A: {b: {type: bool, sinse: 3}}}").is_err());
    }
}
