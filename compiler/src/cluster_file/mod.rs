//! The cluster file: its keys, the defaults that follow from other keys, and the checks that make the model of
//! them.

mod addressing;
mod airgap;
mod authorities;
mod budgets;
mod checks;
mod defaults;
mod endpoint;
mod etcd;
mod files;
mod host;
mod interfaces;
pub mod keys;
mod kubelet;
pub mod manual;
mod networks;
mod nodes;
mod patches;
mod release;
mod runtime;
pub mod schema;
mod validate;

use std::path::Path;

use nkd_document::yaml;
use nkd_document::{Code, Diagnostics, Span, Spanned};

use nkd_model::lines::{self, Lines};

/// Reads a cluster file and everything it names. Whatever is wrong is in `diagnostics`, and then
/// there is no cluster.
pub fn read(path: &Path, diagnostics: &mut Diagnostics) -> Option<nkd_model::Cluster> {
    let (written, lines) = written(path, diagnostics)?;
    checked(path, written, lines, diagnostics)
}

/// The same for those who ask what images there are: bundles of them needn't be there yet.
pub fn read_without_bundles(
    path: &Path,
    diagnostics: &mut Diagnostics,
) -> Option<nkd_model::Cluster> {
    let (mut written, lines) = written(path, diagnostics)?;
    written.value.spec.airgap = None;
    checked(path, written, lines, diagnostics)
}

fn checked(
    path: &Path,
    mut written: Spanned<keys::Cluster>,
    lines: Lines,
    diagnostics: &mut Diagnostics,
) -> Option<nkd_model::Cluster> {
    defaults::fill(&mut written, diagnostics);
    let directory = path.parent().unwrap_or(Path::new(""));
    validate::validate(written, directory, lines, diagnostics)
}

fn written(path: &Path, diagnostics: &mut Diagnostics) -> Option<(Spanned<keys::Cluster>, Lines)> {
    let source = diagnostics.read(path, None).ok()?;
    let documents = yaml::documents(source, diagnostics);
    let document = match documents.as_slice() {
        [] if !diagnostics.is_empty() => return None,
        [] => {
            diagnostics.report(Code::Empty, Span::new(source, 0..0), "the file is empty");
            return None;
        }
        [one] if one.value == yaml::Value::Null => {
            diagnostics.report(Code::Empty, one.span, "the file is empty");
            return None;
        }
        [one] => one,
        [_, second, ..] => {
            let message = "a cluster file must be one document, but a second one begins here";
            diagnostics.report(Code::Documents, second.span, message);
            return None;
        }
    };
    let lines = lines::lines(document, diagnostics.text(source));
    let written = yaml::read(document, diagnostics)?;
    Some((written, lines))
}
