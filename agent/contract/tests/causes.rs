//! docs/causes.md says of every cause what the contract says. `SNAPSHOTS=overwrite` writes it.

use std::fmt::Write as _;

use nkd_contract::{Cause, Class};

#[test]
fn the_page_of_causes_is_current() {
    let mut page = String::from(
        "# Why a node isn't Ready\n\n\
         Every failure of `nkd-agent` has one of these causes: as `NKD_CAUSE` in the journal, `Cause`\n\
         on D-Bus, and `cause` in callbacks and in `nkd-agent status --json`.\n\n\
         After a *transient* cause the agent tries the stage again, with growing random delays. When the\n\
         budget of the stage is used up, the node is reported as failed. The agent then tries the stage\n\
         every few minutes, and goes on by itself once the cause is gone. A *permanent* cause stops the\n\
         installation. When you have followed the remedy, `nkd-agent retry` goes on with the stage that\n\
         failed; after a transient cause it tries at once.\n\n\
         The part of a cause before the dot is the stage that failed. Every stage can report the causes that\n\
         begin with `agent.`, `plan.` and `hook.`, and `host.program-missing`.\n\n\
         This page is generated from the contract (`agent/contract/src/cause.rs`).\n\n\
         | cause | what it means | what to do | |\n|---|---|---|---|\n",
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
