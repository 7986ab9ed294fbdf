//! What a machine must be like, and who is told when it isn't.

use std::os::unix::fs::{PermissionsExt as _, symlink};

use nkd_contract::{Cause, Plan, Role, Stage, paths};

use super::machine::{End, Machine};

/// Runs the worker on a machine that is told to be something; it doesn't try again.
fn stops_at_host(machine: &Machine, change: impl FnOnce(&mut Plan)) -> (Cause, String) {
    machine.plan(|plan| {
        plan.budgets.insert(Stage::Host, 0);
        change(plan);
    });
    let end = machine.install();
    let (stage, cause, message) = machine.failure();
    assert_eq!(end, End::of(cause));
    assert_eq!(stage, Some(Stage::Host), "{message}");
    (cause, message)
}

fn passes_host(machine: &Machine, change: impl FnOnce(&mut Plan)) {
    machine.plan(change);
    machine.install();
    machine.lacks_only_its_api();
}

const SWAPS: &str = "Filename Type Size Used Priority\n/dev/zram0 partition 4194300 0 100\n";

#[test]
fn swap_is_turned_off_and_stays_off() {
    let machine = Machine::new();
    machine.write("/proc/swaps", SWAPS);
    machine.program("swapoff", "echo Filename > $ROOT/proc/swaps");
    passes_host(&machine, |_| {});
    assert_eq!(machine.calls_of("swapoff"), ["swapoff --all"]);
    let systemctl = machine.calls_of("systemctl");
    assert!(systemctl.contains(&"systemctl mask swap.target".to_owned()));
}

#[test]
fn swap_that_kubelet_is_to_live_with_is_left_alone() {
    let machine = Machine::new();
    machine.write("/proc/swaps", SWAPS);
    passes_host(&machine, |plan| plan.machine.keep_swap = true);
    assert!(!machine.calls().iter().any(|call| call.contains("swap")));
}

#[test]
fn swap_that_stays_on_is_named_with_its_size() {
    let machine = Machine::new();
    machine.write("/proc/swaps", SWAPS);
    machine.program("swapoff", "exit 0");
    let (cause, message) = stops_at_host(&machine, |_| {});
    assert_eq!(cause, Cause::HostSwap);
    assert_eq!(message, "swap is still on: /dev/zram0 (4095 MiB)");
}

#[test]
fn a_machine_that_is_too_small_is_told_by_how_much() {
    let machine = Machine::new();
    machine.write("/sys/devices/system/cpu/online", "0\n");
    machine.write(
        "/proc/meminfo",
        "MemTotal:        1015808 kB\nMemFree: 5 kB\n",
    );
    let (cause, message) = stops_at_host(&machine, |plan| {
        plan.machine.min_cpus = 2;
        plan.machine.min_memory = 1700;
    });
    assert_eq!(cause, Cause::HostTooSmall);
    assert_eq!(
        message,
        "this machine has 1 processors (2 are required) and 992 MiB of memory (1700 MiB are required)"
    );
}

#[test]
fn a_machine_of_exactly_the_size_that_is_needed_passes() {
    let machine = Machine::new();
    machine.write("/sys/devices/system/cpu/online", "0-1\n");
    machine.write("/proc/meminfo", "MemTotal:        1740800 kB\n");
    passes_host(&machine, |plan| {
        plan.machine.min_cpus = 2;
        plan.machine.min_memory = 1700;
    });
}

#[test]
fn a_disk_without_room_is_told_with_its_numbers() {
    let machine = Machine::new();
    let (cause, message) = stops_at_host(&machine, |plan| {
        plan.machine.min_disk = 1 << 40;
    });
    assert_eq!(cause, Cause::HostDisk);
    let free = message.strip_prefix("/var/lib has ").unwrap();
    let free = free
        .strip_suffix(" MiB free, but 1099511627776 MiB are required")
        .unwrap();
    let file_system = nix::sys::statvfs::statvfs(&machine.path("/")).unwrap();
    let actual = file_system.blocks_available() * file_system.fragment_size() / (1 << 20);
    // Others write to it, but not a tenth of it.
    let free: u64 = free.parse().unwrap();
    assert!(free.abs_diff(actual) <= actual / 10, "{free}, {actual}");
}

