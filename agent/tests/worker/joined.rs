//! Whether a worker that an earlier attempt has left traces of is a member of the cluster.

use nkd_contract::{Role, Stage};

use super::cluster::KUBELET_SETTINGS;
use super::machine::Machine;
use super::ready::give_credentials;
use super::receiver::{Answer, Authority, Receiver};

const INSTANCE_SETTINGS: &str = "/var/lib/kubelet/instance-config.yaml";

/// A worker whose kubelet has credentials is reset and joins anew when the API answers this to its question
/// for its own object.
fn joins_anew(machine: &Machine, answer: Answer) {
    let authority = Authority::new();
    // The gate asks twice.
    let answers = [Answer::Status(200), Answer::Status(200), answer];
    let any = "127.0.0.1:0".parse().unwrap();
    let api = Receiver::listen(any, &answers, Some(&authority));
    machine.plan(|plan| {
        plan.role = Role::JoinWorker;
        plan.certificate_authority.clone_from(&authority.pem);
        plan.endpoint = api.address.to_string();
        plan.budgets.insert(Stage::Kubeadm, 0);
    });
    give_credentials(machine);
    // Whole, so that nothing but the answer or the instance settings can be why it joins anew.
    machine.write("/etc/kubernetes/kubelet.conf", "whole");
    machine.write(KUBELET_SETTINGS, "whole");
    machine.program(
        "kubeadm",
        &format!(
            r#"case "$1" in
            reset) rm -r $ROOT/etc/kubernetes; rm -f $ROOT{INSTANCE_SETTINGS};;
            join) [ ! -e $ROOT/etc/kubernetes/kubelet.conf ];;
            esac"#
        ),
    );
    machine.resets_and_joins();
}

#[test]
fn a_worker_whose_credentials_the_cluster_refuses_joins_anew() {
    for status in [401, 403] {
        joins_anew(&Machine::new(), Answer::Status(status));
    }
}

#[test]
fn a_worker_whose_kubelet_has_torn_instance_settings_joins_anew() {
    let machine = Machine::new();
    machine.write(INSTANCE_SETTINGS, "");
    joins_anew(&machine, Answer::Body(r#"{"metadata": {}}"#));
}
