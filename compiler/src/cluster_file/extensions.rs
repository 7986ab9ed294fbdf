//! `os.extensions`: system extensions, with which an OS image without Kubernetes or without the agent becomes a node.

use nkd_document::{Code, Diagnostics, Span, Spanned, input};
use nkd_model::version::Version;
use nkd_model::{self as model, Architecture, ExtensionSource, ImagesFrom, Node};
use schemars::JsonSchema;
use serde::Deserialize;

use super::checks::Text;
use super::files::Files;
use super::patterns;
use super::{airgap, checks};
use crate::sysext::{self, Contents, Image};

/// An item of `os.extensions`
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend(
    "if" = {"properties": {"file": {"type": "null"}}},
    "then" = {"required": ["name", "sha256", "architecture"]},
    "oneOf" = [
        {"required": ["url"], "properties": {"url": {"type": "string"}}},
        {"required": ["disk"], "properties": {"disk": {"type": "string"}}},
        {"required": ["directory"], "properties": {"directory": {"type": "string"}}},
    ],
))]
pub struct Extension {
    /// The file of the extension on this machine, a squashfs image. nkd computes its SHA-256, and reads its name, its
    /// architecture and its version of Kubernetes. Of erofs images, nkd only computes the SHA-256.
    pub file: Option<Text>,
    /// The name, as in `extension-release.NAME` of the image. On the node, the file is `NAME.raw`. By default that in
    /// `file`.
    #[schemars(regex(pattern = patterns::FILE_NAME))]
    pub name: Option<Text>,
    /// The SHA-256 of the image, in hexadecimal. By default that of `file`.
    #[schemars(regex(pattern = patterns::SHA256))]
    pub sha256: Option<Text>,
    /// The architecture of the machines. By default that in `file`.
    pub architecture: Option<Spanned<Architecture>>,
    /// The version of Kubernetes, if the extension has Kubernetes. By default the value of `NKD_KUBERNETES_VERSION` in
    /// `file`, or else the version in the file's name. It must be `spec.kubernetes.version`.
    #[schemars(regex(pattern = patterns::VERSION))]
    pub kubernetes_version: Option<Text>,
    /// An http or https URL, from which Ignition fetches the image.
    #[schemars(regex(pattern = patterns::URL))]
    pub url: Option<Text>,
    /// A file of PEM certificates. Ignition trusts them for `url`, and for everything else that it fetches.
    pub ca_file: Option<Text>,
    /// The label of a file system, on any disk. The image is in its top directory.
    #[schemars(regex(pattern = patterns::DISK_LABEL))]
    pub disk: Option<Text>,
    /// A directory on the node with the image.
    #[schemars(regex(pattern = patterns::PLAIN_NODE_PATH))]
    pub directory: Option<Text>,
}

/// Checks a list of extensions.
pub fn extensions(
    file: Vec<Spanned<Extension>>,
    files: &Files<'_>,
    to: &mut Diagnostics,
) -> Vec<model::Extension> {
    let items = file.into_iter();
    items
        .filter_map(|item| extension(item, files, to))
        .collect()
}

fn extension(
    file: Spanned<Extension>,
    files: &Files<'_>,
    to: &mut Diagnostics,
) -> Option<model::Extension> {
    let (span, keys) = (file.span, file.value);
    let before = to.len();
    let source = source(&keys, span, files, to);
    let image = keys.file.as_ref().map(|file| read(file, files, to));
    let image = image.as_ref().and_then(Option::as_ref);
    let contents = image.and_then(|image| image.contents.as_ref().ok());
    let name = name(keys.name.as_ref(), contents, span, to);
    let sha256 = sha256(keys.sha256.as_ref(), image, to);
    let architecture = architecture(keys.architecture.as_ref(), contents, to);
    let version = kubernetes_version(keys.kubernetes_version.as_ref(), contents, to);
    let has_kubernetes = contents.is_some_and(|contents| contents.has_kubernetes);
    if to.len() == before {
        let values = [
            ("name", name.is_none()),
            ("sha256", sha256.is_none()),
            ("architecture", architecture.is_none()),
            ("kubernetesVersion", version.is_none() && has_kubernetes),
        ];
        missing(values, image, span, to);
    }
    let extension = model::Extension {
        name: name?,
        architecture: architecture?,
        sha256: sha256?,
        has_kubernetes: has_kubernetes || version.is_some(),
        kubernetes_version: version,
        source: source?,
        span,
    };
    // An extension that contradicts its file is not compared with others.
    (to.len() == before).then_some(extension)
}

