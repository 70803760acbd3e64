//! `alexnet features`: what a layer makes of images.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use clap::Args;
use data::{BadImage, Source};
use report::format;
use weights::features::{Format, Values, Writer};

use crate::dataset::{Both, Reading};
use crate::device::Compute;
use crate::engine::{Engine, Layer};
use crate::failure::{Context, Failure, Result};
use crate::index::{Looker, Maker, absolute};
use crate::inputs::Inputs;
use crate::saved::Weights;
use crate::training::quoted;
use crate::{Common, interrupt, outputs, terminal};

/// Write what a layer makes of images into a file, a row of numbers for each
#[derive(Args)]
#[command(after_help = "\
A file whose name ends in .safetensors has the rows and the images' names, and is
what `alexnet similar` searches. One that ends in .npy has the rows for NumPy; the
names stand beside it in a file that ends in .txt, one a line.

Examples:
  alexnet features --weights runs/alexnet-photos-1 --out holiday.safetensors holiday
  alexnet features --weights runs/alexnet-photos-1 --out all.safetensors --half --data photos
  alexnet features --weights runs/alexnet-photos-1 --out pool5.npy --layer pool5 'more/*.png'
  alexnet similar holiday/1.jpg holiday.safetensors")]
pub(crate) struct Features {
    #[command(flatten)]
    weights: Weights,
    /// Image files, folders of them, or patterns
    #[arg(value_name = "IMAGE", required_unless_present = "data", conflicts_with = "data")]
    images: Vec<PathBuf>,
    /// All images of a data set, those to learn from first
    #[arg(long, value_name = "PATH")]
    data: Option<PathBuf>,
    /// The file to write: NAME.safetensors or NAME.npy
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// The layer whose output is written [default: the last hidden one, after its ReLU and before dropout]
    #[arg(long, value_name = "NAME")]
    layer: Option<String>,
    /// Write half precision: half the size, numbers to three digits
    #[arg(long)]
    half: bool,
    /// Images in a batch
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..))]
    batch: u16,
    /// Ignore the orientation that cameras note in their files
    #[arg(long)]
    no_exif_rotation: bool,
    #[command(flatten)]
    compute: Compute,
}

impl Features {
    pub(crate) fn run(&self, common: &Common) -> Result<()> {
        let format = Format::of(&self.out).ok_or_else(|| {
            let message = format!("{}: which format is it to have?", self.out.display());
            Failure::usage(message, "name a file that ends in .safetensors, or in .npy for NumPy")
        })?;
        outputs::check_place(&self.out)?;
        let source = self.source()?;
        let engine = self.compute.engine(common.threads())?;
        let layer = self.layer.clone().map_or(Layer::LastHidden, Layer::Named);
        let mut looker = Looker::load(&self.weights, &engine, &layer, source.len().min(self.batch.into()), common.quiet)?;
        let values = if self.half { Values::F16 } else { Values::F32 };
        let shape = looker.shape();
        let text = self.maker(&mut looker, &engine)?.text(&shape);
        let mut writer = Writer::new(&self.out, format, values, &shape, text)?;
        let began = Instant::now();
        let bad = write(&mut looker, &source, &mut writer, common)?;
        bad.iter().for_each(|image| eprintln!("warning: {image}"));
        let rows = writer.rows();
        if rows == 0 {
            let count = format::of(source.len() as u64, "image", "images");
            return Err(Failure::failed(format!("{count} given, and none could be read: nothing was written"), READABLE));
        }
        writer.finish()?;
        self.conclude(&looker, rows, began, common)?;
        if bad.is_empty() {
            return Ok(());
        }
        let count = format::of(bad.len() as u64, "image", "images");
        Err(Failure::failed(
            format!("{count} could not be read"),
            format!("{READABLE}; the others are in {}", self.out.display()),
        ))
    }

    fn source(&self) -> Result<Arc<dyn Source>> {
        let Some(path) = &self.data else { return Ok(Arc::new(Inputs::new(&self.images, !self.no_exif_rotation)?)) };
        let dataset = Reading::of_check(None, self.no_exif_rotation, None).open(Some(path))?;
        Ok(Arc::new(Both::new(&dataset)))
    }

    fn maker(&self, looker: &mut Looker, engine: &Engine) -> Result<Maker> {
        Ok(Maker {
            net: looker.net().into(),
            layer: looker.layer().into(),
            digest: looker.digest()?,
            weights: absolute(&self.weights.weights)?,
            precision: engine.precision(),
            exif: !self.no_exif_rotation,
            folder: std::env::current_dir().context(|| "the current directory".into())?,
        })
    }

    /// What was written, and what can be done with it.
    fn conclude(&self, looker: &Looker, rows: usize, began: Instant, common: &Common) -> Result<()> {
        if common.quiet {
            return Ok(());
        }
        let (shape, took) = (looker.shape(), began.elapsed());
        let sides = shape.iter().map(ToString::to_string).collect::<Vec<_>>().join(" × ");
        let bytes = fs::metadata(&self.out).context(|| self.out.display().to_string())?.len();
        let mut text = format!(
            "{}: `{}` of `{}`, {} of {sides} in {} precision, {} bytes\n{}, {} images/s\n",
            self.out.display(),
            looker.layer(),
            looker.net(),
            format::of(rows as u64, "row", "rows"),
            if self.half { "half" } else { "single" },
            format::count(bytes),
            format::duration(took),
            format::rate(rows as f64 / took.as_secs_f64()),
        );
        if Format::of(&self.out) == Some(Format::Safetensors) {
            text += &format!("\nnext:\n  alexnet similar IMAGE {}{}\n", quoted(&self.out), self.weights.about.of_features());
        }
        terminal::print(&text)
    }
}

const READABLE: &str = "give JPEG, PNG, WebP or BMP files";

/// Writes every image's row, and says how far it is; returns the images that could not be read.
fn write(looker: &mut Looker, source: &Arc<dyn Source>, writer: &mut Writer, common: &Common) -> Result<Vec<BadImage>> {
    let mut console = terminal::progress(common.quiet);
    let stop = interrupt::flag("nothing has been written")?;
    let (began, total) = (Instant::now(), source.len());
    let bad = looker.each(source, &mut |name, row| {
        if stop.load(Ordering::Relaxed) {
            return Err(Failure::interrupted());
        }
        writer.push(name, row)?;
        let done = writer.rows();
        let images_per_s = done as f64 / began.elapsed().as_secs_f64();
        console.progress(&[
            format!("features: {} of {}", format::count(done as u64), format::of(total as u64, "image", "images")),
            format!("{} images/s", format::rate(images_per_s)),
            format::left((total - done) as f64, images_per_s),
        ]);
        Ok(())
    });
    console.clear();
    bad
}
