//! `alexnet data prepare`: a data set in few large files.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use clap::Args;
use data::Filter;
use data::pack::{Chroma, Encoding, Job, Prepared, Progress, Settings, Store};
use report::{Console, Style, format};
use serde::Deserialize;
use serde::de::value::{Error as NotKnown, StrDeserializer};

use crate::dataset::Reading;
use crate::failure::{Context, Failure, Result};
use crate::training::quoted;
use crate::{Common, interrupt, terminal};

/// Pack a data set into few large files, resized once, that are read without searching
#[derive(Args)]
#[command(after_help = "\
OUT becomes a folder that --data takes like any other data set. It holds the images in shards, and the mean image and the
colours of the training images, so that a run begins without measuring them. Stopped anywhere, by Ctrl-C or a crash, the
same command goes on; shards that are finished stay. Training images are stored in a shuffled order.

Examples:
  alexnet data prepare photos photos.pack                   squares of 256 pixels, as in the paper
  alexnet data prepare photos photos.pack --side 128        smaller squares
  alexnet data prepare photos photos.pack --store side      whole images, their shorter side 256 pixels
  alexnet data prepare photos photos.pack --store raw       the files as they are
  alexnet data prepare photos photos.pack --format pixels   nothing to decode, at many times the size
  alexnet train --data photos.pack                          learn from it
  alexnet data verify photos.pack                           look at its every byte")]
pub(crate) struct Prepare {
    /// The data set
    path: PathBuf,
    /// The pack's folder
    out: PathBuf,
    /// What is stored of an image: crop, its central square; side, all of it, its shorter side resized; raw, its file
    #[arg(long, value_name = "crop|side|raw", default_value_t = Store::Crop)]
    store: Store,
    /// Pixels of the shorter side
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u16).range(1..=16384))]
    side: u16,
    /// The resampling filter
    #[arg(long, value_name = "box|bilinear|bicubic|lanczos", default_value = "bilinear", value_parser = filter)]
    filter: Filter,
    /// How resized images are stored
    #[arg(long, value_name = "jpeg|pixels", default_value_t = Encoding::Jpeg)]
    format: Encoding,
    /// Quality of the JPEGs, 1 to 100
    #[arg(long, value_name = "N", default_value_t = 90, value_parser = clap::value_parser!(u8).range(1..=100))]
    quality: u8,
    /// Resolution of the JPEGs' colour: 4:2:0 is a quarter, and faster to decode
    #[arg(long, value_name = "4:2:0|4:4:4", default_value_t = Chroma::Quarter)]
    chroma: Chroma,
    /// Decides the order of the training images
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Images of a shard; a stopped command loses at most one shard's work
    #[arg(long, value_name = "N", default_value_t = 4096, value_parser = clap::value_parser!(u32).range(1..))]
    shard_images: u32,
    #[command(flatten)]
    reading: Reading,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

fn filter(text: &str) -> Result<Filter, String> {
    let read = Filter::deserialize(StrDeserializer::<NotKnown>::new(text));
    read.map_err(|_| format!("`{text}` is none of box, bilinear, bicubic, lanczos"))
}