#[test]
fn once_images_are_on_the_disk_its_room_is_not_looked_at_again() {
    let machine = Machine::new();
    passes_host(&machine, |_| {});
    // The same installation, as far as it can tell, with a fuller disk.
    let plan = machine.read(paths::PLAN);
    let state = machine.read(paths::STATE);
    let digest = Plan::digest(plan.as_bytes());
    machine.plan(|plan| plan.machine.min_disk = 1 << 40);
    let fuller = Plan::digest(machine.read(paths::PLAN).as_bytes());
    machine.write(paths::STATE, &state.replace(&digest, &fuller));
    machine.reboot();
    machine.install();
    machine.lacks_only_its_api();
}

#[test]
fn a_kubelet_that_refuses_the_old_cgroups_is_not_started_on_them() {
    let machine = Machine::new();
    let (cause, message) = stops_at_host(&machine, |plan| {
        plan.kubernetes_version = "v1.35.0".into();
        plan.machine.cgroups = vec![2];
    });
    assert_eq!(cause, Cause::HostCgroups);
    assert_eq!(
        message,
        "this machine uses cgroups v1, which kubelet v1.35.0 does not support"
    );

    let machine = Machine::new();
    machine.write("/sys/fs/cgroup/cgroup.controllers", "cpu memory\n");
    passes_host(&machine, |plan| plan.machine.cgroups = vec![2]);
}

/// A program that listens on kubelet's port.
fn take_port(machine: &Machine) {
    machine.write(
        "/proc/net/tcp6",
        "  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n   \
         0: 00000000000000000000000000000000:280A 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 41234 1 0 100 0\n",
    );
    machine.write("/proc/77/comm", "cockpit-ws\n");
    machine.write("/proc/77/cgroup", "0::/system.slice/cockpit.service\n");
    std::fs::create_dir_all(machine.path("/proc/77/fd")).unwrap();
    symlink("socket:[41234]", machine.path("/proc/77/fd/3")).unwrap();
}

#[test]
fn who_listens_on_a_port_of_kubernetes_is_named() {
    let machine = Machine::new();
    take_port(&machine);
    let (cause, message) = stops_at_host(&machine, |_| {});
    assert_eq!(cause, Cause::HostPort);
    assert_eq!(
        message,
        "port 10250 is already used by cockpit-ws (process 77 of cockpit.service)"
    );
}

#[test]
fn once_kubeadm_has_begun_the_ports_are_kubernetes_own() {
    let machine = Machine::new();
    passes_host(&machine, |_| {});
    take_port(&machine);
    machine.reboot();
    machine.install();
    machine.lacks_only_its_api();
    // Nor does it take the agent's memory to know.
    machine.write("/etc/kubernetes/kubelet.conf", "");
    machine.write(paths::STATE, "damaged");
    machine.install();
    machine.lacks_only_its_api();
}

#[test]
fn a_machine_without_the_nodes_address_is_waited_for_and_then_said_to_be_the_wrong_one() {
    let (cause, message) = stops_at_host(&Machine::new(), |plan| {
        plan.machine.addresses = ["127.0.0.1", "192.0.2.1"]
            .map(|address| address.parse().unwrap())
            .into();
    });
    assert_eq!(cause, Cause::HostAddress);
    assert!(
        message.starts_with("this machine does not have the address 192.0.2.1; it has "),
        "{message}"
    );
}

#[test]
fn an_endpoint_whose_name_nobody_knows_is_named() {
    let (cause, message) = stops_at_host(&Machine::new(), |plan| {
        plan.endpoint = "api.invalid:6443".into();
    });
    assert_eq!(cause, Cause::HostResolution);
    assert!(
        message.starts_with("cannot resolve the endpoint's name api.invalid: "),
        "{message}"
    );
}

#[test]
fn an_endpoint_that_is_an_address_is_not_looked_up() {
    for endpoint in ["127.0.0.1:6443", "[::1]:6443"] {
        passes_host(&Machine::new(), |plan| plan.endpoint = endpoint.into());
    }
}

