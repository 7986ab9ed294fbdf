//! The cluster file, in three stages: [as written](written), with [defaults](resolved), and in
//! [types that can't be wrong](crate::model).

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
pub mod resolved;
mod runtime;
pub mod schema;
mod validate;
pub mod written;

use std::path::Path;

use nkd_document::yaml;
use nkd_document::{Code, Diagnostics, Span};

use crate::model::lines::{self, Lines};

/// Reads a cluster file and everything it names. Whatever is wrong is in `diagnostics`, and then
/// there is no cluster.
pub fn read(path: &Path, diagnostics: &mut Diagnostics) -> Option<crate::model::Cluster> {
    let (written, lines) = written(path, diagnostics)?;
    checked(path, written, lines, diagnostics)
}

/// The same for those who ask what images there are: bundles of them needn't be there yet.
pub fn read_without_bundles(
    path: &Path,
    diagnostics: &mut Diagnostics,
) -> Option<crate::model::Cluster> {
    let (mut written, lines) = written(path, diagnostics)?;
    written.spec.airgap = None;
    checked(path, written, lines, diagnostics)
}

fn checked(
    path: &Path,
    written: written::Cluster,
    lines: Lines,
    diagnostics: &mut Diagnostics,
) -> Option<crate::model::Cluster> {
    let resolved = resolved::resolve(written, diagnostics);
    let directory = path.parent().unwrap_or(Path::new(""));
    validate::validate(resolved, directory, lines, diagnostics)
}

fn written(path: &Path, diagnostics: &mut Diagnostics) -> Option<(written::Cluster, Lines)> {
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
            let message = "a cluster file holds one document, and here begins another";
            diagnostics.report(Code::Documents, second.span, message);
            return None;
        }
    };
    let lines = lines::lines(document, diagnostics.text(source));
    let written = written::Cluster::read(document, diagnostics)?;
    Some((written, lines))
}
