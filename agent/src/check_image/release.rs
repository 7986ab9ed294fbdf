//! Versions of programs that are not of Kubernetes.

use std::fmt;

/// A version with three numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Release(pub(super) u32, pub(super) u32, pub(super) u32);

impl Release {
    /// The first version in a text, such as `containerd github.com/containerd/containerd v1.7.2 0cae52`.
    pub(super) fn find(text: &str) -> Option<Self> {
        let mut words = text.split(|c: char| c.is_whitespace() || c == ',');
        words.find_map(Self::parse)
    }

    fn parse(word: &str) -> Option<Self> {
        let mut parts = word.strip_prefix('v').unwrap_or(word).splitn(3, '.');
        let mut number = || {
            let part = parts.next()?;
            let digits = part.find(|c: char| !c.is_ascii_digit());
            part.get(..digits.unwrap_or(part.len()))?.parse().ok()
        };
        Some(Self(number()?, number()?, number()?))
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}
