//! Defaults that follow from other keys. A required key that is absent stays absent, so that the later
//! checks examine the rest of the file.

use super::checks::Text;
use super::keys::{Cluster, Kubernetes};
use super::nodes::{Node, Pool, is_control_plane, pool_of};
use super::release;
use crate::images::{default_repository, pause};
use crate::releases;
use nkd_document::yaml;
use nkd_document::{Code, Diagnostics, Spanned};
use nkd_model::DEFAULT_API_PORT;
use nkd_model::version::Version;

/// Fills in the defaults.
pub fn fill(file: &mut Spanned<Cluster>, to: &mut Diagnostics) {
    let span = file.span;
    let spec = &mut file.value.spec;
    let keys_are_right = to.is_empty();
    for node in &mut spec.nodes {
        inherit_role(node, &spec.pools, to);
        // A role that is wrong has been left out, and is not missing.
        if let Some(pool) = &node.own.pool
            && keys_are_right
            && node.own.role.is_none()
            && pool_of(node, &spec.pools).is_some()
        {
            let message = "`role` is missing in this node and in its pool";
            to.report(Code::MissingKey, pool.span, message);
        }
    }
    let Kubernetes {
        version,
        images,
        endpoint,
        image_repository,
        ..
    } = &mut spec.kubernetes;
    if endpoint.is_none() {
        *endpoint = default_endpoint(&spec.nodes);
    }
    // A version that is wrong is reported later; until then any default does.
    let written = version.as_ref();
    let parsed = written.and_then(|text| Version::parse(&text.value).ok());
    let (minor, patch) = (releases::newest(), 0);
    let of_release = parsed.unwrap_or(Version { minor, patch });
    let repository = image_repository
        .get_or_insert_with(|| Spanned::new(default_repository(of_release).to_owned(), span));
    let sandbox = pause(&release::images(images, of_release), &repository.value);
    let sandbox_image = &mut spec.runtime.sandbox_image;
    sandbox_image.get_or_insert_with(|| Spanned::new(sandbox, span));
}

/// The default endpoint: the only control plane. With several control planes there is no default, because
/// the API must be reachable when one of them is down.
fn default_endpoint(nodes: &[Node]) -> Option<Text> {
    let mut control_planes = nodes.iter().filter(|node| is_control_plane(node));
    let (Some(only), None) = (control_planes.next(), control_planes.next()) else {
        return None;
    };
    let address = only.own.address.as_ref()?;
    let first = address.value.split(',').next().unwrap_or_default();
    let host = if first.contains(':') {
        format!("[{first}]")
    } else {
        first.to_owned()
    };
    let endpoint = format!("{host}:{DEFAULT_API_PORT}");
    Some(Spanned::new(endpoint, address.span))
}

fn inherit_role(node: &mut Node, pools: &[Pool], to: &mut Diagnostics) {
    let Some(name) = &node.own.pool else {
        return;
    };
    let names = pools.iter().filter_map(|pool| pool.own.name.as_ref());
    let names: Vec<&str> = names.map(|name| name.value.as_str()).collect();
    let pool = pool_of(node, pools);
    if pool.is_none() {
        let message = format!("unknown pool `{}`", name.value);
        let help = if names.is_empty() {
            "add the pool to `spec.pools`, or remove `pool`".to_owned()
        } else {
            yaml::suggest(&name.value, names.iter().copied())
        };
        to.report_with_help(Code::UnknownPool, name.span, message, help);
    }
    let pools_role = pool.and_then(|pool| pools.get(pool)?.own.role.clone());
    node.own.role = node.own.role.take().or(pools_role);
}
