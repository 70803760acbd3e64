//! A few of fourteen operations, chosen by chance, at one magnitude for all (Cubuk, Zoph, Shlens, Le, "RandAugment: practical
//! automated data augmentation with a reduced search space", 2019; operations and magnitudes are torchvision's).

use serde::{Deserialize, Serialize};

use super::affine::{inverse, warp};
use super::{Address, For, colour};
use crate::{Error, Result};

/// How many operations, and how strong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "snake_case")]
pub struct RandAugment {
    /// Operations one after the other, each drawn from all fourteen.
    pub ops: u32,
    /// The strength of those that have one, `0..=30`.
    pub magnitude: u32,
}

impl Default for RandAugment {
    fn default() -> RandAugment {
        RandAugment { ops: 2, magnitude: 9 }
    }
}

/// The highest magnitude.
pub const MOST_MAGNITUDE: u32 = 30;

/// More operations leave nothing to see.
const MOST_OPS: u32 = 14;

/// What may be done to an image. Signed operations go one way or the other by a coin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Op {
    /// Nothing.
    Identity,
    /// Rows are shifted by up to 0.3 of their distance from the first one; signed.
    ShearX,
    /// Columns are shifted by up to 0.3 of their distance from the first one; signed.
    ShearY,
    /// Shifts across by up to 150/331 of the width; signed.
    TranslateX,
    /// Shifts down by up to 150/331 of the height; signed.
    TranslateY,
    /// Turns by up to 30 degrees; signed.
    Rotate,
    /// [`colour::brightness`] by up to 1 ± 0.9; signed.
    Brightness,
    /// [`colour::saturation`] by up to 1 ± 0.9; signed.
    Color,
    /// [`colour::contrast`] by up to 1 ± 0.9; signed.
    Contrast,
    /// [`colour::sharpness`] by up to 1 ± 0.9; signed.
    Sharpness,
    /// [`colour::posterize`] to 8 bits, down to 4.
    Posterize,
    /// [`colour::solarize`] from 255 on, down to 0.
    Solarize,
    /// [`colour::autocontrast`].
    AutoContrast,
    /// [`colour::equalize`].
    Equalize,
}

impl Op {
    /// All, in torchvision's order.
    pub const ALL: [Op; 14] = [
        Op::Identity,
        Op::ShearX,
        Op::ShearY,
        Op::TranslateX,
        Op::TranslateY,
        Op::Rotate,
        Op::Brightness,
        Op::Color,
        Op::Contrast,
        Op::Sharpness,
        Op::Posterize,
        Op::Solarize,
        Op::AutoContrast,
        Op::Equalize,
    ];

    /// Applies it to pixels `[h, w, 3]` at a magnitude of `0..=30`, the other way where `negative` and it has two ways.
    /// `memory` is overwritten.
    pub fn apply(self, magnitude: u32, negative: bool, rgb: &mut [u8], width: usize, memory: &mut Vec<u8>) {
        let height = (rgb.len() / 3).checked_div(width).unwrap_or(0);
        let step = |from, to| strength(from, to, magnitude);
        let signed = |x: f64| if negative { -x } else { x };
        let factor = || 1.0 + signed(step(0.0, 0.9));
        // To the left upper corner, in pixels from the middle: shears keep it where it is.
        let corner = [-0.5 * width as f64, -0.5 * height as f64];
        // By way of degrees, whose roundings are torchvision's.
        let shear = || libm::atan(signed(step(0.0, 0.3))).to_degrees().to_radians();
        let shift = |length: usize| signed(step(0.0, (150.0 / 331.0 * length as f64) as f32)).trunc();
        let mut warp = |inverse| warp(rgb, width, inverse, memory);
        match self {
            Op::Identity => {}
            Op::ShearX => warp(inverse(corner, 0.0, [0.0; 2], [shear(), 0.0])),
            Op::ShearY => warp(inverse(corner, 0.0, [0.0; 2], [0.0, shear()])),
            Op::TranslateX => warp(inverse([0.0; 2], 0.0, [shift(width), 0.0], [0.0; 2])),
            Op::TranslateY => warp(inverse([0.0; 2], 0.0, [0.0, shift(height)], [0.0; 2])),
            Op::Rotate => {
                // torchvision turns by an angle in [0, 360), and the other way round in these coordinates.
                let degrees = signed(step(0.0, 30.0)).rem_euclid(360.0);
                if degrees != 0.0 {
                    warp(inverse([0.0; 2], (-degrees).to_radians(), [0.0; 2], [0.0; 2]));
                }
            }
            Op::Brightness => colour::brightness(rgb, factor()),
            Op::Color => colour::saturation(rgb, factor()),
            Op::Contrast => colour::contrast(rgb, factor()),
            Op::Sharpness => colour::sharpness(rgb, width, factor(), memory),
            Op::Posterize => colour::posterize(rgb, 8 - (f64::from(magnitude) / 7.5).round_ties_even() as u32),
            Op::Solarize => colour::solarize(rgb, 255.0 * step(1.0, 0.0)),
            Op::AutoContrast => colour::autocontrast(rgb),
            Op::Equalize => colour::equalize(rgb),
        }
    }
}

/// The value at `magnitude` of 31 that lie evenly from `from` to `to`: PyTorch's `linspace` in f32, which counts from the nearer
/// end and rounds once.
fn strength(from: f32, to: f32, magnitude: u32) -> f64 {
    let step = f64::from((to - from) / MOST_MAGNITUDE as f32);
    let magnitude = magnitude.min(MOST_MAGNITUDE);
    let near = magnitude < MOST_MAGNITUDE / 2;
    let exact = if near {
        f64::from(from) + step * f64::from(magnitude)
    } else {
        f64::from(to) - step * f64::from(MOST_MAGNITUDE - magnitude)
    };
    f64::from(exact as f32)
}

impl RandAugment {
    /// Whether the numbers lie where they can.
    ///
    /// # Errors
    /// Names the one that does not.
    pub fn check(&self) -> Result<()> {
        let fault = |message| Err(Error::Preprocessing(message));
        if self.magnitude > MOST_MAGNITUDE {
            return fault(format!("rand_augment magnitude = {} is not in 0..={MOST_MAGNITUDE}", self.magnitude));
        }
        if self.ops > MOST_OPS {
            return fault(format!("rand_augment ops = {} is not in 0..={MOST_OPS}", self.ops));
        }
        Ok(())
    }

    /// The operations for an image, and whether each goes the other way: operation `i` is drawn by element `4i`, its sign by
    /// `4i + 1`.
    pub fn choices(&self, address: Address) -> impl Iterator<Item = (Op, bool)> {
        let stream = address.stream(For::RandAugment);
        (0..self.ops).map(move |i| (Op::ALL[stream.below(4 * i, 14) as usize], stream.uniform(4 * i + 1) <= 0.5))
    }

    /// Changes the pixels `[h, w, 3]`; `memory` is overwritten.
    pub fn apply(&self, address: Address, rgb: &mut [u8], width: usize, memory: &mut Vec<u8>) {
        for (op, negative) in self.choices(address) {
            op.apply(self.magnitude, negative, rgb, width, memory);
        }
    }
}
