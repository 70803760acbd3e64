//! Images mixed with each other in a batch: MixUp (Zhang, Cisse, Dauphin, Lopez-Paz, "mixup: beyond empirical risk minimization",
//! 2017) and CutMix (Yun, Han, Oh, Chun, Choe, Yoo, "CutMix: regularization strategy to train strong classifiers with localizable
//! features", 2019), as torchvision has them: one share for a batch, each image with the one before it, the first with the last.

use std::ops::Range;

use net::random::{Purpose, Stream};
use net::{Batch, Shape};
use serde::{Deserialize, Serialize};

use super::check_number;
use crate::{Preprocessing, Region, Result};

/// Every value becomes the mean of two images' values, weighted by a share λ.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub struct MixUp {
    /// λ is drawn from the distribution Beta(α, α): the smaller, the more of one image alone.
    pub alpha: f64,
}

/// A rectangle of another image is put into each.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub struct CutMix {
    /// The rectangle's share of the area, before it is clipped at the border, is 1 − λ with λ from Beta(α, α).
    pub alpha: f64,
}

/// The batch of an epoch for which random numbers are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchAddress {
    /// The run's seed.
    pub seed: u64,
    /// Epoch, from 0.
    pub epoch: u32,
    /// The batch's number within its epoch, from 0.
    pub batch: u32,
}

/// What the random numbers of a batch are for. The values belong to what a seed promises: never renumber.
#[derive(Clone, Copy)]
#[repr(u32)]
enum For {
    /// Element 0 chooses MixUp or CutMix, 1 and 2 are the rectangle's middle (column, row).
    Place = 0,
    FirstGamma = 1,
    SecondGamma = 2,
}

impl BatchAddress {
    fn stream(self, what: For) -> Stream {
        Stream::new(self.seed, Purpose::Mix, what as u32, self.epoch, self.batch)
    }

    /// A number of the distribution Beta(α, α): `X / (X + Y)` with X and Y of Gamma(α).
    pub fn beta(self, alpha: f64) -> f64 {
        let [x, y] = [For::FirstGamma, For::SecondGamma].map(|what| log_gamma_variate(self.stream(what), alpha));
        1.0 / (1.0 + libm::exp(y - x))
    }
}

/// The logarithm of a number of the distribution Gamma(α), α > 0, by rejection (Marsaglia, Tsang, "A simple method for generating
/// gamma variables", 2000). Try `t` draws from block `t`. A small α gives numbers too small for a float, but not their logarithms.
fn log_gamma_variate(stream: Stream, alpha: f64) -> f64 {
    let d = if alpha < 1.0 { alpha + 1.0 } else { alpha } - 1.0 / 3.0;
    let c = 1.0 / libm::sqrt(9.0 * d);
    let found = (0..u32::MAX / 4).find_map(|t| {
        let (x, u) = (stream.normal(4 * t), stream.uniform(4 * t + 2));
        let v = (1.0 + c * x).powi(3);
        let accepted = v > 0.0 && libm::log(u) < 0.5 * x * x + d - d * v + d * libm::log(v);
        // Gamma(α) is Gamma(α + 1) times a uniform number's α-th root.
        let root = if alpha < 1.0 { libm::log(1.0 - stream.uniform(4 * t + 3)) / alpha } else { 0.0 };
        accepted.then(|| libm::log(d * v) + root)
    });
    // Of a thousand million tries, each of which fails less than once in twenty times.
    found.unwrap_or(0.0)
}

/// The least and greatest α: beyond, images are never or always halved.
const ALPHAS: [f64; 2] = [1e-3, 1e3];

impl MixUp {
    /// Whether α is one of 0.001 to 1000.
    ///
    /// # Errors
    /// Says that it is not.
    pub fn check(&self) -> Result<()> {
        check_number("mixup alpha", self.alpha, ALPHAS[0], ALPHAS[1])
    }
}

impl CutMix {
    /// Whether α is one of 0.001 to 1000.
    ///
    /// # Errors
    /// Says that it is not.
    pub fn check(&self) -> Result<()> {
        check_number("cutmix alpha", self.alpha, ALPHAS[0], ALPHAS[1])
    }

