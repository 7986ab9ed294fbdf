//! Loads images from bundles. Each bundle is read once, verified while it is read, and passed to the
//! runtime.

use std::collections::HashSet;
use std::io::ErrorKind;
use std::panic::resume_unwind;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use nkd_bundle::{Blob, Contents, Digest, Error, Reader, Source};
use nkd_contract::{Bundle, Bundles, Cause, Image, Progress, Unit};

use super::batch::Batches;
use super::{Fault, Node, import_failed, listed, missing, pull, source, worst};
use crate::runtimes::{ImageStore, clear_spool};
use crate::system::{TICK, alive, attended};

/// The maximum number of pieces of a bundle that wait for the runtime. A piece has 128 KiB.
const PIECES: usize = 16;
/// The percentage after which progress is announced, at most once per second.
const STEP: u64 = 5;

pub(super) fn load<'a>(
    node: &mut Node<'a>,
    store: &dyn ImageStore,
    bundles: &Bundles,
    mut lacking: Vec<&'a Image>,
) -> Result<(), Fault> {
    store.forget_cut_off_loads().map_err(import_failed)?;
    clear_spool(node.root).map_err(import_failed)?;
    let mut faults = Vec::new();
    for bundle in &bundles.bundles {
        if lacking.is_empty() {
            return Ok(());
        }
        if let Err(fault) = from_sources(node, store, bundles, bundle, &lacking) {
            faults.push(fault);
        }
        lacking = missing(node, store)?;
    }
    if lacking.is_empty() {
        return Ok(());
    }
    if bundles.registry
        && faults
            .iter()
            .all(|fault| fault.cause == Cause::ImagesSource)
    {
        return pull::pull(node, store, lacking);
    }
    Err(worst(&faults).unwrap_or_else(|| {
        let message = format!("no bundle of the plan has {}", listed(&lacking));
        Fault::new(Cause::ImagesMissing, message)
    }))
}

/// Tries the sources of a bundle in order.
fn from_sources(
    node: &mut Node<'_>,
    store: &dyn ImageStore,
    bundles: &Bundles,
    bundle: &Bundle,
    lacking: &[&Image],
) -> Result<(), Fault> {
    let mut faults = Vec::new();
    for place in &bundles.sources {
        let loaded = source::open(node, place, bundle).and_then(|opened| {
            let source::Opened {
                source,
                place,
                medium,
            } = opened;
            let loaded = from_source(node, store, source, bundle, lacking);
            drop(medium);
            loaded.map_err(|fault| fault.context(place))
        });
        match loaded {
            Ok(()) => return Ok(()),
            Err(fault) => {
                log::warn!("{fault}");
                faults.push(fault);
            }
        }
    }
    Err(worst(&faults).unwrap_or_else(|| {
        let message = format!("the plan names no place for {}", bundle.file);
        Fault::new(Cause::ImagesSource, message)
    }))
}

fn from_source(
    node: &mut Node<'_>,
    store: &dyn ImageStore,
    source: Box<dyn Source + Send>,
    bundle: &Bundle,
    lacking: &[&Image],
) -> Result<(), Fault> {
    let pinned = bundle.index.parse::<Digest>();
    let pinned = pinned.map_err(|error| Fault::new(Cause::PlanInvalid, error))?;
    let reader = attended(|| Reader::open(nkd_bundle::open(source)?, Some(&pinned)));
    let reader = reader.map_err(fault)?;
    let contents = reader.contents().clone();
    let wanted = wanted(store, &contents, lacking)?;
    if wanted.is_empty() {
        return Ok(());
    }
    let batches = Batches::new(store, &contents, &wanted);
    let blobs = batches.blobs();
    let (sender, pieces) = sync_channel(PIECES);
    let loaded = thread::scope(|scope| {
        let reading = scope.spawn(move || read(reader, &blobs, &sender));
        let loaded = take(node, bundle, batches, pieces);
        // After a fault the thread may still wait for its source.
        attended(|| reading.join()).unwrap_or_else(|panic| resume_unwind(panic));
        loaded
    });
    verify(store, lacking, &wanted).and(loaded)
}

/// The blobs of a bundle that are needed. Nothing is loaded unless the bundle is for the architecture of
/// this machine, and its images have the digests in the plan.
fn wanted<'a>(
    store: &dyn ImageStore,
    contents: &Contents,
    lacking: &[&'a Image],
) -> Result<Vec<&'a str>, Fault> {
    let mut wanted = Vec::new();
    for image in lacking {
        let Some(bundled) = contents
            .images
            .iter()
            .find(|candidate| candidate.name == image.name)
        else {
            continue;
        };
        if !is_for_this_machine(&bundled.architecture) {
            let (name, here) = (&image.name, std::env::consts::ARCH);
            let message = format!(
                "{name} is for {}, but this machine is {here}",
                bundled.architecture
            );
            return Err(Fault::new(Cause::ImagesArchitecture, message));
        }
        let digest = store.digest(bundled).to_string();
        if let Some(pinned) = image.digest.as_ref().filter(|pinned| **pinned != digest) {
            let message = format!(
                "{} has the digest {digest} in the bundle, but {pinned} in the plan",
                image.name
            );
            return Err(Fault::new(Cause::ImagesDigest, message));
        }
        wanted.push(image.name.as_str());
    }
    Ok(wanted)
}

/// The architecture by its name in Go, which images use.
fn is_for_this_machine(architecture: &str) -> bool {
    let here = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "loongarch64" => "loong64",
        other => other,
    };
    architecture == here
}

