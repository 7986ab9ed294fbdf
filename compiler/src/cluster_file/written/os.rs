//! `os`, of the cluster, of a pool and of a node

use super::{Text, Texts};
use nkd_document::Diagnostics;
use nkd_document::yaml::Fields;

/// `os`
#[derive(Default)]
pub struct Os {
    /// `ignition`
    pub ignition: Texts,
    /// `butane`
    pub butane: Texts,
    /// `override`
    pub overrides: Texts,
    /// `users`
    pub users: Option<Vec<User>>,
    /// `releaseImage`
    pub release_image: Text,
    /// `kernelArguments`
    pub kernel_arguments: Texts,
    /// `ntp`
    pub ntp: Texts,
    /// `proxy`
    pub proxy: Option<Proxy>,
    /// `hosts`
    pub hosts: Option<Vec<Host>>,
    /// `trust`
    pub trust: Texts,
    /// `selinux`
    pub selinux: Text,
}

/// An item of `os.users`
pub struct User {
    /// `name`
    pub name: Text,
    /// `sshAuthorizedKeys`
    pub ssh_authorized_keys: Texts,
    /// `passwordHash`
    pub password_hash: Text,
    /// `groups`
    pub groups: Texts,
}

/// `os.proxy`
pub struct Proxy {
    /// `http`
    pub http: Text,
    /// `https`
    pub https: Text,
    /// `noProxy`
    pub no_proxy: Texts,
}

/// An item of `os.hosts`
pub struct Host {
    /// `address`
    pub address: Text,
    /// `names`
    pub names: Texts,
}

impl Os {
    pub(super) fn read(fields: &mut Fields<'_>, to: &mut Diagnostics) -> Self {
        Self {
            ignition: fields.text_list("ignition", to),
            butane: fields.text_list("butane", to),
            overrides: fields.text_list("override", to),
            users: fields.map_list("users", to, |it, to| User {
                name: it.text("name", to),
                ssh_authorized_keys: it.text_list("sshAuthorizedKeys", to),
                password_hash: it.text("passwordHash", to),
                groups: it.text_list("groups", to),
            }),
            release_image: fields.text("releaseImage", to),
            kernel_arguments: fields.text_list("kernelArguments", to),
            ntp: fields.text_list("ntp", to),
            proxy: fields.map("proxy", to, |it, to| Proxy {
                http: it.text("http", to),
                https: it.text("https", to),
                no_proxy: it.text_list("noProxy", to),
            }),
            hosts: fields.map_list("hosts", to, |it, to| Host {
                address: it.text("address", to),
                names: it.text_list("names", to),
            }),
            trust: fields.text_list("trust", to),
            selinux: fields.text("selinux", to),
        }
    }
}
