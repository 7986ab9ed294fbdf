use std::fmt;

use serde::de::value::StrDeserializer;
use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{Cause, Kind, Role, Stage, State, Unit};

/// The words of one kind that this build knows, such as all causes.
pub trait Vocabulary: Copy + PartialEq + 'static {
    /// The word as it is written in JSON, on D-Bus and in the journal.
    fn word(self) -> &'static str;
}

macro_rules! vocabularies {
    ($($vocabulary:ident $word:ident,)*) => {$(
        impl Vocabulary for $vocabulary {
            fn word(self) -> &'static str {
                self.$word()
            }
        }
    )*};
}

vocabularies! {
    Cause code,
    Kind name,
    Role name,
    Stage name,
    State name,
    Unit name,
}

/// A word in an event or a status. Later releases add words, so a reader may meet one that it does not know. It
/// keeps such a word as it was written, and writes it again unchanged.
///
/// A word consists of visible ASCII characters, so that it can be shown on a terminal, be a D-Bus string, and be
/// the end of a CloudEvents type. Reading any other string is an error.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Word<T> {
    /// A word that this build knows.
    Known(T),
    /// A word that this build doesn't know.
    Other(String),
}

impl<T: Vocabulary> Word<T> {
    /// The word as it is written.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Known(word) => word.word(),
            Self::Other(word) => word,
        }
    }

    /// What the word means, when this build knows it.
    pub fn known(&self) -> Option<T> {
        match self {
            Self::Known(word) => Some(*word),
            Self::Other(_) => None,
        }
    }
}

impl<T> From<T> for Word<T> {
    fn from(word: T) -> Self {
        Self::Known(word)
    }
}

impl<T: Default> Default for Word<T> {
    fn default() -> Self {
        Self::Known(T::default())
    }
}

impl<T: PartialEq> PartialEq<T> for Word<T> {
    fn eq(&self, word: &T) -> bool {
        matches!(self, Self::Known(known) if known == word)
    }
}

impl<T: Vocabulary> fmt::Display for Word<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl<T: Vocabulary> Serialize for Word<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for Word<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let word = String::deserialize(deserializer)?;
        let known = T::deserialize(StrDeserializer::<serde::de::value::Error>::new(&word));
        if let Ok(known) = known {
            return Ok(Self::Known(known));
        }
        if word.is_empty() || !word.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(D::Error::custom(format!("{word:?} is not a word")));
        }
        Ok(Self::Other(word))
    }
}

#[cfg(feature = "schema")]
impl<T: schemars::JsonSchema> schemars::JsonSchema for Word<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        T::schema_name()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let known = generator.subschema_for::<T>();
        schemars::json_schema!({
            "anyOf": [known, { "type": "string", "pattern": "^[!-~]+$" }],
        })
    }
}
