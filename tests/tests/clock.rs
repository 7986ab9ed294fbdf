//! A machine whose clock lost its battery. Containers share their host's clock, so this is a whole
//! computer, in software.
#![allow(clippy::unwrap_used)]

use std::fs;

use nkd_contract::{Event, Kind, Plan, Stage, Timestamp, paths};
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, Issuer, KeyPair};
use testbed::Cache;
use testbed::emulator::Emulator;
use testbed::scenario::Scenario;

const DAY: u64 = 86_400;

#[test]
fn a_clock_in_1970_is_set_to_when_the_cluster_was_made_and_later_to_the_latest_time_that_was_seen()
{
    let scenario = Scenario::new().unwrap();
    let cluster = scenario.compile().unwrap();
    let disk = scenario.machine(&cluster, "cp1").unwrap();
    let path = |absolute: &str| disk.root().join(&absolute[1..]);
    let plan = Plan::parse(disk.read(paths::PLAN).unwrap().as_bytes()).unwrap();
    let floor = plan.clock_floor.unix();
    // Months later etcd has written something, and after that kubelet's certificate was renewed.
    let etcd_wrote = floor + 90 * DAY;
    let renewed = etcd_wrote + 30 * DAY;
    let key = disk.read("/etc/nkd/pki/ca.key").unwrap();
    let credentials = scenario.lab.scratch("credentials").unwrap().join("pem");
    let pem = kubelet_certificate(&plan.certificate_authority, &key, renewed);
    fs::write(&credentials, pem).unwrap();

    let emulator = Emulator::new(&Cache::open().unwrap()).unwrap();
    let files = [
        (paths::PLAN, path(paths::PLAN)),
        ("/bin/nkd-agent", scenario.programs.agent.clone()),
        ("/credentials", credentials),
    ];
    let files = files.each_ref().map(|(at, file)| (*at, file.as_path()));
    let script = format!(
        "echo; date -u +%s; nkd-agent install; date -u +%s; cat {}\n\
         boot() {{ date -u -s @$1 >/dev/null; nkd-agent clock; date -u +%s; }}\n\
         mkdir -p /var/lib/etcd/member/snap /var/lib/kubelet/pki\n\
         touch -d @{etcd_wrote} /var/lib/etcd/member/snap/db\n\
         boot 86400; boot {}\n\
         cp /credentials /var/lib/kubelet/pki/kubelet-client-current.pem\n\
         boot {}; boot {}\n",
        paths::EVENTS,
        etcd_wrote - DAY,
        etcd_wrote + DAY,
        renewed + DAY,
    );
    let console = emulator
        .run("1970-01-02T00:00:00", &files, &script)
        .unwrap();
    println!("{console}");

    let seconds: Vec<u64> = console
        .lines()
        .filter_map(|line| line.trim().parse().ok())
        .collect();
    let [before, after, booted @ ..] = &seconds[..] else {
        panic!("{seconds:?}");
    };
    assert!(*before < 2 * DAY && (floor..etcd_wrote).contains(after));
    // It is left alone where it is later than the certificates, even if a file is from the future.
    let wanted = [etcd_wrote, etcd_wrote - DAY, renewed, renewed + DAY];
    assert_eq!(booted.len(), wanted.len(), "{seconds:?}");
    for (clock, wanted) in booted.iter().zip(wanted) {
        assert!(
            (wanted..wanted + 60).contains(clock),
            "{clock}, not {wanted}"
        );
    }
    the_stage_tells_of_it(&console, floor);
}

fn the_stage_tells_of_it(console: &str, floor: u64) {
    let events = console
        .lines()
        .filter_map(|line| serde_json::from_str::<Event>(line.trim()).ok());
    let of_clock: Vec<_> = events
        .filter(|event| event.stage == Some(Stage::Clock.into()))
        .collect();
    let said = of_clock
        .iter()
        .find(|event| event.kind == Kind::Progress)
        .unwrap();
    assert!(said.message.contains("from 1970-01-02T"), "{said:?}");
    let done = of_clock.last().unwrap();
    assert_eq!(done.kind, Kind::StageDone);
    assert!(done.time.unix() >= floor);
}

/// kubelet's credentials as its cluster signs them.
fn kubelet_certificate(authority: &str, authority_key: &str, not_before: u64) -> String {
    let issuer = Issuer::from_ca_cert_pem(authority, KeyPair::from_pem(authority_key).unwrap());
    let mut params = CertificateParams::default();
    let not_before: std::time::SystemTime = Timestamp::from_unix(not_before).into();
    params.not_before = not_before.into();
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, &issuer.unwrap()).unwrap();
    certificate.pem() + &key.serialize_pem()
}
