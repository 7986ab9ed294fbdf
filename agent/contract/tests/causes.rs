//! docs/causes.md has the texts of the contract for every cause. `SNAPSHOTS=overwrite` writes it.

use std::fmt::Write as _;

use nkd_contract::{Cause, Class};

#[test]
fn the_page_of_causes_is_current() {
    let mut page = String::from(
        "# Why a node is not Ready\n\n\
         This page lists the causes that `nkd-agent` reports, and what to do about each of them.\n\
         The code of the cause is in `nkd-agent status`, in the field `NKD_CAUSE` of the journal, in the\n\
         property `Cause` on D-Bus, and in the field `cause` of callbacks and of\n\
         `nkd-agent status --json`.\n\n\
         - **transient**: `nkd-agent` tries the stage again, after random delays that grow. When the budget\n\
         \x20 of the stage is used up, it reports the node as failed, and then tries the stage every few\n\
         \x20 minutes. It continues by itself as soon as the cause is gone. `nkd-agent retry` tries at once.\n\
         - **permanent**: `nkd-agent` stops. Follow the remedy, then run `nkd-agent retry`: it continues with\n\
         \x20 the stage that failed.\n\n\
         The part of a cause before the dot is the stage that failed. The exceptions are `host.program-missing`\n\
         and the causes that begin with `agent.`, `plan.` and `hook.`: every stage can report them.\n\n\
         Causes that begin with `ignition.` are those of a machine on which Ignition fails:\n\
         [troubleshooting.md](troubleshooting.md#ignition-failed) lists them.\n\n\
         A test generates this page from the contract (`agent/contract/src/cause.rs`).\n\n\
         | cause | what happened | what to do | class |\n|---|---|---|---|\n",
    );
    for cause in Cause::ALL {
        let class = match cause.class() {
            Class::Transient => "transient",
            Class::Permanent => "permanent",
        };
        let (meaning, remedy) = (cause.meaning(), cause.remedy());
        let _ = writeln!(page, "| `{cause}` | {meaning} | {remedy} | {class} |");
    }
    snapbox::assert_data_eq!(page, snapbox::file!["../../../docs/causes.md"].raw());
}
