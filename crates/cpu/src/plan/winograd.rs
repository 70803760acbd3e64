//! When a convolution is worth transforming, and the memory for it.

use super::{Context, Pass};
use crate::Convolution;
use crate::kernels::conv::Window;
use crate::kernels::lanes::LANES;
use crate::kernels::winograd::{Fold, Tile, Tiling};
use net::lifetimes::Buffer;

/// A convolution by tiles: of stride 1 from `c` to `k` maps of each group, both whole blocks, after folding where `fold` is given.
#[derive(Debug, Clone)]
pub(crate) struct Tiled {
    /// Of a group, after folding.
    pub(crate) tiling: Tiling,
    pub(crate) fold: Option<Fold>,
    pub(crate) groups: usize,
    pub(crate) c: usize,
    pub(crate) k: usize,
    /// Images that are transformed at a time.
    pub(crate) images: usize,
    /// Transformed weights, `[g, point, output block, c, LANES]`.
    pub(crate) u: Buffer,
    /// Transformed images, `[g, point, input block, (image, tile), LANES]`, rows `ld` apart.
    pub(crate) v: Buffer,
    /// Products, `[g, point, output block, (image, tile), LANES]`, rows `ld` apart.
    pub(crate) m: Buffer,
    pub(crate) ld: usize,
    pub(crate) backward: Option<TiledBackward>,
}

/// The gradients of a convolution by tiles.
#[derive(Debug, Clone)]
pub(crate) struct TiledBackward {
    /// As [`Tiled::v`]; the data gradient's points take its place when it is no longer read.
    pub(crate) v: Buffer,
    /// Transformed gradients by the output, as [`Tiled::m`].
    pub(crate) m: Buffer,
    /// The gradient by the transformed weights, as [`Tiled::u`].
    pub(crate) du: Buffer,
    /// Transformed weights with input channels as lanes, `[g, point, input block, k, LANES]`, where the data gradient is wanted.
    pub(crate) u: Option<Buffer>,
    /// Whether the data gradient is 0 where the input is not positive: it is a ReLU's output, and that layer has nothing to do.
    pub(crate) mask: bool,
}

/// Transformed values that are in use at a time: a part of the last-level cache.
const VALUES: usize = 2 << 20;

/// What a transformed value costs beside a multiply-add of the products: it is computed, written and read again.
const TRANSFORM_COST: usize = 8;

/// The geometry of a convolution by tiles.
#[derive(Debug, Clone, Copy)]
pub(super) struct Geometry {
    pub(super) tiling: Tiling,
    pub(super) fold: Option<Fold>,
    c: usize,
    k: usize,
}

impl Geometry {
    /// The stride that is folded, 1 for none.
    pub(super) fn fold_stride(&self) -> usize {
        self.fold.map_or(1, |fold| fold.f)
    }

    fn name(&self) -> &'static str {
        match (self.tiling.tile, self.fold.is_some()) {
            (Tile::F4x3, false) => "winograd F(4×4, 3×3)",
            (Tile::F4x5, false) => "winograd F(4×4, 5×5)",
            (Tile::F4x3, true) => "winograd F(4×4, 3×3) folded",
            (Tile::F4x5, true) => "winograd F(4×4, 5×5) folded",
        }
    }
}

/// The tiles for this window to `k` maps, if there are any: a square kernel of a tile's size after folding, maps in whole blocks.
fn geometry(win: &Window, k: usize) -> Option<Geometry> {
    let f = win.stride_r;
    let square = win.r == win.s && win.stride_r == win.stride_s;
    let foldable = f == 1 || f == 2 || f == 4;
    if !square || !foldable || win.top >= win.r || win.left >= win.s {
        return None;
    }
    let tile = Tile::ALL.into_iter().find(|tile| win.r.div_ceil(f) == tile.r())?;
    let (c, r) = (win.c * f * f, tile.r());
    if !c.is_multiple_of(LANES) || !k.is_multiple_of(LANES) {
        return None;
    }
    if f == 1 {
        // The padding behind the image may not be negative: the last window would end inside it.
        let whole = win.p + r > win.h + win.top && win.q + r > win.w + win.left;
        let tiling = Tiling { tile, h: win.h, w: win.w, top: win.top, left: win.left, p: win.p, q: win.q };
        return whole.then_some(Geometry { tiling, fold: None, c, k });
    }
    // The folded image has its border, and all that the last tiles read.
    let (m, reach) = (tile.m(), r - 1);
    let (rows, cols) = (win.p.next_multiple_of(m) + reach, win.q.next_multiple_of(m) + reach);
    let tiling = Tiling { tile, h: rows, w: cols, top: 0, left: 0, p: win.p, q: win.q };
    let fold = Fold { f, c: win.c, h: win.h, w: win.w, top: win.top, left: win.left, rows, cols };
    Some(Geometry { tiling, fold: Some(fold), c, k })
}

