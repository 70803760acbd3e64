//! Images, where they come from, and data sets made of them.

use std::borrow::Cow;
use std::fs;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{Error, Fault, Preprocessing, Result, Statistics, decode};

/// A picture: 8-bit sRGB, three values a pixel, rows from the top.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Image {
    /// Pixels in a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// `[h, w, 3]`: red, green, blue.
    pub rgb: Vec<u8>,
}

impl Image {
    /// The image as what a source fetches, its pixels kept in `buffer`.
    pub fn keep_in(self, buffer: &mut Vec<u8>) -> Content<'_> {
        *buffer = self.rgb;
        Content::Pixels { width: self.width, height: self.height, rgb: buffer }
    }
}

/// What a source keeps of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content<'a> {
    /// The bytes of an image file.
    Encoded {
        /// The whole file.
        bytes: &'a [u8],
        /// Whether the orientation that the file states is applied.
        exif: bool,
    },
    /// Pixels, ready to be used.
    Pixels {
        /// Pixels in a row.
        width: usize,
        /// Rows.
        height: usize,
        /// `[h, w, 3]`: red, green, blue.
        rgb: &'a [u8],
    },
}

/// One split of a data set: labelled images by index.
///
/// What `fetch` gives for an index never changes during a run, whoever asks and however often.
pub trait Source: Send + Sync {
    /// Number of images.
    fn len(&self) -> usize;

    /// Whether there are no images.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The class of image `index`, an index into [`Dataset::classes`].
    fn label(&self, index: usize) -> u32;

    /// What to call image `index` in a message: a path, or `scenes/train/00017`.
    fn name(&self, index: usize) -> Cow<'_, str>;

    /// Reads or renders image `index`, undecoded. What it returns lies in the source's own memory or in `buffer`, which is
    /// overwritten and may be used again.
    ///
    /// # Errors
    /// [`crate::Error::File`] or [`crate::Error::Image`]: the image cannot be read.
    fn fetch<'a>(&'a self, index: usize, buffer: &'a mut Vec<u8>) -> Result<Content<'a>>;

    /// Says that these images will be fetched soon, in this order: a chance to have the disk read ahead.
    fn announce(&self, indices: &[u32]) {
        let _ = indices;
    }

    /// What was measured on all these images beforehand, if measuring them for `preprocessing` would find just that.
    fn measured(&self, preprocessing: &Preprocessing) -> Option<Statistics> {
        let _ = preprocessing;
        None
    }

    /// Whether images lie as the files that their names name; if not, a name's extension says nothing about what is fetched.
    fn keeps_files(&self) -> bool {
        true
    }

    /// What the user should know before these images are shown by `preprocessing`, in one sentence, if there is something.
    fn remark(&self, preprocessing: &Preprocessing) -> Option<String> {
        let _ = preprocessing;
        None
    }

    /// Fetches and decodes image `index`.
    ///
    /// # Errors
    /// [`crate::Error::File`] or [`crate::Error::Image`]: the image cannot be read or is none.
    fn read(&self, index: usize) -> Result<Image> {
        let mut buffer = Vec::new();
        let content = self.fetch(index, &mut buffer)?;
        content.decode().map_err(|source| Error::Image { name: self.name(index).into_owned(), source })
    }
}

/// An image file as what a source fetches, its bytes kept in `buffer`.
///
/// # Errors
/// [`crate::Error::File`]
pub fn fetch_file<'a>(path: &Path, exif: bool, buffer: &'a mut Vec<u8>) -> Result<Content<'a>> {
    buffer.clear();
    let read = fs::File::open(path).and_then(|mut file| file.read_to_end(buffer));
    read.map_err(|source| Error::File { name: path.display().to_string(), source })?;
    Ok(Content::Encoded { bytes: buffer, exif })
}

impl Content<'_> {
    /// How many bytes it is.
    pub fn bytes(&self) -> usize {
        match self {
            Content::Encoded { bytes, .. } => bytes.len(),
            Content::Pixels { rgb, .. } => rgb.len(),
        }
    }

    /// The picture.
    ///
    /// # Errors
    /// Where the bytes are not a whole image of a known format.
    pub fn decode(&self) -> Result<Image, Fault> {
        match *self {
            Content::Encoded { bytes, exif } => decode(bytes, exif),
            Content::Pixels { width, height, rgb } => Ok(Image { width, height, rgb: rgb.to_vec() }),
        }
    }
}

/// Classes, and images to learn from and to validate on.
#[derive(Clone)]
pub struct Dataset {
    /// A folder's name, or `scenes`.
    pub name: String,
    /// How it lies on the disk, in words: `class folders`, `CIFAR-10, binary`.
    pub layout: &'static str,
    /// Class names; a label is an index into them.
    pub classes: Vec<String>,
    /// What the classes are called in words, such as `tench, Tinca tinca` for `n01440764`; one for each class, empty where
    /// it is not known, or none at all.
    pub words: Vec<String>,
    /// Images to learn from.
    pub train: Arc<dyn Source>,
    /// Images to validate on; may be empty.
    pub val: Arc<dyn Source>,
    /// What the user should be told about how the data set was put together, one sentence each.
    pub notes: Vec<String>,
}

/// A part of a data set. The values stand in shards and in the addresses of random numbers: never renumber.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Split {
    /// Images to learn from.
    Train = 0,
    /// Images to validate on.
    Val = 1,
}

impl std::fmt::Display for Split {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Split::Train => "train",
            Split::Val => "val",
        })
    }
}

impl Dataset {
    /// The images of a part.
    pub(crate) fn split(&self, split: Split) -> &dyn Source {
        match split {
            Split::Train => &*self.train,
            Split::Val => &*self.val,
        }
    }
}

impl std::fmt::Debug for Dataset {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dataset")
            .field("name", &self.name)
            .field("layout", &self.layout)
            .field("classes", &self.classes.len())
            .field("train", &self.train.len())
            .field("val", &self.val.len())
            .field("notes", &self.notes)
            .finish()
    }
}
