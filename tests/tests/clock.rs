//! A machine whose clock lost its battery. Containers share their host's clock, so this is a whole
//! computer, in software.
#![allow(clippy::unwrap_used)]

use nkd_contract::{Event, Kind, Plan, Stage, paths};
use testbed::Cache;
use testbed::emulator::Emulator;
use testbed::scenario::Scenario;

#[test]
fn a_clock_in_1970_is_set_to_when_the_cluster_was_made() {
    let scenario = Scenario::new().unwrap();
    let cluster = scenario.compile().unwrap();
    let disk = scenario.machine(&cluster, "cp1").unwrap();
    let plan = disk.root().join(&paths::PLAN[1..]);
    let floor = Plan::parse(disk.read(paths::PLAN).unwrap().as_bytes())
        .unwrap()
        .clock_floor;

    let emulator = Emulator::new(&Cache::open().unwrap()).unwrap();
    let files = [
        (paths::PLAN, plan.as_path()),
        ("/bin/nkd-agent", &scenario.programs.agent),
    ];
    let script = format!(
        "date -u +%s\nnkd-agent install\ndate -u +%s\ncat {}\n",
        paths::EVENTS
    );
    let console = emulator
        .run("1970-01-02T00:00:00", &files, &script)
        .unwrap();
    println!("{console}");

    let seconds: Vec<u64> = console
        .lines()
        .filter_map(|line| line.rsplit('J').next()?.trim().parse().ok())
        .collect();
    assert!(matches!(seconds[..], [before, after] if before < 2 * 86_400 && after >= floor.unix()));
    let events = console
        .lines()
        .filter_map(|line| serde_json::from_str::<Event>(line.trim()).ok());
    let of_clock: Vec<_> = events
        .filter(|event| event.stage == Some(Stage::Clock))
        .collect();
    let said = of_clock
        .iter()
        .find(|event| event.kind == Kind::Progress)
        .unwrap();
    assert!(said.message.contains("from 1970-01-02T"), "{said:?}");
    let done = of_clock.last().unwrap();
    assert_eq!(done.kind, Kind::StageDone);
    assert!(done.time.unix() >= floor.unix());
}
