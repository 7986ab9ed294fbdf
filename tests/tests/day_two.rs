//! What happens to a cluster after its first boot. The commands are those of docs/day-2.md.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use nkd_contract::{Cause, Kind, paths};
use serde_json::json;
use testbed::cluster::Cluster;
use testbed::events::events;
use testbed::scenario::{Scenario, wait_until_ready};
use testbed::{Machine, Operator};

const PATIENCE: Duration = Duration::from_secs(300);

#[test]
#[ignore = "long: three workers join one after another"]
fn workers_join_after_their_token_has_expired_and_after_a_rotation() {
    let mut scenario = Scenario::new().unwrap();
    put_in_pool(&mut scenario);
    let cluster = scenario.compile().unwrap();
    let control_plane = ready(&scenario, &cluster, "cp1");
    scenario.file.add_node("w2", "worker").unwrap();
    put_in_pool(&mut scenario);
    let operator = Operator::new(&scenario, &cluster).unwrap();
    let_tokens_expire(&operator, &control_plane);

    operator.run("add-node").unwrap();
    let added = scenario.machine(&cluster, "w2").unwrap();
    added.boot().unwrap();
    added
        .wait_for("the node to stop because of its token", PATIENCE, || {
            let mut events = events(&added).into_iter();
            let failed = events.find(|event| event.kind == Kind::Failed);
            Ok(failed.is_some_and(|event| event.cause == Some(Cause::KubeadmToken.into())))
        })
        .unwrap();
    operator.run("renew-token").unwrap();
    operator.run_on(&added, "retry").unwrap();
    wait_until_ready(&added, PATIENCE).unwrap();

    let old = added.read(paths::TOKEN).unwrap();
    let (old, _) = old.split_once('.').unwrap();
    let printed = operator.run("rotate-token").unwrap();
    let commands = printed.lines().filter_map(|line| line.strip_prefix("    "));
    let commands: Vec<_> = commands.collect();
    operator.shell(&commands.join("\n")).unwrap();
    let tokens = tokens(&operator);
    assert!(!tokens.is_empty() && !tokens.contains(old), "{tokens}");
    let _worker = ready(&scenario, &cluster, "w1");
    operator.run("cluster-version").unwrap();
}

#[test]
#[ignore = "long: three control planes, two of them twice"]
fn control_planes_that_are_lost_for_good_are_replaced() {
    let mut scenario = Scenario::new().unwrap();
    for name in ["cp2", "cp3", "cp4"] {
        scenario.file.add_node(name, "control-plane").unwrap();
    }
    // In the cluster file's order: cp1, w1, cp2, cp3, cp4. The last one is for later.
    let later = nodes(&mut scenario).pop().unwrap();
    let control_planes = ["10.200.0.11", "10.200.0.13", "10.200.0.14", "10.200.0.15"];
    let balancer = scenario.lab.balancer(&control_planes).unwrap();
    scenario.file.set_endpoint(&balancer.endpoint());
    let cluster = scenario.compile().unwrap();
    let first = ready(&scenario, &cluster, "cp1");
    let second = ready(&scenario, &cluster, "cp2");
    let third = ready(&scenario, &cluster, "cp3");

    // The init node, by a machine of the same name. Another one is the init node from now on.
    drop(first);
    nodes(&mut scenario).rotate_left(2);
    let operator = Operator::new(&scenario, &cluster).unwrap();
    operator.run("delete-node").unwrap();
    operator.run("compile-again").unwrap();
    let first = ready(&scenario, &cluster, "cp1");
    assert_eq!(members(&operator), ["cp1", "cp2", "cp3"]);
    let journal = first.journal(&["--unit=nkd-agent"]).unwrap();
    assert!(
        journal.contains("of an earlier attempt from etcd"),
        "{journal}"
    );

    // Another one, by a machine of another name.
    drop(third);
    operator.run("remove-member").unwrap();
    let all = nodes(&mut scenario);
    all.retain(|node| node["name"] != "cp3");
    all.push(later);
    let operator = Operator::new(&scenario, &cluster).unwrap();
    operator.run("compile-new").unwrap();
    let fourth = ready(&scenario, &cluster, "cp4");
    assert_eq!(members(&operator), ["cp1", "cp2", "cp4"]);
    let found = operator.shell("kubectl get nodes --no-headers").unwrap();
    assert_eq!(found.matches(" Ready ").count(), 3, "{found}");

    // The new members carry the cluster.
    drop(second);
    let machines = [first, fourth];
    machines[0]
        .wait_for(
            "the API without the last old control plane",
            PATIENCE,
            || Ok(operator.shell("kubectl get --raw /readyz")? == "ok"),
        )
        .unwrap();
}

