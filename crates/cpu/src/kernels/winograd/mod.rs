//! Convolution with fewer multiplications: `F(m × m, r × r)` of Winograd (Lavin and Gray, *Fast Algorithms for Convolutional
//! Neural Networks*, 2015).
//!
//! A tile of `m × m` outputs is `Y = Aᵀ [Σ_c (G w_c Gᵀ) ⊙ (Bᵀ x_c B)] A`, where `x_c` is the `a × a` patch that the tile reads,
//! `a = m + r − 1`. The sum over `c` is a matrix product for each of the `a²` points: `a² / m²` multiplications an output
//! instead of `r²`.
//!
//! The matrices follow from the points at which polynomials are evaluated: 0, ±1, ±2, ±½ as many as needed, and infinity.
//! With `N_j = Π_{l ≠ j} (p_j − p_l)`: `A[j, i] = p_jⁱ`, `G[j, i] = p_jⁱ / N_j`, and row `j` of `Bᵀ` holds the coefficients of
//! `Π_{l ≠ j} (x − p_l)`; the last rows belong to infinity.
//!
//! Channels lie in blocks of [`LANES`]; everything between the transforms is `[channel block, row, LANES]`, so that all three
//! transforms are sums of whole vectors, and the products read from front to back.

mod gemm;
mod lanes;
mod transform;

pub(crate) use gemm::{Blocked, multiply};
pub(crate) use transform::{WeightView, input, output, weights};

/// Channels of a block.
pub(crate) const LANES: usize = 16;

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

    pub(crate) fn name(self) -> &'static str {
        match self {
            Tile::F4x3 => "winograd F(4×4, 3×3)",
            Tile::F4x5 => "winograd F(4×4, 5×5)",
        }
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
    fn grid(&self) -> (usize, usize) {
        (self.p.div_ceil(self.tile.m()), self.q.div_ceil(self.tile.m()))
    }

    /// Tiles of an image.
    pub(crate) fn tiles(&self) -> usize {
        let (down, across) = self.grid();
        down * across
    }

    /// Rows and columns of an image with the border that its tiles read.
    fn bordered(&self) -> (usize, usize) {
        let (down, across) = self.grid();
        (down * self.tile.m() + self.tile.r() - 1, across * self.tile.m() + self.tile.r() - 1)
    }

    /// Scratch values of [`input`] and [`output`].
    pub(crate) fn scratch_len(&self) -> usize {
        let (rows, cols) = self.bordered();
        (rows * cols).max(self.h * self.w) * LANES + LANES
    }

    /// Values of one image's points: `[point, channel block, tile, LANES]`.
    pub(crate) fn points_len(&self, channels: usize) -> usize {
        self.tile.points() * channels.div_ceil(LANES) * self.tiles() * LANES
    }
}
