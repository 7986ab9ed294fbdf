use super::Text;
use nkd_document::yaml::Fields;
use nkd_document::{Diagnostics, Span};

/// `spec.pki.authorities` and `spec.pki.serviceAccount`
#[derive(Default)]
pub struct OwnKeys {
    /// `authorities.kubernetes`
    pub kubernetes: Option<OwnAuthority>,
    /// `authorities.etcd`
    pub etcd: Option<OwnAuthority>,
    /// `authorities.frontProxy`
    pub front_proxy: Option<OwnAuthority>,
    /// `serviceAccount.keyFile`
    pub service_account: Text,
}

/// An item of `spec.pki.authorities`
pub struct OwnAuthority {
    /// The mapping's place.
    pub span: Span,
    /// `certFile`
    pub cert_file: Text,
    /// `keyFile`
    pub key_file: Text,
}

impl OwnKeys {
    /// Reads them from `spec.pki`.
    pub fn read(fields: &mut Fields<'_>, to: &mut Diagnostics) -> Self {
        let authorities = fields.map("authorities", to, |it, to| {
            let kubernetes = it.map("kubernetes", to, OwnAuthority::read);
            let etcd = it.map("etcd", to, OwnAuthority::read);
            let front_proxy = it.map("frontProxy", to, OwnAuthority::read);
            (kubernetes, etcd, front_proxy)
        });
        let (kubernetes, etcd, front_proxy) = authorities.unwrap_or_default();
        Self {
            kubernetes,
            etcd,
            front_proxy,
            service_account: fields
                .map("serviceAccount", to, |it, to| it.text("keyFile", to))
                .flatten(),
        }
    }
}

impl OwnAuthority {
    fn read(fields: &mut Fields<'_>, to: &mut Diagnostics) -> Self {
        Self {
            span: fields.span(),
            cert_file: fields.text("certFile", to),
            key_file: fields.text("keyFile", to),
        }
    }
}
