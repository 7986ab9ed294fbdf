//! `spec.airgap`: images that do not come from registries.

use nkd_contract::{BundleSource, Urls, paths};
use schemars::JsonSchema;
use serde::Deserialize;

use super::checks;
use super::checks::Text;
use super::files::Files;
use super::patterns;
use nkd_document::{Code, Diagnostics, Spanned};
use nkd_model::Bundle;
use nkd_model::ImagesFrom;

/// `spec.airgap`
#[derive(Deserialize, JsonSchema)]
#[schemars(extend(
    "not" = {
        "required": ["images", "bundles"],
        "properties": {"images": {"type": "string"}, "bundles": {"type": "array"}},
    },
    "if" = {"not": {"properties": {"sources": {"type": "null"}, "fallback": {"type": "null"}}}},
    "then" = {"required": ["bundles"], "properties": {"bundles": {"type": "array"}}},
))]
pub struct Airgap {
    /// A directory of image archives (*.tar) in the OS image, as an alternative to `bundles`.
    #[schemars(regex(pattern = patterns::NODE_PATH))]
    pub images: Option<Text>,
    /// Files of image bundles, made by `nkd bundle create`. Nodes look for files with the same names in
    /// `sources`.
    #[schemars(length(min = 1))]
    pub bundles: Option<Vec<Text>>,
    /// The places where nodes look for bundles, in this order. By default the directory
    /// /usr/lib/nkd/bundles.
    #[schemars(length(min = 1))]
    pub sources: Option<Vec<Spanned<Source>>>,
    /// From where nodes get images that no source has. Without this key, nodes never pull images.
    pub fallback: Option<Fallback>,
}

/// Where an image comes from that no source has
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Fallback {
    /// The registry in the image's name.
    Registry,
}

/// An item of `spec.airgap.sources`
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "BundleSource", extend("oneOf" = [
    {"required": ["directory"], "properties": {"directory": {"type": "string"}}},
    {"required": ["disk"], "properties": {"disk": {"type": "string"}}},
    {"required": ["urls"], "properties": {"urls": {"type": "array"}}},
]))]
pub struct Source {
    /// A directory on the node.
    #[schemars(regex(pattern = patterns::NODE_PATH))]
    pub directory: Option<Text>,
    /// The label of a file system, on any disk. The bundles are in its top directory.
    #[schemars(regex(pattern = patterns::DISK_LABEL))]
    pub disk: Option<Text>,
    /// http or https URLs of directories with the same files. If one fails, the agent continues with the
    /// next one.
    #[schemars(length(min = 1), inner(regex(pattern = patterns::PLAIN_URL)))]
    pub urls: Option<Vec<Text>>,
    /// A file of PEM certificates. The nodes trust them for `urls`.
    pub ca_file: Option<Text>,
}

/// The longest label of a file system that is common on disks (ext4 has 16 characters, exFAT 15,
/// XFS 12, ISO 9660 32).
const LABEL: usize = 32;

/// Checks the sources of images, and reads the indexes of bundles.
pub fn images(
    file: Option<Spanned<Airgap>>,
    files: &Files<'_>,
    to: &mut Diagnostics,
) -> Option<ImagesFrom> {
    let Some(file) = file else {
        return Some(ImagesFrom::Registries);
    };
    let (span, file) = (file.span, file.value);
    let Some(names) = file.bundles else {
        if file.sources.is_some() || file.fallback.is_some() {
            let message =
                "`sources` and `fallback` only apply to bundles, but `bundles` is missing";
            to.report(Code::Airgap, span, message);
        }
        let directory = file.images.map(|path| checks::node_path(path, to));
        return match directory {
            Some(directory) => directory.map(ImagesFrom::Directory),
            None => Some(ImagesFrom::Registries),
        };
    };
    if let Some(images) = &file.images {
        let message = "`images` and `bundles` cannot be used together";
        to.report(Code::Airgap, images.span, message);
    }
    let bundles = bundles(&names, span, files, to);
    let sources = match file.sources {
        Some(sources) if sources.is_empty() => {
            to.report(Code::Airgap, span, "`sources` is empty");
            Vec::new()
        }
        Some(sources) => sources
            .into_iter()
            .filter_map(|written| source(written, files, to))
            .collect(),
        None => vec![BundleSource::Directory(paths::BUNDLES.to_owned())],
    };
    Some(ImagesFrom::Bundles {
        span,
        bundles: bundles?,
        sources,
        registry: file.fallback.is_some(),
    })
}

