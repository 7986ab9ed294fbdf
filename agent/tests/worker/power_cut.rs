//! What a power cut has left empty, because whoever wrote it did not sync it.

use nkd_contract::{Kind, Stage};

use super::machine::Machine;

const ID: &str = "/var/lib/containerd/io.containerd.grpc.v1.introspection/uuid";

/// A containerd that answers like version 1.6: not at all while its id is no UUID.
fn with_containerds_id(id: &str) -> Machine {
    let machine = Machine::new();
    machine.write(ID, id);
    let script = format!(
        "id=$ROOT{ID}\n\
         [ ! -e $id ] || grep -q 4 $id || {{ echo 'ctr: invalid UUID length: 0' >&2; exit 1; }}\n\
         case \"$*\" in *images\\ list*) echo 'example.org/b:1 manifest sha256:0' ;; esac"
    );
    machine.program("ctr", &script);
    machine.plan(|plan| {
        plan.budgets.insert(Stage::Runtime, 0);
    });
    machine
}

fn runtime_is_done(machine: &Machine) -> bool {
    machine.install();
    let done = |event: &nkd_contract::Event| {
        event.kind == Kind::StageDone && event.stage == Some(Stage::Runtime.into())
    };
    machine.events().iter().any(done)
}

#[test]
fn an_empty_id_of_containerds_is_removed() {
    for empty in ["", "\0\0\0\0"] {
        let machine = with_containerds_id(empty);
        assert!(runtime_is_done(&machine));
        assert!(!machine.path(ID).exists());
    }
}

#[test]
fn an_id_of_containerds_that_is_one_stays() {
    let id = "0d7a4f1e-1c57-4a55-9e25-6f7a4c1f1b9d";
    let machine = with_containerds_id(id);
    assert!(runtime_is_done(&machine));
    assert_eq!(machine.read(ID), id);
}
