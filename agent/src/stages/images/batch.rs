//! A bundle's images on their way into the runtime: each batch through a program of its own, so
//! that the runtime unpacks one while the next is read.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use nkd_bundle::{Blob, Content, Contents, Digest, END, Image, header, padding};

use super::Fault;
use super::store::{Load, Store};
use crate::system::alive;

/// How many batches the runtime works on at once. More gain nothing from two disks' queues, and
/// each takes a program's memory.
const AT_ONCE: usize = 3;
const LOOK: Duration = Duration::from_millis(20);

/// Images that a program loads together.
struct Batch {
    images: Vec<Image>,
    /// The files of its tar that are still to come, by their blobs.
    paths: HashMap<Digest, String>,
    /// What it has in other batches.
    elsewhere: HashSet<Digest>,
    /// The batches that have that.
    needs: Vec<usize>,
    step: Step,
}

enum Step {
    /// Nothing of it has come.
    Waiting,
    /// Its files are coming.
    Coming(Load),
    /// The runtime has all of it to work on.
    Whole(Load),
    /// The runtime has its images.
    Done,
}

/// All batches of a bundle.
pub(super) struct Batches<'a> {
    store: &'a dyn Store,
    all: Vec<Batch>,
    /// The batch that a blob goes to.
    owners: HashMap<Digest, usize>,
}

impl<'a> Batches<'a> {
    /// Divides images of a bundle. Where the runtime keeps blobs, each image goes alone and waits
    /// for those that have blobs in common with it; elsewhere they go together.
    pub(super) fn new(store: &'a dyn Store, contents: &Contents, wanted: &[&str]) -> Self {
        let images = contents.images.iter();
        let images = images
            .filter(|it| wanted.contains(&it.name.as_str()))
            .cloned();
        let groups = if store.keeps_blobs() {
            images.map(|it| vec![it]).collect()
        } else {
            nkd_bundle::connected(images)
        };
        let mut owners = HashMap::new();
        let mut batches = Vec::new();
        for (number, images) in groups.into_iter().enumerate() {
            let mut needs = Vec::new();
            let mut elsewhere = HashSet::new();
            let mut paths = HashMap::new();
            for blob in images.iter().flat_map(Image::blobs) {
                let owner = *owners.entry(blob.digest).or_insert(number);
                if owner != number {
                    elsewhere.insert(blob.digest);
                    needs.push(owner);
                }
            }
            for entry in store.form().layout(&images, &elsewhere).entries {
                if let Content::Blob(digest) = entry.content {
                    paths.insert(digest, entry.path);
                }
            }
            batches.push(Batch {
                images,
                paths,
                elsewhere,
                needs,
                step: Step::Waiting,
            });
        }
        Self {
            store,
            all: batches,
            owners,
        }
    }

    /// The blobs that are needed.
    pub(super) fn blobs(&self) -> HashSet<Digest> {
        self.owners.keys().copied().collect()
    }

    /// A blob comes.
    pub(super) fn begin(&mut self, blob: Blob) -> Result<(), Fault> {
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
        if let (Step::Coming(load), Some(path)) = (&mut batch.step, batch.paths.get(&blob.digest)) {
            load.feed(&tar_header(path, blob.size)?)?;
        }
        Ok(())
    }

    /// Bytes of a blob.
    pub(super) fn feed(&mut self, blob: Blob, bytes: &[u8]) -> Result<(), Fault> {
        match self.coming(blob) {
            Some((load, _)) => load.feed(bytes),
            None => Ok(()),
        }
    }

    /// A blob is there, and is what its digest says.
    pub(super) fn end(&mut self, blob: Blob) -> Result<(), Fault> {
        if let Some((load, paths)) = self.coming(blob) {
            load.feed(nothing(padding(blob.size)))?;
            paths.remove(&blob.digest);
        }
        self.look()
    }

    fn coming(&mut self, blob: Blob) -> Option<(&mut Load, &mut HashMap<Digest, String>)> {
        let owner = self.owners.get(&blob.digest)?;
        let batch = self.all.get_mut(*owner)?;
        match &mut batch.step {
            Step::Coming(load) => Some((load, &mut batch.paths)),
            _ => None,
        }
    }

    /// How many the runtime works on.
    fn working(&self) -> usize {
        let whole = |it: &&Batch| matches!(it.step, Step::Whole(_));
        self.all.iter().filter(whole).count()
    }

    /// Looks how far the runtime is, and gives it what can be given. A tar that has no end yet
    /// makes no image, so nothing is named that isn't verified.
    pub(super) fn look(&mut self) -> Result<(), Fault> {
        for number in 0..self.all.len() {
            let done = |it: &usize| {
                let batch = self.all.get(*it);
                batch.is_some_and(|it| matches!(it.step, Step::Done))
            };
            let Some(batch) = self.all.get(number) else {
                break;
            };
            let complete = batch.paths.is_empty() && batch.needs.iter().all(done);
            let store = self.store;
            let Some(batch) = self.all.get_mut(number) else {
                break;
            };
            if complete {
                batch.open(store)?;
                batch.close()?;
            }
            if let Step::Whole(load) = &mut batch.step
                && load.poll()?
            {
                batch.step = Step::Done;
            }
        }
        Ok(())
    }

    /// Waits until the runtime has everything.
    pub(super) fn finish(mut self) -> Result<(), Fault> {
        while !self.all.iter().all(|it| matches!(it.step, Step::Done)) {
            self.look()?;
            alive();
            std::thread::sleep(LOOK);
        }
        Ok(())
    }
}

impl Batch {
    fn open(&mut self, store: &dyn Store) -> Result<(), Fault> {
        if !matches!(self.step, Step::Waiting) {
            return Ok(());
        }
        let names: Vec<_> = self.images.iter().map(|it| it.name.as_str()).collect();
        let mut load = store.load(&names)?;
        for entry in store.form().layout(&self.images, &self.elsewhere).entries {
            if let Content::Bytes(bytes) = entry.content {
                load.feed(&tar_header(&entry.path, entry.size)?)?;
                load.feed(&bytes)?;
                load.feed(nothing(padding(entry.size)))?;
            }
        }
        self.step = Step::Coming(load);
        Ok(())
    }

    fn close(&mut self) -> Result<(), Fault> {
        self.step = match std::mem::replace(&mut self.step, Step::Waiting) {
            Step::Coming(mut load) => {
                load.feed(&END)?;
                load.close();
                Step::Whole(load)
            }
            other => other,
        };
        Ok(())
    }
}

fn tar_header(path: &str, size: u64) -> Result<[u8; 512], Fault> {
    header(path, size).map_err(|error| {
        let cause = nkd_contract::Cause::AgentInternal;
        Fault::new(cause, format!("{path}: {error}"))
    })
}

/// Fewer zeros than a block of a tar has.
fn nothing(count: u64) -> &'static [u8] {
    let count = usize::try_from(count).unwrap_or(0);
    END.get(..count).unwrap_or(&END)
}
