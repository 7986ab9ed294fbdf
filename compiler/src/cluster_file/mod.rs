//! The cluster file: its keys, the defaults that follow from other keys, and the checks that turn the
//! keys into the model.

mod addressing;
mod airgap;
mod authorities;
mod bonding;
mod budgets;
mod checks;
mod defaults;
mod endpoint;
mod etcd;
mod extensions;
mod files;
mod host;
mod interfaces;
pub mod keys;
mod kubelet;
mod links;
pub mod manual;
mod networks;
mod nodes;
mod open_pools;
mod patches;
mod patterns;
mod ranges;
mod release;
mod runtime;
pub mod schema;
mod validate;

use std::path::Path;

use anyhow::Context as _;

use crate::failure::Failure;
use nkd_document::input;
use nkd_document::yaml;
use nkd_document::{Code, Diagnostics, Reported, Span, Spanned};
use nkd_model::Cluster;
use nkd_model::lines::{self, Lines};

/// Reads a cluster file and all files that it names.
///
/// # Errors
/// When anything in them is wrong.
pub fn read(path: &Path, diagnostics: &mut Diagnostics) -> Result<Cluster, Failure> {
    let (written, lines) = written(path, diagnostics)?;
    checked(path, written, lines, diagnostics)
}

/// The same for commands that only need the images: the bundles do not have to exist yet.
///
/// # Errors
/// When anything in the cluster file is wrong, or in the other files that it names.
pub fn read_without_bundles(
    path: &Path,
    diagnostics: &mut Diagnostics,
) -> Result<Cluster, Failure> {
    let (mut written, lines) = written(path, diagnostics)?;
    let airgap = written.value.spec.airgap.take();
    written.value.spec.airgap = airgap.filter(|airgap| airgap.value.bundles.is_none());
    checked(path, written, lines, diagnostics)
}

fn checked(
    path: &Path,
    mut written: Spanned<keys::Cluster>,
    lines: Lines,
    diagnostics: &mut Diagnostics,
) -> Result<Cluster, Failure> {
    defaults::fill(&mut written, diagnostics);
    let directory = input::directory(path);
    let cluster = validate::validate(written, directory, lines, diagnostics);
    if let Some(cluster) = &cluster {
        authorities::fit_names(cluster, diagnostics);
    } else {
        diagnostics.as_result()?;
    }
    Ok(cluster.context("the cluster file was refused without a reason")?)
}

fn written(
    path: &Path,
    diagnostics: &mut Diagnostics,
) -> Result<(Spanned<keys::Cluster>, Lines), Reported> {
    let source = diagnostics.read(path, None)?;
    let documents = yaml::documents(source, diagnostics)?;
    let document = match documents.as_slice() {
        [] => {
            let start = Span::new(source, 0..0);
            return Err(diagnostics.report(Code::Empty, start, "the file is empty"));
        }
        [one] if one.value == yaml::Value::Null => {
            return Err(diagnostics.report(Code::Empty, one.span, "the file is empty"));
        }
        [one] => one,
        [_, second, ..] => {
            let message = "a cluster file must be one document, but a second one begins here";
            return Err(diagnostics.report(Code::Documents, second.span, message));
        }
    };
    let mut lines = lines::lines(document, diagnostics.text(source));
    let mut written: Spanned<keys::Cluster> = yaml::read(document, diagnostics)?;
    let spec = &mut written.value.spec;
    spec.nodes = ranges::expand(std::mem::take(&mut spec.nodes), &mut lines, diagnostics);
    Ok((written, lines))
}
