//! Tables of keys. Reading, the JSON schema and the documentation go by the same ones.

use std::ops::RangeInclusive;

/// What a mapping may hold.
pub struct Mapping {
    /// What it is called in the schema.
    pub name: &'static str,
    /// Its keys, in groups that mappings may share.
    pub groups: &'static [&'static [Key]],
}

impl Mapping {
    /// All keys.
    pub fn keys(&self) -> impl Iterator<Item = &'static Key> + Clone + use<> {
        self.groups.iter().copied().flatten()
    }
}

/// A key of a mapping.
pub struct Key {
    /// The key.
    pub name: &'static str,
    /// What it takes.
    pub kind: Kind,
    /// Whether it has to be there.
    pub needed: Needed,
    /// What it is when it isn't there, if that is always the same.
    pub default: Option<&'static str>,
    /// What it means.
    pub meaning: &'static str,
}

/// What a key takes.
pub enum Kind {
    /// Text.
    Text,
    /// One of a few words.
    Word(&'static [&'static str]),
    /// A whole number.
    Number(RangeInclusive<u64>),
    /// A list of text.
    Texts,
    /// A mapping of the user's own keys to text.
    Pairs,
    /// A mapping.
    Map(&'static Mapping),
    /// A list of mappings.
    Maps(&'static Mapping),
}

/// Whether a key has to be there.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Needed {
    /// It may be absent.
    No,
    /// It has to be there.
    Yes,
    /// It has to be there unless another one is.
    Without(&'static str),
}

impl Key {
    /// A key that may be absent.
    pub const fn new(name: &'static str, kind: Kind, meaning: &'static str) -> Self {
        Self {
            name,
            kind,
            needed: Needed::No,
            default: None,
            meaning,
        }
    }

    /// The same, which has to be there.
    #[must_use]
    pub const fn needed(mut self) -> Self {
        self.needed = Needed::Yes;
        self
    }

    /// The same, which has to be there unless another one is.
    #[must_use]
    pub const fn needed_without(mut self, other: &'static str) -> Self {
        self.needed = Needed::Without(other);
        self
    }

    /// The same with a default.
    #[must_use]
    pub const fn or(mut self, default: &'static str) -> Self {
        self.default = Some(default);
        self
    }
}
