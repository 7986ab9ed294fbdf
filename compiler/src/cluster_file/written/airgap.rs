//! `spec.airgap`

use super::Text;
use nkd_document::yaml::Fields;
use nkd_document::{Diagnostics, Span, Spanned};

/// `spec.airgap`
pub struct Airgap {
    /// The mapping's place.
    pub span: Span,
    /// `images`
    pub images: Text,
    /// `bundles`
    pub bundles: Option<Vec<Spanned<String>>>,
    /// `sources`
    pub sources: Option<Vec<Source>>,
    /// `fallback`
    pub fallback: Text,
}

/// An item of `sources`
pub struct Source {
    /// The mapping's place.
    pub span: Span,
    /// `directory`
    pub directory: Text,
    /// `disk`
    pub disk: Text,
    /// `urls`
    pub urls: Option<Vec<Spanned<String>>>,
    /// `caFile`
    pub ca_file: Text,
}

impl Airgap {
    pub(super) fn read(fields: &mut Fields<'_>, to: &mut Diagnostics) -> Self {
        Self {
            span: fields.span(),
            images: fields.text("images", to),
            bundles: fields.text_list("bundles", to),
            sources: fields.map_list("sources", to, |it, to| Source {
                span: it.span(),
                directory: it.text("directory", to),
                disk: it.text("disk", to),
                urls: it.text_list("urls", to),
                ca_file: it.text("caFile", to),
            }),
            fallback: fields.text("fallback", to),
        }
    }
}
