//! The config's place on computers of clouds and on metal.

use std::fs;
use std::path::Path;

use anyhow::Result;
use packages::command;

use crate::emulator::copy;

/// Azure: the provisioning CD's name in a computer's directory.
const CUSTOM_DATA: &str = "custom-data.iso";
/// What the CD of each Azure machine has beside the custom data.
const ENVIRONMENT: &str = "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n\
    <Environment xmlns=\"http://schemas.dmtf.org/ovf/environment/1\"/>\n";

/// Makes Azure's provisioning CD (UDF), with a config as custom data.
pub(super) fn insert_custom_data(config: Option<&Path>, directory: &Path) -> Result<()> {
    let tree = directory.join("custom-data");
    if tree.exists() {
        fs::remove_dir_all(&tree)?;
    }
    fs::create_dir_all(&tree)?;
    fs::write(tree.join("ovf-env.xml"), ENVIRONMENT)?;
    if let Some(config) = config {
        copy(config, &tree.join("CustomData.bin"))?;
    }
    let options = ["-quiet", "-R", "-udf", "-V", "rd_rdfe_stable", "-o"].map(Path::new);
    let cd = directory.join(CUSTOM_DATA);
    command::run("genisoimage", options.into_iter().chain([&*cd, &*tree])).map(drop)
}

/// QEMU's arguments for a CD.
pub(super) fn cd(path: &str) -> Vec<String> {
    [
        "-drive",
        &format!("if=none,id=config,format=raw,media=cdrom,readonly=on,file={path}"),
        "-device",
        "virtio-scsi-pci",
        "-device",
        "scsi-cd,drive=config",
    ]
    .map(str::to_owned)
    .to_vec()
}

/// QEMU's arguments for Azure's CD.
pub(super) fn custom_data_cd(directory: &str) -> Vec<String> {
    cd(&format!("{directory}/{CUSTOM_DATA}"))
}
