//! The files a cluster file names.

use std::path::{Path, PathBuf};

use nkd_contract::Timestamp;

use super::checks::Text;
use crate::config::user;
use crate::images::manifest;
use crate::pki::anchor;
use crate::pki::own::{Chain, Problem};
use nkd_document::yaml;
use nkd_document::{Code, Diagnostics, SourceId};
use nkd_model::{Manifest, Overlay, Own, Secret};

/// Reads files relative to the cluster file's directory.
pub struct Files<'a> {
    /// The cluster file's directory.
    pub directory: &'a Path,
}

impl Files<'_> {
    /// Where a file is.
    pub fn path(&self, name: &Text) -> PathBuf {
        self.directory.join(&name.value)
    }

    fn read(&self, name: &Text, to: &mut Diagnostics) -> Option<SourceId> {
        to.read(&self.path(name), Some(name.span)).ok()
    }

    /// The overlay documents of all files, in order.
    pub fn overlays(&self, names: &[Text], to: &mut Diagnostics) -> Vec<Overlay> {
        let mut overlays = Vec::new();
        for name in names {
            let Some(source) = self.read(name, to) else {
                continue;
            };
            let documents = yaml::documents(source, to);
            let documents = documents
                .into_iter()
                .filter(|document| document.value != yaml::Value::Null);
            overlays.extend(documents.map(|document| Overlay { source, document }));
        }
        overlays
    }

    /// Manifests, in order; kubectl reads them, so they are only looked at for being YAML and
    /// for the images they name.
    pub fn manifests(&self, names: &[Text], to: &mut Diagnostics) -> Vec<Manifest> {
        let mut manifests: Vec<Manifest> = Vec::new();
        for name in names {
            let Some(source) = self.read(name, to) else {
                continue;
            };
            let before = to.len();
            let documents = yaml::documents(source, to);
            if to.len() == before {
                objects(&documents, name, to);
            }
            let images = documents.iter().flat_map(manifest::images).collect();
            let path = self.path(name);
            let file = path.file_name().unwrap_or_default();
            let file = file.to_string_lossy().into_owned();
            if manifests.iter().any(|manifest| manifest.name == file) {
                to.report(
                    Code::Manifest,
                    name.span,
                    format!("another manifest also has the file name `{file}`"),
                );
                continue;
            }
            manifests.push(Manifest {
                name: file,
                text: to.text(source).to_owned(),
                images,
            });
        }
        manifests
    }

    /// PEM certificates, without what is written around them.
    pub fn certificates(&self, name: &Text, to: &mut Diagnostics) -> Option<String> {
        Some(self.chain(name, to)?.to_pem())
    }

    /// PEM certificates by which the agent verifies servers, or this server alone.
    pub fn trusted(
        &self,
        name: &Text,
        server: Option<&str>,
        to: &mut Diagnostics,
    ) -> Option<String> {
        let chain = self.chain(name, to)?;
        let problems = anchor::problems(&chain, server, Timestamp::now());
        for Problem { code, message } in &problems {
            to.report(*code, name.span, format!("`{}` {message}", name.value));
        }
        problems.is_empty().then(|| chain.to_pem())
    }

    fn chain(&self, name: &Text, to: &mut Diagnostics) -> Option<Chain> {
        let source = self.read(name, to)?;
        if let Ok(chain) = Chain::read(to.text(source)) {
            return Some(chain);
        }
        let message = format!(
            "`{}` is not a file that contains only PEM certificates",
            name.value
        );
        to.report(Code::Certificate, name.span, message);
        None
    }

    /// Certificate authorities for the whole system: the name each gets there, and its PEM.
    pub fn trust(&self, names: &[Text], to: &mut Diagnostics) -> Vec<(String, String)> {
        let mut all: Vec<(String, String)> = Vec::new();
        for name in names {
            let Some(text) = self.certificates(name, to) else {
                continue;
            };
            let file = self.path(name);
            let stem = file.file_stem().unwrap_or_default().to_string_lossy();
            let safe = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
            let stem = stem.replace(|c| !safe(c), "_");
            all.push((format!("{stem}.crt"), text));
        }
        all
    }

    /// A private key, as PEM.
    pub fn private_key(&self, name: &Text, to: &mut Diagnostics) -> Option<Secret> {
        let source = self.read(name, to)?;
        let text = to.text(source);
        let has = |what: &str| text.contains("-----BEGIN") && text.contains(what);
        if has("PRIVATE KEY-----") && !has("ENCRYPTED") && !has("CERTIFICATE") {
            return Some(Secret::new(text));
        }
        let message = format!(
            "`{}` is not a file that contains one unencrypted PEM key",
            name.value
        );
        to.report(Code::Etcd, name.span, message);
        None
    }

    /// A file's text.
    pub fn text<'a>(&self, name: &Text, to: &'a mut Diagnostics) -> Option<&'a str> {
        let source = self.read(name, to)?;
        Some(to.text(source))
    }

    /// A password, all of a file but the end of its line.
    pub fn password(&self, name: &Text, to: &mut Diagnostics) -> Option<Secret> {
        let source = self.read(name, to)?;
        to.hide(source);
        let password = to.text(source).trim_end_matches(['\n', '\r']).to_owned();
        if password.is_empty() || password.contains(char::is_control) {
            let message = format!("`{}` does not contain exactly one password", name.value);
            to.report(Code::Auth, name.span, message);
            return None;
        }
        Some(Secret::new(password))
    }

    /// The user's own configs.
    pub fn own_configs(
        &self,
        ignition: &[Text],
        butane: &[Text],
        overrides: Vec<Text>,
        to: &mut Diagnostics,
    ) -> Own {
        let mut configs = Vec::new();
        for name in ignition {
            let source = self.read(name, to);
            configs.extend(source.and_then(|source| user::read(source, to).ok()));
        }
        for name in butane {
            let source = self.read(name, to);
            let path = self.path(name);
            let read = |source| user::read_butane(source, path.parent(), to).ok();
            configs.extend(source.and_then(read));
        }
        Own { configs, overrides }
    }
}

/// What kubectl takes for objects of Kubernetes; empty documents say nothing.
fn objects(documents: &[yaml::Node], name: &Text, to: &mut Diagnostics) {
    let written = documents.iter();
    let written = written.filter(|document| document.value != yaml::Value::Null);
    let mut none = true;
    for document in written {
        none = false;
        let has = |key| document.get(key).and_then(yaml::Node::as_text).is_some();
        if !has("apiVersion") || !has("kind") {
            let message = "this document has no `apiVersion` and `kind`";
            to.report(Code::ManifestObject, document.span, message);
        }
    }
    if none {
        let message = format!("`{}` contains no Kubernetes object", name.value);
        to.report(Code::ManifestObject, name.span, message);
    }
}
