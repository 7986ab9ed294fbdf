//! Loads the images of a bundle into the runtime in batches. Each batch uses a program of its own, so
//! that the runtime unpacks one batch while the next is read.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use anyhow::Context as _;
use nkd_bundle::{Blob, Content, Contents, Digest, END, Image, header, padding};
use nkd_contract::Cause;

use super::super::OrFault as _;
use super::{Fault, import_failed};

use crate::runtimes::{ContentStore, ImageStore, Load};
use crate::system::alive;

/// The number of batches that the runtime works on at once. More batches are not faster, and each needs
/// the memory of a program.
const AT_ONCE: usize = 3;
const LOOK: Duration = Duration::from_millis(20);

/// A batch: the images that one program loads together.
struct Batch {
    images: Vec<Image>,
    /// The remaining files of its tar, by their blobs.
    paths: HashMap<Digest, String>,
    /// The blobs that the runtime gets from another batch, or in its content store.
    elsewhere: HashSet<Digest>,
    step: BatchStep,
}

enum BatchStep {
    /// None of its files has been read.
    Waiting,
    /// Some of its files have been read.
    Coming(Load),
    /// The runtime has all of its files, and works on them.
    Whole(Load),
    /// The runtime has its images.
    Done,
}

/// All batches of a bundle.
pub(super) struct Batches<'a> {
    store: &'a dyn ImageStore,
    all: Vec<Batch>,
    /// The batch to which the current blob belongs.
    owners: HashMap<Digest, usize>,
    /// The content store for large blobs. It is kept until the runtime has all images.
    content: Option<ContentStore>,
    /// The blobs that the runtime has.
    there: HashSet<Digest>,
}

impl<'a> Batches<'a> {
    /// Divides the images of a bundle into batches. If the runtime keeps blobs, each image is a batch,
    /// which waits for the blobs that it has in common with others. Otherwise, images with common blobs
    /// are in one batch.
    pub(super) fn new(store: &'a dyn ImageStore, contents: &Contents, wanted: &[&str]) -> Self {
        let is_wanted = |image: &&Image| wanted.contains(&image.name.as_str());
        let images: Vec<_> = contents.images.iter().filter(is_wanted).cloned().collect();
        let blobs: Vec<_> = images.iter().flat_map(Image::blobs).collect();
        let content = store.content_store(&blobs);
        let goes_there = |blob: &Blob| content.is_some() && ContentStore::takes(blob);
        let groups = if store.keeps_blobs() {
            images.into_iter().map(|image| vec![image]).collect()
        } else {
            nkd_bundle::connected(images)
        };
        let mut owners = HashMap::new();
        let mut batches = Vec::new();
        for (number, images) in groups.into_iter().enumerate() {
            let mut elsewhere = HashSet::new();
            let mut paths = HashMap::new();
            for blob in images.iter().flat_map(Image::blobs) {
                let owner = *owners.entry(blob.digest).or_insert(number);
                if owner != number || goes_there(&blob) {
                    elsewhere.insert(blob.digest);
                }
            }
            for entry in store.archive_format().layout(&images, &elsewhere).entries {
                if let Content::Blob(digest) = entry.content {
                    paths.insert(digest, entry.path);
                }
            }
            batches.push(Batch {
                images,
                paths,
                elsewhere,
                step: BatchStep::Waiting,
            });
        }
        Self {
            store,
            all: batches,
            owners,
            content,
            there: HashSet::new(),
        }
    }

    /// The blobs that are needed.
    pub(super) fn blobs(&self) -> HashSet<Digest> {
        self.owners.keys().copied().collect()
    }

    /// Begins a blob.
    pub(super) fn begin(&mut self, blob: Blob) -> Result<(), Fault> {
        if let Some(content) = self.content_of(blob) {
            return content.begin().map_err(import_failed);
        }
        let Some(owner) = self.owners.get(&blob.digest).copied() else {
            return Ok(());
        };
        while self.working() >= AT_ONCE {
            self.look()?;
            alive();
            std::thread::sleep(LOOK);
        }
        let store = self.store;
        let Some(batch) = self.all.get_mut(owner) else {
            return Ok(());
        };
        batch.open(store)?;
        if let (BatchStep::Coming(load), Some(path)) =
            (&mut batch.step, batch.paths.get(&blob.digest))
        {
            load.feed(&tar_header(path, blob.size)?)
                .map_err(import_failed)?;
        }
        Ok(())
    }

