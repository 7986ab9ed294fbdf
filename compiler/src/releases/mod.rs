//! What nkd has to know about each Kubernetes release: the tags of images, the fields of configuration, and kubeadm's
//! phases, preflight checks and feature gates. The data are in `compiler/releases`; docs/kubernetes-releases.md describes how to add
//! the next release. Nothing else depends on a list of releases.

mod fields;
mod file;
mod images;
mod names;

pub use fields::{Field, Type, Word, fields};
pub use images::{images, is_newer, newest, oldest};
pub use names::{Gate, names};

#[cfg(test)]
mod tests {
    use nkd_model::version::Version;
    use serde::Deserialize;

    use super::{fields, file, images, names, newest};

    /// What every file begins with.
    #[derive(Deserialize)]
    struct Sourced {
        sources: Vec<Source>,
    }

    /// Where the data of a file are in the source of Kubernetes, and the newest release that they were compared with.
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Source {
        repository: String,
        path: String,
        tag: String,
    }

    #[test]
    fn every_file_names_its_source_and_was_compared_with_the_newest_release() {
        for text in [images::TEXT, names::TEXT].into_iter().chain(fields::TEXTS) {
            let Sourced { sources } = file::parse(text).unwrap();
            let minors = sources.iter().map(|source| {
                assert!(source.repository.contains('/') && !source.path.is_empty());
                Version::parse(&source.tag).unwrap().minor
            });
            assert_eq!(minors.max(), Some(newest()), "{}", sources[0].path);
        }
    }
}
