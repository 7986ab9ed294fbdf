//! Open pools: one config for any number of workers that the cluster file does not list.

use super::keys::Spec;
use super::nodes::Pool;
use nkd_document::{Code, Diagnostics};
use nkd_model::NodeRole;

/// Reports open pools that cannot work.
pub fn check(spec: &Spec, to: &mut Diagnostics) {
    for pool in spec.pools.iter().filter(|pool| pool.own.is_open()) {
        let role = pool.own.role.as_ref();
        if let Some(role) = role.filter(|role| role.value == NodeRole::ControlPlane) {
            let message = "an open pool cannot have control planes, because the certificate of the API server \
                           and the members of etcd need their addresses";
            let help = "use `role: worker`, or list the control planes in `spec.nodes`";
            to.report_with_help(Code::OpenPool, role.span, message, help);
        }
        let Some(name) = &pool.own.name else {
            continue;
        };
        let mut nodes = spec.nodes.iter().filter_map(|node| node.own.name.as_ref());
        if let Some(node) = nodes.find(|node| node.value == name.value) {
            let message = format!("`{}` is already the name of an open pool", name.value);
            let help = "use another name: the files of both would be `nodes/NAME.ign`";
            to.report_with_help(Code::DuplicateName, node.span, message, help);
        }
    }
}

/// The open pools among all pools: the name of each, and its index.
pub fn of(pools: &[Pool]) -> Vec<(String, usize)> {
    let pools = pools.iter().enumerate();
    let open = pools.filter(|(_, pool)| pool.own.is_open());
    open.filter_map(|(index, pool)| Some((pool.own.name.as_ref()?.value.clone(), index)))
        .collect()
}
