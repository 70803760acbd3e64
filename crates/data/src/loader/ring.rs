//! The threads and the ring between them and the reader.
//!
//! A batch is filled image by image, so that all threads work on the batch that is needed next; the thread that finishes
//! its last image assembles it. Batches are handed out in order. All memory of batches is made at the start.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use net::Batch;

use super::Loaded;
use crate::pipeline::Prepared;
use crate::{BadImage, BadImages, Content, Error, Image, Part, Pipeline, Region, Resizer, Result, Source, Views};

/// Where a batch stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Heading {
    pub(super) epoch: u32,
    /// The batch's number within the epoch.
    pub(super) index: u32,
    /// The position of its first image within the epoch.
    pub(super) position: usize,
}

/// The batches in order. Asked for one after the other.
pub(super) trait Agenda: Send {
    /// The next batch, its images (at least one) into `images`; `None` after the last one.
    fn next(&mut self, images: &mut Vec<u32>) -> Option<Heading>;
}

/// What is done to an image.
#[derive(Clone, Copy)]
pub(super) enum Task {
    Train { seed: u64 },
    Test(Views),
}

/// A batch that is ready.
pub(super) struct Ready {
    pub(super) loaded: Loaded,
    /// Images that were to be in it.
    pub(super) images: usize,
    pub(super) bad: Vec<BadImage>,
    pub(super) error: Option<Error>,
}

/// One image of a batch that is being filled.
#[derive(Default)]
struct Row {
    prepared: Prepared,
    error: Option<Error>,
}

/// The images of a batch and what became of them; memory that goes from batch to batch.
#[derive(Default)]
struct Rows {
    /// The source's indices.
    images: Vec<u32>,
    /// At least as many.
    rows: Vec<Row>,
}

/// A batch that is being filled.
struct Slot {
    sequence: u64,
    heading: Heading,
    rows: Rows,
    claimed: usize,
    done: usize,
    loaded: Loaded,
}

struct State {
    agenda: Box<dyn Agenda>,
    /// Oldest first.
    open: Vec<Slot>,
    /// With their sequence numbers, in no order.
    ready: Vec<(u64, Ready)>,
    /// Batches free for filling.
    spare: Vec<Loaded>,
    spare_rows: Vec<Rows>,
    /// The sequence numbers of the next batch to open, and to hand out.
    next_open: u64,
    next_out: u64,
    /// Batches with the reader.
    out: usize,
    /// The agenda has ended.
    ended: bool,
    stopped: bool,
    /// A thread panicked.
    broken: bool,
}

struct Shared {
    source: Arc<dyn Source>,
    pipeline: Arc<Pipeline>,
    task: Task,
    bad: BadImages,
    state: Mutex<State>,
    /// There may be something to claim.
    work: Condvar,
    /// There may be something to hand out.
    delivery: Condvar,
}

/// The ring, from its reader's side.
pub(super) struct Ring {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    /// Why not all threads started; fewer are enough.
    refused: Option<std::io::Error>,
    slots: usize,
}

/// The memory of one thread.
#[derive(Default)]
struct Scratch {
    bytes: Vec<u8>,
    image: Image,
    resizer: Resizer,
}

/// What of an image's row a claim takes along.
struct Claim {
    sequence: u64,
    heading: Heading,
    row: usize,
    image: u32,
    prepared: Prepared,
}

impl Ring {
    /// Starts `threads` threads that fill `slots` batches of up to `rows` views.
    pub(super) fn start(
        source: Arc<dyn Source>,
        pipeline: Arc<Pipeline>,
        task: Task,
        agenda: Box<dyn Agenda>,
        options: &super::LoaderOptions,
    ) -> Ring {
        let slots = options.slots.max(2);
        let empty = || Loaded {
            batch: Batch::with_capacity(options.batch, pipeline.input().len()),
            samples: Vec::with_capacity(options.batch),
            epoch: 0,
            index: 0,
        };
        let state = State {
            agenda,
            open: Vec::with_capacity(slots),
            ready: Vec::with_capacity(slots),
            spare: (0..slots).map(|_| empty()).collect(),
            spare_rows: (0..slots).map(|_| Rows::default()).collect(),
            next_open: 0,
            next_out: 0,
            out: 0,
            ended: false,
            stopped: false,
            broken: false,
        };
        let (work, delivery) = (Condvar::new(), Condvar::new());
        let state = Mutex::new(state);
        let shared = Arc::new(Shared { source, pipeline, task, bad: options.bad, state, work, delivery });
        let (mut threads, mut refused) = (Vec::new(), None);
        for number in 0..options.threads.max(1) {
            let shared = shared.clone();
            match std::thread::Builder::new().name(format!("loader {number}")).spawn(move || shared.fill()) {
                Ok(thread) => threads.push(thread),
                Err(error) => refused = Some(error),
            }
        }
        Ring { shared, threads, refused, slots }
    }

