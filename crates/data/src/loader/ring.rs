//! The threads and the ring between them and the reader.
//!
//! A batch is filled image by image, so that all threads work on the batch that is needed next; the thread that finishes
//! its last image closes it. Batches are handed out in order. All memory of batches is made at the start. The images of
//! batches to come are announced to the source, which may have them read ahead.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use net::{Batch, Mixed};

use super::Loaded;
use super::rows::{Canvas, Place};
use super::stages::Stages;
use crate::augment::BatchAddress;
use crate::scratch::Scratch;
use crate::{BadImage, BadImages, Error, Pipeline, Result, Source, Views};

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

/// A batch of the agenda: the source's indices of its images.
struct Plan {
    heading: Heading,
    images: Vec<u32>,
}

/// A batch that is being filled.
struct Slot {
    sequence: u64,
    plan: Plan,
    /// Which images are bad, and why, by their number in the batch.
    errors: Vec<(usize, Error)>,
    claimed: usize,
    done: usize,
    canvas: Canvas,
}

/// Batches that are announced before they can be opened.
const ANNOUNCED: usize = 2;

struct State {
    agenda: Box<dyn Agenda>,
    /// The next batches of the agenda.
    planned: VecDeque<Plan>,
    /// Images that are to be announced.
    to_announce: Vec<u32>,
    /// Oldest first.
    open: Vec<Slot>,
    /// With their sequence numbers, in no order.
    ready: Vec<(u64, Ready)>,
    /// Batches free for filling.
    spare: Vec<Loaded>,
    /// Memory for lists of images.
    spare_lists: Vec<Vec<u32>>,
    stages: Stages,
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
struct Worker {
    bytes: Vec<u8>,
    scratch: Scratch,
}

/// What of an image's row a claim takes along.
struct Claim {
    sequence: u64,
    heading: Heading,
    row: usize,
    image: u32,
    place: Place,
}

/// How long the steps of preparing one image took.
#[derive(Default)]
struct Times {
    bytes: u64,
    read: Duration,
    decode: Duration,
    augment: Duration,
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
        let trains = matches!(task, Task::Train { .. });
        let mixes = trains && pipeline.preprocessing().mixes();
        let mixed = || mixes.then(|| Mixed::with_capacity(options.batch));
        let empty = || Loaded {
            batch: Batch {
                pixels: pipeline.pixels(options.batch, trains),
                mixed: mixed(),
                ..Batch::with_capacity(options.batch, 0)
            },
            samples: Vec::with_capacity(options.batch),
            epoch: 0,
            index: 0,
        };
        let state = State {
            agenda,
            planned: VecDeque::with_capacity(ANNOUNCED + 1),
            to_announce: Vec::new(),
            open: Vec::with_capacity(slots),
            ready: Vec::with_capacity(slots),
            spare: (0..slots).map(|_| empty()).collect(),
            spare_lists: Vec::new(),
            stages: Stages { threads: options.threads.max(1), ..Stages::default() },
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
        let asked = Instant::now();
        let mut state = self.shared.lock();
        assert!(state.out < self.slots, "all {} batches of a loader are with its reader; give one back", self.slots);
        loop {
            let sequence = state.next_out;
            if let Some(at) = state.ready.iter().position(|(number, _)| *number == sequence) {
                let (_, ready) = state.ready.swap_remove(at);
                state.next_out += 1;
                state.out += 1;
                state.stages.wait += asked.elapsed();
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

    /// What was done so far.
    pub(super) fn stages(&self) -> Stages {
        self.shared.lock().stages
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
        let mut worker = Worker::default();
        while let Some(mut claim) = self.claim() {
            let mut times = Times::default();
            let error = self.prepare(&mut claim, &mut worker, &mut times).err();
            let Some(slot) = self.settle(claim, error, &times) else { continue };
            let (sequence, ready, list) = self.close(slot);
            let mut state = self.lock();
            state.spare_lists.push(list);
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
            if !state.to_announce.is_empty() {
                let images = std::mem::take(&mut state.to_announce);
                drop(state);
                self.source.announce(&images);
                state = self.lock();
                continue;
            }
            if let Some(slot) = state.open.iter_mut().find(|slot| slot.claimed < slot.plan.images.len()) {
                return Some(slot.claim());
            }
            if state.ended {
                return None;
            }
            let Some(loaded) = state.spare.pop() else {
                let since = Instant::now();
                state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
                state.stages.idle += since.elapsed();
                continue;
            };
            state.open(loaded, self.views(), self.pipeline.input().len());
            if state.ended {
                self.delivery.notify_all();
            }
            self.work.notify_all();
        }
    }

    /// Views of one image in a batch.
    fn views(&self) -> usize {
        if let Task::Test(views) = self.task { views.count() } else { 1 }
    }

    fn prepare(&self, claim: &mut Claim, worker: &mut Worker, times: &mut Times) -> Result<()> {
        let index = claim.image as usize;
        let began = Instant::now();
        let content = self.source.fetch(index, &mut worker.bytes)?;
        let fetched = Instant::now();
        let mut decoded = fetched;
        let (scratch, out) = (&mut worker.scratch, claim.place.room());
        let prepared = match self.task {
            Task::Test(views) => self.pipeline.prepare_test(content, views, scratch, || decoded = Instant::now(), out),
            Task::Train { seed } => {
                let draw = self.pipeline.draw(seed, claim.heading.epoch, claim.heading.position + claim.row, claim.image);
                self.pipeline.prepare_train(content, draw, scratch, || decoded = Instant::now(), out)
            }
        };
        *times =
            Times { bytes: content.bytes() as u64, read: fetched - began, decode: decoded - fetched, augment: decoded.elapsed() };
        prepared.map_err(|source| Error::Image { name: self.source.name(index).into_owned(), source })
    }

    /// Notes that an image is done; returns its slot if it was the last one.
    fn settle(&self, claim: Claim, error: Option<Error>, times: &Times) -> Option<Slot> {
        let Claim { sequence, row, place, .. } = claim;
        let mut state = self.lock();
        state.stages.images += 1;
        state.stages.bytes += times.bytes;
        state.stages.read += times.read;
        state.stages.decode += times.decode;
        state.stages.augment += times.augment;
        let at = state.open.iter().position(|slot| slot.sequence == sequence)?;
        let slot = &mut state.open[at];
        slot.errors.extend(error.map(|error| (row, error)));
        slot.canvas.take_back(place);
        slot.done += 1;
        (slot.done == slot.plan.images.len()).then(|| state.open.remove(at))
    }

    /// The batch of a slot whose images are all done; bad images leave no gap.
    fn close(&self, slot: Slot) -> (u64, Ready, Vec<u32>) {
        let Slot { sequence, plan: Plan { heading, images }, mut errors, canvas, .. } = slot;
        let mut loaded = canvas.finish();
        let views = self.views();
        errors.sort_by_key(|(row, _)| *row);
        let mut rejected = errors.iter().map(|(row, _)| *row).peekable();
        let mut n = 0;
        loaded.samples.clear();
        for (row, &image) in images.iter().enumerate() {
            if rejected.next_if_eq(&row).is_some() {
                continue;
            }
            if n != row {
                loaded.batch.pixels.move_images(row * views, n * views, views, self.pipeline.input().len());
            }
            loaded.batch.labels[n * views..(n + 1) * views].fill(self.source.label(image as usize));
            loaded.samples.extend(std::iter::repeat_n(image, views));
            n += 1;
        }
        loaded.batch.n = n * views;
        (loaded.epoch, loaded.index) = (heading.epoch, heading.index);
        if let Task::Train { seed } = self.task {
            self.pipeline.mix(BatchAddress { seed, epoch: heading.epoch, batch: heading.index }, &mut loaded.batch);
        }
        let (mut bad, mut error) = (Vec::new(), None);
        for (_, e) in errors {
            match e.bad_image() {
                Some(image) if self.bad != BadImages::Stop => bad.push(image),
                _ => error = error.or(Some(e)),
            }
        }
        (sequence, Ready { loaded, images: images.len(), bad, error }, images)
    }
}

impl Slot {
    /// The next image that no one has claimed.
    fn claim(&mut self) -> Claim {
        let row = self.claimed;
        self.claimed += 1;
        let (heading, image) = (self.plan.heading, self.plan.images[row]);
        Claim { sequence: self.sequence, heading, row, image, place: self.canvas.lend() }
    }
}

impl State {
    /// Opens the next batch of the agenda in `loaded`, with `views` of `values` each for an image, or notes the agenda's end.
    fn open(&mut self, loaded: Loaded, views: usize, values: usize) {
        while self.planned.len() <= ANNOUNCED {
            let mut images = self.spare_lists.pop().unwrap_or_default();
            images.clear();
            let Some(heading) = self.agenda.next(&mut images) else { break };
            self.to_announce.extend(&images);
            self.planned.push_back(Plan { heading, images });
        }
        let Some(plan) = self.planned.pop_front() else {
            self.ended = true;
            self.spare.push(loaded);
            return;
        };
        let canvas = Canvas::new(loaded, views, values);
        self.open.push(Slot { sequence: self.next_open, plan, errors: Vec::new(), claimed: 0, done: 0, canvas });
        self.next_open += 1;
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
