//! A small world to train in: a net of every kind of memory (dropout, momentum, crops, reflections), and images in memory.

#![allow(dead_code)] // No test file needs all of it.

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use cpu::Cpu;
use data::{BadImages, Content, Dataset, Image, Source};
use net::random::{Purpose, Stream};
use net::{Mode, Net};
use train::checkpoint::Saved;
use train::{Event, Log, Outcome, Recipe, Result, RunConfig, RunDir, Start};

pub(crate) const CLASSES: usize = 4;
/// Five batches an epoch, the last of two images.
pub(crate) const TRAIN: usize = 22;
pub(crate) const VAL: usize = 9;

pub(crate) const NET: &str = r#"
name = "small"
input = { c = 3, h = 8, w = 8 }
[[layer]]
name = "conv1"
conv = { k = 6, kernel = 3, padding = 1, weight = { init = { gaussian = 0.05 } }, bias = { init = { constant = 0.1 }, rate = 2.0, decay = 0.0 } }
[[layer]]
name = "relu1"
relu = {}
[[layer]]
name = "pool1"
max_pool = { kernel = 3, stride = 2 }
[[layer]]
name = "fc2"
linear = { k = 12, weight = { init = { gaussian = 0.05 } }, bias = { init = { constant = 0.1 } } }
[[layer]]
name = "relu2"
relu = {}
[[layer]]
name = "drop2"
dropout = { rate = 0.5, scaling = "test" }
[[layer]]
name = "fc3"
linear = { k = 4, weight = { init = { gaussian = 0.05 } }, bias = { init = { constant = 0.0 } } }
[[layer]]
name = "prob"
softmax = {}
"#;

pub(crate) const RECIPE: &str = r#"
net = "small"
batch = 5
micro_batch = 2
epochs = 3
seed = 11
momentum = 0.9
decay = 0.0005

[schedule]
rate = 0.003
plateau = { factor = 0.1, times = 3, patience = 1, threshold = 0.9 }

[checkpoints]
keep_last = 2

[preprocessing]
stored = 10
"#;

pub(crate) fn net() -> Net {
    Net::from_toml(NET).unwrap()
}

pub(crate) fn recipe() -> Recipe {
    Recipe::from_toml(RECIPE).unwrap()
}

/// Ten by ten pixels; the class decides which quarter is bright.
pub(crate) struct Quarters {
    pub(crate) images: usize,
    pub(crate) split: u32,
}

impl Source for Quarters {
    fn len(&self) -> usize {
        self.images
    }

    fn label(&self, index: usize) -> u32 {
        (index * 7 % CLASSES) as u32
    }

    fn name(&self, index: usize) -> Cow<'_, str> {
        format!("quarters/{}/{index:02}", self.split).into()
    }

    fn fetch<'a>(&'a self, index: usize, buffer: &'a mut Vec<u8>) -> data::Result<Content<'a>> {
        let (label, stream) = (self.label(index) as usize, Stream::new(5, Purpose::Test, 0, self.split, index as u32));
        let rgb = (0..300)
            .map(|i| {
                let (y, x) = (i / 30, i / 3 % 10);
                let bright = (y / 5 * 2 + x / 5) == label;
                (stream.below(i as u32, 120) + if bright { 130 } else { 0 }) as u8
            })
            .collect();
        Ok(Image { width: 10, height: 10, rgb }.keep_in(buffer))
    }
}

pub(crate) fn dataset() -> Dataset {
    Dataset {
        name: "quarters".into(),
        layout: "made up",
        classes: ["top left", "top right", "bottom left", "bottom right"].map(String::from).to_vec(),
        words: vec![],
        train: Arc::new(Quarters { images: TRAIN, split: 0 }),
        val: Arc::new(Quarters { images: VAL, split: 1 }),
        notes: vec!["made up".into()],
    }
}

pub(crate) fn engine(net: &Net, capacity: usize, threads: usize) -> Cpu {
    cpu::prepare(net, capacity, Mode::Train, &cpu::Options { threads: Some(threads), ..Default::default() }).unwrap()
}

/// Collects events, and asks to stop once a step is recorded.
#[derive(Default)]
pub(crate) struct Notes<'a> {
    pub(crate) events: Vec<Event>,
    pub(crate) stop_after: Option<(u32, &'a AtomicBool)>,
}

impl Log for Notes<'_> {
    fn record(&mut self, event: &Event) {
        if let (Event::Step(step), Some((after, stop))) = (event, self.stop_after)
            && step.step == after
        {
            stop.store(true, Ordering::Relaxed);
        }
        self.events.push(event.clone());
    }
}

/// A run of `recipe` on the small world with so many threads, stopped after a step if asked to.
pub(crate) fn go(
    dir: &RunDir,
    recipe: &Recipe,
    start: Start,
    threads: usize,
    stop_after: Option<u32>,
) -> (Result<Outcome>, Vec<Event>) {
    let stop = AtomicBool::new(false);
    let mut notes = Notes { events: Vec::new(), stop_after: stop_after.map(|step| (step, &stop)) };
    let mut exec = engine(&recipe.net_for(Some(net()), CLASSES).unwrap(), recipe.micro(), threads);
    let config = RunConfig { dir, recipe, start, threads, bad_images: BadImages::Stop, revision: "test".into() };
    let outcome = train::run(&mut exec, &dataset(), &config, &mut notes, &stop);
    (outcome, notes.events)
}

/// A whole run in a new folder.
pub(crate) fn whole(path: &Path, recipe: &Recipe) -> (Saved, Vec<Event>) {
    let dir = RunDir::create(path).unwrap();
    let (outcome, events) = go(&dir, recipe, Start::Initial, 1, None);
    assert!(matches!(outcome.unwrap(), Outcome::Finished(_)));
    (train::checkpoint::latest(&dir.checkpoints()).unwrap().unwrap(), events)
}

/// The steps' losses, to the bit.
pub(crate) fn losses(events: &[Event]) -> Vec<(u32, u64, u64)> {
    let of = |event: &Event| match event {
        Event::Step(s) => Some((s.step, s.loss.to_bits(), s.epoch_loss.to_bits())),
        _ => None,
    };
    events.iter().filter_map(of).collect()
}

/// Copies a folder of files and folders.
pub(crate) fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() { copy(&entry.path(), &target) } else { assert!(std::fs::copy(entry.path(), target).is_ok()) }
    }
}
