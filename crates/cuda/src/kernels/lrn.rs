//! `kernels/lrn.cu` and `kernels/lrn_within.cu`: response normalisation across maps and within a map.

#[cfg(test)]
mod tests;

use super::pass::{Pass, SHARED, THREADS, small};
use crate::args::layers::{Lrn, LrnWithin};
use crate::args::{Elems, Struct};
use crate::driver::Launch;

/// The kernels for vectors of maps, of windows of three, five and nine maps.
const FORWARD: [&str; 3] = ["lrn_forward_3", "lrn_forward_5", "lrn_forward_9"];
const BACKWARD: [&str; 3] = ["lrn_backward_3", "lrn_backward_5", "lrn_backward_9"];

/// A normalisation across maps.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Across {
    /// Maps, in `towers` equal blocks that do not see each other.
    pub(crate) c: usize,
    pub(crate) towers: usize,
    /// Pixels of each.
    pub(crate) pixels: usize,
    /// Window size in maps, odd.
    pub(crate) n: usize,
    pub(crate) k: f32,
    /// The factor before the sum of squares.
    pub(crate) a: f32,
    pub(crate) beta: f32,
    /// Whether the input is the output of a rectifier, so that the backward pass gives the gradient by the rectifier's input.
    pub(crate) rectified: bool,
}

/// How `kernels/power.cuh` computes `d^−β`.
fn power(beta: f32) -> u32 {
    if beta == 0.75 {
        1
    } else if beta == 0.5 {
        2
    } else {
        0
    }
}

impl Across {
    /// Maps of a tower.
    pub(super) fn tower(&self) -> usize {
        self.c / self.towers
    }

    /// The arguments that say what it is.
    pub(super) fn args(&self, pass: &Pass) -> Lrn {
        let &Across { c, pixels, n, k, a, beta, rectified, .. } = self;
        let none = Elems::NULL;
        Lrn {
            x: none,
            y: none,
            dy: none,
            dx: none,
            step: pass.step,
            c: small(c),
            tower: small(self.tower()),
            pixels: small(pixels),
            n: u32::try_from(n).unwrap_or(u32::MAX),
            k,
            a,
            beta,
            power: power(beta),
            rectified: rectified.into(),
            reserved: 0,
        }
    }

    fn launch(&self, pass: &Pass, [three, five, nine]: [&'static str; 3], each: &'static str, args: Lrn) -> Launch {
        let kernel = match self.n {
            3 => three,
            5 => five,
            9 => nine,
            _ => each,
        };
        if kernel == each || !self.tower().is_multiple_of(pass.vector()) {
            return pass.each_image(each, self.pixels * self.c, &args);
        }
        pass.each_image(kernel, self.pixels * (self.c / pass.vector()), &args)
    }
}

/// `y` of `x`, both `[n, pixels, c]`; another memory than `x`.
pub(crate) fn across_forward(pass: &Pass, num: &Across, x: Elems, y: Elems) -> Launch {
    num.launch(pass, FORWARD, "lrn_forward_each", Lrn { x, y, ..num.args(pass) })
}

/// `dx` of `x` and `dy`, all `[n, pixels, c]`; `dx` has a memory of its own.
pub(crate) fn across_backward(pass: &Pass, num: &Across, x: Elems, dy: Elems, dx: Elems) -> Launch {
    num.launch(pass, BACKWARD, "lrn_backward_each", Lrn { x, dy, dx, ..num.args(pass) })
}

/// A normalisation within a map.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Within {
    pub(crate) c: usize,
    pub(crate) h: usize,
    pub(crate) w: usize,
    /// Window side, odd.
    pub(crate) n: usize,
    pub(crate) k: f32,
    /// The factor before the sum of squares.
    pub(crate) a: f32,
    pub(crate) beta: f32,
}

