//! The balancer passes connections to a control plane that takes them.
#![allow(clippy::unwrap_used)]

use std::process::Stdio;

use testbed::{Cache, Lab};

#[test]
fn connections_go_to_the_first_control_plane_that_is_up() {
    let lab = Lab::new(&Cache::open().unwrap()).unwrap();
    lab.ip(&["address", "add", "10.200.0.12/32", "dev", "lo"])
        .unwrap();
    let balancer = lab.balancer(&["10.200.0.11", "10.200.0.12"]).unwrap();
    let curl = || {
        let url = format!("http://{}/", balancer.endpoint());
        let output = lab
            .host_command("curl")
            .args(["-s", "-m", "5", &url])
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(curl(), "", "no control plane is up");
    let mut control_plane = lab
        .host_command("python3")
        .args(["-m", "http.server", "--bind", "10.200.0.12", "6443"])
        .current_dir(lab.scratch("empty").unwrap())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    std::thread::sleep(std::time::Duration::from_secs(2));
    let answer = curl();
    control_plane.kill().unwrap();
    control_plane.wait().unwrap();
    assert!(answer.contains("Directory listing"), "{answer}");
}
