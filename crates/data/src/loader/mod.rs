//! Threads that fill a ring of batches ahead of their reader.

use std::sync::Arc;

use net::Batch;

use crate::{BadImage, BadImages, Error, Pipeline, Result, Source, Views};

/// How a loader works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoaderOptions {
    /// The most images (in testing: views) in a batch.
    pub batch: usize,
    /// Threads that decode; at least one is started. Changes nothing but the speed.
    pub threads: usize,
    /// Batches that exist at once, at least 2: those ready or being filled, and those not given back.
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
/// A bad image that is skipped leaves its batch smaller; a batch without a single good image is left out.
pub struct TrainLoader {
    batches_per_epoch: u32,
}

impl TrainLoader {
    /// Starts the threads; the first batch is number `first_batch` of `epoch`.
    pub fn start(
        source: Arc<dyn Source>,
        pipeline: Arc<Pipeline>,
        options: LoaderOptions,
        epoch: u32,
        first_batch: u32,
    ) -> TrainLoader {
        let _ = (pipeline, epoch, first_batch);
        TrainLoader { batches_per_epoch: source.len().div_ceil(options.batch.max(1)) as u32 }
    }

    /// Batches in an epoch, the last of which may be smaller.
    pub fn batches_per_epoch(&self) -> u32 {
        self.batches_per_epoch
    }

    /// The next batch; waits for it.
    ///
    /// # Errors
    /// As [`LoaderOptions::bad`] says; where an epoch has no readable image; where no thread could start.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Result<Loaded> {
        Err(Error::Empty { purpose: "learn from" })
    }

    /// Returns a batch's memory to the ring.
    pub fn give_back(&mut self, loaded: Loaded) {
        drop(loaded);
    }

    /// The bad images of the batches delivered so far, sorted, each once.
    pub fn bad(&self) -> Vec<BadImage> {
        Vec::new()
    }
}

/// The batches of one pass over a source in its own order, each image's views next to each other.
pub struct EvalLoader {}

impl EvalLoader {
    /// Starts the threads.
    pub fn start(source: Arc<dyn Source>, pipeline: Arc<Pipeline>, views: Views, options: LoaderOptions) -> EvalLoader {
        let _ = (source, pipeline, views, options);
        EvalLoader {}
    }

    /// The next batch; `None` after the last one.
    ///
    /// # Errors
    /// As [`LoaderOptions::bad`] says; where a batch is too small for one image's views.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Result<Option<Loaded>> {
        Ok(None)
    }

    /// Returns a batch's memory to the ring.
    pub fn give_back(&mut self, loaded: Loaded) {
        drop(loaded);
    }

    /// The bad images of the batches delivered so far, sorted.
    pub fn bad(&self) -> Vec<BadImage> {
        Vec::new()
    }
}
