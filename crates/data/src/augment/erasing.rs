//! A rectangle of the net's input that shows nothing (Zhong, Zheng, Kang, Li, Yang, "Random erasing data augmentation", 2017; as
//! torchvision's `RandomErasing`).

use net::Shape;
use serde::{Deserialize, Serialize};

use super::{Address, For, between, check_number, check_range};
use crate::{Region, Result};

/// How often, how large, of which proportions, and what remains.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "snake_case")]
pub struct Erasing {
    /// The share of images in which a rectangle is looked for.
    pub probability: f64,
    /// The least and greatest share of the input's area, uniform in between.
    pub scale: [f64; 2],
    /// The least and greatest height for a width of 1; its logarithm is uniform in between.
    pub ratio: [f64; 2],
    /// What the rectangle shows.
    pub value: Value,
}

/// What an erased rectangle shows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Value {
    /// 0, which is the mean after normalisation.
    #[default]
    Zero,
    /// A standard normal number for each value: noise as strong as the image where the input is divided by its deviation.
    Noise,
}

impl Default for Erasing {
    fn default() -> Erasing {
        Erasing { probability: 0.5, scale: [0.02, 0.33], ratio: [0.3, 3.3], value: Value::Zero }
    }
}

/// How many rectangles are drawn before the image is left whole.
const TRIES: u32 = 10;

/// Ratios beyond this have no use.
const MOST_RATIO: f64 = 1e6;

impl Erasing {
    /// Whether the probability is one and both ranges go upwards and lie where areas and proportions can.
    ///
    /// # Errors
    /// Names the number that does not.
    pub fn check(&self) -> Result<()> {
        check_number("erasing probability", self.probability, 0.0, 1.0)?;
        check_range("erasing scale", self.scale, 0.0, 1.0)?;
        check_range("erasing ratio", self.ratio, 1.0 / MOST_RATIO, MOST_RATIO)
    }

    /// The rectangle of an input of `width × height`, which may be empty; `None` where nothing is erased.
    ///
    /// Element 0 is the coin. Try `t` draws the area from element `4(t + 1)`, the proportions from the next, and the place, where
    /// the rectangle is narrower and less tall than the input, from the two behind (row, column).
    pub fn region(&self, address: Address, width: usize, height: usize) -> Option<Region> {
        let stream = address.stream(For::Erasing);
        if stream.uniform(0) >= self.probability {
            return None;
        }
        let area = width as f64 * height as f64;
        let logs = self.ratio.map(libm::log);
        (1..=TRIES).find_map(|t| {
            let area = area * between(self.scale, stream.uniform(4 * t));
            let ratio = libm::exp(between(logs, stream.uniform(4 * t + 1)));
            let side = |square: f64| libm::sqrt(square).round_ties_even() as usize;
            let (h, w) = (side(area * ratio), side(area / ratio));
            (h < height && w < width).then(|| {
                let y = stream.below(4 * t + 2, (height - h) as u32 + 1) as usize;
                let x = stream.below(4 * t + 3, (width - w) as u32 + 1) as usize;
                Region { x, y, width: w, height: h }
            })
        })
    }

    /// Erases from the net's input `[c, h, w]`. Noise is a stream's normals one after the other, `[c, region.height, region.width]`.
    pub(super) fn apply(&self, address: Address, input: Shape, values: &mut [f32]) {
        let Some(Region { x, y, width, height }) = self.region(address, input.w, input.h) else { return };
        let rows = values.chunks_exact_mut(input.plane()).flat_map(|plane| plane.chunks_exact_mut(input.w).skip(y).take(height));
        let erased = rows.flat_map(|row| &mut row[x..x + width]);
        if self.value == Value::Zero {
            return erased.for_each(|value| *value = 0.0);
        }
        let (stream, mut four) = (address.stream(For::ErasingNoise), [0.0; 4]);
        for (element, value) in erased.enumerate() {
            if element % 4 == 0 {
                four = stream.normal_block((element / 4) as u32);
            }
            *value = four[element % 4] as f32;
        }
    }
}
