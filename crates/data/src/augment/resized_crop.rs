//! A crop of random area and proportions, stretched to the net's input (Szegedy et al., "Going deeper with convolutions",
//! 2014, section 6; the numbers are those of torchvision's `RandomResizedCrop`).

use serde::{Deserialize, Serialize};

use super::{Address, For, between, check_range};
use crate::{Part, Region, Result};

/// How large crops are, and of which proportions.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "snake_case")]
pub struct RandomResizedCrop {
    /// The least and greatest share of the image's area, uniform in between.
    pub scale: [f64; 2],
    /// The least and greatest width for a height of 1; its logarithm is uniform in between.
    pub ratio: [f64; 2],
}

impl Default for RandomResizedCrop {
    fn default() -> RandomResizedCrop {
        RandomResizedCrop { scale: [0.08, 1.0], ratio: [3.0 / 4.0, 4.0 / 3.0] }
    }
}

/// How many boxes are drawn before the central one is taken.
const TRIES: u32 = 10;

/// Sides and ratios beyond this have no use.
const MOST_RATIO: f64 = 1e6;

impl RandomResizedCrop {
    /// Whether both ranges go upwards and lie where areas and proportions can.
    ///
    /// # Errors
    /// Names the range that does not.
    pub fn check(&self) -> Result<()> {
        check_range("random_resized_crop scale", self.scale, 0.0, 1.0)?;
        check_range("random_resized_crop ratio", self.ratio, 1.0 / MOST_RATIO, MOST_RATIO)
    }

    /// The crop of an image of `(width, height)`, both at least 1, in its own pixels: never empty, never outside.
    ///
    /// Try `t` draws the area from element `4t`, the proportions from `4t + 1`, and the place, where a box of this size fits,
    /// from `4t + 2` (rows) and `4t + 3` (columns). After ten tries it is the central box of the nearest proportions.
    pub fn region(&self, address: Address, (width, height): (usize, usize)) -> Region {
        let stream = address.stream(For::ResizedCrop);
        let area = width as f64 * height as f64;
        let logs = self.ratio.map(libm::log);
        for t in 0..TRIES {
            let area = area * between(self.scale, stream.uniform(4 * t));
            let ratio = libm::exp(between(logs, stream.uniform(4 * t + 1)));
            let (w, h) = (rounded(libm::sqrt(area * ratio)), rounded(libm::sqrt(area / ratio)));
            if (1..=width).contains(&w) && (1..=height).contains(&h) {
                let y = stream.below(4 * t + 2, (height - h) as u32 + 1) as usize;
                let x = stream.below(4 * t + 3, (width - w) as u32 + 1) as usize;
                return Region { x, y, width: w, height: h };
            }
        }
        self.central(width, height)
    }

    fn central(&self, width: usize, height: usize) -> Region {
        let [narrow, broad] = self.ratio;
        let ratio = width as f64 / height as f64;
        let (w, h) = if ratio < narrow {
            (width, rounded(width as f64 / narrow).clamp(1, height))
        } else if ratio > broad {
            (rounded(height as f64 * broad).clamp(1, width), height)
        } else {
            (width, height)
        };
        Region { x: (width - w) / 2, y: (height - h) / 2, width: w, height: h }
    }
}

/// To the nearest integer, the even one where two are as near. Casts saturate.
fn rounded(x: f64) -> usize {
    x.round_ties_even() as usize
}

/// `region` of `image` as an image of its own, copied into `out`.
///
/// Filters must not see what lies outside of the crop, so it has to be cut before it is resized.
pub(crate) fn cut<'a>(image: Part<'a>, region: Region, out: &'a mut Vec<u8>) -> Part<'a> {
    if image.region == region {
        return Part { width: region.width, height: region.height, region: Region::whole(region.width, region.height), ..image };
    }
    let (held, row) = (image.region, 3 * region.width);
    out.clear();
    out.reserve(row * region.height);
    for y in region.y..region.y + region.height {
        out.extend_from_slice(&image.rgb[3 * ((y - held.y) * held.width + region.x - held.x)..][..row]);
    }
    let Region { width, height, .. } = region;
    Part { width, height, region: Region::whole(width, height), rgb: out }
}
