//! Threads that fill a ring of batches ahead of their reader.

mod ring;
mod rows;
mod stages;

use std::collections::BTreeSet;
use std::sync::Arc;

use net::Batch;
use net::random::{Purpose, Stream, permutation};

use crate::{BadImage, BadImages, Error, Order, Pipeline, Result, Source, Views};
use ring::{Agenda, Heading, Ready, Ring, Task};
pub use stages::Stages;

/// How a loader works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoaderOptions {
    /// The most images (in testing: views) in a batch.
    pub batch: usize,
    /// Threads that decode; at least one is started. Changes nothing but the speed.
    pub threads: usize,
    /// Batches that exist at once, at least 2: those ready, those being filled, and those not given back.
    pub slots: usize,
    /// The run's seed.
    pub seed: u64,
    /// What happens to images that cannot be read.
    pub bad: BadImages,
}

/// A batch, and what is in it.
#[derive(Debug)]
pub struct Loaded {
    /// Pixels `[n, c, h, w]` and labels.
    pub batch: Batch,
    /// The source's index of each of the `n` images; in testing, of each view.
    pub samples: Vec<u32>,
    /// Epoch, from 0; 0 in testing.
    pub epoch: u32,
    /// Number of the batch within its epoch, from 0.
    pub index: u32,
}

/// Training batches without end: epoch after epoch, in an order that follows from the seed.
///
/// A bad image that is skipped leaves its batch smaller; a batch without a single good image is left out. With
/// [`BadImages::Report`] an epoch with bad images is followed by the error that lists them.
pub struct TrainLoader {
    reader: Reader,
    images: usize,
    batches_per_epoch: u32,
    /// Images since the last good one.
    barren: usize,
    /// The last batch of an epoch was the last one handed out.
    epoch_done: bool,
}

impl TrainLoader {
    /// Starts the threads; the first batch is number `first_batch` of `epoch`, where numbers beyond the epoch count on
    /// into the next.
    pub fn start(
        source: Arc<dyn Source>,
        pipeline: Arc<Pipeline>,
        options: LoaderOptions,
        epoch: u32,
        first_batch: u32,
    ) -> TrainLoader {
        let images = source.len();
        let batches_per_epoch = images.div_ceil(options.batch.max(1)) as u32;
        let epoch = epoch + first_batch.checked_div(batches_per_epoch).unwrap_or(0);
        let first_batch = first_batch.checked_rem(batches_per_epoch).unwrap_or(0);
        let order = pipeline.preprocessing().order;
        let mut agenda =
            Training { images, batch: options.batch, seed: options.seed, order, epoch, index: first_batch, sorted: vec![] };
        agenda.shuffle();
        let reader = Reader::start(source, pipeline, Task::Train { seed: options.seed }, Box::new(agenda), options, 1);
        TrainLoader { reader, images, batches_per_epoch, barren: 0, epoch_done: false }
    }

    /// Batches in an epoch, the last of which may be smaller.
    pub fn batches_per_epoch(&self) -> u32 {
        self.batches_per_epoch
    }

    /// The next batch; waits for it.
    ///
    /// # Errors
    /// As [`LoaderOptions::bad`] says; where an epoch has no readable image; where no thread could start.
    ///
    /// # Panics
    /// Where all [`LoaderOptions::slots`] batches are out and none was given back.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Result<Loaded> {
        loop {
            if std::mem::take(&mut self.epoch_done) {
                self.reader.report()?;
            }
            let Some(ready) = self.reader.next()? else {
                return Err(Error::Empty { purpose: "learn from" });
            };
            self.epoch_done = ready.loaded.index + 1 == self.batches_per_epoch;
            if ready.loaded.batch.n > 0 {
                self.barren = 0;
                return Ok(ready.loaded);
            }
            self.barren += ready.images;
            self.reader.give_back(ready.loaded);
            if let Some(first) = self.reader.bad.first().filter(|_| self.barren >= self.images) {
                return Err(Error::AllBad { images: self.images, first: first.clone() });
            }
        }
    }

    /// Returns a batch's memory to the ring.
    pub fn give_back(&mut self, loaded: Loaded) {
        self.reader.give_back(loaded);
    }

    /// What was done so far, and how long it took.
    pub fn stages(&self) -> Stages {
        self.reader.ring.stages()
    }

    /// The bad images of the batches handed out so far, sorted, each once.
    pub fn bad(&self) -> Vec<BadImage> {
        self.reader.bad.iter().cloned().collect()
    }
}

/// The batches of one pass over a source in its own order, each image's views next to each other.
///
/// A bad image that is skipped leaves its batch smaller. With [`BadImages::Report`] the last batch is followed by the error
/// that lists all bad images, if there are any.
pub struct EvalLoader {
    reader: Reader,
}

