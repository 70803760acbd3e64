//! How an image becomes the numbers that a net sees.

use net::Shape;
use serde::{Deserialize, Serialize};

use crate::augment::{ColourJitter, CutMix, Erasing, MixUp, RandAugment, RandomResizedCrop};
use crate::{Error, Fault, Filter, Region, Result};

/// Everything between a decoded image and the input of a net.
///
/// An image is brought to the stored square, a crop of the net's input size is taken from it (at a random place in
/// training, in the centre in testing), and a value `v` of 0 to 255 becomes `(v − mean + noise) / std`, divided by
/// `1 + coefficient` where the noise says so. What else training may do to it is in [`crate::augment`].
///
/// The default is the paper's: shorter side to 256, central 256 × 256, random crop and reflection for each image, mean image at
/// the centre crop, colour noise throughout.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "snake_case")]
pub struct Preprocessing {
    /// Side of the stored square, in pixels.
    pub stored: usize,
    /// How an image is brought to the stored square.
    pub fit: Fit,
    /// The resampling filter.
    pub filter: Filter,
    /// Whether training crops lie at random places; if not, in the centre.
    pub random_crop: bool,
    /// Whether training images are reflected with probability one half.
    pub flip: bool,
    /// How many consecutive images of the visiting order share crop and reflection: 1, or 32 as in 2012.
    pub crop_group: usize,
    /// What is subtracted.
    pub mean: Mean,
    /// What is divided by.
    pub std: Std,
    /// Which channels, in which order.
    pub channels: Channels,
    /// Colour noise in training; none if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub colour_noise: Option<ColourNoise>,
    /// When the order of the images changes.
    pub order: Order,
    /// Training crops of random size and proportions, of the whole image and instead of those that `fit` and `random_crop` give;
    /// none if absent. Testing crops stay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub random_resized_crop: Option<RandomResizedCrop>,
    /// Training images are changed by a few operations chosen by chance; none if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rand_augment: Option<RandAugment>,
    /// Brightness, contrast, saturation and hue of training images stray; not if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub colour_jitter: Option<ColourJitter>,
    /// A rectangle of the net's input shows nothing in training; none if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub erasing: Option<Erasing>,
    /// The images of a training batch are averaged with each other, and their labels; not if absent. With [`CutMix`] beside it, a
    /// coin decides for each batch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mixup: Option<MixUp>,
    /// Each image of a training batch gets a rectangle of another, and a share of its label; not if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cutmix: Option<CutMix>,
}

/// How an image is brought to the stored square.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fit {
    /// The shorter side becomes `stored`, the longer one in proportion, rounded to the nearest pixel (half up); then the
    /// central square.
    #[default]
    Crop,
    /// Both sides become `stored`, whatever the proportions (Caffe).
    Warp,
    /// As `crop`, but training crops roam along the whole longer side (cuda-convnet2 without `CROP_TO_SQUARE`).
    ShorterSide,
    /// The image must be `stored × stored` already.
    AsIs,
}

/// What is subtracted from a pixel, on the scale of 0 to 255.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mean {
    /// Nothing.
    None,
    /// The central crop of the training set's mean image, whatever the crop's place, after reflection (cuda-convnet).
    #[default]
    Image,
    /// The mean image at the crop's own place, reflected with it (Caffe).
    ImageAtCrop,
    /// The training set's mean of each channel.
    Channels,
    /// These values for red, green and blue; for grey their luma.
    Values([f32; 3]),
}

/// What the difference is divided by, on the scale of 0 to 255.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Std {
    /// Nothing.
    #[default]
    None,
    /// The training set's standard deviation of each channel.
    Channels,
    /// These values for red, green and blue; grey takes the green one.
    Values([f32; 3]),
}

/// Which channels the net sees.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Channels {
    /// Red, green, blue.
    #[default]
    Rgb,
    /// Blue, green, red (Caffe).
    Bgr,
    /// Luma, `(19595 R + 38470 G + 7471 B + 32768) >> 16`, as Pillow's `convert("L")`.
    Grey,
}