#[test]
#[ignore = "long: a cluster of its own"]
fn certificates_of_a_control_plane_are_renewed() {
    let scenario = Scenario::new().unwrap();
    let cluster = scenario.compile().unwrap();
    let machine = ready(&scenario, &cluster, "cp1");
    let operator = Operator::new(&scenario, &cluster).unwrap();
    let serial = || {
        let connect = "openssl s_client -connect 10.200.0.11:6443 < /dev/null 2> /dev/null";
        operator.shell(&format!("{connect} | openssl x509 -noout -serial"))
    };
    let before = serial().unwrap();
    let listed = operator.run_on(&machine, "check-certificates").unwrap();
    assert!(listed.contains("apiserver-etcd-client"), "{listed}");
    operator.run_on(&machine, "renew-certificates").unwrap();
    operator.run_on(&machine, "restart-control-plane").unwrap();
    machine
        .wait_for("the renewed certificate", PATIENCE, || {
            operator.shell("kubectl get --raw /readyz")?;
            Ok(serial()? != before)
        })
        .unwrap();
    // What the control plane's programs do with their own certificates.
    let _worker = ready(&scenario, &cluster, "w1");
}

#[test]
#[ignore = "long: a cluster of its own, whose control plane restarts three times"]
fn the_authority_of_kubernetes_is_rotated() {
    let mut scenario = Scenario::new().unwrap();
    let cluster = scenario.compile().unwrap();
    let machines = ["cp1", "w1"].map(|node| ready(&scenario, &cluster, node));
    let [control_plane, _] = &machines;
    let operator = Operator::new(&scenario, &cluster).unwrap();
    operator.run("keep-secrets").unwrap();
    scenario.file.add_node("w2", "worker").unwrap();
    let kept = |name: &str| {
        let [certificate, key] = ["crt", "key"].map(|end| format!("keep/{name}.{end}"));
        json!({ "certFile": certificate, "keyFile": key })
    };
    scenario.file.document["spec"]["pki"] = json!({
        "authorities": { "etcd": kept("etcd"), "frontProxy": kept("front-proxy") },
        "serviceAccount": { "keyFile": "keep/sa.key" },
    });
    let operator = Operator::new(&scenario, &cluster).unwrap();
    operator.run("new-authority").unwrap();

    for machine in &machines {
        operator.copy("new-ca.crt", machine, "/root").unwrap();
        operator.run_on(machine, "trust-both").unwrap();
    }
    operator.copy("new-ca.key", control_plane, "/root").unwrap();
    operator.run_on(control_plane, "restart-with-both").unwrap();
    wait_for_api(&operator, control_plane);
    operator.run("restart-workloads").unwrap();

    operator.run_on(control_plane, "issue-from-new").unwrap();
    for machine in &machines {
        let name = machine.name();
        let issue = operator.block("issue-kubelet").unwrap();
        operator.shell(&issue.replace("w1", name)).unwrap();
        let issued = format!("kubelet-{name}.pem");
        operator.copy(&issued, machine, "/root").unwrap();
        let to_root = format!("mv /root/{issued} /root/kubelet.pem");
        machine.check(["sh", "-c", &to_root]).unwrap();
        operator.run_on(machine, "exchange-kubelet").unwrap();
    }
    let operator = operator.with_output("out-new");
    wait_for_nodes(&operator, control_plane, 2);
    for machine in &machines {
        operator.run_on(machine, "trust-new").unwrap();
    }
    wait_for_nodes(&operator, control_plane, 2);
    operator
        .run_on(control_plane, "restart-control-plane")
        .unwrap();
    wait_for_nodes(&operator, control_plane, 2);
    operator.run("use-new").unwrap();
    let cluster = cluster.in_output("out-new");
    let _added = ready(&scenario, &cluster, "w2");
    wait_for_nodes(&operator, control_plane, 3);
    for machine in &machines {
        let issuer = "openssl verify -CAfile /etc/kubernetes/pki/ca.crt \
                      /var/lib/kubelet/pki/kubelet-client-current.pem";
        machine.check(["sh", "-c", issuer]).unwrap();
    }
}

