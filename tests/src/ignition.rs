//! Real Ignition, as Debian packages it, without a virtual machine.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::lab::Lab;
use packages::command;

/// Ignition's program, which a real machine has in its initramfs only.
pub const ENGINE: &str = "/usr/lib/dracut/modules.d/30ignition/ignition";

/// Applies a config in namespaces of its own, because the engine leaves its state in `/run`.
/// Debian's build always relabels, hence the `setfiles` that does nothing. Keys are written with the
/// rights of the user they are for, who has to be able to go where the root directory is.
const APPLY: &str = r#"
set -eu
mount -t tmpfs tmpfs /run
mkdir /run/bin /run/root
mount --bind "$2" /run/root
ln -s /bin/true /run/bin/setfiles
export PATH=/run/bin:$PATH IGNITION_CONFIG_FILE=$1
for stage in fetch-offline fetch disks mount files umount; do
    "$3" --root=/run/root --platform=file --stage="$stage" --log-to-stdout
done
"#;

/// Fetches and merges in the same way, and prints what the later stages would be given.
const MERGE: &str = r#"
set -eu
mount -t tmpfs tmpfs /run
export IGNITION_CONFIG_FILE=$1
for stage in fetch-offline fetch; do
    "$3" --root="$2" --platform=file --stage="$stage" --log-to-stdout >&2
done
cat /run/ignition.json
"#;

/// Fetches from the metadata server of a platform.
const FETCH: &str = r#"
set -eu
mount -t tmpfs tmpfs /run
for stage in fetch-offline fetch; do
    "$2" --root=/run --platform="$1" --stage="$stage" --log-to-stdout >&2
done
cat /run/ignition.json
"#;

/// Whether Ignition accepts a config.
pub fn validate(config: &Path) -> Result<()> {
    command::check(Command::new("/usr/bin/ignition-validate").arg(config))
        .map(drop)
        .with_context(|| format!("Ignition refuses {}", config.display()))
}

/// Does to a root directory what Ignition does at a machine's first boot; its log goes to a file.
///
/// It runs in the network of this namespace.
pub fn apply(config: &Path, root: &Path, network: &Path, log: &Path) -> Result<()> {
    let mut command = Command::new("nsenter");
    command.arg(format!("--net={}", network.display()));
    let inner = in_namespaces(APPLY, config, root);
    command.arg(inner.get_program()).args(inner.get_args());
    let output = command::output(&mut command)?;
    let text = [output.stdout, output.stderr].concat();
    fs::write(log, &text).with_context(|| format!("can't write {}", log.display()))?;
    let text = String::from_utf8_lossy(&text);
    // After a failure it prints the whole config.
    let words = text.split("Full config:").next().unwrap_or_default();
    anyhow::ensure!(
        output.status.success(),
        "Ignition failed on {}; the end of its log:\n{}",
        config.display(),
        command::tail(words, 10)
    );
    Ok(())
}

/// The config that Ignition merges from a config and all it refers to.
pub fn merged(config: &Path) -> Result<Value> {
    let text = command::check(&mut in_namespaces(MERGE, config, Path::new("/")))
        .with_context(|| format!("Ignition can't merge {}", config.display()))?;
    serde_json::from_str(&text).context("Ignition's merged config is not JSON")
}

/// The config that Ignition fetches from the metadata server of a platform in a lab.
pub fn fetched(lab: &Lab, platform: &str) -> Result<Value> {
    let mut unshare = lab.host_command("unshare");
    unshare
        .args(["--mount", "--propagation=private", "sh", "-c", FETCH, "sh"])
        .args([platform, ENGINE]);
    let text = command::check(&mut unshare)
        .with_context(|| format!("Ignition can't fetch a config on {platform}"))?;
    serde_json::from_str(&text).context("Ignition's config is not JSON")
}

fn in_namespaces(script: &str, config: &Path, root: &Path) -> Command {
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "--propagation=private", "sh", "-c", script, "sh"])
        .args([config, root, Path::new(ENGINE)]);
    command
}