/// A message of the thread that reads the bundle.
enum Piece {
    /// A blob begins.
    Begin(Blob),
    /// Bytes of the blob, and the position in the bundle.
    Bytes(Blob, Vec<u8>, u64),
    /// The blob is complete, and its digest is right.
    End(Blob),
    /// The reader has ended: all needed blobs were read, or an error occurred.
    Over(Result<(), Error>),
}

/// The error if the receiver of the pieces has ended.
struct ReceiverGone;

enum Stop {
    Error(Error),
    ReceiverGone,
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

impl From<ReceiverGone> for Stop {
    fn from(ReceiverGone: ReceiverGone) -> Self {
        Self::ReceiverGone
    }
}

fn read(
    mut reader: Reader<Box<dyn Source + Send>>,
    blobs: &HashSet<Digest>,
    to: &SyncSender<Piece>,
) {
    match read_blobs(&mut reader, blobs, to) {
        Ok(()) => drop(to.send(Piece::Over(Ok(())))),
        Err(Stop::Error(error)) => drop(to.send(Piece::Over(Err(error)))),
        Err(Stop::ReceiverGone) => {}
    }
}

fn read_blobs(
    reader: &mut Reader<Box<dyn Source + Send>>,
    blobs: &HashSet<Digest>,
    to: &SyncSender<Piece>,
) -> Result<(), Stop> {
    let mut over = blobs.len();
    while let Some(blob) = reader.next_blob()? {
        if !blobs.contains(&blob.digest) {
            if over == 0 {
                break;
            }
            reader.skip_blob(blob)?;
            continue;
        }
        over -= 1;
        let send = |piece| to.send(piece).map_err(|_| ReceiverGone);
        send(Piece::Begin(blob))?;
        let mut at = reader.position();
        reader.read_blob(blob, |bytes| {
            at += bytes.len() as u64;
            Ok::<_, Stop>(send(Piece::Bytes(blob, bytes.to_vec(), at))?)
        })?;
        send(Piece::End(blob))?;
    }
    Ok(())
}

/// Passes the data to the runtime. After a fault, the batches are dropped, with all incomplete images.
fn take(
    node: &mut Node<'_>,
    bundle: &Bundle,
    mut batches: Batches<'_>,
    pieces: Receiver<Piece>,
) -> Result<(), Fault> {
    let mut report = ProgressReport::new(bundle);
    loop {
        alive();
        match pieces.recv_timeout(TICK) {
            Ok(Piece::Begin(blob)) => batches.begin(blob)?,
            Ok(Piece::Bytes(blob, bytes, at)) => {
                batches.feed(blob, &bytes)?;
                report.at(node, at);
            }
            Ok(Piece::End(blob)) => batches.end(blob)?,
            Ok(Piece::Over(over)) => {
                over.map_err(fault)?;
                break;
            }
            Err(RecvTimeoutError::Timeout) => batches.look()?,
            Err(RecvTimeoutError::Disconnected) => {
                let message = "the thread that reads the bundle has ended unexpectedly";
                return Err(Fault::new(Cause::AgentInternal, message));
            }
        }
    }
    drop(pieces);
    batches.finish()
}

/// Compares the digests that the runtime reports with those of the plan.
fn verify(store: &dyn ImageStore, lacking: &[&Image], wanted: &[&str]) -> Result<(), Fault> {
    let present = store.present(wanted).map_err(import_failed)?;
    for image in lacking {
        if let (Some(digest), Some(pinned)) = (present.get(&image.name), &image.digest)
            && digest != pinned
        {
            store.remove(&image.name).map_err(import_failed)?;
            let name = &image.name;
            let message =
                format!("{name} has the digest {digest} in the runtime, but {pinned} in the plan");
            return Err(Fault::new(Cause::ImagesDigest, message));
        }
    }
    Ok(())
}

/// Announces the progress of a bundle.
struct ProgressReport<'a> {
    bundle: &'a Bundle,
    percent: u64,
    last: Option<Instant>,
}

impl<'a> ProgressReport<'a> {
    fn new(bundle: &'a Bundle) -> Self {
        Self {
            bundle,
            percent: 0,
            last: None,
        }
    }

    fn at(&mut self, node: &mut Node<'_>, at: u64) {
        let percent = at.saturating_mul(100) / self.bundle.unpacked.max(1);
        let soon = self
            .last
            .is_some_and(|last| last.elapsed() < Duration::from_secs(1));
        if self.last.is_some() && (soon || percent < self.percent + STEP) {
            return;
        }
        self.percent = percent;
        self.last = Some(Instant::now());
        let progress = Progress::new(at, self.bundle.unpacked, Unit::Bytes);
        node.progress(format!("loading {}", self.bundle.file), Some(progress));
    }
}

/// The cause for an error of a bundle.
fn fault(error: Error) -> Fault {
    let cause = match &error {
        Error::Io(error) if error.kind() == ErrorKind::InvalidData => Cause::ImagesDigest,
        Error::Io(error) if error.kind() == ErrorKind::UnexpectedEof => Cause::ImagesTruncated,
        Error::Io(_) => Cause::ImagesSource,
        Error::Truncated { .. } => Cause::ImagesTruncated,
        Error::NotABundle(_) | Error::Unexpected { at: 0, .. } => Cause::ImagesBundle,
        Error::Unexpected { .. } | Error::Invalid { .. } | Error::Digest { .. } => {
            Cause::ImagesDigest
        }
    };
    Fault::of(cause, error)
}