fn read(file: &Text, files: &Files<'_>, to: &mut Diagnostics) -> Option<Image> {
    let path = files.path(file);
    if let Err(error) = input::open(&path) {
        let message = format!("cannot read `{}`: {error}", file.value);
        to.report(Code::Unreadable, file.span, message);
        return None;
    }
    let image = match sysext::read(&path) {
        Ok(image) => image,
        Err(reason) => {
            let message = format!("cannot use `{}`: {reason:#}", file.value);
            to.report(Code::ExtensionFile, file.span, message);
            return None;
        }
    };
    let contents = image.contents.as_ref().ok();
    if let Some(path) = contents.and_then(|contents| contents.ignored.as_ref()) {
        let message = format!(
            "nodes do not get `{path}` of `{}`, because it is not below /usr or /opt",
            file.value
        );
        to.warn(Code::ExtensionIgnored, file.span, message);
    }
    Some(image)
}

/// Reports the values that neither a key nor the file has.
fn missing(values: [(&str, bool); 4], image: Option<&Image>, span: Span, to: &mut Diagnostics) {
    let absent = values.iter().filter(|(_, is_missing)| *is_missing);
    let keys: Vec<_> = absent.map(|(key, _)| format!("`{key}`")).collect();
    if keys.is_empty() {
        return;
    }
    let reason = match image.map(|image| &image.contents) {
        None => "`file` is not set".to_owned(),
        Some(Err(kind)) => format!("nkd cannot read the contents of `file`, which is {kind}"),
        Some(Ok(_)) => "`file` does not have it".to_owned(),
    };
    let verb = if keys.len() == 1 { "is" } else { "are" };
    let message = format!("{} {verb} missing, and {reason}", keys.join(", "));
    if image.is_some() {
        let help = format!("set {}", keys.join(" and "));
        to.report_with_help(Code::Extension, span, message, help);
    } else {
        to.report(Code::Extension, span, message);
    }
}

/// Reports a key that is not what the file has.
fn differs(key: &str, written: &str, in_file: &str, span: Span, to: &mut Diagnostics) {
    let message = format!("`{key}` is `{written}`, but `file` has `{in_file}`");
    let help = format!("remove `{key}`, or use another file");
    to.report_with_help(Code::Extension, span, message, help);
}

fn name(
    key: Option<&Text>,
    contents: Option<&Contents>,
    span: Span,
    to: &mut Diagnostics,
) -> Option<String> {
    let names = contents.map_or(&[][..], |contents| &contents.names);
    let (name, span) = match (key, names) {
        (Some(key), []) => (&key.value, key.span),
        (Some(key), names) => {
            if !names.contains(&key.value) {
                differs("name", &key.value, &names.join("` and `"), key.span, to);
            }
            (&key.value, key.span)
        }
        (None, [name]) => (name, span),
        (None, []) => return None,
        (None, names) => {
            let message = format!("`file` has several names: `{}`", names.join("`, `"));
            to.report_with_help(Code::Extension, span, message, "set `name` to one of them");
            return None;
        }
    };
    if crate::bundle::is_file_name(name) && name.strip_suffix(".raw").is_none() {
        return Some(name.clone());
    }
    let message = format!("`{name}` is not the name of a system extension");
    let help = "use letters, digits, `.`, `_` and `-`, without `.raw` at the end";
    to.report_with_help(Code::Extension, span, message, help);
    None
}

fn sha256(key: Option<&Text>, image: Option<&Image>, to: &mut Diagnostics) -> Option<String> {
    let computed = image.map(|image| image.sha256.clone());
    let Some(key) = key else {
        return computed;
    };
    if !checks::is_sha256(&key.value) {
        let message = format!("`{}` is not a SHA-256", key.value);
        let help = "write 64 lower-case hexadecimal digits, as `sha256sum` prints them";
        to.report_with_help(Code::Extension, key.span, message, help);
        return None;
    }
    if let Some(computed) = computed.filter(|computed| *computed != key.value) {
        differs("sha256", &key.value, &computed, key.span, to);
    }
    Some(key.value.clone())
}

fn architecture(
    key: Option<&Spanned<Architecture>>,
    contents: Option<&Contents>,
    to: &mut Diagnostics,
) -> Option<Architecture> {
    let in_file = contents.and_then(|contents| contents.architecture);
    let Some(key) = key else {
        return in_file;
    };
    if let Some(in_file) = in_file.filter(|in_file| *in_file != key.value) {
        differs(
            "architecture",
            key.value.name(),
            in_file.name(),
            key.span,
            to,
        );
    }
    Some(key.value)
}

fn kubernetes_version(
    key: Option<&Text>,
    contents: Option<&Contents>,
    to: &mut Diagnostics,
) -> Option<Version> {
    let in_file = contents.and_then(|contents| contents.kubernetes_version);
    let Some(key) = key else {
        return in_file;
    };
    match Version::parse(&key.value) {
        Ok(version) => {
            if let Some(in_file) = in_file.filter(|in_file| *in_file != version) {
                let (written, in_file) = (version.to_string(), in_file.to_string());
                differs("kubernetesVersion", &written, &in_file, key.span, to);
            }
            Some(version)
        }
        Err(message) => {
            to.report(Code::Version, key.span, message);
            None
        }
    }
}

