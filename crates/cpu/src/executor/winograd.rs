//! Convolution by tiles: transform a few images, multiply point by point, transform back.

use super::{Engine, Pixels};
use crate::arena::Slot;
use crate::kernels::winograd::{Blocked, LANES, WeightView, input, multiply, output, weights};
use crate::plan::WinogradPlan;

/// One pass of one layer.
pub(super) struct Tiled<'a> {
    pub(super) plan: WinogradPlan,
    pub(super) groups: usize,
    pub(super) pixels: Pixels<'a>,
    /// `None` where `x` is the pixels.
    pub(super) x: Option<Slot>,
    /// `[k, c, r, r]` of the layer.
    pub(super) weight: Slot,
    /// Weights of a group as the pass sees them.
    pub(super) view: WeightView,
    /// Of every output map, or empty.
    pub(super) bias: Slot,
    pub(super) relu: bool,
    pub(super) y: Slot,
}

impl Engine {
    pub(super) fn run_tiled(&mut self, pass: &Tiled<'_>) {
        self.transform_weights(pass);
        for first in (0..pass.pixels.n).step_by(pass.plan.images) {
            let count = pass.plan.images.min(pass.pixels.n - first);
            self.transform_images(pass, first, count);
            self.multiply_points(pass, count);
            self.transform_back(pass, first, count);
        }
    }

    fn transform_weights(&mut self, pass: &Tiled<'_>) {
        let (target, plan) = (self.gemm.target(), &pass.plan);
        let (tile, blocks) = (plan.tiling.tile, plan.k.div_ceil(LANES));
        let ([weight], [u]) = self.arena.split([pass.weight], [self.plan.slot(plan.u)]);
        let group = weight.len() / pass.groups;
        self.threads.chunks(u, tile.points() * plan.c * LANES, &mut [], |task, u, _| {
            weights(target, tile, pass.view, task % blocks, &weight[task / blocks * group..][..group], u);
        });
    }

    fn transform_images(&mut self, pass: &Tiled<'_>, first: usize, count: usize) {
        let (target, plan) = (self.gemm.target(), &pass.plan);
        let each = plan.tiling.points_len(plan.c);
        let v = self.plan.slot(plan.v).first(count * pass.groups * each);
        let ([x], [v, scratch]) = self.arena.split([pass.x.unwrap_or(v.first(0))], [v, self.plan.slot(self.plan.scratch)]);
        let (x, len) = (if pass.x.is_some() { x } else { pass.pixels.values }, plan.c * plan.tiling.h * plan.tiling.w);
        self.threads.chunks(v, each, scratch, |part, v, scratch| {
            let x = &x[(first * pass.groups + part) * len..][..len];
            input(target, plan.tiling.tile, &plan.tiling, plan.c, x, v, scratch);
        });
    }

    fn multiply_points(&mut self, pass: &Tiled<'_>, count: usize) {
        let (target, plan, groups) = (self.gemm.target(), &pass.plan, pass.groups);
        let (points, tiles, blocks) = (plan.tiling.tile.points(), plan.tiling.tiles(), plan.k.div_ceil(LANES));
        let (v_len, m_len) = (plan.tiling.points_len(plan.c), blocks * tiles * LANES);
        let v = self.plan.slot(plan.v).first(count * groups * v_len);
        let m = self.plan.slot(plan.m).first(points * groups * count * m_len);
        let ([u, v], [m]) = self.arena.split([self.plan.slot(plan.u), v], [m]);
        let (u_block, u_group) = (points * plan.c * LANES, blocks * points * plan.c * LANES);
        let at_once = if blocks.is_multiple_of(3) { 3 } else { 2 };
        self.threads.chunks(m, count * m_len, &mut [], |task, m, _| {
            let (point, g) = (task / groups, task % groups);
            let b = Blocked { values: &u[g * u_group + point * plan.c * LANES..], block: u_block };
            // A few columns of the weights stay in the first-level cache for all images.
            for column in (0..blocks).step_by(at_once) {
                for (i, m) in m.chunks_exact_mut(m_len).enumerate() {
                    let from = (i * groups + g) * v_len + point * (v_len / points);
                    let a = Blocked { values: &v[from..], block: tiles * LANES };
                    multiply(target, a, b, m, tiles, plan.c, column, at_once.min(blocks - column));
                }
            }
        });
    }

    fn transform_back(&mut self, pass: &Tiled<'_>, first: usize, count: usize) {
        let (target, plan, groups) = (self.gemm.target(), &pass.plan, pass.groups);
        let tiling = &plan.tiling;
        let (points, each) = (tiling.tile.points(), plan.k * tiling.p * tiling.q);
        let m_len = tiling.points_len(plan.k) / points;
        let m = self.plan.slot(plan.m).first(points * groups * count * m_len);
        let y = Slot { offset: pass.y.offset + first * groups * each, len: count * groups * each };
        let ([m, bias], [y, scratch]) = self.arena.split([m, pass.bias], [y, self.plan.slot(self.plan.scratch)]);
        self.threads.chunks(y, each, scratch, |part, y, scratch| {
            let (i, g) = (part / groups, part % groups);
            let bias = if bias.is_empty() { bias } else { &bias[g * plan.k..][..plan.k] };
            let m = &m[(g * count + i) * m_len..];
            output(target, tiling.tile, tiling, m, groups * count * m_len, bias, pass.relu, y, scratch);
        });
    }
}
