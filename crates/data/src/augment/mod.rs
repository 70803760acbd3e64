//! What training does to images beyond the paper's crop, reflection and colour noise.
//!
//! Each is torchvision's of the same name (transforms.v2 0.29) and absent unless [`crate::Preprocessing`] asks for it. They
//! come in the order of torchvision's recipes: [`RandomResizedCrop`], reflection, [`RandAugment`], [`ColourJitter`]; then the
//! paper's colour noise and the normalisation; then [`Erasing`]; and of a whole batch [`MixUp`] or
//! [`CutMix`].
//!
//! Random numbers are addressed by seed, epoch and image (or batch), each kind with a stream of its own, so that one being switched on
//! or off changes none of another's.

mod affine;
pub mod colour;
mod colour_jitter;
mod erasing;
mod mix;
mod rand_augment;
mod resized_crop;

use net::Shape;
use net::random::{Purpose, Stream};

pub use colour_jitter::ColourJitter;
pub use erasing::{Erasing, Value};
pub use mix::{BatchAddress, CutMix, Mix, MixUp};
pub use rand_augment::{MOST_MAGNITUDE, Op, RandAugment};
pub use resized_crop::RandomResizedCrop;
pub(crate) use resized_crop::cut;

use crate::{Preprocessing, Result};

/// The image of an epoch for which random numbers are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Address {
    /// The run's seed.
    pub seed: u64,
    /// Epoch, from 0.
    pub epoch: u32,
    /// The source's index.
    pub image: u32,
}

/// What the random numbers of an address are for. The values belong to what a seed promises: never renumber.
#[derive(Debug, Clone, Copy)]
#[repr(u32)]
enum For {
    ResizedCrop = 0,
    ColourJitter = 1,
    RandAugment = 2,
    Erasing = 3,
    ErasingNoise = 4,
}

impl Address {
    fn stream(self, what: For) -> Stream {
        Stream::new(self.seed, Purpose::Augment, what as u32, self.epoch, self.image)
    }
}

/// Changes the pixels `[h, w, 3]` of a training crop, which will be reflected where `flip` says so, as the preprocessing asks.
/// `memory` is overwritten.
pub(crate) fn change(p: &Preprocessing, address: Address, flip: bool, rgb: &mut [u8], width: usize, memory: &mut Vec<u8>) {
    if let Some(augment) = &p.rand_augment {
        // What leans or shifts goes the other way in a reflected image, and reflection comes first.
        let reflect = |rgb: &mut [u8]| {
            if flip {
                rgb.as_chunks_mut::<3>().0.chunks_exact_mut(width).for_each(<[_]>::reverse);
            }
        };
        reflect(rgb);
        augment.apply(address, rgb, width, memory);
        reflect(rgb);
    }
    if let Some(jitter) = &p.colour_jitter {
        jitter.apply(address, rgb);
    }
}

/// Changes a training image `[c, h, w]` that is ready but for this, as the preprocessing asks.
pub(crate) fn erase(p: &Preprocessing, address: Address, input: Shape, values: &mut [f32]) {
    if let Some(erasing) = &p.erasing {
        erasing.apply(address, input, values);
    }
}

/// The value a share `u` of the way from the first to the second.
fn between([from, to]: [f64; 2], u: f64) -> f64 {
    from + (to - from) * u
}

/// Whether `range` goes upwards between two bounds.
fn check_range(what: &str, [from, to]: [f64; 2], least: f64, most: f64) -> Result<()> {
    // Written so that a NaN does not pass.
    if least <= from && from <= to && to <= most {
        return Ok(());
    }
    Err(crate::Error::Preprocessing(format!("{what} = [{from}, {to}] does not go upwards between {least} and {most}")))
}

/// Whether a number lies between two bounds.
fn check_number(what: &str, value: f64, least: f64, most: f64) -> Result<()> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    Err(crate::Error::Preprocessing(format!("{what} = {value} is not in {least}..={most}")))
}
