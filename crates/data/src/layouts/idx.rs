//! IDX files as MNIST, Fashion-MNIST and their kin have them.
//!
//! A file is a magic number (two zero bytes, the type, the number of dimensions), the dimensions as big-endian 32-bit
//! numbers, and the values: bytes, here. The format: <http://yann.lecun.com/exdb/mnist/>.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flate2::read::MultiGzDecoder;

use super::names::{note_gaps, numbers};
use super::planes::{MOST_BYTES, Planes, malformed};
use super::split::split;
use super::{OpenOptions, name_of};
use crate::{Dataset, Error, Result, Source};

/// Where torchvision keeps the files below the folder that it is given, besides that folder itself.
const PLACES: [&str; 6] = ["", "raw", "MNIST/raw", "FashionMNIST/raw", "KMNIST/raw", "QMNIST/raw"];

const FASHION: [&str; 10] =
    ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"];

/// The most pixels of a side.
const MOST_SIDE: u32 = 1 << 12;

/// Opens `train-images-idx3-ubyte` and `train-labels-idx1-ubyte`, as they are or with `.gz`, and the same of `t10k` to
/// validate on. Without `t10k`, the training images are split.
///
/// # Errors
/// Where a file is missing, or its header and its length or the other file's disagree.
pub(super) fn open(path: &Path, options: &OpenOptions) -> Result<Option<Dataset>> {
    let at = |place: &&str| find(&path.join(place), "train", "images").is_some();
    let Some(place) = PLACES.iter().find(|place| at(place)) else { return Ok(None) };
    let folder = if place.is_empty() { path.to_path_buf() } else { path.join(place) };
    let mut notes = Vec::new();
    let train = read(&folder, "train")?;
    let count = train.labels.iter().max().map_or(0, |&most| most as usize + 1);
    let classes = if is_fashion(&folder) && count <= FASHION.len() { FASHION.map(String::from).to_vec() } else { numbers(count) };
    note_gaps(train.labels.iter().copied(), &classes, &mut notes);
    let (train, val): (Arc<dyn Source>, Arc<dyn Source>) = if find(&folder, "t10k", "images").is_some() {
        let val = read(&folder, "t10k")?;
        if let Some(index) = val.labels.iter().position(|&label| label as usize >= classes.len()) {
            let message = format!("image {index} has the label {}, of {} classes", val.labels[index], classes.len());
            return Err(malformed(&found(&folder, "t10k", "labels")?, message));
        }
        (Arc::new(train), Arc::new(val))
    } else {
        split(Arc::new(train), classes.len(), "file `t10k-images-idx3-ubyte`", options, &mut notes)
    };
    Ok(Some(Dataset { name: name_of(path), layout: "IDX, as MNIST", classes, words: vec![], train, val, notes }))
}

/// Whether the folder's name, or that of the folder around `raw`, has `fashion` in it.
fn is_fashion(folder: &Path) -> bool {
    let full = std::fs::canonicalize(folder).unwrap_or_else(|_| folder.into());
    let full = if full.ends_with("raw") { full.parent().unwrap_or(&full) } else { &full };
    full.file_name().is_some_and(|name| name.to_string_lossy().to_ascii_lowercase().contains("fashion"))
}

/// The file of a split's `images` or `labels`, whichever of its usual names it has.
fn find(folder: &Path, split: &str, what: &str) -> Option<PathBuf> {
    let dims = if what == "images" { 3 } else { 1 };
    let named = |mark: &str, end: &str| folder.join(format!("{split}-{what}{mark}idx{dims}-ubyte{end}"));
    ["-", "."].iter().flat_map(|mark| ["", ".gz"].map(|end| named(mark, end))).find(|path| path.is_file())
}

fn found(folder: &Path, split: &str, what: &str) -> Result<PathBuf> {
    let dims = if what == "images" { 3 } else { 1 };
    find(folder, split, what)
        .ok_or_else(|| malformed(&folder.join(format!("{split}-{what}-idx{dims}-ubyte")), "is not there, with .gz neither"))
}

fn read(folder: &Path, split: &str) -> Result<Planes> {
    let (images_path, labels_path) = (found(folder, split, "images")?, found(folder, split, "labels")?);
    let ([n, height, width], pixels) = idx(&images_path)?;
    let ([labelled], labels) = idx(&labels_path)?;
    if n != labelled {
        return Err(malformed(&labels_path, format!("{labelled} labels for {n} images")));
    }
    if n == 0 || !(1..=MOST_SIDE).contains(&height) || !(1..=MOST_SIDE).contains(&width) {
        return Err(malformed(&images_path, format!("the header claims {n} images of {width} × {height} pixels")));
    }
    let name = format!("{}/{split}", folder.display());
    let labels = labels.into_iter().map(u32::from).collect();
    Ok(Planes { name, width: width as usize, height: height as usize, channels: 1, pixels, labels })
}

/// The dimensions and the bytes of an IDX file, compressed or not. What the header claims is allocated as it comes.
fn idx<const DIMS: usize>(path: &Path) -> Result<([u32; DIMS], Vec<u8>)> {
    let fault = |source| Error::Path { path: path.into(), source };
    let file = File::open(path).map_err(fault)?;
    if path.extension().is_some_and(|e| e == "gz") {
        parse(path, MultiGzDecoder::new(std::io::BufReader::new(file)))
    } else {
        parse(path, file)
    }
}

fn parse<const DIMS: usize>(path: &Path, mut file: impl Read) -> Result<([u32; DIMS], Vec<u8>)> {
    let fault = |source: std::io::Error| malformed(path, source.to_string());
    let mut header = Vec::new();
    file.by_ref().take(4 + 4 * DIMS as u64).read_to_end(&mut header).map_err(fault)?;
    if header.len() < 4 + 4 * DIMS {
        return Err(malformed(path, format!("expected a header of {} bytes, found {} bytes", 4 + 4 * DIMS, header.len())));
    }
    let word = |i: usize| u32::from_be_bytes([0, 1, 2, 3].map(|byte| header[4 * i + byte]));
    let magic = 0x0800 | DIMS as u32;
    if word(0) != magic {
        let found = word(0);
        return Err(malformed(
            path,
            format!("expected the magic number {magic:#010x} of bytes in {DIMS}-D, found {found:#010x}"),
        ));
    }
    let dims: [u32; DIMS] = std::array::from_fn(|i| word(1 + i));
    let claimed = dims.iter().try_fold(1u64, |product, &dim| product.checked_mul(dim.into()));
    let Some(claimed) = claimed.filter(|&bytes| bytes <= MOST_BYTES) else {
        return Err(malformed(path, format!("the header claims {dims:?} values, more than {MOST_BYTES}")));
    };
    let mut values = Vec::new();
    // One byte more than claimed, so that a longer file shows, and a compressed one is checked to its end.
    file.take(claimed + 1).read_to_end(&mut values).map_err(fault)?;
    if values.len() as u64 != claimed {
        let found = if values.len() as u64 > claimed { "more".into() } else { values.len().to_string() };
        return Err(malformed(path, format!("the header claims {dims:?} values, {claimed} bytes; there are {found}")));
    }
    values.shrink_to_fit();
    Ok((dims, values))
}