impl EvalLoader {
    /// Starts the threads.
    pub fn start(source: Arc<dyn Source>, pipeline: Arc<Pipeline>, views: Views, options: LoaderOptions) -> EvalLoader {
        let agenda = Pass { images: source.len() as u32, batch: options.batch / views.count(), index: 0 };
        EvalLoader { reader: Reader::start(source, pipeline, Task::Test(views), Box::new(agenda), options, views.count()) }
    }

    /// The next batch; `None` after the last one.
    ///
    /// # Errors
    /// As [`LoaderOptions::bad`] says; where a batch is too small for one image's views; where no thread could start.
    ///
    /// # Panics
    /// Where all [`LoaderOptions::slots`] batches are out and none was given back.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Result<Option<Loaded>> {
        while let Some(ready) = self.reader.next()? {
            if ready.loaded.batch.n > 0 {
                return Ok(Some(ready.loaded));
            }
            self.reader.give_back(ready.loaded);
        }
        self.reader.report().map(|()| None)
    }

    /// Returns a batch's memory to the ring.
    pub fn give_back(&mut self, loaded: Loaded) {
        self.reader.give_back(loaded);
    }

    /// What was done so far, and how long it took.
    pub fn stages(&self) -> Stages {
        self.reader.ring.stages()
    }

    /// The bad images of the batches handed out so far, sorted.
    pub fn bad(&self) -> Vec<BadImage> {
        self.reader.bad.iter().cloned().collect()
    }
}

/// What both loaders do: read a ring, and mind the bad images.
struct Reader {
    ring: Ring,
    policy: BadImages,
    bad: BTreeSet<BadImage>,
    /// The batch is too small for one image.
    narrow: Option<(usize, usize)>,
}

impl Reader {
    fn start(
        source: Arc<dyn Source>,
        pipeline: Arc<Pipeline>,
        task: Task,
        agenda: Box<dyn Agenda>,
        options: LoaderOptions,
        views: usize,
    ) -> Reader {
        let narrow = (options.batch < views).then_some((options.batch, views));
        let ring = Ring::start(source, pipeline, task, agenda, &options);
        Reader { ring, policy: options.bad, bad: BTreeSet::new(), narrow }
    }

    fn next(&mut self) -> Result<Option<Ready>> {
        if let Some((batch, views)) = self.narrow {
            return Err(Error::Loader(format!("a batch of {batch} has no room for an image's {views} views")));
        }
        let Some(mut ready) = self.ring.next()? else { return Ok(None) };
        self.bad.extend(ready.bad.drain(..));
        match ready.error.take() {
            None => Ok(Some(ready)),
            Some(error) => {
                self.ring.give_back(ready.loaded);
                Err(error)
            }
        }
    }

    fn give_back(&mut self, loaded: Loaded) {
        self.ring.give_back(loaded);
    }

    /// The error that [`BadImages::Report`] ends with.
    fn report(&self) -> Result<()> {
        if self.policy == BadImages::Report && !self.bad.is_empty() {
            return Err(Error::BadImages { bad: self.bad.iter().cloned().collect() });
        }
        Ok(())
    }
}

/// Shuffled epochs without end.
struct Training {
    images: usize,
    batch: usize,
    seed: u64,
    order: Order,
    epoch: u32,
    index: u32,
    /// The images in this epoch's order.
    sorted: Vec<u32>,
}

impl Training {
    fn shuffle(&mut self) {
        let time = if self.order == Order::Once { 0 } else { self.epoch };
        self.sorted = permutation(Stream::new(self.seed, Purpose::Shuffle, 0, time, 0), self.images);
    }
}

impl Agenda for Training {
    fn next(&mut self, images: &mut Vec<u32>) -> Option<Heading> {
        if self.images == 0 || self.batch == 0 {
            return None;
        }
        let mut position = self.index as usize * self.batch;
        if position >= self.images {
            (self.epoch, self.index, position) = (self.epoch + 1, 0, 0);
            if self.order == Order::EachEpoch {
                self.shuffle();
            }
        }
        images.extend(self.sorted.iter().skip(position).take(self.batch));
        let heading = Heading { epoch: self.epoch, index: self.index, position };
        self.index += 1;
        Some(heading)
    }
}

/// One pass in order.
struct Pass {
    images: u32,
    /// Images in a batch.
    batch: usize,
    index: u32,
}

impl Agenda for Pass {
    fn next(&mut self, images: &mut Vec<u32>) -> Option<Heading> {
        let position = self.index as usize * self.batch;
        if self.batch == 0 || position >= self.images as usize {
            return None;
        }
        images.extend((position as u32..self.images).take(self.batch));
        let heading = Heading { epoch: 0, index: self.index, position };
        self.index += 1;
        Some(heading)
    }
}