#[test]
fn where_firewalld_runs_ports_are_opened_now_and_for_later_boots_and_it_goes_on_running() {
    let machine = Machine::new();
    machine.program(
        "firewall-cmd",
        r#"case "$*" in *--get-zone-of-interface=lo*) echo inside;; esac"#,
    );
    passes_host(&machine, |plan| {
        plan.machine.addresses = vec!["127.0.0.1".parse().unwrap()];
        plan.machine.api_port = Some(8443);
        plan.machine.pod_subnets = vec!["10.244.0.0/16".into()];
        plan.machine.firewall_ports = vec!["8472/udp".into()];
        plan.runs_etcd = true;
    });
    let ports = "--zone=inside --add-port=10250/tcp --add-port=8443/tcp --add-port=2379/tcp \
                 --add-port=2380/tcp --add-port=10256/tcp --add-port=30000-32767/tcp --add-port=30000-32767/udp --add-port=8472/udp";
    let sources = "--add-source=10.244.0.0/16 --zone=trusted";
    assert_eq!(
        machine.calls_of("firewall-cmd"),
        [
            "firewall-cmd --quiet --state".to_owned(),
            "firewall-cmd --get-zone-of-interface=lo".to_owned(),
            format!("firewall-cmd --quiet {ports}"),
            format!("firewall-cmd --quiet {sources}"),
            format!("firewall-cmd --quiet --permanent {ports}"),
            format!("firewall-cmd --quiet --permanent {sources}"),
        ]
    );
    let systemctl = machine.calls_of("systemctl").join("\n");
    assert!(!systemctl.contains("firewalld"), "{systemctl}");
}

#[test]
fn a_worker_opens_no_ports_of_control_planes() {
    let machine = Machine::new();
    machine.program("firewall-cmd", "exit 0");
    machine.plan(|plan| {
        plan.role = Role::JoinWorker;
        plan.budgets.insert(Stage::Gate, 0);
    });
    machine.install();
    let calls = machine.calls_of("firewall-cmd").join("\n");
    assert!(
        calls.contains("10250/tcp") && !calls.contains("6443"),
        "{calls}"
    );
}

#[test]
fn a_firewalld_that_does_not_run_is_left_alone() {
    let machine = Machine::new();
    machine.program("firewall-cmd", "exit 252");
    passes_host(&machine, |_| {});
    assert_eq!(machine.calls_of("firewall-cmd").len(), 1);
}

#[test]
fn a_firewalld_that_refuses_says_why() {
    let machine = Machine::new();
    machine.program(
        "firewall-cmd",
        r#"case "$*" in *--add-source*) echo "Error: ZONE_CONFLICT: '10.244.0.0/16' already bound to 'home'" >&2; exit 26;; esac"#,
    );
    let (cause, message) = stops_at_host(&machine, |plan| {
        plan.machine.pod_subnets = vec!["10.244.0.0/16".into()];
    });
    assert_eq!(cause, Cause::HostFirewall);
    assert!(message.contains("ZONE_CONFLICT"), "{message}");
}

#[test]
fn all_that_is_wrong_is_said_at_once() {
    let machine = Machine::new();
    machine.write("/proc/swaps", SWAPS);
    machine.program("swapoff", "exit 0");
    take_port(&machine);
    std::fs::remove_file(machine.path("/usr/bin/kubelet")).unwrap();
    let (cause, message) = stops_at_host(&machine, |_| {});
    assert_eq!(cause, Cause::HostProgram);
    for part in ["kubelet", "cockpit-ws", "/dev/zram0", "[host.swap]"] {
        assert!(message.contains(part), "{message}");
    }
}

/// As systemd shows a unit that starts a program.
fn unit(machine: &Machine, name: &str, program: &str) {
    let text = format!(
        "LoadState=loaded\nExecStart={{ path={program} ; argv[]={program} $ARGS ; ignore_errors=no }}\n"
    );
    machine.write(&format!("/units/{name}"), &text);
}

/// A machine on which a program is in another place than its unit names in the image.
fn moved(program: &str, to: &str) -> Machine {
    let machine = Machine::new();
    let (from, to) = (
        machine.path(&format!("/usr/bin/{program}")),
        machine.path(to),
    );
    std::fs::create_dir_all(to.parent().unwrap()).unwrap();
    std::fs::rename(from, to).unwrap();
    machine
}

#[test]
fn a_program_counts_where_its_unit_looks_for_it_and_nowhere_else() {
    for program in ["kubelet", "containerd"] {
        let machine = moved(program, &format!("/usr/local/bin/{program}"));
        let (cause, message) = stops_at_host(&machine, |_| {});
        assert_eq!(cause, Cause::HostProgram);
        let place = format!("/usr/bin/{program} ({program}.service starts it)");
        assert_eq!(message, format!("the OS image lacks {place}"));
        // A unit may start it from a place that is on no search path.
        let place = format!("/opt/kubernetes/{program}");
        let machine = moved(program, &place);
        unit(&machine, &format!("{program}.service"), &place);
        passes_host(&machine, |_| {});
    }
}