fn source(
    keys: &Extension,
    span: Span,
    files: &Files<'_>,
    to: &mut Diagnostics,
) -> Option<ExtensionSource> {
    if let Some(ca) = keys.ca_file.as_ref().filter(|_| keys.url.is_none()) {
        let message = "`caFile` can only be used together with `url`";
        to.report_with_help(Code::Extension, ca.span, message, "remove `caFile`");
    }
    match (&keys.url, &keys.disk, &keys.directory) {
        (Some(url), None, None) => {
            let certificate_authority = match &keys.ca_file {
                Some(name) => Some(files.certificates(name, to)?),
                None => None,
            };
            let url = checks::url(url, to)?.as_str().to_owned();
            Some(ExtensionSource::Url {
                url,
                certificate_authority,
            })
        }
        (None, Some(label), None) => {
            airgap::disk(label, Code::Extension, to).map(ExtensionSource::Disk)
        }
        (None, None, Some(path)) => directory(path, to).map(ExtensionSource::Directory),
        _ => {
            let message = "an extension must have exactly one of `url`, `disk` and `directory`";
            to.report(Code::Extension, span, message);
            None
        }
    }
}

/// The directory is in a line of `/etc/nkd/extensions`, whose values are separated by spaces.
fn directory(path: &Text, to: &mut Diagnostics) -> Option<String> {
    let directory = checks::node_path(path.clone(), to)?;
    if directory.contains(char::is_whitespace) {
        let message = format!("`{directory}` contains white space");
        to.report_with_help(Code::Extension, path.span, message, "use another directory");
        return None;
    }
    Some(directory)
}

/// The parts of a cluster that extensions have to fit.
pub struct Fit<'a> {
    /// The version of Kubernetes, and its place in the cluster file.
    pub version: Option<(Version, Span)>,
    /// Where images come from.
    pub images: Option<&'a ImagesFrom>,
}

/// Reports extensions that do not fit the other extensions of a node, or the cluster. Nodes share extensions, so each
/// error is reported once.
pub fn check(nodes: &[Option<Node>], fit: &Fit<'_>, to: &mut Diagnostics) {
    let mut reported: Vec<(Span, String)> = Vec::new();
    for node in nodes.iter().flatten() {
        let extensions = &node.os.extensions;
        for (index, extension) in extensions.iter().enumerate() {
            let mut errors = conflicts(extension, &extensions[..index]);
            errors.extend(other_images(extension, fit.images));
            let errors = errors.into_iter();
            let errors = errors.map(|message| (Code::ExtensionConflict, message));
            let version = other_version(extension, fit.version, to);
            let version = version.map(|message| (Code::ExtensionVersion, message));
            for (code, message) in errors.chain(version) {
                let error = (extension.span, message);
                if !reported.contains(&error) {
                    to.report(code, error.0, &error.1);
                    reported.push(error);
                }
            }
        }
    }
}

/// What is wrong with an extension, next to those before it on the same node.
fn conflicts(extension: &model::Extension, earlier: &[model::Extension]) -> Vec<String> {
    let name = &extension.name;
    let mut messages = Vec::new();
    if earlier.iter().any(|other| other.name == *name) {
        messages.push(format!(
            "another extension of the same node has the name `{name}`"
        ));
        return messages;
    }
    if let Some(other) = earlier.first()
        && other.architecture != extension.architecture
    {
        messages.push(format!(
            "the extension `{name}` is for {}, but `{}` of the same node is for {}",
            extension.architecture.name(),
            other.name,
            other.architecture.name()
        ));
    }
    let mut with_kubernetes = earlier.iter().filter(|other| other.has_kubernetes);
    if let Some(other) = with_kubernetes.next().filter(|_| extension.has_kubernetes) {
        messages.push(format!(
            "the extension `{name}` has Kubernetes, and so has `{}` of the same node",
            other.name
        ));
    }
    messages
}

fn other_images(extension: &model::Extension, images: Option<&ImagesFrom>) -> Option<String> {
    let Some(ImagesFrom::Bundles { bundles, .. }) = images else {
        return None;
    };
    let bundle = bundles.first()?;
    let architecture = extension.architecture;
    (bundle.architecture != architecture.in_go()).then(|| {
        format!(
            "the extension `{}` is for {}, but the bundle `{}` is for {}",
            extension.name,
            architecture.name(),
            bundle.file,
            bundle.architecture
        )
    })
}

fn other_version(
    extension: &model::Extension,
    cluster: Option<(Version, Span)>,
    to: &Diagnostics,
) -> Option<String> {
    let (version, span) = cluster?;
    let of_extension = extension.kubernetes_version?;
    (of_extension != version).then(|| {
        format!(
            "the extension `{}` has Kubernetes {of_extension}, but `spec.kubernetes.version` in line {} is {version}",
            extension.name,
            to.position(span).0
        )
    })
}
