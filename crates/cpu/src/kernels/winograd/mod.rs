//! Convolution with fewer multiplications: `F(m × m, r × r)` of Winograd (Lavin and Gray, *Fast Algorithms for Convolutional
//! Neural Networks*, 2015).
//!
//! A tile of `m × m` outputs is `Y = Aᵀ [Σ_c (G w_c Gᵀ) ⊙ (Bᵀ x_c B)] A`, where `x_c` is the `a × a` patch that the tile reads,
//! `a = m + r − 1`. The sum over `c` is a matrix product for each of the `a²` points: `a² / m²` multiplications an output
//! instead of `r²`. Both gradients are the same trilinear form with another operand left open:
//! `dw = Gᵀ [Σ_tiles (Bᵀ x B) ⊙ (A dy Aᵀ)] G` and `dx = Σ_tiles B [Σ_k (G w_k Gᵀ) ⊙ (A dy_k Aᵀ)] Bᵀ`.
//!
//! The matrices follow from the points at which polynomials are evaluated: 0, ±1, ±2, ±½ as many as needed, and infinity.
//! With `N_j = Π_{l ≠ j} (p_j − p_l)`: `A[j, i] = p_jⁱ`, `G[j, i] = p_jⁱ / N_j`, and row `j` of `Bᵀ` holds the coefficients of
//! `Π_{l ≠ j} (x − p_l)`; the last rows belong to infinity.
//!
//! Channels lie in blocks of [`LANES`](super::lanes::LANES), in images as between the transforms, so that all transforms are sums
//! of whole vectors, and the products read from front to back.

mod fold;
mod gemm;
mod images;
mod matrices;
mod weights;

pub(crate) use fold::{Fold, fold, unfold};
pub(crate) use gemm::{Blocked, add_outer, multiply, sum_rows};
pub(crate) use images::{Points, gradient, input, output, scatter};
pub(crate) use weights::{WeightView, weight_gradient, weights};

/// Most points along an axis.
const MOST_POINTS: usize = 8;

/// The size of a tile and of the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tile {
    /// `F(4 × 4, 3 × 3)`, 6 × 6 points.
    F4x3,
    /// `F(4 × 4, 5 × 5)`, 8 × 8 points.
    F4x5,
}

impl Tile {
    pub(crate) const ALL: [Tile; 2] = [Tile::F4x3, Tile::F4x5];

    /// Outputs of a tile along an axis.
    pub(crate) fn m(self) -> usize {
        match self {
            Tile::F4x3 | Tile::F4x5 => 4,
        }
    }

    /// The kernel's size.
    pub(crate) fn r(self) -> usize {
        match self {
            Tile::F4x3 => 3,
            Tile::F4x5 => 5,
        }
    }

    /// Points along an axis.
    pub(crate) fn axis(self) -> usize {
        self.m() + self.r() - 1
    }

    /// Points of a tile.
    pub(crate) fn points(self) -> usize {
        self.axis() * self.axis()
    }

    /// The point at which every output of a tile counts once: 1 along both axes.
    pub(crate) fn point_of_sums(self) -> usize {
        self.axis() + 1
    }
}

/// A stride-1 convolution of one group cut into tiles: `[c, h, w] → [k, p, q]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tiling {
    pub(crate) tile: Tile,
    pub(crate) h: usize,
    pub(crate) w: usize,
    /// Zero rows above the image and zero columns before it.
    pub(crate) top: usize,
    pub(crate) left: usize,
    pub(crate) p: usize,
    pub(crate) q: usize,
}

impl Tiling {
    /// Tiles down and across.
    pub(crate) fn grid(&self) -> (usize, usize) {
        (self.p.div_ceil(self.tile.m()), self.q.div_ceil(self.tile.m()))
    }

    /// Tiles of an image.
    pub(crate) fn tiles(&self) -> usize {
        let (down, across) = self.grid();
        down * across
    }

    /// Rows and columns of an image with the border that its tiles read.
    pub(crate) fn bordered(&self) -> (usize, usize) {
        let (down, across) = self.grid();
        let (m, r) = (self.tile.m(), self.tile.r());
        ((down * m + r - 1).max(self.top + self.h), (across * m + r - 1).max(self.left + self.w))
    }

    /// Scratch values of [`scatter`].
    pub(crate) fn scratch_len(&self) -> usize {
        let (rows, cols) = self.bordered();
        rows * cols * super::lanes::LANES
    }
}

/// Defines `fn name(target: Target, tile: Tile, …)` from a generic body, compiled once for each instruction set and tile.
macro_rules! by_tile {
    ($(#[$doc:meta])* $vis:vis fn $name:ident = $body:ident($($arg:ident: $ty:ty),* $(,)?)) => {
        $(#[$doc])*
        $vis fn $name(target: crate::kernels::Target, tile: Tile, $($arg: $ty),*) {
            use crate::kernels::lanes;
            #[inline(always)]
            unsafe fn with_lanes<L: lanes::Lanes>(tile: Tile, $($arg: $ty),*) {
                // SAFETY: the caller has the instruction set; the body checks its slices.
                unsafe {
                    match tile {
                        Tile::F4x3 => $body::<L, F<4, 3, 6>, 4, 3, 6>($($arg),*),
                        Tile::F4x5 => $body::<L, F<4, 5, 8>, 4, 5, 8>($($arg),*),
                    }
                }
            }
            lanes::by_lanes! { fn by_isa = with_lanes(tile: Tile, $($arg: $ty),*) }
            by_isa(target, tile, $($arg),*);
        }
    };
}
use by_tile;
