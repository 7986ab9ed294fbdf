//! Bundles, and programs that do with images what container runtimes do: a stand-in for those,
//! which the testbed has really. They check digests as the real ones do, and name an image only
//! when its tar is whole.

use std::collections::BTreeMap;
use std::io::Write as _;

use nkd_bundle::{Blob, Digest, Image, Layout};
use nkd_contract::{Bundle, BundleSource, Bundles, ImageSource, Plan};
use serde_json::json;

use super::Machine;

/// A bundle of images.
pub struct Made {
    pub images: Vec<Image>,
    pub bytes: Vec<u8>,
    blobs: BTreeMap<Digest, Vec<u8>>,
}

/// A bundle of images of these names and layers.
pub fn bundle(architecture: &str, images: &[(&str, Vec<Vec<u8>>)]) -> Made {
    let mut blobs = BTreeMap::new();
    let media_type = |what: &str| format!("application/vnd.oci.image.{what}");
    let mut keep = |what: &str, bytes: Vec<u8>| {
        let (digest, size) = (Digest::of(&bytes), bytes.len());
        blobs.insert(digest, bytes);
        json!({"mediaType": media_type(what), "digest": digest.to_string(), "size": size})
    };
    let images = images.iter().map(|(name, layers)| {
        let diff_ids: Vec<_> = layers
            .iter()
            .map(|layer| Digest::of(layer).to_string())
            .collect();
        let config = json!({
            "architecture": architecture,
            "os": "linux",
            "name": name,
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
        });
        let config = keep("config.v1+json", config.to_string().into_bytes());
        let layers = layers
            .iter()
            .map(|layer| keep("layer.v1.tar", layer.clone()));
        let layers: Vec<_> = layers.collect();
        let manifest = json!({"schemaVersion": 2, "config": config, "layers": layers});
        Image::new(
            (*name).to_owned(),
            architecture.to_owned(),
            media_type("manifest.v1+json"),
            manifest.to_string().into_bytes(),
        )
        .unwrap()
    });
    let images: Vec<_> = images.collect();
    let mut made = Made {
        images,
        bytes: Vec::new(),
        blobs,
    };
    made.bytes = made.write(&Layout::of(&made.images));
    made
}

impl Made {
    /// The tar of a layout.
    pub fn write(&self, layout: &Layout) -> Vec<u8> {
        let mut bytes = Vec::new();
        let give = |blob: Blob, out: &mut Vec<u8>| out.write_all(&self.blobs[&blob.digest]);
        layout.write(&mut bytes, give).unwrap();
        bytes
    }

    /// Where the first byte of a layer is.
    pub fn position(&self, layer: &[u8]) -> usize {
        self.bytes
            .windows(layer.len())
            .position(|known| known == layer)
            .unwrap()
    }

    /// Puts it into a plan, as the compiler would.
    pub fn plan(&self, plan: &mut Plan, sources: Vec<BundleSource>) {
        let containerd = plan.runtime == nkd_contract::Runtime::Containerd;
        let digest = |image: &Image| {
            if containerd {
                image.manifest.digest
            } else {
                image.config.digest
            }
        };
        plan.images.required = self
            .images
            .iter()
            .map(|image| nkd_contract::Image {
                name: image.name.clone(),
                digest: Some(digest(image).to_string()),
            })
            .collect();
        plan.images.source = ImageSource::Bundles(Bundles {
            bundles: vec![Bundle {
                file: "a.tar".into(),
                size: self.bytes.len() as u64,
                unpacked: self.bytes.len() as u64,
                index: Digest::of(&nkd_bundle::index(&self.images)).to_string(),
            }],
            sources,
            registry: false,
        });
    }
}

