//! `host`: the machine meets the requirements of kubelet. Each requirement has one file. The stage
//! corrects what it can, and reports the rest. It does not change the mode of `SELinux`, because no
//! requirement needs another one.

mod address;
mod cgroups;
mod firewall;
mod hostname;
mod kernel;
mod ports;
mod programs;
mod resolution;
mod size;
mod swap;
mod versions;

use nkd_contract::Class;

use super::{Fault, Node};

type Check = fn(&Node<'_>) -> Result<(), Fault>;

/// Checks of what does not change while the agent waits. All of them run, so that one report shows all
/// problems.
const CHECKS: [Check; 7] = [
    programs::check,
    cgroups::check,
    size::check,
    ports::check,
    hostname::check,
    swap::check,
    kernel::check,
];

pub(super) fn run(node: &mut Node<'_>) -> Result<(), Fault> {
    let others = versions::others(node);
    let faults = CHECKS.iter().filter_map(|check| check(node).err());
    let faults = faults.chain(versions::check(node, &others));
    if let Some(fault) = together(faults.collect()) {
        return Err(fault);
    }
    versions::announce(node, &others);
    // Addresses and names may still appear, so these wait.
    hostname::wait(node)?;
    address::wait(node)?;
    resolution::wait(node)?;
    firewall::open(node)
}

/// All faults as one, with the cause of the first permanent one if there is any.
fn together(mut faults: Vec<Fault>) -> Option<Fault> {
    let is_permanent = |fault: &Fault| fault.cause.class() == Class::Permanent;
    let first = faults.iter().position(is_permanent).unwrap_or(0);
    if faults.is_empty() {
        return None;
    }
    let first = faults.remove(first);
    if faults.is_empty() {
        return Some(first);
    }
    let others = faults.iter().map(|fault| format!("; also: {fault}"));
    let message = first.message() + &others.collect::<String>();
    Some(Fault::new(first.cause, message))
}

#[cfg(test)]
mod tests {
    use nkd_contract::Cause;

    use super::*;

    #[test]
    fn all_that_is_wrong_is_said_under_the_cause_that_does_not_pass() {
        assert_eq!(together(vec![]), None);
        let swap = || Fault::new(Cause::HostSwap, "swap is on");
        let small = Fault::new(Cause::HostTooSmall, "1 processor");
        let both = together(vec![swap(), small]).unwrap();
        assert_eq!(both.cause, Cause::HostTooSmall);
        assert_eq!(both.message(), "1 processor; also: swap is on [host.swap]");
        assert_eq!(together(vec![swap()]), Some(swap()));
    }
}