/// Noise along the principal components of the training set's colours (alexnet.md 2.4).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "snake_case")]
pub struct ColourNoise {
    /// Standard deviation along each component, in standard deviations of the colours along it.
    pub coefficient: f32,
    /// Whether the noisy image is divided by `1 + coefficient`, as in 2012.
    pub divide: bool,
    /// The first epoch (from 0) without noise and division; never if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until_epoch: Option<u32>,
}

/// When the order of the images changes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// A new order in each epoch.
    #[default]
    EachEpoch,
    /// One order for all epochs (cuda-convnet, Caffe).
    Once,
}

impl Default for ColourNoise {
    fn default() -> ColourNoise {
        ColourNoise { coefficient: 0.1, divide: false, until_epoch: None }
    }
}

impl Default for Preprocessing {
    fn default() -> Preprocessing {
        Preprocessing {
            stored: 256,
            fit: Fit::default(),
            filter: Filter::default(),
            random_crop: true,
            flip: true,
            crop_group: 1,
            mean: Mean::default(),
            std: Std::default(),
            channels: Channels::default(),
            colour_noise: Some(ColourNoise::default()),
            order: Order::default(),
            random_resized_crop: None,
            rand_augment: None,
            colour_jitter: None,
            erasing: None,
            mixup: None,
            cutmix: None,
        }
    }
}

/// The largest stored side: beyond any use, far from overflow.
const MOST_STORED: usize = 1 << 14;

impl Preprocessing {
    /// Whether this preprocessing can feed a net of shape `input`.
    ///
    /// # Errors
    /// Says which two settings contradict each other.
    pub fn check(&self, input: Shape) -> Result<()> {
        let fault = |message: String| Err(Error::Preprocessing(message));
        if self.stored == 0 || self.stored > MOST_STORED {
            return fault(format!("stored = {} is not in 1..={MOST_STORED}", self.stored));
        }
        if input.h > self.stored || input.w > self.stored {
            return fault(format!("a net input of {input} does not fit into stored = {0} ({0} × {0} pixels)", self.stored));
        }
        if input.c != self.planes() {
            return fault(format!("channels = {:?} gives {} maps, the net takes {input}", self.channels, self.planes()));
        }
        if self.crop_group == 0 {
            return fault("crop_group is at least 1".into());
        }
        if self.fit == Fit::ShorterSide && self.mean == Mean::ImageAtCrop {
            return fault("fit = shorter_side has no mean image at the crop's own place".into());
        }
        if let Mean::Values(values) = self.mean
            && !values.iter().all(|v| v.is_finite())
        {
            return fault(format!("mean values {values:?} are not finite"));
        }
        if let Std::Values(values) = self.std
            && !values.iter().all(|v| v.is_finite() && *v > 0.0)
        {
            return fault(format!("std values {values:?} are not above 0"));
        }
        self.check_augment()?;
        match self.colour_noise {
            Some(_) if self.channels == Channels::Grey => fault("colour_noise needs colours, channels are grey".into()),
            Some(noise) if !(noise.coefficient.is_finite() && noise.coefficient >= 0.0) => {
                fault(format!("colour_noise coefficient {} is negative or not finite", noise.coefficient))
            }
            _ => Ok(()),
        }
    }

    /// Whether what training does to images can be done, and all of it together.
    fn check_augment(&self) -> Result<()> {
        let fault = |message: &str| Err(Error::Preprocessing(message.into()));
        if let Some(crop) = &self.random_resized_crop {
            crop.check()?;
            if self.crop_group != 1 {
                return fault("random_resized_crop draws a crop for each image, so crop_group must be 1");
            }
            if self.mean == Mean::ImageAtCrop {
                return fault("random_resized_crop has no mean image at the crop's own place");
            }
        }
        self.rand_augment.map_or(Ok(()), |augment| augment.check())?;
        self.colour_jitter.map_or(Ok(()), |jitter| jitter.check())?;
        self.erasing.map_or(Ok(()), |erasing| erasing.check())?;
        self.mixup.map_or(Ok(()), |mixup| mixup.check())?;
        self.cutmix.map_or(Ok(()), |cutmix| cutmix.check())
    }