#[test]
fn a_program_that_cannot_be_executed_is_none() {
    let machine = Machine::new();
    let path = machine.path("/usr/bin/kubelet");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let (cause, message) = stops_at_host(&machine, |_| {});
    assert_eq!(cause, Cause::HostProgram);
    assert!(message.contains("/usr/bin/kubelet"), "{message}");
}

#[test]
fn a_unit_that_cannot_be_started_is_named_with_its_state() {
    for state in ["not-found", "masked"] {
        let machine = Machine::new();
        machine.write("/units/containerd.service", &format!("LoadState={state}\n"));
        let (cause, message) = stops_at_host(&machine, |_| {});
        assert_eq!(cause, Cause::HostProgram);
        let expected = format!("the OS image lacks containerd.service (its state is {state})");
        assert_eq!(message, expected);
    }
}

#[test]
fn a_module_that_is_not_there_is_loaded() {
    let machine = Machine::new();
    let sign = "/proc/sys/net/bridge/bridge-nf-call-iptables";
    std::fs::remove_file(machine.path(sign)).unwrap();
    machine.program("modprobe", &format!("echo 0 > $ROOT{sign}"));
    passes_host(&machine, |_| {});
    assert_eq!(machine.calls_of("modprobe"), ["modprobe br_netfilter"]);
    assert_eq!(machine.read(sign), "1");
}

#[test]
fn the_nodes_name_is_that_of_its_plan_everywhere_and_on_later_boots() {
    let machine = Machine::new();
    // As if it had been set already: setting it would set that of the machine the test runs on.
    machine.write("/proc/sys/kernel/hostname", "cp1\n");
    passes_host(&machine, |plan| plan.node = "cp1".into());
    assert_eq!(machine.read("/etc/hostname"), "cp1\n");
    assert!(machine.events().iter().all(|event| event.node == "cp1"));
}

#[test]
fn nodes_with_an_ipv6_address_forward_packets_of_both_versions() {
    let machine = Machine::new();
    for name in ["all", "default"] {
        machine.write(&format!("/proc/sys/net/ipv6/conf/{name}/forwarding"), "0\n");
    }
    passes_host(&machine, |plan| {
        plan.machine.addresses = vec!["::1".parse().unwrap()];
    });
    for name in ["all", "default"] {
        let path = format!("/proc/sys/net/ipv6/conf/{name}/forwarding");
        assert_eq!(machine.read(&path), "1", "{name}");
    }
}

#[test]
fn another_minor_version_than_the_plans_stops_the_installation() {
    for (program, answer, version) in [
        ("kubeadm", "v1.21.0\n", "v1.21.0"),
        ("kubelet", "Kubernetes v1.19.16\n", "v1.19.16"),
        ("kubelet", "Kubernetes v1.21.0-oe\n", "v1.21.0"),
    ] {
        let machine = Machine::new();
        machine.write("/versions/kubeadm", "v1.20.2\n");
        machine.write("/versions/kubelet", "Kubernetes v1.20.2\n");
        machine.write(&format!("/versions/{program}"), answer);
        let (cause, message) = stops_at_host(&machine, |_| {});
        assert_eq!(cause, Cause::HostVersion);
        let expected = format!("{program} is of version {version}, but the plan is for v1.20.2");
        assert_eq!(message, expected);
    }
}

#[test]
fn both_versions_that_do_not_fit_are_in_one_message() {
    let machine = Machine::new();
    machine.write("/versions/kubeadm", "v1.21.1\n");
    machine.write("/versions/kubelet", "Kubernetes v1.21.1\n");
    let (cause, message) = stops_at_host(&machine, |_| {});
    assert_eq!(cause, Cause::HostVersion);
    let expected = "kubeadm and kubelet are of version v1.21.1, but the plan is for v1.20.2";
    assert_eq!(message, expected);
}

#[test]
fn another_patch_version_is_reported_and_the_installation_continues() {
    let machine = Machine::new();
    machine.write("/versions/kubeadm", "v1.20.2\n");
    machine.write("/versions/kubelet", "Kubernetes v1.20.15\n");
    passes_host(&machine, |_| {});
    let message = "kubelet is of version v1.20.15, but the plan is for v1.20.2";
    let expected = (Cause::HostVersion, message.to_owned());
    assert!(machine.warnings().contains(&expected));
}

#[test]
fn a_program_that_does_not_print_its_version_is_accepted() {
    for answer in ["", "v0.0.0-master+$Format:%H$\n"] {
        let machine = Machine::new();
        machine.write("/versions/kubeadm", answer);
        passes_host(&machine, |_| {});
        assert_eq!(machine.warnings(), []);
    }
}