/// `ctr images import -`: unpacks the tar, takes blobs whose bytes are what their names say, and
/// names the images of the index whose manifests it has then. `ctr content ingest` reads a blob
/// that isn't there yet.
const CTR: &str = r#"
content=$ROOT/content/blobs/sha256
case "$*" in
*plugins\ list*) echo "Exports: "; echo "   root   /content";;
*content\ ingest*)
    hex=${8#sha256:}
    mkdir -p $content
    [ -e $content/$hex ] || cat > $content/$hex
    echo "$hex  $content/$hex" | sha256sum --quiet -c || exit 1
    echo "ingested $hex" >> $ROOT/calls;;
*images\ list*) echo REF TYPE DIGEST; cat "$STORE";;
*images\ import\ -*)
    dir=$(mktemp -d $ROOT/import.XXXXXX)
    tar -C $dir -xf - || { rm -r $dir; echo "no whole tar" >&2; exit 1; }
    mkdir -p $content
    for blob in $dir/blobs/sha256/*; do
        echo "${blob##*/}  $blob" | sha256sum --quiet -c || exit 1
        echo "blob ${blob##*/}" >> $ROOT/calls
        mv $blob $content/
    done
    tr '{' '\n' < $dir/index.json | grep -o '"io.containerd.image.name":"[^"]*"' | cut -d'"' -f4 > $dir/names
    grep -o '"digest":"sha256:[0-9a-f]*"' $dir/index.json | cut -d'"' -f4 > $dir/digests
    paste -d' ' $dir/names $dir/digests | while read name digest; do
        grep -o 'sha256:[0-9a-f]*' $content/${digest#sha256:} | while read digest; do
            [ -e $content/${digest#sha256:} ] || { echo "$digest: not found" >&2; exit 1; }
        done || exit 1
        # The real one is a server, and minds who else is there.
        (flock 9; grep -v "^$name " $STORE > $dir/store; echo "$name manifest $digest 1KB" >> $dir/store
        cat $dir/store > $STORE) 9> $ROOT/store.lock
    done || exit 1
    rm -r $dir;;
*images\ remove*)
    while [ "$1" != --sync ]; do shift; done; shift
    for name; do grep -v "^$name " $STORE > $ROOT/rest; mv $ROOT/rest $STORE; done;;
*import*) for last; do :; done; sed 's/$/ manifest sha256:0/' "$last" >> "$STORE";;
esac"#;

/// `docker load`: unpacks the tar and names images by the digest of their configuration.
const DOCKER: &str = r#"
case "$*" in
*image\ inspect*) for last; do :; done; grep "^$last " $STORE | cut -d' ' -f2 | grep . || { echo "Error: No such image: $last" >&2; exit 1; };;
*load*)
    dir=$(mktemp -d $ROOT/load.XXXXXX)
    tar -C $dir -xf - || { rm -r $dir; exit 1; }
    tr '{' '\n' < $dir/manifest.json | grep Config | while read line; do
        config=$(echo "$line" | grep -o '"Config":"[^"]*"' | cut -d'"' -f4)
        name=$(echo "$line" | grep -o '"RepoTags":\["[^"]*"' | cut -d'"' -f4)
        for layer in $(echo "$line" | grep -o '[0-9a-f]*\.tar'); do
            echo "${layer%.tar}  $dir/$layer" | sha256sum --quiet -c || exit 1
        done
        echo "$name sha256:${config%.json}" >> $STORE
    done || exit 1
    rm -r $dir;;
esac"#;

impl Machine {
    /// Gives it a containerd and a Docker.
    pub fn with_runtimes(self) -> Self {
        self.program("ctr", CTR);
        self.program("docker", DOCKER);
        self
    }

    /// The names the runtime has.
    pub fn names(&self) -> Vec<String> {
        let store = self.read("/store");
        let names = store.lines().filter_map(|line| line.split(' ').next());
        let mut names: Vec<_> = names.map(str::to_owned).collect();
        names.sort();
        names
    }

    /// Puts a bundle into a directory of it.
    pub fn put(&self, directory: &str, bytes: &[u8]) {
        let path = self.path(directory);
        std::fs::create_dir_all(&path).unwrap();
        std::fs::write(path.join("a.tar"), bytes).unwrap();
    }
}
