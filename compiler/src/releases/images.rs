use std::sync::LazyLock;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use super::file::data;
use nkd_model::KubernetesImages;
use nkd_model::version::Version;

pub(super) const TEXT: &str = include_str!("../../releases/images.yaml");

static IMAGES: LazyLock<Images> = LazyLock::new(|| data(TEXT));

#[derive(Default, Deserialize)]
struct Images {
    /// Ascending. A row holds until the next one.
    releases: Vec<Row>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    #[serde(deserialize_with = "version")]
    since: Version,
    etcd: String,
    coredns: String,
    pause: String,
}

fn version<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Version, D::Error> {
    let text = String::deserialize(deserializer)?;
    Version::parse(&text).map_err(D::Error::custom)
}

/// The oldest minor version that nkd supports.
pub fn oldest() -> u32 {
    let first = IMAGES.releases.first();
    first.map_or(0, |row| row.since.minor)
}

/// The newest minor version that nkd has data for.
pub fn newest() -> u32 {
    let last = IMAGES.releases.last();
    last.map_or(0, |row| row.since.minor)
}

/// Whether a version is newer than all minor versions that nkd has data for.
pub fn is_newer(version: Version) -> bool {
    version.minor > newest()
}

/// The images that come with a version: what `kubeadm config images list` prints, without kubeadm. For a version that
/// is newer than the data, those of the newest release.
pub fn images(version: Version) -> KubernetesImages {
    let later = IMAGES.releases.partition_point(|row| row.since <= version);
    let row = IMAGES.releases.get(later.saturating_sub(1));
    row.map_or_else(KubernetesImages::default, |row| KubernetesImages {
        etcd_tag: row.etcd.clone(),
        coredns_tag: row.coredns.clone(),
        pause_tag: row.pause.clone(),
        further: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::{Images, TEXT, images, is_newer, newest, oldest};
    use crate::releases::file::parse;
    use nkd_model::version::Version;

    #[test]
    fn every_minor_version_has_a_row_of_its_own_in_order() {
        let data: Images = parse(TEXT).unwrap();
        let rows = data.releases;
        assert!(rows.windows(2).all(|two| two[0].since < two[1].since));
        for minor in oldest()..=newest() {
            let first = Version { minor, patch: 0 };
            assert!(rows.iter().any(|row| row.since == first), "1.{minor}");
        }
    }

    #[test]
    fn a_row_holds_until_the_next_one_and_the_last_one_for_newer_versions() {
        let etcd = |minor, patch| images(Version { minor, patch }).etcd_tag;
        assert_eq!(etcd(22, 16), "3.5.0-0");
        assert_eq!(etcd(22, 17), "3.5.6-0");
        assert_eq!(etcd(22, 99), "3.5.6-0");
        let (minor, patch) = (newest() + 1, 0);
        assert!(is_newer(Version { minor, patch }));
        assert_eq!(etcd(minor, patch), etcd(newest(), 99));
        assert!(!is_newer(Version {
            minor: newest(),
            patch: 99
        }));
    }
}
