//! Checks that the OS image has all programs.

use std::os::unix::fs::PermissionsExt as _;

use nkd_contract::{Cause, Role};

use super::super::{Fault, Node};
use crate::requirements::{ADDONS_PROGRAM, AGENT_PROGRAMS};
use crate::runtimes;

/// The programs that the agent runs itself must be on its search path, and those that systemd runs must
/// have the paths in their units. If the unit of kubelet has another path than the program, kubeadm would
/// start the unit and wait for minutes for a kubelet that never runs.
pub(super) fn check(node: &Node<'_>) -> Result<(), Fault> {
    let client = runtimes::of(node.plan.runtime).client_program();
    let mut wanted = AGENT_PROGRAMS.to_vec();
    wanted.push(client);
    if node.plan.role == Role::Init && !node.plan.addons.is_empty() {
        wanted.push(ADDONS_PROGRAM);
    }
    let absent = wanted
        .into_iter()
        .filter(|program| node.root.program(program).is_none());
    let mut missing: Vec<_> = absent.map(str::to_owned).collect();
    // Nothing can be asked without systemctl.
    if node.root.program("systemctl").is_some() {
        let units = node.plan.runtime.units().iter();
        for unit in units.chain(&["kubelet.service"]) {
            missing.extend(lacking(node, unit)?);
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    let message = format!("the OS image lacks {}", missing.join(", "));
    Err(Fault::new(Cause::HostProgram, message))
}

/// What the OS image lacks to start a unit, or `None` if it has everything.
///
/// # Errors
/// systemd does not answer.
fn lacking(node: &Node<'_>, unit: &str) -> Result<Option<String>, Fault> {
    let answer = node
        .root
        .command("systemctl")
        .args(["show", "--property=LoadState,ExecStart", unit])
        .read()
        .map_err(|error| Fault::of_command(Cause::AgentInternal, error))?;
    let commands: Vec<_> = answer.lines().filter_map(program_of).collect();
    if commands.is_empty() {
        let state = answer
            .lines()
            .find_map(|line| line.strip_prefix("LoadState="));
        let state = state.unwrap_or("unknown");
        return Ok(Some(format!("{unit} (its state is {state})")));
    }
    let absent = commands.into_iter().find(|path| !is_program(node, path));
    Ok(absent.map(|path| format!("{path} ({unit} starts it)")))
}

/// The path of a line such as `ExecStart={ path=/usr/bin/kubelet ; argv[]=…` (systemctl's "show").
fn program_of(line: &str) -> Option<&str> {
    let (_, rest) = line.strip_prefix("ExecStart=")?.split_once("path=")?;
    let (path, _) = rest.split_once(" ;")?;
    Some(path)
}

/// Whether a file can be executed. systemd searches for a name without a path itself.
fn is_program(node: &Node<'_>, path: &str) -> bool {
    if !path.starts_with('/') {
        return node.root.program(path).is_some();
    }
    let metadata = node.root.path(path).metadata();
    metadata.is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}
