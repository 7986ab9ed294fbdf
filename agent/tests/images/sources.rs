//! Where bundles come from.

use std::os::unix::net::UnixDatagram;
use std::thread::{sleep, spawn};
use std::time::{Duration, Instant};

use nkd_contract::{BundleSource, Bundles, Cause, ImageSource, Plan, Stage, Urls, paths};

use super::machine::server::Server;
use super::{ALL, DIRECTORY, directory, machine, stops, then_works, three};

fn urls(servers: &[&Server]) -> Vec<BundleSource> {
    vec![BundleSource::Urls(Urls {
        urls: servers.iter().map(|server| server.url.clone()).collect(),
        certificate_authority: None,
    })]
}

#[test]
fn sources_are_tried_in_order_and_all_are_named_when_none_has_it() {
    let made = three();
    let sources = vec![
        BundleSource::Directory("/nowhere".into()),
        BundleSource::Disk("NKD".into()),
        BundleSource::Directory(DIRECTORY.into()),
    ];
    let machine = machine(&made, sources, |_| {});
    machine.program("blkid", "exit 2");
    let message = stops(&machine, Cause::ImagesSource);
    for place in [
        "/nowhere/a.tar",
        "no disk has the label NKD",
        "/usr/lib/nkd/bundles/a.tar",
    ] {
        assert!(message.contains(place), "{message}");
    }
    then_works(&machine, &made);
}