    /// Adds bytes to the blob.
    pub(super) fn feed(&mut self, blob: Blob, bytes: &[u8]) -> Result<(), Fault> {
        if let Some(content) = self.content_of(blob) {
            return content.feed(bytes).map_err(import_failed);
        }
        match self.coming(blob) {
            Some((load, _)) => load.feed(bytes).map_err(import_failed),
            None => Ok(()),
        }
    }

    /// Ends the blob, whose digest is right.
    pub(super) fn end(&mut self, blob: Blob) -> Result<(), Fault> {
        if let Some(content) = self.content_of(blob) {
            content.end(blob).map_err(import_failed)?;
        } else if let Some((load, paths)) = self.coming(blob) {
            load.feed(nothing(padding(blob.size)))
                .map_err(import_failed)?;
            paths.remove(&blob.digest);
        }
        self.look()
    }

    fn content_of(&mut self, blob: Blob) -> Option<&mut ContentStore> {
        let takes = ContentStore::takes(&blob);
        self.content.as_mut().filter(|_| takes)
    }

    fn coming(&mut self, blob: Blob) -> Option<(&mut Load, &mut HashMap<Digest, String>)> {
        let owner = self.owners.get(&blob.digest)?;
        let batch = self.all.get_mut(*owner)?;
        match &mut batch.step {
            BatchStep::Coming(load) => Some((load, &mut batch.paths)),
            _ => None,
        }
    }

    /// The number of batches that the runtime works on.
    fn working(&self) -> usize {
        let whole = |batch: &&Batch| matches!(batch.step, BatchStep::Whole(_));
        self.all.iter().filter(whole).count()
    }

    /// Checks the progress of the runtime, and ends the tars of batches whose blobs are all verified. A
    /// runtime creates no image from a tar without an end, so no image gets its name before all its blobs
    /// are verified.
    pub(super) fn look(&mut self) -> Result<(), Fault> {
        if let Some(content) = &mut self.content {
            self.there.extend(content.poll().map_err(import_failed)?);
        }
        for batch in &mut self.all {
            if batch.paths.is_empty() && batch.elsewhere.is_subset(&self.there) {
                batch.open(self.store)?;
                batch.close()?;
            }
            if let BatchStep::Whole(load) = &mut batch.step
                && load.poll().map_err(import_failed)?
            {
                batch.step = BatchStep::Done;
                let blobs = batch.images.iter().flat_map(Image::blobs);
                self.there.extend(blobs.map(|blob| blob.digest));
            }
        }
        Ok(())
    }

    /// Waits until the runtime has all images.
    pub(super) fn finish(mut self) -> Result<(), Fault> {
        while !self
            .all
            .iter()
            .all(|batch| matches!(batch.step, BatchStep::Done))
        {
            self.look()?;
            alive();
            std::thread::sleep(LOOK);
        }
        Ok(())
    }
}

impl Batch {
    fn open(&mut self, store: &dyn ImageStore) -> Result<(), Fault> {
        if !matches!(self.step, BatchStep::Waiting) {
            return Ok(());
        }
        let names: Vec<_> = self
            .images
            .iter()
            .map(|image| image.name.as_str())
            .collect();
        let mut load = store.load(&names).map_err(import_failed)?;
        for entry in store
            .archive_format()
            .layout(&self.images, &self.elsewhere)
            .entries
        {
            if let Content::Bytes(bytes) = entry.content {
                let header = tar_header(&entry.path, entry.size)?;
                for part in [&header[..], &bytes, nothing(padding(entry.size))] {
                    load.feed(part).map_err(import_failed)?;
                }
            }
        }
        self.step = BatchStep::Coming(load);
        Ok(())
    }

    fn close(&mut self) -> Result<(), Fault> {
        self.step = match std::mem::replace(&mut self.step, BatchStep::Waiting) {
            BatchStep::Coming(mut load) => {
                load.feed(&END).map_err(import_failed)?;
                load.close();
                BatchStep::Whole(load)
            }
            other => other,
        };
        Ok(())
    }
}

fn tar_header(path: &str, size: u64) -> Result<[u8; 512], Fault> {
    header(path, size)
        .with_context(|| path.to_owned())
        .or_fault(Cause::AgentInternal)
}

/// Padding: fewer zeros than a tar block has.
fn nothing(count: u64) -> &'static [u8] {
    let count = usize::try_from(count).unwrap_or(0);
    END.get(..count).unwrap_or(&END)
}
