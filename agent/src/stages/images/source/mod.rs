//! The sources of bundles.

mod disk;
mod http;

use std::cmp::Ordering;
use std::fs::File;
use std::io;

use nkd_bundle::Source;
use nkd_contract::{Bundle, BundleSource, Cause};

use super::{Fault, Node};
use crate::system::attended;
use disk::Medium;

/// The file of a bundle.
pub(super) struct Opened {
    /// The bytes of the file.
    pub(super) source: Box<dyn Source + Send>,
    /// The place of the file, for people.
    pub(super) place: String,
    /// The disk of the file, which is unmounted after the file is closed.
    pub(super) medium: Option<Medium>,
}

/// Opens a bundle at a source.
pub(super) fn open(
    node: &mut Node<'_>,
    source: &BundleSource,
    bundle: &Bundle,
) -> Result<Opened, Fault> {
    match source {
        BundleSource::Directory(directory) => {
            let place = format!("{directory}/{}", bundle.file);
            let source = file(node, &place, bundle)?;
            Ok(Opened {
                source,
                place,
                medium: None,
            })
        }
        BundleSource::Disk(label) => {
            let medium = Medium::mount(node.root, label)?;
            let path = format!("{}/{}", nkd_contract::paths::MEDIUM, bundle.file);
            let place = format!("{} on the disk {label}", bundle.file);
            let source = file(node, &path, bundle)
                .map_err(|fault| fault.context(format!("disk {label}")))?;
            Ok(Opened {
                source,
                place,
                medium: Some(medium),
            })
        }
        BundleSource::Urls(urls) => {
            let source = attended(|| http::Download::new(urls, bundle))?;
            Ok(Opened {
                place: source.place(),
                source: Box::new(source),
                medium: None,
            })
        }
    }
}

fn file(node: &Node<'_>, path: &str, bundle: &Bundle) -> Result<Box<dyn Source + Send>, Fault> {
    let unreadable =
        |error: io::Error| Fault::of(Cause::ImagesSource, error).context(path.to_owned());
    let file = File::open(node.root.path(path)).map_err(unreadable)?;
    let size = file.metadata().map_err(unreadable)?.len();
    is_as_long(size, bundle.size).map_err(|fault| fault.context(path.to_owned()))?;
    Ok(Box::new(file))
}

/// Checks the size of the file. A file of another size is not the bundle of the plan.
fn is_as_long(size: u64, wanted: u64) -> Result<(), Fault> {
    let cause = match size.cmp(&wanted) {
        Ordering::Equal => return Ok(()),
        Ordering::Less => Cause::ImagesTruncated,
        Ordering::Greater => Cause::ImagesBundle,
    };
    let message = format!("the file has {size} bytes, but the plan's bundle has {wanted}");
    Err(Fault::new(cause, message))
}