#[test]
fn a_disk_is_mounted_for_as_long_as_it_is_read() {
    let made = three();
    let machine = machine(&made, vec![BundleSource::Disk("NKD".into())], |_| {});
    machine.put("/medium", &made.bytes);
    machine.program(
        "blkid",
        r#"[ "$*" = "--cache-file /dev/null --label NKD" ] && echo /dev/sdb1"#,
    );
    machine.program(
        "mount",
        r#"for last; do :; done; cp $ROOT/medium/* "$last""#,
    );
    machine.program("umount", r#"for last; do :; done; rm -f "$last"/*"#);
    machine.install();
    assert_eq!(machine.names(), ALL);
    let mount = machine.calls_of("mount").pop().unwrap();
    assert!(
        mount.starts_with("mount --read-only --options nodev,nosuid,noexec /dev/sdb1 "),
        "{mount}"
    );
    assert_eq!(machine.calls_of("umount").len(), 2);
}

#[test]
fn a_damaged_copy_is_passed_over_for_a_good_one() {
    let made = three();
    let mut bytes = made.bytes.clone();
    let at = made.position(&vec![3; 200_000]);
    bytes[at] ^= 1;
    let sources = [directory(), vec![BundleSource::Directory("/good".into())]].concat();
    let machine = machine(&made, sources, |_| {});
    machine.put(DIRECTORY, &bytes);
    machine.put("/good", &made.bytes);
    machine.install();
    assert_eq!(machine.names(), ALL);
}

#[test]
fn a_download_that_breaks_off_goes_on_where_it_was() {
    let made = three();
    let server = Server::new(made.bytes.clone(), true, 150_000);
    let machine = machine(&made, urls(&[&server]), |_| {});
    machine.install();
    assert_eq!(machine.names(), ALL);
    let asked = server.asked.lock().unwrap().clone();
    assert_eq!(asked.len(), made.bytes.len().div_ceil(150_000));
    assert!(asked.is_sorted() && asked[1] == 150_000, "{asked:?}");
}

#[test]
fn a_mirror_goes_on_where_a_server_broke_off_even_if_it_knows_no_ranges() {
    let made = three();
    let broken = Server::new(made.bytes.clone(), true, 150_000);
    let mirror = Server::new(made.bytes.clone(), false, usize::MAX);
    let machine = machine(&made, urls(&[&broken, &mirror]), |_| {});
    machine.install();
    assert_eq!(machine.names(), ALL);
    assert_eq!(*mirror.asked.lock().unwrap(), [150_000]);
}

#[test]
fn a_server_without_the_bundle_is_named() {
    let made = three();
    let server = Server::new(made.bytes[..100].to_vec(), true, usize::MAX);
    let mut sources = urls(&[&server]);
    if let BundleSource::Urls(urls) = &mut sources[0] {
        urls.urls[0] = server.url.replace("://", "://somebody:pa55word@");
    }
    let machine = machine(&made, sources, |_| {});
    let message = stops(&machine, Cause::ImagesTruncated);
    assert!(
        message.contains(&server.url) && message.contains("the file has 100 bytes"),
        "{message}"
    );
    let told = machine.read(paths::EVENTS);
    assert!(!told.contains("pa55word"), "{told}");
    assert_eq!(
        server.asked.lock().unwrap().len(),
        1,
        "asking again is in vain"
    );
}

#[test]
fn a_server_that_never_gets_further_is_given_up() {
    let made = three();
    let server = Server::breaking(made.bytes.clone(), true, |_| 150_000);
    let machine = machine(&made, urls(&[&server]), |_| {});
    let message = stops(&machine, Cause::ImagesSource);
    let wanted = "after 150000 bytes: ";
    assert!(message.contains(wanted), "{message}");
    let asked = server.asked.lock().unwrap();
    assert_eq!(*asked, [0, 150_000, 150_000, 150_000]);
}

#[test]
fn the_worker_shows_that_it_is_alive_while_a_server_or_a_command_is_silent() {
    let made = three();
    let server = Server::breaking(made.bytes.clone(), true, |_| {
        sleep(Duration::from_secs(5));
        usize::MAX
    });
    let machine = machine(&made, urls(&[&server]), |_| {});
    let manager = UnixDatagram::bind(machine.path("/notify")).unwrap();
    let signs = spawn(move || {
        let (mut signs, mut message) = (Vec::new(), [0; 64]);
        manager
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        while let Ok(length @ 1..) = manager.recv(&mut message) {
            let told = String::from_utf8_lossy(&message[..length]).into_owned();
            signs.push((Instant::now(), told));
        }
        signs
    });
    let notify = machine.path("/notify");
    machine.program("kubeadm", "exec sleep 4");
    machine.end(machine.command().env("NOTIFY_SOCKET", &notify));
    let end = UnixDatagram::unbound().unwrap();
    end.send_to(&[], notify).unwrap();
    assert_eq!(machine.names(), ALL);
    let signs = signs.join().unwrap();
    // The unit has started, whatever its work is still to wait for.
    assert!(signs[0].1.starts_with("READY=1"), "{signs:?}");
    let longest = signs.windows(2).map(|pair| pair[1].0 - pair[0].0).max();
    // The unit has a minute.
    assert!(longest.unwrap() < Duration::from_secs(3), "{longest:?}");
}

#[test]
fn a_damaged_bundle_is_not_covered_for_by_the_registry() {
    let made = three();
    let mut bytes = zstd::encode_all(&*made.bytes, 1).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0xff;
    let machine = machine(&made, directory(), |plan| {
        bundles(plan).registry = true;
        bundles(plan).bundles[0].size = bytes.len() as u64;
    });
    machine.program("crictl", "exit 0");
    machine.put(DIRECTORY, &bytes);
    stops(&machine, Cause::ImagesDigest);
    // Nor is one that a server has in another length.
    let server = Server::new(made.bytes.clone(), true, usize::MAX);
    let machine = super::machine(&made, urls(&[&server]), |plan| {
        bundles(plan).registry = true;
        bundles(plan).bundles[0].size -= 1;
    });
    stops(&machine, Cause::ImagesBundle);
}

fn bundles(plan: &mut Plan) -> &mut Bundles {
    match &mut plan.images.source {
        ImageSource::Bundles(bundles) => bundles,
        source => panic!("{source:?}"),
    }
}

#[test]
fn what_no_source_has_is_pulled_where_the_plan_says_so() {
    let made = three();
    let machine = machine(&made, directory(), |plan| bundles(plan).registry = true);
    machine.program("crictl", "exit 0");
    machine.install();
    let pulls = machine.calls_of("crictl");
    let pulls = pulls.iter().filter(|call| call.contains(" pull "));
    assert_eq!(pulls.count(), 3);
}

#[test]
fn without_crictl_kubeadm_and_kubelet_are_left_to_pull_and_nothing_is_pinned() {
    let made = three();
    let machine = machine(&made, Vec::new(), |plan| {
        plan.images.source = ImageSource::Registry;
    });
    machine.install();
    assert_eq!(
        machine.failure().0,
        Some(Stage::Ready),
        "{:?}",
        machine.failure()
    );
    assert!(
        !machine
            .calls_of("ctr")
            .iter()
            .any(|call| call.contains("label"))
    );
}