    /// The next batch, once it is ready; `None` after the last one.
    pub(super) fn next(&mut self) -> Result<Option<Ready>> {
        if let Some(error) = self.refused.as_ref().filter(|_| self.threads.is_empty()) {
            return Err(Error::Threads(std::io::Error::new(error.kind(), error.to_string())));
        }
        let mut state = self.shared.lock();
        assert!(state.out < self.slots, "all {} batches of a loader are with its reader; give one back", self.slots);
        loop {
            let sequence = state.next_out;
            if let Some(at) = state.ready.iter().position(|(number, _)| *number == sequence) {
                let (_, ready) = state.ready.swap_remove(at);
                state.next_out += 1;
                state.out += 1;
                return Ok(Some(ready));
            }
            if state.broken {
                return Err(Error::Loader("a thread panicked".into()));
            }
            if state.ended && state.next_out == state.next_open {
                return Ok(None);
            }
            state = self.shared.delivery.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    pub(super) fn give_back(&mut self, loaded: Loaded) {
        let mut state = self.shared.lock();
        state.out = state.out.saturating_sub(1);
        state.spare.push(loaded);
        drop(state);
        self.shared.work.notify_all();
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        self.shared.lock().stopped = true;
        self.shared.work.notify_all();
        for thread in self.threads.drain(..) {
            // A panic was already told by `next`.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a thread does until the ring is dropped or the agenda ends.
    fn fill(&self) {
        let guard = Guard(self);
        let mut scratch = Scratch::default();
        while let Some(mut claim) = self.claim() {
            let error = self.prepare(&mut claim, &mut scratch).err();
            let Some(slot) = self.settle(claim, error) else { continue };
            let (sequence, ready, rows) = self.assemble(slot);
            let mut state = self.lock();
            state.spare_rows.push(rows);
            state.ready.push((sequence, ready));
            drop(state);
            self.delivery.notify_all();
        }
        std::mem::forget(guard);
    }

    /// The next image to prepare; waits for a free batch. `None` when there will be none.
    fn claim(&self) -> Option<Claim> {
        let mut state = self.lock();
        loop {
            if state.stopped {
                return None;
            }
            let unclaimed = state.open.iter().position(|slot| slot.claimed < slot.rows.images.len());
            if let Some(at) = unclaimed {
                let slot = &mut state.open[at];
                let row = slot.claimed;
                slot.claimed += 1;
                let image = slot.rows.images[row];
                let prepared = std::mem::take(&mut slot.rows.rows[row].prepared);
                return Some(Claim { sequence: slot.sequence, heading: slot.heading, row, image, prepared });
            }
            if state.ended {
                return None;
            }
            if state.spare.is_empty() {
                state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            state.open();
            if state.ended {
                self.delivery.notify_all();
            }
            self.work.notify_all();
        }
    }

    fn prepare(&self, claim: &mut Claim, scratch: &mut Scratch) -> Result<()> {
        let index = claim.image as usize;
        let named = |source| Error::Image { name: self.source.name(index).into_owned(), source };
        let content = self.source.fetch(index, &mut scratch.bytes)?;
        let image = match content {
            Content::Pixels { width, height, rgb } => Part { width, height, region: Region { x: 0, y: 0, width, height }, rgb },
            Content::Encoded { .. } => {
                scratch.image = content.decode().map_err(named)?;
                (&scratch.image).into()
            }
        };
        let prepared = match self.task {
            Task::Test(views) => self.pipeline.prepare_test(image, views, &mut scratch.resizer, &mut claim.prepared),
            Task::Train { seed } => {
                let draw = self.pipeline.draw(seed, claim.heading.epoch, claim.heading.position + claim.row, claim.image);
                self.pipeline.prepare_train(image, draw, &mut scratch.resizer, &mut claim.prepared)
            }
        };
        prepared.map_err(named)
    }

    /// Puts a row back; the whole slot if it was the last one.
    fn settle(&self, claim: Claim, error: Option<Error>) -> Option<Slot> {
        let mut state = self.lock();
        let at = state.open.iter().position(|slot| slot.sequence == claim.sequence)?;
        let slot = &mut state.open[at];
        slot.rows.rows[claim.row] = Row { prepared: claim.prepared, error };
        slot.done += 1;
        (slot.done == slot.rows.images.len()).then(|| state.open.remove(at))
    }

    /// The batch of a slot whose rows are all done; bad images leave no gap.
    fn assemble(&self, slot: Slot) -> (u64, Ready, Rows) {
        let Slot { sequence, heading, mut rows, mut loaded, .. } = slot;
        let values = self.pipeline.input().len();
        let (mut bad, mut error) = (Vec::new(), None);
        let mut n = 0;
        loaded.samples.clear();
        for (row, &image) in rows.rows.iter_mut().zip(&rows.images) {
            match row.error.take() {
                None => {
                    for view in 0..row.prepared.views() {
                        self.pipeline.write(&row.prepared, view, &mut loaded.batch.f32_mut()[n * values..][..values]);
                        loaded.batch.labels[n] = self.source.label(image as usize);
                        loaded.samples.push(image);
                        n += 1;
                    }
                }
                Some(e) => match e.bad_image() {
                    Some(image) if self.bad != BadImages::Stop => bad.push(image),
                    _ => error = error.or(Some(e)),
                },
            }
        }
        loaded.batch.n = n;
        (loaded.epoch, loaded.index) = (heading.epoch, heading.index);
        (sequence, Ready { loaded, images: rows.images.len(), bad, error }, rows)
    }
}

impl State {
    /// Opens the next batch of the agenda in spare memory, or notes the agenda's end.
    fn open(&mut self) {
        let (Some(loaded), Some(mut rows)) = (self.spare.pop(), self.spare_rows.pop()) else { return };
        rows.images.clear();
        match self.agenda.next(&mut rows.images) {
            Some(heading) => {
                if rows.rows.len() < rows.images.len() {
                    rows.rows.resize_with(rows.images.len(), Row::default);
                }
                self.open.push(Slot { sequence: self.next_open, heading, rows, claimed: 0, done: 0, loaded });
                self.next_open += 1;
            }
            None => {
                self.ended = true;
                self.spare.push(loaded);
                self.spare_rows.push(rows);
            }
        }
    }
}

/// Tells the reader if its thread panics.
struct Guard<'a>(&'a Shared);

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        self.0.lock().broken = true;
        self.0.delivery.notify_all();
    }
}
