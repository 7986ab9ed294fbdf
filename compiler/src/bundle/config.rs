//! Image configurations, as far as nkd reads them.

use nkd_bundle::Digest;
use serde::Deserialize;

/// An image's configuration (OCI image specification, "Image Configuration").
#[derive(Deserialize)]
pub struct ImageConfig {
    /// The architecture, by its name in Go.
    pub architecture: String,
    #[serde(default = "linux")]
    os: String,
    rootfs: RootFs,
}

#[derive(Deserialize)]
struct RootFs {
    diff_ids: Vec<Digest>,
}

fn linux() -> String {
    "linux".to_owned()
}

impl ImageConfig {
    /// Parses an image configuration.
    pub fn read(json: &[u8]) -> anyhow::Result<Self> {
        use anyhow::Context as _;
        serde_json::from_slice(json).context("cannot read the image configuration")
    }

    /// The digests of the unpacked layers, the lowest first.
    pub fn layers(&self) -> &[Digest] {
        &self.rootfs.diff_ids
    }

    /// Whether it is for Linux on an architecture.
    pub fn is_for(&self, architecture: &str) -> bool {
        self.architecture == architecture && self.os == "linux"
    }

    /// The platform of the image, as text for people.
    pub fn platform(&self) -> String {
        format!("{}/{}", self.os, self.architecture)
    }
}
