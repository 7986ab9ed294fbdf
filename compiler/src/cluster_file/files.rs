//! The files that a cluster file names.

use std::path::{Path, PathBuf};

use nkd_contract::Timestamp;

use super::checks::Text;
use crate::config::user;
use crate::images::manifest::Object;
use crate::pki::anchor;
use crate::pki::own::{Chain, Problem};
use nkd_document::input;
use nkd_document::yaml;
use nkd_document::{Code, Diagnostics, SourceId, Span};
use nkd_model::{Manifest, Overlay, Own, Secret};

/// Reads files relative to the cluster file's directory (see [`input::directory`]).
pub struct Files<'a> {
    /// The cluster file's directory.
    pub directory: &'a Path,
}

impl Files<'_> {
    /// The path of a file.
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
            let documents = yaml::documents(source, to).unwrap_or_default();
            let documents = documents
                .into_iter()
                .filter(|document| document.value != yaml::Value::Null);
            overlays.extend(documents.map(|document| Overlay { source, document }));
        }
        overlays
    }

    /// The manifests, in order. kubectl will read them, so nkd only checks that they are YAML with
    /// Kubernetes objects, and reads the names of images.
    pub fn manifests(&self, names: &[Text], to: &mut Diagnostics) -> Vec<Manifest> {
        let mut manifests: Vec<Manifest> = Vec::new();
        for name in names {
            let Some(source) = self.read(name, to) else {
                continue;
            };
            let read = yaml::values::<Object>(source, to);
            if let Ok(objects) = &read {
                check_objects(objects, name, to);
            }
            let objects = read.unwrap_or_default().into_iter();
            let images = objects.flat_map(|(object, _)| object.images).collect();
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

    /// PEM certificates, without the text around them.
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

    /// Certificate authorities for the whole system: the file name on the node, and the PEM text.
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

    /// The text of a file.
    pub fn text<'a>(&self, name: &Text, to: &'a mut Diagnostics) -> Option<&'a str> {
        let source = self.read(name, to)?;
        Some(to.text(source))
    }

    /// A password: the whole file without the line end.
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
            let read = |source| user::read_butane(source, Some(input::directory(&path)), to).ok();
            configs.extend(source.and_then(read));
        }
        Own { configs, overrides }
    }
}

/// Checks that documents are Kubernetes objects, as kubectl does. Empty documents are ignored.
fn check_objects(documents: &[(Object, Span)], name: &Text, to: &mut Diagnostics) {
    let mut none = true;
    for (object, span) in documents.iter().filter(|(object, _)| !object.is_empty) {
        none = false;
        if !object.is_typed {
            let message = "this document has no `apiVersion` and `kind`";
            to.report(Code::ManifestObject, *span, message);
        }
    }
    if none {
        let message = format!("`{}` contains no Kubernetes object", name.value);
        to.report(Code::ManifestObject, name.span, message);
    }
}