impl Prepare {
    pub(crate) fn run(&self, common: &Common) -> Result<()> {
        if real(&self.out).starts_with(real(&self.path)) {
            let message = format!("{} lies within {}", self.out.display(), self.path.display());
            return Err(Failure::usage(message, "a pack is no part of the data set that it is made of: give a folder beside it"));
        }
        let dataset = self.reading.open(Some(&self.path))?;
        let settings = Settings {
            store: self.store,
            side: self.side.into(),
            filter: self.filter,
            format: self.format,
            quality: self.quality,
            chroma: self.chroma,
            exif: self.reading.exif(),
            seed: self.seed,
            shard_images: self.shard_images,
        };
        let job = Job {
            dataset: &dataset,
            path: &self.path,
            settings: &settings,
            threads: self.reading.workers(common),
            bad_images: self.reading.bad_images(),
        };
        let mut console = Console::new(if common.quiet || self.json { Style::Quiet } else { Style::of_stdout() });
        dataset.notes.iter().for_each(|note| console.say(&format!("note: {note}")));
        let stop = interrupt::flag("finished shards stay")?;
        let mut clock = Clock { began: Instant::now(), packed: None };
        let prepared = data::pack::prepare(&job, &self.out, &mut |progress| {
            console.progress(&clock.segments(progress));
            if stop.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        console.clear();
        let prepared = match prepared {
            Err(data::Error::Stopped { .. }) if stop.load(Ordering::Relaxed) => {
                console.say("stopped: the same command goes on");
                return Err(Failure::interrupted());
            }
            prepared => prepared.context(|| format!("preparing {}", self.out.display()))?,
        };
        for left_out in &prepared.manifest.omitted {
            console.warn(&format!("left out of `{}`: {}: {}", left_out.split, left_out.name, left_out.reason));
        }
        self.conclude(&prepared, &clock, common)
    }

    /// What was made, and what can be done with it.
    fn conclude(&self, prepared: &Prepared, clock: &Clock, common: &Common) -> Result<()> {
        let took = clock.packed.unwrap_or_else(|| clock.began.elapsed());
        let images_per_s = prepared.made as f64 / took.as_secs_f64();
        let ratio = prepared.made_bytes as f64 / prepared.source_bytes as f64;
        let manifest = &prepared.manifest;
        let bytes: u64 = [&manifest.train, &manifest.val].iter().flat_map(|part| &part.shards).map(|shard| shard.bytes).sum();
        if self.json {
            let value = serde_json::json!({
                "pack": self.out.display().to_string(),
                "images": { "train": manifest.train.images, "val": manifest.val.images },
                "shards": manifest.train.shards.len() + manifest.val.shards.len(),
                "bytes": bytes,
                "omitted": manifest.omitted,
                "made": prepared.made,
                "made_bytes": prepared.made_bytes,
                "source_bytes": prepared.source_bytes,
                "seconds": took.as_secs_f64(),
            });
            return terminal::print(&format!("{value}\n"));
        }
        if common.quiet {
            return terminal::print(&format!("{}\n", self.out.display()));
        }
        let mut text = format!("{}: {}, {}\n", self.out.display(), prepared.describe(), mib(bytes));
        text += &match prepared.made {
            0 => "it was whole already\n".into(),
            made => format!(
                "{} packed in {}, {} images/s; {} bytes became {}, {ratio:.2} times as many\n",
                format::of(made as u64, "image", "images"),
                format::duration(took),
                format::rate(images_per_s),
                format::count(prepared.source_bytes),
                format::count(prepared.made_bytes)
            ),
        };
        let name = quoted(&self.out);
        text += &format!("\nnext:\n  alexnet train --data {name}\n  alexnet data verify {name}\n");
        terminal::print(&text)
    }
}

/// Where a path leads, whether or not its end exists yet.
fn real(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.into());
    let found = path.ancestors().find_map(|part| Some((part.canonicalize().ok()?, path.strip_prefix(part).ok()?)));
    found.map_or_else(|| path.clone(), |(real, rest)| if rest.as_os_str().is_empty() { real } else { real.join(rest) })
}

fn mib(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

/// How long it took so far.
struct Clock {
    began: Instant,
    /// When all images were packed.
    packed: Option<Duration>,
}

impl Clock {
    fn segments(&mut self, progress: Progress) -> Vec<String> {
        let of = |done: usize, total: usize| {
            format!("{} of {}", format::count(done as u64), format::of(total as u64, "image", "images"))
        };
        let elapsed = self.began.elapsed();
        match progress {
            Progress::Packing { done, total, kept } => {
                let images_per_s = (done - kept) as f64 / elapsed.as_secs_f64();
                vec![
                    format!("packing: {}", of(done, total)),
                    format!("{} images/s", format::rate(images_per_s)),
                    format::left((total - done) as f64, images_per_s),
                ]
            }
            Progress::Measuring { done, total } => {
                self.packed.get_or_insert(elapsed);
                vec![format!("mean image and colours: {}", of(done, total))]
            }
        }
    }
}
