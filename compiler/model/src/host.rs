use std::net::IpAddr;

use crate::{Extension, Secret, UserConfig};
use nkd_document::{Span, Spanned};

/// Settings of the operating system itself.
#[derive(Clone, Default)]
pub struct OsSettings {
    /// Users that Ignition creates or changes.
    pub users: Vec<User>,
    /// The OS image that the node deploys and boots first, `REPOSITORY@sha256:DIGEST`.
    pub release_image: Option<String>,
    /// Arguments of the kernel.
    pub kernel_arguments: Vec<String>,
    /// NTP servers. If there are none, the settings of the OS image apply.
    pub ntp: Vec<String>,
    /// The proxy for connections outside of the cluster.
    pub proxy: Option<Proxy>,
    /// Lines of `/etc/hosts`.
    pub hosts: Vec<HostsEntry>,
    /// Certificate authorities that the whole system trusts: file name and PEM.
    pub trust: Vec<(String, String)>,
    /// System extensions, in order.
    pub extensions: Vec<Extension>,
    /// The place of the key that makes SELinux separate containers, if the cluster file has it.
    pub container_separation: Option<Span>,
}

impl OsSettings {
    /// Merges the settings of an inner level (a pool or a node) into those of an outer level: lists are
    /// appended, and other values of the inner level take precedence.
    #[must_use]
    pub fn within(mut self, outer: &Self) -> Self {
        let kept = |user: &&User| self.users.iter().all(|own| own.name != user.name);
        let users = outer.users.iter().filter(kept).cloned();
        self.users = users
            .collect::<Vec<_>>()
            .into_iter()
            .chain(self.users)
            .collect();
        self.kernel_arguments = joined(&outer.kernel_arguments, self.kernel_arguments);
        self.hosts = joined(&outer.hosts, self.hosts);
        self.trust = joined(&outer.trust, self.trust);
        self.extensions
            .splice(0..0, outer.extensions.iter().cloned());
        if self.ntp.is_empty() {
            self.ntp.clone_from(&outer.ntp);
        }
        self.release_image = self.release_image.or_else(|| outer.release_image.clone());
        self.proxy = self.proxy.or_else(|| outer.proxy.clone());
        self.container_separation = self.container_separation.or(outer.container_separation);
        self
    }
}

/// Ignition refuses duplicate entries.
fn joined<T: Clone + PartialEq>(outer: &[T], own: Vec<T>) -> Vec<T> {
    let mut all: Vec<T> = Vec::with_capacity(outer.len() + own.len());
    for item in outer.iter().cloned().chain(own) {
        if !all.contains(&item) {
            all.push(item);
        }
    }
    all
}

/// A user of the system.
#[derive(Clone)]
pub struct User {
    /// Login name.
    pub name: String,
    /// Lines of `authorized_keys`.
    pub ssh_authorized_keys: Vec<String>,
    /// The hash of the password, as in `/etc/shadow`.
    pub password_hash: Option<Secret>,
    /// Further groups.
    pub groups: Vec<String>,
}

/// A proxy.
#[derive(Clone)]
pub struct Proxy {
    /// The URL of the proxy for http; it may contain a password.
    pub http: Option<Secret>,
    /// The URL of the proxy for https; it may contain a password.
    pub https: Option<Secret>,
    /// Names, domains, addresses and networks that are reached without the proxy.
    pub direct: Vec<String>,
}

/// A line of `/etc/hosts`.
#[derive(Clone, PartialEq, Eq)]
pub struct HostsEntry {
    /// The address.
    pub address: IpAddr,
    /// The names of the address.
    pub names: Vec<String>,
}

/// The user's own configs, Ignition's and Butane's.
#[derive(Default)]
pub struct Own {
    /// The configs, in the order in which each is merged onto the one before.
    pub configs: Vec<UserConfig>,
    /// The parts of nkd's config that they may change: paths, units, drop-ins as `UNIT.d/NAME`, and
    /// users.
    pub overrides: Vec<Spanned<String>>,
}

#[cfg(test)]
mod tests {
    use super::{OsSettings, User};

    #[test]
    fn an_inner_level_adds_to_an_outer_one_and_goes_before_it() {
        let user = |name: &str, group: &str| User {
            name: name.to_owned(),
            ssh_authorized_keys: Vec::new(),
            password_hash: None,
            groups: vec![group.to_owned()],
        };
        let outer = OsSettings {
            users: vec![user("core", "wheel"), user("ops", "wheel")],
            kernel_arguments: vec!["quiet".to_owned()],
            ntp: vec!["a".to_owned()],
            ..OsSettings::default()
        };
        let inner = OsSettings {
            users: vec![user("core", "adm")],
            kernel_arguments: vec!["nosmt".to_owned(), "quiet".to_owned()],
            ..OsSettings::default()
        };
        let both = inner.within(&outer);
        let users = both.users.iter();
        let users = users.map(|user| (&*user.name, &*user.groups[0]));
        assert_eq!(
            users.collect::<Vec<_>>(),
            [("ops", "wheel"), ("core", "adm")]
        );
        assert_eq!(both.kernel_arguments, ["quiet", "nosmt"]);
        assert_eq!(both.ntp, ["a"]);
    }
}