/// The modelled costs of an image's forward pass in multiply-adds: by tiles, where there are any, and as a product.
pub(super) fn costs(groups: usize, win: &Window, k: usize) -> (Option<usize>, usize) {
    let by_tiles = geometry(win, k)
        .map(|Geometry { tiling, c, .. }| groups * tiling.tile.points() * tiling.tiles() * (c * k + TRANSFORM_COST * (c + k)));
    (by_tiles, groups * win.positions() * win.depth() * k)
}

/// The tiles for this window, if they are what is asked for or, where nothing is, cost less than the product.
pub(super) fn choose(asked: Option<Convolution>, win: &Window, k: usize) -> Option<Geometry> {
    let (by_tiles, product) = costs(1, win, k);
    let cheaper = by_tiles.is_some_and(|by_tiles| by_tiles < product);
    let wanted = asked.map_or(cheaper, |asked| asked == Convolution::Tiles);
    geometry(win, k).filter(|_| wanted)
}

/// What the model says, for the plan's reader.
pub(super) fn model_of(by_tiles: Option<usize>, product: usize) -> String {
    let mega = |cost: usize| format!("{:.1} M", cost as f64 / 1e6);
    match by_tiles {
        Some(by_tiles) => format!("by count tiles {}, product {}", mega(by_tiles), mega(product)),
        None => format!("by count product {}, no tiles fit", mega(product)),
    }
}

/// Plans all passes of a convolution by tiles.
pub(super) fn plan(context: &mut Context<'_>, found: Geometry, groups: usize, win: &Window, flops: u64) -> Tiled {
    let (Geometry { tiling, fold, c, k }, at) = (found, context.forward_at());
    let (points, tiles) = (tiling.tile.points(), tiling.tiles());
    let image = groups * points * tiles * (c + k);
    let most = (VALUES / image).clamp(1, context.request.capacity);
    let images = context.request.capacity.div_ceil(context.request.capacity.div_ceil(most));
    // An odd number of cache lines: points, which are written together, lie in different sets of a cache.
    let ld = ((images * tiles) | 1) * LANES;
    let rows = |channels: usize| groups * points * (channels / LANES) * ld;
    let (u_len, v_len, m_len) = (groups * points * c * k, rows(c), rows(k));
    let u = context.weights_buffer(u_len);
    let (v, m) = (context.needs.buffer(v_len, at, at), context.needs.buffer(m_len, at, at));
    context.scratch(fold.map_or(0, |fold| fold.len() + fold.line_len()));
    let fewer = (win.positions() * win.depth()) as f64 / (points * tiles * c) as f64;
    let (by_tiles, product) = costs(groups, win, k);
    let model = model_of(by_tiles, product);
    let reason = format!("{model}; {fewer:.1} times fewer multiplications; {images} images at a time stay in cache");
    context.note(Pass::Forward, found.name(), reason, flops, u_len + v_len + m_len);
    let backward = context.backward.then(|| {
        let at = context.backward_at();
        let (v, m) = (context.needs.buffer(v_len, at, at), context.needs.buffer(m_len, at, at));
        let du = context.needs.buffer(u_len, at, at);
        context.note(Pass::Weight, found.name(), "sums the products of both images' points", flops, u_len + v_len + m_len);
        let u = context.data_gradient.then(|| {
            context.scratch(tiling.scratch_len() + fold.map_or(0, |fold| fold.len()));
            context.note(Pass::Data, found.name(), "the adjoint, from the points of the weight gradient", flops, u_len);
            context.needs.buffer(u_len, at, at)
        });
        TiledBackward { v, m, du, u, mask: false }
    });
    Tiled { tiling, fold, groups, c, k, images, u, v, m, ld, backward }
}
