use super::{Entry, Key, Kind, Mapping, Needed, Node, Value};
use crate::{Code, Diagnostics, Span, Spanned};

/// Reads a mapping key by key, as its [table](Mapping) says. What is missing, of a wrong type or,
/// at the [end](Self::finish), unknown is reported with the key's full name; reading goes on.
pub struct Fields<'a> {
    path: String,
    span: Span,
    entries: &'a [Entry],
    mapping: &'static Mapping,
    asked: Vec<&'static str>,
}

impl<'a> Fields<'a> {
    /// The fields of a mapping; `path` is its full name, empty for a document.
    pub fn of(
        node: &'a Node,
        path: &str,
        mapping: &'static Mapping,
        diagnostics: &mut Diagnostics,
    ) -> Option<Self> {
        let Value::Map(entries) = &node.value else {
            wrong_type(node, path, "a mapping", diagnostics);
            return None;
        };
        Some(Self {
            path: path.to_owned(),
            span: node.span,
            entries,
            mapping,
            asked: Vec::new(),
        })
    }

    /// Where the mapping is.
    pub fn span(&self) -> Span {
        self.span
    }

    /// The full name of a key.
    fn name(&self, key: &str) -> String {
        if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        }
    }

    /// A key's value; nothing at all and `null` are the same.
    fn node(&self, key: &str) -> Option<&'a Node> {
        let entry = self.entries.iter().find(|entry| entry.key == key)?;
        (entry.node.value != Value::Null).then_some(&entry.node)
    }

    /// What the table says of a key that is read.
    fn key(&mut self, name: &'static str) -> Option<&'static Key> {
        let key = self.mapping.keys().find(|key| key.name == name);
        debug_assert!(key.is_some(), "{} has no `{name}`", self.mapping.name);
        self.asked.push(name);
        key
    }

    /// The value of a key that isn't a mapping, and is reported where it has to be there.
    fn value(
        &mut self,
        name: &'static str,
        fits: fn(&Kind) -> bool,
        into: &mut Diagnostics,
    ) -> Option<&'a Node> {
        let key = self.key(name)?;
        debug_assert!(fits(&key.kind), "`{name}` is of another kind");
        let node = self.node(name);
        let needed = match key.needed {
            Needed::No => false,
            Needed::Yes => true,
            Needed::Without(other) => self.node(other).is_none(),
        };
        if node.is_none() && needed {
            let message = format!("`{}` is missing", self.name(name));
            into.report(Code::MissingKey, self.span, message);
        }
        node
    }

    /// Text.
    pub fn text(&mut self, key: &'static str, into: &mut Diagnostics) -> Option<Spanned<String>> {
        let node = self.value(key, |it| matches!(it, Kind::Text | Kind::Word(_)), into)?;
        text(node, &self.name(key), into)
    }

    /// A number that isn't negative.
    pub fn number(
        &mut self,
        key: &'static str,
        diagnostics: &mut Diagnostics,
    ) -> Option<Spanned<u64>> {
        let node = self.value(key, |it| matches!(it, Kind::Number(_)), diagnostics)?;
        if let Value::Number(number) = &node.value
            && let Some(number) = number.as_u64()
        {
            return Some(Spanned::new(number, node.span));
        }
        wrong_type(
            node,
            &self.name(key),
            "a whole number from 0 on",
            diagnostics,
        );
        None
    }

    /// A mapping. One that has to be there is read as empty when it isn't: then what is missing in
    /// it is reported.
    pub fn map<T>(
        &mut self,
        key: &'static str,
        diagnostics: &mut Diagnostics,
        read: impl FnOnce(&mut Fields<'a>, &mut Diagnostics) -> T,
    ) -> Option<T> {
        let Key {
            kind: Kind::Map(mapping),
            needed,
            ..
        } = self.key(key)?
        else {
            debug_assert!(false, "`{key}` is no mapping");
            return None;
        };
        let mut fields = match self.node(key) {
            Some(node) => Fields::of(node, &self.name(key), mapping, diagnostics)?,
            None if *needed == Needed::No => return None,
            None => Fields {
                path: self.name(key),
                span: self.span,
                entries: &[],
                mapping,
                asked: Vec::new(),
            },
        };
        let value = read(&mut fields, diagnostics);
        fields.finish(diagnostics);
        Some(value)
    }

    /// A mapping of the user's own keys to text, in the order of the keys: the one in which they
    /// are written means nothing.
    pub fn texts(
        &mut self,
        key: &'static str,
        diagnostics: &mut Diagnostics,
    ) -> Option<Vec<(Spanned<String>, Spanned<String>)>> {
        let node = self.value(key, |it| matches!(it, Kind::Pairs), diagnostics)?;
        let name = self.name(key);
        let Value::Map(entries) = &node.value else {
            wrong_type(node, &name, "a mapping", diagnostics);
            return None;
        };
        let pair = |entry: &Entry| {
            let value = text(&entry.node, &format!("{name}.{}", entry.key), diagnostics)?;
            Some((Spanned::new(entry.key.clone(), entry.key_span), value))
        };
        let mut pairs: Vec<_> = entries.iter().filter_map(pair).collect();
        pairs.sort_by(|(one, _), (other, _)| one.value.cmp(&other.value));
        Some(pairs)
    }

    /// A list of text.
    pub fn text_list(
        &mut self,
        key: &'static str,
        diagnostics: &mut Diagnostics,
    ) -> Option<Vec<Spanned<String>>> {
        let node = self.value(key, |it| matches!(it, Kind::Texts), diagnostics)?;
        let (name, nodes) = self.list(key, node, diagnostics)?;
        let item = |(index, node)| text(node, &format!("{name}[{index}]"), diagnostics);
        Some(nodes.iter().enumerate().filter_map(item).collect())
    }

    /// A list of mappings.
    pub fn map_list<T>(
        &mut self,
        key: &'static str,
        diagnostics: &mut Diagnostics,
        mut read: impl FnMut(&mut Fields<'a>, &mut Diagnostics) -> T,
    ) -> Option<Vec<T>> {
        let Kind::Maps(mapping) = self.key(key)?.kind else {
            debug_assert!(false, "`{key}` is no list of mappings");
            return None;
        };
        let node = self.node(key)?;
        let (name, nodes) = self.list(key, node, diagnostics)?;
        let item = |(index, node)| {
            let mut fields = Fields::of(node, &format!("{name}[{index}]"), mapping, diagnostics)?;
            let value = read(&mut fields, diagnostics);
            fields.finish(diagnostics);
            Some(value)
        };
        Some(nodes.iter().enumerate().filter_map(item).collect())
    }

    fn list(
        &self,
        key: &str,
        node: &'a Node,
        diagnostics: &mut Diagnostics,
    ) -> Option<(String, &'a [Node])> {
        let name = self.name(key);
        let Value::List(nodes) = &node.value else {
            wrong_type(node, &name, "a list", diagnostics);
            return None;
        };
        Some((name, nodes))
    }

    /// Reports the keys that the table doesn't have.
    pub fn finish(&self, diagnostics: &mut Diagnostics) {
        let known = self.mapping.keys().map(|key| key.name);
        debug_assert!(
            known.clone().all(|key| self.asked.contains(&key)),
            "a key of {} is in the table and not read",
            self.mapping.name
        );
        for entry in self.entries {
            if known.clone().any(|key| key == entry.key) {
                continue;
            }
            let message = format!("unknown key `{}`", self.name(&entry.key));
            let help = suggest(&entry.key, known.clone());
            diagnostics.report_with_help(Code::UnknownKey, entry.key_span, message, help);
        }
    }
}

fn text(node: &Node, name: &str, diagnostics: &mut Diagnostics) -> Option<Spanned<String>> {
    if let Value::Text(text) = &node.value {
        return Some(Spanned::new(text.clone(), node.span));
    }
    wrong_type(node, name, "text", diagnostics);
    None
}

fn wrong_type(node: &Node, name: &str, wanted: &str, diagnostics: &mut Diagnostics) {
    let name = if name.is_empty() {
        "the document"
    } else {
        &format!("`{name}`")
    };
    let message = format!("{name} must be {wanted}, but this is {}", node.kind());
    match node.value {
        Value::Bool(_) | Value::Number(_) if wanted == "text" => {
            let help = "put it in quotes to make it text";
            diagnostics.report_with_help(Code::WrongType, node.span, message, help);
        }
        _ => {
            diagnostics.report(Code::WrongType, node.span, message);
        }
    }
}

/// What a mistyped word may have meant.
pub fn suggest<'a>(word: &str, known: impl Iterator<Item = &'a str> + Clone) -> String {
    let nearest = known
        .clone()
        .map(|it| {
            (
                strsim::damerau_levenshtein(&word.to_lowercase(), &it.to_lowercase()),
                it,
            )
        })
        .min();
    match nearest {
        Some((distance, it)) if distance <= 1 + it.len() / 4 => format!("did you mean `{it}`?"),
        _ => {
            let known: Vec<_> = known.map(|it| format!("`{it}`")).collect();
            format!("known here are {}", known.join(", "))
        }
    }
}