    /// The rectangle for a share `lambda`, its middle uniform over the input.
    pub fn cut(address: BatchAddress, lambda: f64, input: Shape) -> Mix {
        let stream = address.stream(For::Place);
        let half = 0.5 * libm::sqrt(1.0 - lambda);
        let range = |element, length: usize| {
            let (middle, half) = (stream.below(element, length as u32) as usize, (half * length as f64) as usize);
            middle.saturating_sub(half)..(middle + half).min(length)
        };
        let (columns, rows) = (range(1, input.w), range(2, input.h));
        Mix::Cut(Region { x: columns.start, y: rows.start, width: columns.len(), height: rows.len() })
    }
}

/// What is done to a batch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Mix {
    /// This share of each image, the rest of the one before it.
    Up(f64),
    /// This rectangle of the image before it is put into each.
    Cut(Region),
}

/// Values of one image that are mixed at a time; the last image's are kept so long on the stack.
const PIECE: usize = 2048;

impl Mix {
    /// The choice for a batch; `None` where the preprocessing mixes nothing. Where it asks for both, a coin decides.
    pub fn draw(p: &Preprocessing, address: BatchAddress, input: Shape) -> Option<Mix> {
        let cut = |cut: CutMix| CutMix::cut(address, address.beta(cut.alpha), input);
        let up = |up: MixUp| Mix::Up(address.beta(up.alpha));
        match (p.mixup, p.cutmix) {
            (Some(_), Some(second)) if address.stream(For::Place).uniform(0) >= 0.5 => Some(cut(second)),
            (Some(first), _) => Some(up(first)),
            (None, second) => second.map(cut),
        }
    }

    /// Mixes the pixels of a batch, and notes what its images then show in the room that [`Batch::mixed`] has; without that room
    /// the batch stays as it is.
    pub fn apply(&self, batch: &mut Batch, input: Shape) {
        let n = batch.n;
        let Some(mixed) = batch.mixed.as_mut().filter(|_| n > 0) else { return };
        let share = match self {
            Mix::Up(share) => *share,
            Mix::Cut(region) => 1.0 - (region.width * region.height) as f64 / input.plane() as f64,
        };
        mixed.shares[..n].fill(share as f32);
        mixed.labels[0] = batch.labels[n - 1];
        mixed.labels[1..n].copy_from_slice(&batch.labels[..n - 1]);
        let values = &mut batch.f32_mut()[..n * input.len()];
        match *self {
            Mix::Up(share) => {
                let (own_share, rest) = (share as f32, (1.0 - share) as f32);
                each_pair(values, input.len(), 0..input.len(), |own, previous| *own = previous * rest + *own * own_share);
            }
            Mix::Cut(region) => {
                for row in (0..input.c).flat_map(|c| (region.y..region.y + region.height).map(move |y| c * input.h + y)) {
                    let begin = row * input.w + region.x;
                    each_pair(values, input.len(), begin..begin + region.width, |own, previous| *own = previous);
                }
            }
        }
    }
}

/// Shows `change` each value in `range` of every image of `size` values, together with what was there in the image before.
fn each_pair(values: &mut [f32], size: usize, range: Range<usize>, change: impl Fn(&mut f32, f32)) {
    let n = values.len() / size;
    for begin in range.clone().step_by(PIECE) {
        let length = PIECE.min(range.end - begin);
        let mut last = [0.0; PIECE];
        last[..length].copy_from_slice(&values[(n - 1) * size + begin..][..length]);
        // From the last image on, so that the one before is still as it was.
        for image in (1..n).rev() {
            let (before, own) = values.split_at_mut(image * size);
            let previous = &before[(image - 1) * size + begin..][..length];
            own[begin..][..length].iter_mut().zip(previous).for_each(|(own, previous)| change(own, *previous));
        }
        values[begin..][..length].iter_mut().zip(&last).for_each(|(own, previous)| change(own, *previous));
    }
}
