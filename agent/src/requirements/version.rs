//! Versions of Kubernetes' programs, and which of them work together.

use std::fmt;
use std::time::Duration;

use crate::system::{Command, CommandError};

/// How long a program may take to print its version.
const TIMEOUT: Duration = Duration::from_secs(20);

/// A version of Kubernetes, `v1.MINOR.PATCH`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Version {
    pub(crate) minor: u32,
    pub(crate) patch: u32,
}

impl Version {
    /// The first version in a text, such as `Kubernetes v1.31.2` or `1.31.2`. What follows the number of the
    /// patch is ignored, because distributions add suffixes. A version that does not begin with 1 is that of a
    /// program that was built without its version.
    pub(crate) fn find(text: &str) -> Option<Self> {
        let mut words = text.split(|c: char| c.is_whitespace() || matches!(c, '"' | ',' | '='));
        words.find_map(Self::parse)
    }

    fn parse(word: &str) -> Option<Self> {
        let rest = word.strip_prefix('v').unwrap_or(word).strip_prefix("1.")?;
        let (minor, rest) = rest.split_once('.')?;
        let digits = rest.find(|c: char| !c.is_ascii_digit());
        let patch = rest.get(..digits.unwrap_or(rest.len()))?;
        Some(Self {
            minor: minor.parse().ok()?,
            patch: patch.parse().ok()?,
        })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v1.{}.{}", self.minor, self.patch)
    }
}

/// A program of Kubernetes on nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Component {
    Kubeadm,
    Kubelet,
    Kubectl,
}

impl Component {
    pub(crate) const ALL: [Self; 3] = [Self::Kubeadm, Self::Kubelet, Self::Kubectl];

    /// The name of the program.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Kubeadm => "kubeadm",
            Self::Kubelet => "kubelet",
            Self::Kubectl => "kubectl",
        }
    }

    /// The arguments that make it print its version. They are the same in all releases.
    const fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::Kubeadm => &["version", "--output=short"],
            Self::Kubelet => &["--version"],
            Self::Kubectl => &["version", "--client", "--output=json"],
        }
    }

    /// The version that the program prints, or `None` if it prints no version of Kubernetes.
    ///
    /// # Errors
    /// The program cannot be run.
    pub(crate) fn version(self, command: Command) -> Result<Option<Version>, CommandError> {
        let command = command.args(self.arguments()).timeout(TIMEOUT);
        let text = command.read()?;
        Ok(Version::find(&text))
    }
}

/// How a program fits the version that it is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Skew {
    /// The versions are equal.
    None,
    /// The versions differ only in the patch. They work together.
    Patch,
    /// The minor versions differ. kubeadm's configuration and the images in a plan are those of the plan's
    /// minor version. kubeadm refuses a newer kubelet, and accepts some older ones, but nkd checks kubelet's
    /// configuration against the plan's version.
    Minor,
}

impl Skew {
    pub(crate) fn between(one: Version, other: Version) -> Self {
        if one == other {
            Self::None
        } else if one.minor == other.minor {
            Self::Patch
        } else {
            Self::Minor
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found_in_what_programs_print() {
        let expected = Some(Version {
            minor: 31,
            patch: 2,
        });
        for text in [
            "v1.31.2\n",
            "Kubernetes v1.31.2\n",
            "Kubernetes v1.31.2-7.oe2403\n",
            "W0101 a warning of version 2.0.1\nv1.31.2+k3s1",
            "{\n  \"clientVersion\": {\n    \"gitVersion\": \"v1.31.2\",\n",
        ] {
            assert_eq!(Version::find(text), expected, "{text}");
        }
        for text in ["", "Kubernetes v0.0.0-master+$Format:%H$", "v1.31", "1.x.2"] {
            assert_eq!(Version::find(text), None, "{text}");
        }
    }

    #[test]
    fn patches_differ_less_than_minor_versions() {
        let version = |minor, patch| Version { minor, patch };
        let skew = |other| Skew::between(version(31, 2), other);
        assert_eq!(skew(version(31, 2)), Skew::None);
        assert_eq!(skew(version(31, 3)), Skew::Patch);
        assert_eq!(skew(version(30, 2)), Skew::Minor);
    }
}
