//! Data sets as they lie on a disk: a file a layout.

use std::fs;
use std::io::Read;
use std::path::Path;

use crate::{Dataset, Error, Result};

mod cifar;
pub(crate) mod devkit;
mod files;
pub(crate) mod folders;
mod idx;
mod ilsvrc;
mod lists;
mod names;
pub(crate) mod pack;
mod parquet;
mod planes;
mod recognise;
mod split;
mod tiny_imagenet;
mod webdataset;
mod words;

use recognise::{listing, other_file};

/// Which class has which label.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LabelOrder {
    /// By the bytes of the classes' names, as torchvision and Caffe have it.
    #[default]
    Sorted,
    /// By the ids of the development kit: `ILSVRC2012_ID − 1`, or `ILSVRC2010_ID − 1`.
    Devkit,
}

impl std::fmt::Display for LabelOrder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            LabelOrder::Sorted => "sorted",
            LabelOrder::Devkit => "devkit",
        })
    }
}

impl std::str::FromStr for LabelOrder {
    type Err = String;

    fn from_str(name: &str) -> Result<LabelOrder, String> {
        match name {
            "sorted" => Ok(LabelOrder::Sorted),
            "devkit" => Ok(LabelOrder::Devkit),
            _ => Err(format!("`{name}` is no order of labels; known are sorted and devkit")),
        }
    }
}

/// How a data set is opened.
#[derive(Debug, Clone, PartialEq)]
pub struct OpenOptions {
    /// Decides which images of a set without validation images are for validation.
    pub seed: u64,
    /// The share of such a set's images that is for validation, class by class; in `[0, 1)`.
    pub val_fraction: f64,
    /// Whether the orientation that a file states is applied.
    pub exif: bool,
    /// Which class has which label; decides neither which images there are nor their order.
    pub label_order: LabelOrder,
}

impl Default for OpenOptions {
    fn default() -> OpenOptions {
        OpenOptions { seed: 0, val_fraction: 0.1, exif: true, label_order: LabelOrder::Sorted }
    }
}

/// A way in which data sets lie on a disk.
struct Layout {
    /// How it is recognised, for people: `DIR/train/CLASS/* with DIR/val/CLASS/*`.
    form: &'static str,
    /// Opens what lies at a path; `None` where that is not of this layout, an error where it is and is faulty.
    open: fn(&Path, &OpenOptions) -> Result<Option<Dataset>>,
}

/// Tried in this order, the most specific first. Class folders come last: what they make of a folder that is no data set is
/// the error that is shown.
const LAYOUTS: &[Layout] = &[
    Layout { form: "DIR/pack.json with DIR/*.shard: a pack", open: pack::open },
    Layout {
        form: "DIR/data_batch_1.bin or DIR/train.bin, and others: CIFAR-10 and CIFAR-100, the binary version",
        open: cifar::open,
    },
    Layout { form: "DIR/train-images-idx3-ubyte(.gz) and others: MNIST and its kin", open: idx::open },
    Layout { form: "DIR/wnids.txt with DIR/train/WNID/images/*: Tiny ImageNet", open: tiny_imagenet::open },
    Layout { form: "DIR(/data)/train-*.parquet or FILE.parquet: Parquet of the Hugging Face Hub", open: parquet::open },
    Layout {
        form: "DIR/ILSVRC2012_img_train.tar with DIR/ILSVRC2012_img_val.tar and DIR/ILSVRC2012_devkit_t12.tar.gz, each as it is or \
               unpacked: ImageNet of 2012, or of 2010",
        open: ilsvrc::open,
    },
    Layout {
        form: "DIR/*.tar, or DIR/train/*.tar with DIR/val/*.tar, of KEY.jpg with KEY.cls or KEY.json: WebDataset shards",
        open: webdataset::open,
    },
    Layout { form: "DIR/train.txt with DIR/val.txt, or LIST.txt, of lines `path label`: Caffe's lists", open: lists::open },
    Layout { form: "DIR/train/CLASS/* with DIR/val/CLASS/*, or DIR/CLASS/*: class folders", open: folders::open },
];

/// Opens the data set at `path`, whichever of the known layouts it has.
///
/// # Errors
/// Where the path is of no known layout, or of one and faulty.
pub fn open(path: &Path, options: &OpenOptions) -> Result<Dataset> {
    if !(0.0..1.0).contains(&options.val_fraction) {
        return Err(Error::Split(options.val_fraction));
    }
    let mut dataset = open_any(path, options)?;
    words::fill(path, &mut dataset)?;
    Ok(dataset)
}

fn open_any(path: &Path, options: &OpenOptions) -> Result<Dataset> {
    if options.label_order == LabelOrder::Sorted
        && let Some(dataset) = webdataset::open_pattern(path, options)?
    {
        return Ok(dataset);
    }
    fs::metadata(path).map_err(|source| Error::Path { path: path.into(), source })?;
    if options.label_order == LabelOrder::Devkit {
        // Only this layout has one.
        return ilsvrc::open(path, options)?.ok_or_else(|| devkit::lacking(path, "labels in the order of the devkit need"));
    }
    for layout in LAYOUTS {
        if let Some(dataset) = (layout.open)(path, options)? {
            return Ok(dataset);
        }
    }
    Err(other_file(path))
}

/// The forms of all layouts, one a line, the most general first.
pub(crate) fn forms() -> String {
    LAYOUTS.iter().rev().map(|layout| format!("\n  {}", layout.form)).collect()
}

/// What to call a data set at `path`: its last part.
pub(crate) fn name_of(path: &Path) -> String {
    let name = fs::canonicalize(path).ok().and_then(|p| Some(p.file_name()?.to_string_lossy().into_owned()));
    name.unwrap_or_else(|| path.display().to_string())
}

/// The text of a file that describes a data set.
///
/// # Errors
/// Where it cannot be read, is longer than any such file, or is no UTF-8.
fn read_text(path: &Path) -> Result<String> {
    const LONGEST: u64 = 64 << 20;
    let mut bytes = Vec::new();
    let read = fs::File::open(path).and_then(|file| file.take(LONGEST + 1).read_to_end(&mut bytes));
    read.map_err(|source| Error::Path { path: path.into(), source })?;
    let wrong = |message: String| Error::Description { path: path.into(), message };
    if bytes.len() as u64 > LONGEST {
        return Err(wrong(format!("it is longer than {LONGEST} bytes")));
    }
    String::from_utf8(bytes).map_err(|error| wrong(format!("it is not UTF-8 from byte {} on", error.utf8_error().valid_up_to())))
}
