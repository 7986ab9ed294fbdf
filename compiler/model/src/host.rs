use std::net::IpAddr;

use crate::{Secret, UserConfig};
use nkd_document::{Span, Spanned};

/// What is set of the operating system itself.
#[derive(Clone, Default)]
pub struct OsSettings {
    /// Users that are made, or changed.
    pub users: Vec<User>,
    /// The OS image that is booted into first, `REPOSITORY@sha256:DIGEST`.
    pub release_image: Option<String>,
    /// Arguments the kernel is booted with.
    pub kernel_arguments: Vec<String>,
    /// NTP servers; none leaves them to the image.
    pub ntp: Vec<String>,
    /// The proxy to the world outside.
    pub proxy: Option<Proxy>,
    /// Lines of `/etc/hosts`.
    pub hosts: Vec<HostsEntry>,
    /// Certificate authorities the whole system trusts: file name and PEM.
    pub trust: Vec<(String, String)>,
    /// Where the cluster file asks for containers that SELinux separates from the host and from each other,
    /// if it does.
    pub container_separation: Option<Span>,
}

impl OsSettings {
    /// Adds to an outer level's lists, and has its own way in all else.
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
        if self.ntp.is_empty() {
            self.ntp.clone_from(&outer.ntp);
        }
        self.release_image = self.release_image.or_else(|| outer.release_image.clone());
        self.proxy = self.proxy.or_else(|| outer.proxy.clone());
        self.container_separation = self.container_separation.or(outer.container_separation);
        self
    }
}

/// Ignition takes nothing twice.
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
    /// As in `/etc/shadow`.
    pub password_hash: Option<Secret>,
    /// Further groups.
    pub groups: Vec<String>,
}

/// A proxy.
#[derive(Clone)]
pub struct Proxy {
    /// For http; may hold a password.
    pub http: Option<Secret>,
    /// For https; may hold a password.
    pub https: Option<Secret>,
    /// Names, domains, addresses and networks that are reached without it.
    pub direct: Vec<String>,
}

/// A line of `/etc/hosts`.
#[derive(Clone, PartialEq, Eq)]
pub struct HostsEntry {
    /// The address.
    pub address: IpAddr,
    /// Its names.
    pub names: Vec<String>,
}

/// The user's own configs, Ignition's and Butane's.
pub struct Own {
    /// The configs, in the order in which each is merged onto the one before.
    pub configs: Vec<UserConfig>,
    /// What of nkd's they may change: paths, units, drop-ins as `UNIT.d/NAME`, and users.
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
