//! `spec.runtime`

use super::Text;
use nkd_document::Diagnostics;
use nkd_document::yaml::Fields;

/// `spec.runtime`
#[derive(Default)]
pub struct Runtime {
    /// `name`
    pub name: Text,
    /// `sandboxImage`
    pub sandbox_image: Text,
    /// `registries`
    pub registries: Vec<Registry>,
}

/// An item of `spec.runtime.registries`
pub struct Registry {
    /// `host`
    pub host: Text,
    /// `caFile` and `auth`
    pub access: Access,
    /// `mirrors`
    pub mirrors: Vec<Mirror>,
}

/// An item of a registry's `mirrors`
pub struct Mirror {
    /// `url`
    pub url: Text,
    /// `caFile` and `auth`
    pub access: Access,
}

/// How a registry or mirror is reached.
pub struct Access {
    /// `caFile`
    pub ca_file: Text,
    /// `auth`
    pub auth: Option<Auth>,
}

/// `auth` of a registry or mirror
pub struct Auth {
    /// `username`
    pub username: Text,
    /// `passwordFile`
    pub password_file: Text,
}

impl Runtime {
    pub(super) fn read(fields: &mut Fields<'_>, to: &mut Diagnostics) -> Self {
        let registries = fields.map_list("registries", to, |it, to| Registry {
            host: it.text("host", to),
            access: Access::read(it, to),
            mirrors: it
                .map_list("mirrors", to, |it, to| Mirror {
                    url: it.text("url", to),
                    access: Access::read(it, to),
                })
                .unwrap_or_default(),
        });
        Self {
            name: fields.text("name", to),
            sandbox_image: fields.text("sandboxImage", to),
            registries: registries.unwrap_or_default(),
        }
    }
}

impl Access {
    fn read(fields: &mut Fields<'_>, to: &mut Diagnostics) -> Self {
        Self {
            ca_file: fields.text("caFile", to),
            auth: fields.map("auth", to, |it, to| Auth {
                username: it.text("username", to),
                password_file: it.text("passwordFile", to),
            }),
        }
    }
}