    /// Maps of the net's input: 1 for grey, else 3.
    pub fn planes(&self) -> usize {
        if self.channels == Channels::Grey { 1 } else { 3 }
    }

    /// The colour noise of an epoch.
    pub(crate) fn noise_at(&self, epoch: u32) -> Option<ColourNoise> {
        self.colour_noise.filter(|noise| noise.until_epoch.is_none_or(|end| epoch < end))
    }

    /// Whether anything of [`crate::Statistics`] is used.
    pub fn needs_statistics(&self) -> bool {
        !matches!(self.mean, Mean::None | Mean::Values(_)) || self.std == Std::Channels || self.colour_noise.is_some()
    }

    /// This preprocessing as far as weights depend on it (stored size, fit, filter, mean, standard deviation and channels), with
    /// all that only training does to images as in `other`: how trained weights are trained on.
    pub fn augmented_as(&self, other: &Preprocessing) -> Preprocessing {
        let Preprocessing { stored, fit, filter, mean, std, channels, .. } = *self;
        Preprocessing { stored, fit, filter, mean, std, channels, ..other.clone() }
    }

    /// Whether the images of training batches are mixed with each other.
    pub fn mixes(&self) -> bool {
        self.mixup.is_some() || self.cutmix.is_some()
    }

    /// The same, but that no images are mixed with each other: for batches whose labels are to be learnt by heart.
    pub fn unmixed(self) -> Preprocessing {
        Preprocessing { mixup: None, cutmix: None, ..self }
    }

    /// Whether nothing outside of an image's stored square is ever shown.
    pub(crate) fn shows_only_squares(&self) -> bool {
        match self.fit {
            Fit::ShorterSide => false,
            Fit::AsIs => true,
            Fit::Crop | Fit::Warp => self.random_resized_crop.is_none(),
        }
    }

    /// Where the stored square of an image of `width × height` lies.
    ///
    /// # Errors
    /// [`Fault::Size`] for [`Fit::AsIs`] and an image of another size.
    pub(crate) fn place(&self, width: usize, height: usize) -> Result<Placement, Fault> {
        let side = self.stored;
        let (width, height) = match self.fit {
            Fit::AsIs if (width, height) != (side, side) => return Err(Fault::Size { width, height, side }),
            Fit::Warp | Fit::AsIs => (side, side),
            Fit::Crop | Fit::ShorterSide => {
                let shorter = width.min(height);
                let scaled = |length: usize| (2 * side * length + shorter) / (2 * shorter);
                (scaled(width), scaled(height))
            }
        };
        let origin = ((height - side) / 2, (width - side) / 2);
        Ok(Placement { width, height, origin, free: self.fit == Fit::ShorterSide })
    }
}

/// The size that an image is resized to, and the stored square within it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Placement {
    /// Columns after resizing.
    pub(crate) width: usize,
    /// Rows after resizing.
    pub(crate) height: usize,
    /// The square's top left corner, (y, x).
    pub(crate) origin: (usize, usize),
    /// Whether training crops may leave the square.
    pub(crate) free: bool,
}

impl Placement {
    /// The stored square.
    pub(crate) fn square(&self, side: usize) -> Region {
        Region { y: self.origin.0, x: self.origin.1, height: side, width: side }
    }
    /// Where training crops may lie: top left corner (y, x), rows, columns.
    pub(crate) fn roams(&self, side: usize) -> ((usize, usize), usize, usize) {
        if self.free { ((0, 0), self.height, self.width) } else { (self.origin, side, side) }
    }
}
