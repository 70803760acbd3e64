//! Images, where they come from, and data sets made of them.

use std::borrow::Cow;
use std::sync::Arc;

use crate::Result;

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

/// One split of a data set: labelled images by index.
///
/// What `read` gives for an index never changes during a run, whoever asks and however often.
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

    /// Decodes or renders image `index`.
    ///
    /// # Errors
    /// [`crate::Error::File`] or [`crate::Error::Image`]: the image cannot be read or is none.
    fn read(&self, index: usize) -> Result<Image>;

    /// As [`Source::read`], into an image whose memory may be used again. After an error `image` holds anything.
    ///
    /// # Errors
    /// As [`Source::read`].
    fn read_into(&self, index: usize, image: &mut Image) -> Result<()> {
        *image = self.read(index)?;
        Ok(())
    }
}

/// Classes, and images to learn from and to validate on.
#[derive(Clone)]
pub struct Dataset {
    /// A folder's name, or `scenes`.
    pub name: String,
    /// Class names; a label is an index into them.
    pub classes: Vec<String>,
    /// Images to learn from.
    pub train: Arc<dyn Source>,
    /// Images to validate on; may be empty.
    pub val: Arc<dyn Source>,
    /// What the user should be told about how the data set was put together, one sentence each.
    pub notes: Vec<String>,
}

impl std::fmt::Debug for Dataset {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dataset")
            .field("name", &self.name)
            .field("classes", &self.classes.len())
            .field("train", &self.train.len())
            .field("val", &self.val.len())
            .field("notes", &self.notes)
            .finish()
    }
}
