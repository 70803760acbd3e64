//! When a convolution is worth transforming, and the memory for it.

use super::memory::Buffer;
use super::{Context, Pass};
use crate::kernels::conv::Window;
use crate::kernels::winograd::{LANES, Tile, Tiling};

/// A stride-1 convolution of `c` maps to `k` maps of each group, by tiles.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WinogradPlan {
    pub(crate) tiling: Tiling,
    /// Of a group.
    pub(crate) c: usize,
    pub(crate) k: usize,
    /// Images that are transformed at a time.
    pub(crate) images: usize,
    /// Transformed weights, `[g, output block, point, c, LANES]`.
    pub(crate) u: Buffer,
    /// Transformed images, `[n, g, point, input block, tile, LANES]`.
    pub(crate) v: Buffer,
    /// Products, `[point, g, n, output block, tile, LANES]`.
    pub(crate) m: Buffer,
}

/// Transformed values that are in use at a time: a part of the last-level cache.
const VALUES: usize = 4 << 20;

/// What a transformed value costs beside a multiply-add of the products: it is computed, written and read again.
const TRANSFORM_COST: usize = 16;

/// The tiles that compute this window in less time than the plain product by the count of operations, if any do.
pub(super) fn tiling(win: &Window, k: usize) -> Option<Tiling> {
    let tile = Tile::ALL.into_iter().find(|tile| (win.r, win.s) == (tile.r(), tile.r()))?;
    let unit = win.stride_r == 1 && win.stride_s == 1 && win.top < win.r && win.left < win.s;
    // The padding behind the image may not be negative: the last window would end inside it.
    let whole = win.p + win.r > win.h + win.top && win.q + win.s > win.w + win.left;
    let tiling = Tiling { tile, h: win.h, w: win.w, top: win.top, left: win.left, p: win.p, q: win.q };
    let (c, k16) = (win.c.next_multiple_of(LANES), k.next_multiple_of(LANES));
    let transformed = tile.points() * tiling.tiles() * (c * k16 + TRANSFORM_COST * (c + k16));
    (unit && whole && transformed < win.positions() * win.depth() * k).then_some(tiling)
}

/// Plans the pass of `win` to `k` maps by tiles, where that pays.
pub(super) fn plan(
    context: &mut Context<'_>,
    pass: Pass,
    groups: usize,
    win: &Window,
    k: usize,
    flops: u64,
) -> Option<WinogradPlan> {
    let tiling = tiling(win, k)?;
    let at = if pass == Pass::Forward { context.forward_at() } else { context.backward_at() };
    let image = groups * (tiling.points_len(win.c) + tiling.points_len(k));
    let images = (VALUES / image).clamp(1, context.request.capacity);
    let u_len = groups * k.div_ceil(LANES) * tiling.tile.points() * win.c * LANES;
    let (v_len, m_len) = (images * groups * tiling.points_len(win.c), images * groups * tiling.points_len(k));
    let u = context.needs.buffer(u_len, at, at);
    let v = context.needs.buffer(v_len, at, at);
    let m = context.needs.buffer(m_len, at, at);
    context.scratch(tiling.scratch_len());
    let fewer = (win.positions() * win.r * win.s) as f64 / (tiling.tile.points() * tiling.tiles()) as f64;
    let reason = format!("{fewer:.1} times fewer multiplications; {images} images at a time stay in cache");
    context.note(pass, tiling.tile.name(), reason, flops, u_len + v_len + m_len);
    Some(WinogradPlan { tiling, c: win.c, k, images, u, v, m })
}
