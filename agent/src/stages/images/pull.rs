//! Pulls images from registries, several at a time.

use std::collections::VecDeque;
use std::time::Duration;

use nkd_contract::{Cause, Image, Progress, Unit};

use super::{Fault, Node, runtime_failed};
use crate::runtimes::ImageStore;
use crate::system::{Input, Running, alive};

/// The number of images that are pulled at once: the same as the number of layers that containerd fetches
/// at once (containerd, `max_concurrent_downloads`).
const AT_ONCE: usize = 3;
/// The time limit for one image.
const PULL: Duration = Duration::from_secs(30 * 60);
const LOOK: Duration = Duration::from_millis(50);

pub(super) fn pull(
    node: &mut Node<'_>,
    store: &dyn ImageStore,
    missing: Vec<&Image>,
) -> Result<(), Fault> {
    let total = missing.len() as u64;
    let mut waiting: VecDeque<&Image> = missing.into();
    let mut running: Vec<(&Image, Running)> = Vec::new();
    let mut done = 0;
    while !(waiting.is_empty() && running.is_empty()) {
        while running.len() < AT_ONCE
            && let Some(image) = waiting.pop_front()
        {
            let Some(command) = store.pull(&image.name) else {
                // Without such a command, kubeadm and kubelet pull the images and report their failures.
                return Ok(());
            };
            let pull = command.timeout(PULL).start(Input::Nothing);
            let pull = pull.map_err(|error| runtime_failed(Cause::ImagesPull, error.into()))?;
            running.push((image, pull));
        }
        let mut still = Vec::new();
        for (image, mut pull) in running {
            let polled = pull.poll().map_err(|error| {
                runtime_failed(Cause::ImagesPull, error.into()).context(image.name.clone())
            })?;
            if polled.is_none() {
                still.push((image, pull));
                continue;
            }
            done += 1;
            let unit = Unit::Images;
            node.progress(
                format!("pulled {}", image.name),
                Some(Progress::new(done, total, unit)),
            );
        }
        running = still;
        alive();
        std::thread::sleep(LOOK);
    }
    Ok(())
}
