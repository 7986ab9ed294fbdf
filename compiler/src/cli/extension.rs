use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::answer::Answer;
use crate::failure::Failure;
use crate::sysext::{self, Image};
use nkd_document::{Code, Diagnostics};

/// Print what system extensions are, as items of `os.extensions`
///
/// Add one of `url`, `disk` and `directory` to each item: where nodes get the file. With these items, `nkd compile`
/// does not need the files.
#[derive(Args)]
pub struct Extension {
    /// The files of the extensions, squashfs images
    #[arg(required = true)]
    files: Vec<PathBuf>,
}

impl Extension {
    pub(super) fn run(&self, to: &mut Diagnostics) -> Result<Answer, Failure> {
        let (mut text, mut items) = (String::new(), Vec::new());
        for path in &self.files {
            let path_text = path.display();
            match sysext::read(path) {
                Ok(image) => {
                    if let Err(kind) = image.contents {
                        to.note(format!(
                            "{path_text} is {kind}, of which nkd reads only the SHA-256: add `name` and `architecture`"
                        ));
                    }
                    let keys = keys(&image);
                    for (index, (key, value)) in keys.iter().enumerate() {
                        let dash = if index == 0 { '-' } else { ' ' };
                        writeln!(text, "{dash} {key}: {value}").map_err(anyhow::Error::from)?;
                    }
                    items.push(keys.into_iter().collect::<BTreeMap<_, _>>());
                }
                Err(reason) => {
                    let message = format!("cannot use {path_text}: {reason:#}");
                    to.report_nowhere(Code::ExtensionFile, message);
                }
            }
        }
        Ok(Answer::new(text, json!({"extensions": items})))
    }
}

/// The keys of an image, in the order in which they are written.
fn keys(image: &Image) -> Vec<(&'static str, String)> {
    let contents = image.contents.as_ref().ok();
    let name = contents.and_then(|contents| contents.names.first().cloned());
    let architecture = contents.and_then(|contents| contents.architecture);
    let version = contents.and_then(|contents| contents.kubernetes_version);
    let values = [
        ("name", name),
        ("sha256", Some(image.sha256.clone())),
        (
            "architecture",
            architecture.map(|architecture| architecture.name().to_owned()),
        ),
        (
            "kubernetesVersion",
            version.map(|version| version.to_string()),
        ),
    ];
    let keys = values.into_iter();
    keys.filter_map(|(key, value)| Some((key, value?)))
        .collect()
}
