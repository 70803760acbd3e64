//! Random choices of one image, one after another from its own address.

use net::random::{Purpose, Stream};

use crate::Split;

/// Draws from the stream of one image. A clone draws the same numbers again.
#[derive(Clone)]
pub(super) struct Dice {
    stream: Stream,
    next: u32,
}

impl Dice {
    /// What decides the composition of image `index` of `split`.
    pub(super) fn composition(seed: u64, split: Split, index: u32) -> Dice {
        Dice { stream: Stream::new(seed, Purpose::Scenes, 0, split as u32, index), next: 0 }
    }

    /// The grain of image `index` of `split`: a stream of its own, so that composing cannot reach into it.
    pub(super) fn grain(seed: u64, split: Split, index: u32) -> Stream {
        Stream::new(seed, Purpose::Scenes, 1, split as u32, index)
    }

    /// Uniform in `[low, high)`.
    pub(super) fn between(&mut self, low: f32, high: f32) -> f32 {
        self.next += 1;
        low + (high - low) * self.stream.uniform(self.next - 1) as f32
    }

    /// Uniform in `[−spread, spread)`.
    pub(super) fn around(&mut self, spread: f32) -> f32 {
        self.between(-spread, spread)
    }

    /// True with probability `p`.
    pub(super) fn chance(&mut self, p: f32) -> bool {
        self.between(0.0, 1.0) < p
    }

    /// Uniform among `0..n`.
    pub(super) fn below(&mut self, n: u32) -> u32 {
        self.next += 1;
        self.stream.below(self.next - 1, n)
    }
}