fn bundles(
    names: &[Text],
    span: nkd_document::Span,
    files: &Files<'_>,
    to: &mut Diagnostics,
) -> Option<Vec<Bundle>> {
    if names.is_empty() {
        to.report(Code::Airgap, span, "`bundles` is empty");
    }
    let mut bundles: Vec<Bundle> = Vec::new();
    for name in names {
        let bundle = match crate::bundle::read(&files.path(name)) {
            Ok(bundle) => bundle,
            Err(reason) => {
                let message = format!("cannot use the bundle `{}`: {reason:#}", name.value);
                to.report(Code::BundleUnusable, name.span, message);
                continue;
            }
        };
        if bundles.iter().any(|other| other.file == bundle.file) {
            let message = format!("another bundle also has the file name `{}`", bundle.file);
            to.report(Code::Airgap, name.span, message);
        }
        let (arch, first) = (&bundle.architecture, bundles.first());
        if let Some(other) = first.filter(|first| first.architecture != *arch) {
            let of = &other.architecture;
            let message = format!(
                "`{}` is for {arch}, but `{}` is for {of}",
                bundle.file, other.file
            );
            let help = "use bundles for one architecture: with bundles, all nodes in a cluster file must have the same one";
            to.report_with_help(Code::Airgap, name.span, message, help);
        }
        bundles.push(bundle);
    }
    (bundles.len() == names.len()).then_some(bundles)
}

fn source(file: Spanned<Source>, files: &Files<'_>, to: &mut Diagnostics) -> Option<BundleSource> {
    let (span, file) = (file.span, file.value);
    if let Some(ca) = file.ca_file.as_ref().filter(|_| file.urls.is_none()) {
        to.report(
            Code::Airgap,
            ca.span,
            "`caFile` can only be used together with `urls`",
        );
    }
    match (file.directory, file.disk, file.urls) {
        (Some(directory), None, None) => {
            checks::node_path(directory, to).map(BundleSource::Directory)
        }
        (None, Some(label), None) => disk(&label, Code::Airgap, to).map(BundleSource::Disk),
        (None, None, Some(urls)) => {
            let certificate_authority = match &file.ca_file {
                Some(name) => Some(files.trusted(name, None, to)?),
                None => None,
            };
            if urls.is_empty() {
                to.report(Code::Airgap, span, "`urls` is empty");
            }
            let urls = urls.into_iter().filter_map(|text| url(&text, to)).collect();
            Some(BundleSource::Urls(Urls {
                urls,
                certificate_authority,
            }))
        }
        _ => {
            let message = "a source must have exactly one of `directory`, `disk` and `urls`";
            to.report(Code::Airgap, span, message);
            None
        }
    }
}

/// The label of a file system. `code` is that of the error.
pub fn disk(label: &Text, code: Code, to: &mut Diagnostics) -> Option<String> {
    let good = |c: char| c.is_ascii_graphic() && !"/\\\"'".contains(c);
    let fits = (1..=LABEL).contains(&label.value.len());
    if fits && label.value.chars().all(good) && !label.value.starts_with('-') {
        return Some(label.value.clone());
    }
    let message = format!("`{}` is not a file system label", label.value);
    let help = "write 1 to 32 characters without white space, quotes and slashes, as `lsblk -o LABEL` prints them";
    to.report_with_help(code, label.span, message, help);
    None
}

/// A password would be in the plan for everybody who reads logs of servers.
fn url(text: &Text, to: &mut Diagnostics) -> Option<String> {
    let url = checks::url(text, to)?;
    if !url.is_plain() {
        to.report(
            Code::Airgap,
            text.span,
            "the URL must not contain a user name, query or fragment",
        );
        return None;
    }
    Some(url.as_str().trim_end_matches('/').to_owned())
}