/// Waits until the API server answers after a restart.
fn wait_for_api(operator: &Operator<'_>, control_plane: &Machine) {
    control_plane
        .wait_for("the API server", PATIENCE, || {
            Ok(operator.shell("kubectl get --raw /readyz")? == "ok")
        })
        .unwrap();
}

/// Waits until so many nodes are Ready, after something was restarted.
fn wait_for_nodes(operator: &Operator<'_>, control_plane: &Machine, count: usize) {
    control_plane
        .wait_for("the nodes to be Ready", PATIENCE, || {
            let nodes = operator.shell("kubectl get nodes --no-headers")?;
            Ok(nodes.matches(" Ready ").count() == count)
        })
        .unwrap();
}

/// The nodes of the cluster file.
fn nodes(scenario: &mut Scenario) -> &mut Vec<serde_json::Value> {
    let nodes = &mut scenario.file.document["spec"]["nodes"];
    nodes.as_array_mut().unwrap()
}

/// Puts all workers into a pool, which has a token of its own.
fn put_in_pool(scenario: &mut Scenario) {
    for node in nodes(scenario) {
        if node["role"] == "worker" {
            node["pool"] = json!("workers");
        }
    }
    let pools = json!([{ "name": "workers", "role": "worker" }]);
    scenario.file.document["spec"]["pools"] = pools;
}

/// The machine of a node, booted and Ready.
fn ready(scenario: &Scenario, cluster: &Cluster, node: &str) -> Machine {
    let machine = scenario.machine(cluster, node).unwrap();
    machine.boot().unwrap();
    wait_until_ready(&machine, PATIENCE).unwrap();
    machine
}

/// The names of the members of etcd, sorted.
fn members(operator: &Operator<'_>) -> Vec<String> {
    let list = "kubectl --namespace kube-system exec etcd-cp2 -- etcdctl \
                --endpoints https://127.0.0.1:2379 --cacert /etc/kubernetes/pki/etcd/ca.crt \
                --cert /etc/kubernetes/pki/etcd/server.crt --key /etc/kubernetes/pki/etcd/server.key \
                member list";
    let list = operator.shell(list).unwrap();
    let names = list.lines().filter_map(|line| line.split(", ").nth(2));
    let mut names: Vec<_> = names.map(str::to_owned).collect();
    names.sort();
    names
}

/// Sets the end of all bootstrap tokens to a moment in the past, and waits until Kubernetes has deleted them.
fn let_tokens_expire(operator: &Operator<'_>, control_plane: &Machine) {
    let expired = r#"{"stringData":{"expiration":"2020-01-01T00:00:00Z"}}"#;
    let names = tokens(operator);
    let patch = format!("kubectl patch --namespace kube-system --patch '{expired}' {names}");
    operator.shell(&patch).unwrap();
    control_plane
        .wait_for("the tokens to expire", PATIENCE, || {
            Ok(tokens(operator).is_empty())
        })
        .unwrap();
}

/// The names of the Secrets of bootstrap tokens in the cluster.
fn tokens(operator: &Operator<'_>) -> String {
    let list = "kubectl get secrets --namespace kube-system --output name \
                --field-selector type=bootstrap.kubernetes.io/token";
    operator.shell(list).unwrap().trim().to_owned()
}
