//! Brightness, contrast, saturation and hue by chance (Howard, "Some improvements on deep convolutional neural network based
//! image classification", 2013; torchvision's `ColorJitter`).

use net::random::Stream;
use serde::{Deserialize, Serialize};

use super::{Address, For, between, check_number, colour};
use crate::Result;

/// How far each quality of an image strays; one that is 0 does not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "snake_case")]
pub struct ColourJitter {
    /// The factor of [`colour::brightness`] is uniform in `1 ± brightness`, but not below 0.
    pub brightness: f64,
    /// The same for [`colour::contrast`].
    pub contrast: f64,
    /// The same for [`colour::saturation`].
    pub saturation: f64,
    /// The turn of [`colour::hue`] is uniform in `± hue`, at most ½.
    pub hue: f64,
}

/// Factors beyond this leave black and white only.
const MOST: f64 = 1e3;

impl ColourJitter {
    /// Whether every number is one by which a quality can stray.
    ///
    /// # Errors
    /// Names the one that is not.
    pub fn check(&self) -> Result<()> {
        for (name, value) in [("brightness", self.brightness), ("contrast", self.contrast), ("saturation", self.saturation)] {
            check_number(&format!("colour_jitter {name}"), value, 0.0, MOST)?;
        }
        check_number("colour_jitter hue", self.hue, 0.0, 0.5)
    }

    /// Changes the pixels `[h, w, 3]`. Elements 0 to 3 draw brightness, contrast, saturation and hue; 5 to 7 their order.
    pub fn apply(&self, address: Address, rgb: &mut [u8]) {
        let stream = address.stream(For::ColourJitter);
        let drawn = |element, range| f64::from(between(range, stream.uniform(element)) as f32);
        let factor = |element, stray: f64| drawn(element, [(1.0 - stray).max(0.0), 1.0 + stray]);
        for quality in order(stream) {
            match quality {
                0 if self.brightness > 0.0 => colour::brightness(rgb, factor(0, self.brightness)),
                1 if self.contrast > 0.0 => colour::contrast(rgb, factor(1, self.contrast)),
                2 if self.saturation > 0.0 => colour::saturation(rgb, factor(2, self.saturation)),
                3 if self.hue > 0.0 => colour::hue(rgb, drawn(3, [-self.hue, self.hue])),
                _ => {}
            }
        }
    }
}

/// A permutation of 0 to 3, as [`net::random::permutation`] but without memory of its own.
fn order(stream: Stream) -> [u32; 4] {
    let mut order = [0, 1, 2, 3];
    for i in (1..4).rev() {
        order.swap(i, stream.below(4 + i as u32, i as u32 + 1) as usize);
    }
    order
}