impl Within {
    /// The largest number of pixels that are at most `by` from a tile's along one axis.
    fn grown(tile: usize, by: usize, size: usize) -> usize {
        tile.saturating_add(2 * by).min(size)
    }

    /// Bytes of shared memory of a tile, as the kernels use it.
    fn shared(&self, pass: &Pass, backward: bool, (tile_h, tile_w): (usize, usize)) -> usize {
        let reach = if backward { self.n / 2 * 2 } else { self.n / 2 };
        let area = Within::grown(tile_h, reach, self.h) * Within::grown(tile_w, reach, self.w);
        let factors = if backward { tile_h * tile_w } else { 0 };
        (2 * area + factors) * pass.vector() * 4
    }

    /// The tile, in rows and columns, that fits into shared memory and makes blocks read the fewest pixels all told.
    fn tile(&self, pass: &Pass, backward: bool, most_shared: usize) -> Option<(usize, usize)> {
        let reach = if backward { self.n / 2 * 2 } else { self.n / 2 };
        let work = |&(tile_h, tile_w): &(usize, usize)| {
            let tiles = self.h.div_ceil(tile_h) * self.w.div_ceil(tile_w);
            tiles * Within::grown(tile_h, reach, self.h) * Within::grown(tile_w, reach, self.w)
        };
        // Of each number of tiles along an axis the smallest size.
        let sizes = |size: usize| (1..=size).map(move |tiles| size.div_ceil(tiles));
        let tiles = sizes(self.h).flat_map(|tile_h| sizes(self.w).map(move |tile_w| (tile_h, tile_w)));
        tiles.filter(|&tile| self.shared(pass, backward, tile) <= most_shared).min_by_key(work)
    }

    fn launch(&self, pass: &Pass, backward: bool, most_shared: usize, args: LrnWithin) -> Launch {
        let &Within { c, h, w, n, k, a, beta } = self;
        let n = u32::try_from(n).unwrap_or(u32::MAX);
        let args = LrnWithin { c: small(c), h: small(h), w: small(w), n, k, a, beta, power: power(beta), ..args };
        let [fast, each] = if backward {
            ["lrn_within_backward", "lrn_within_backward_each"]
        } else {
            ["lrn_within_forward", "lrn_within_forward_each"]
        };
        match self.tile(pass, backward, most_shared) {
            Some(tile) if c.is_multiple_of(pass.vector()) => {
                let tiles = h.div_ceil(tile.0) * w.div_ceil(tile.1);
                let args = LrnWithin { tile_h: small(tile.0), tile_w: small(tile.1), ..args };
                Launch {
                    kernel: fast,
                    grid: [small(tiles * (c / pass.vector())), pass.rows(), 1],
                    threads: small(THREADS),
                    shared: small(self.shared(pass, backward, tile)),
                    args: args.bytes(),
                }
            }
            _ => pass.each_image(each, h * w * c, &args),
        }
    }
}

/// `y` of `x`, both `[n, h, w, c]`; another memory than `x`.
pub(crate) fn within_forward(pass: &Pass, num: &Within, x: Elems, y: Elems) -> Launch {
    num.launch(pass, false, SHARED, LrnWithin { x, y, ..nothing_within(pass) })
}

/// `dx` of `x` and `dy`, all `[n, h, w, c]`; `dx` has a memory of its own.
pub(crate) fn within_backward(pass: &Pass, num: &Within, x: Elems, dy: Elems, dx: Elems) -> Launch {
    num.launch(pass, true, SHARED, LrnWithin { x, dy, dx, ..nothing_within(pass) })
}

fn nothing_within(pass: &Pass) -> LrnWithin {
    let (x, step) = (Elems::NULL, pass.step);
    let (k, a, beta) = (0.0, 0.0, 0.0);
    LrnWithin { x, y: x, dy: x, dx: x, step, c: 0, h: 0, w: 0, n: 0, k, a, beta, power: 0, tile_h: 0, tile_w: 0 }
}
