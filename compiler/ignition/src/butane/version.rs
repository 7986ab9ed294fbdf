use crate::tree::{entry, text};
use nkd_document::yaml::Node;
use nkd_document::{Code, Diagnostics, Reported, Span};

/// A variant and a version of Butane.
#[derive(Debug, Clone, Copy)]
pub struct Version {
    /// `variant`
    pub variant: &'static str,
    /// `version`
    pub version: &'static str,
    /// The minor version of `fcos` that has the same fields.
    pub minor: u8,
    /// The minor version of the Ignition config that it produces.
    pub ignition: u8,
    /// Where the version is written.
    pub span: Span,
}

/// Butane's "Configuration specifications"; `nestos` 1.0.0 is that of `fcos` 1.4.0.
const VERSIONS: [(&str, &str, u8, u8); 9] = [
    ("nestos", "1.0.0", 4, 3),
    ("fcos", "1.0.0", 0, 0),
    ("fcos", "1.1.0", 1, 1),
    ("fcos", "1.2.0", 2, 2),
    ("fcos", "1.3.0", 3, 2),
    ("fcos", "1.4.0", 4, 3),
    ("fcos", "1.5.0", 5, 4),
    ("fcos", "1.6.0", 6, 5),
    ("fcos", "1.7.0", 7, 6),
];

impl Version {
    /// The variant and version that a document states.
    pub(super) fn of(document: &Node, to: &mut Diagnostics) -> Result<Self, Reported> {
        let (wanted, variant_span) = text_of(document, "variant", to)?;
        let (version, span) = text_of(document, "version", to)?;
        let mut variants = VERSIONS.iter().filter(|known| known.0 == wanted).peekable();
        if variants.peek().is_none() {
            let message = format!("unknown variant `{wanted}`");
            return Err(to.report(Code::ButaneVersion, variant_span, message));
        }
        let Some((variant, version, minor, ignition)) = variants.find(|known| known.1 == version)
        else {
            let message = format!("unknown version `{version}` of variant `{wanted}`");
            return Err(to.report(Code::ButaneVersion, span, message));
        };
        Ok(Self {
            variant,
            version,
            minor: *minor,
            ignition: *ignition,
            span,
        })
    }
}

/// A key's text and its place.
fn text_of<'a>(
    document: &'a Node,
    key: &str,
    to: &mut Diagnostics,
) -> Result<(&'a str, Span), Reported> {
    let (span, message) = match entry(document, key) {
        Some(entry) => match text(document, key) {
            Some(text) => return Ok((text, entry.node.span)),
            // `1.5` is a number.
            None => (entry.node.span, format!("this is not a {key}")),
        },
        None => (document.span, format!("`{key}` is missing")),
    };
    Err(to.report(Code::ButaneVersion, span, message))
}
