//! The cluster file, in three stages: [as written](written), with [defaults](resolved), and in
//! [types that can't be wrong](domain).

mod addressing;
mod airgap;
mod authorities;
mod budgets;
mod checks;
mod defaults;
pub mod domain;
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

use crate::diagnostics::{Code, Diagnostics, Span};
use crate::provenance;
use crate::yaml;

/// Reads a cluster file and everything it names. Whatever is wrong is in `diagnostics`, and then
/// there is no cluster.
pub fn read(path: &Path, diagnostics: &mut Diagnostics) -> Option<domain::Cluster> {
    let written = written(path, diagnostics)?;
    checked(path, written, diagnostics)
}

/// The same for those who ask what images there are: bundles of them needn't be there yet.
pub fn read_without_bundles(path: &Path, diagnostics: &mut Diagnostics) -> Option<domain::Cluster> {
    let mut written = written(path, diagnostics)?;
    written.spec.airgap = None;
    checked(path, written, diagnostics)
}

fn checked(
    path: &Path,
    written: written::Cluster,
    diagnostics: &mut Diagnostics,
) -> Option<domain::Cluster> {
    let resolved = resolved::resolve(written, diagnostics);
    let directory = path.parent().unwrap_or(Path::new(""));
    validate::validate(resolved, directory, diagnostics)
}

fn written(path: &Path, diagnostics: &mut Diagnostics) -> Option<written::Cluster> {
    let source = diagnostics.read(path, None)?;
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
    diagnostics.keys = provenance::lines(document, diagnostics.text(source));
    written::Cluster::read(document, diagnostics)
}
