use crate::tree::{entry, text};
use nkd_document::yaml::Node;
use nkd_document::{Code, Diagnostics, Span};

/// A variant and a version of Butane.
#[derive(Debug, Clone, Copy)]
pub struct Version {
    /// `variant`
    pub variant: &'static str,
    /// `version`
    pub version: &'static str,
    /// Which of `fcos` 1.x has the same fields.
    pub minor: u8,
    /// The Ignition version it gives: 3.x.
    pub ignition: u8,
    /// Where the version is written.
    pub span: Span,
}

/// Butane's "Configuration specifications"; `nestos` 1.0.0 is that of `fcos` 1.4.0.
const VERSIONS: [(&str, &str, u8, u8); 7] = [
    ("nestos", "1.0.0", 4, 3),
    ("fcos", "1.0.0", 0, 0),
    ("fcos", "1.1.0", 1, 1),
    ("fcos", "1.2.0", 2, 2),
    ("fcos", "1.3.0", 3, 2),
    ("fcos", "1.4.0", 4, 3),
    ("fcos", "1.5.0", 5, 4),
];

impl Version {
    /// The version a document says it is of.
    pub(super) fn of(document: &Node, to: &mut Diagnostics) -> Option<Self> {
        for key in ["variant", "version"] {
            if text(document, key).is_none() {
                let (span, message) = match entry(document, key) {
                    // `1.5` is a number.
                    Some(it) => (it.node.span, format!("`{key}` must be text")),
                    None => (document.span, format!("`{key}` is missing")),
                };
                to.report(Code::ButaneVersion, span, message);
                return None;
            }
        }
        let (wanted, version) = (text(document, "variant")?, text(document, "version")?);
        let span = entry(document, "version")?.node.span;
        let variants = VERSIONS.iter().filter(|it| it.0 == wanted);
        if variants.clone().next().is_none() {
            let span = entry(document, "variant")?.node.span;
            let message = format!("unknown variant `{wanted}`");
            to.report(Code::ButaneVersion, span, message);
            return None;
        }
        let Some((variant, version, minor, ignition)) = variants.clone().find(|it| it.1 == version)
        else {
            let message = format!("unknown version `{version}` of variant `{wanted}`");
            to.report(Code::ButaneVersion, span, message);
            return None;
        };
        Some(Self {
            variant,
            version,
            minor: *minor,
            ignition: *ignition,
            span,
        })
    }
}
