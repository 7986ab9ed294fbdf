use super::{Entry, Node, Value};
use crate::diagnostics::{Code, Diagnostics, Span, Spanned};

/// Reads a mapping key by key. Wrong types and, at the [end](Self::finish), unknown keys are
/// reported with the key's full name; reading goes on.
pub struct Fields<'a> {
    path: String,
    span: Span,
    entries: &'a [Entry],
    known: Vec<&'static str>,
}

impl<'a> Fields<'a> {
    /// The fields of a mapping; `path` is its full name, empty for a document.
    pub fn of(node: &'a Node, path: &str, diagnostics: &mut Diagnostics) -> Option<Self> {
        let Value::Map(entries) = &node.value else {
            wrong_type(node, path, "a mapping", diagnostics);
            return None;
        };
        Some(Self {
            path: path.to_owned(),
            span: node.span,
            entries,
            known: Vec::new(),
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
    fn node(&mut self, key: &'static str) -> Option<&'a Node> {
        if !self.known.contains(&key) {
            self.known.push(key);
        }
        let entry = self.entries.iter().find(|entry| entry.key == key)?;
        (entry.node.value != Value::Null).then_some(&entry.node)
    }

    /// Text.
    pub fn text(&mut self, key: &'static str, into: &mut Diagnostics) -> Option<Spanned<String>> {
        let node = self.node(key)?;
        text(node, &self.name(key), into)
    }

    /// Text that must be there.
    pub fn needed_text(
        &mut self,
        key: &'static str,
        into: &mut Diagnostics,
    ) -> Option<Spanned<String>> {
        if self.node(key).is_none() {
            let message = format!("`{}` is missing", self.name(key));
            into.report(Code::MissingKey, self.span, message);
        }
        self.text(key, into)
    }

    /// A number that isn't negative.
    pub fn number(
        &mut self,
        key: &'static str,
        diagnostics: &mut Diagnostics,
    ) -> Option<Spanned<u64>> {
        let node = self.node(key)?;
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

    /// A mapping that has keys that must be there: read as empty when it isn't there itself.
    pub fn needed_map<T>(
        &mut self,
        key: &'static str,
        diagnostics: &mut Diagnostics,
        read: impl FnOnce(&mut Fields<'a>, &mut Diagnostics) -> T,
    ) -> Option<T> {
        if self.node(key).is_some() {
            return self.map(key, diagnostics, read);
        }
        let mut empty = Fields {
            path: self.name(key),
            span: self.span,
            entries: &[],
            known: Vec::new(),
        };
        Some(read(&mut empty, diagnostics))
    }

    /// A mapping.
    pub fn map<T>(
        &mut self,
        key: &'static str,
        diagnostics: &mut Diagnostics,
        read: impl FnOnce(&mut Fields<'a>, &mut Diagnostics) -> T,
    ) -> Option<T> {
        let node = self.node(key)?;
        let mut fields = Fields::of(node, &self.name(key), diagnostics)?;
        let value = read(&mut fields, diagnostics);
        fields.finish(diagnostics);
        Some(value)
    }

    /// A mapping of the user's own keys to text.
    pub fn texts(
        &mut self,
        key: &'static str,
        diagnostics: &mut Diagnostics,
    ) -> Option<Vec<(Spanned<String>, Spanned<String>)>> {
        let node = self.node(key)?;
        let name = self.name(key);
        let Value::Map(entries) = &node.value else {
            wrong_type(node, &name, "a mapping", diagnostics);
            return None;
        };
        let pair = |entry: &Entry| {
            let value = text(&entry.node, &format!("{name}.{}", entry.key), diagnostics)?;
            Some((Spanned::new(entry.key.clone(), entry.key_span), value))
        };
        Some(entries.iter().filter_map(pair).collect())
    }

    /// A list of text.
    pub fn text_list(
        &mut self,
        key: &'static str,
        diagnostics: &mut Diagnostics,
    ) -> Option<Vec<Spanned<String>>> {
        let (name, nodes) = self.list(key, diagnostics)?;
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
        let (name, nodes) = self.list(key, diagnostics)?;
        let item = |(index, node)| {
            let mut fields = Fields::of(node, &format!("{name}[{index}]"), diagnostics)?;
            let value = read(&mut fields, diagnostics);
            fields.finish(diagnostics);
            Some(value)
        };
        Some(nodes.iter().enumerate().filter_map(item).collect())
    }

    fn list(
        &mut self,
        key: &'static str,
        diagnostics: &mut Diagnostics,
    ) -> Option<(String, &'a [Node])> {
        let node = self.node(key)?;
        let name = self.name(key);
        let Value::List(nodes) = &node.value else {
            wrong_type(node, &name, "a list", diagnostics);
            return None;
        };
        Some((name, nodes))
    }

    /// Reports the keys nobody has asked for.
    pub fn finish(&self, diagnostics: &mut Diagnostics) {
        for entry in self.entries {
            if self.known.contains(&entry.key.as_str()) {
                continue;
            }
            let message = format!("unknown key `{}`", self.name(&entry.key));
            let help = suggest(&entry.key, self.known.iter().copied());
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
        _ => diagnostics.report(Code::WrongType, node.span, message),
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
