//! Convolution: which task packs and multiplies what.

use super::{Engine, Pixels};
use crate::kernels::conv::{self, Window};
use crate::kernels::gemm::{Gemm, Left};
use crate::kernels::{MatMut, transpose};
use crate::plan::{ConvAlgorithm, ConvData, ConvPlan, ConvProduct, ConvWeight, LayerPlan, OpPlan};

/// A product of packed weights and one group of one image: `out[rows, (p, q)] = a · x[(c, r, s), (p, q)]`.
struct ImageProduct<'a> {
    gemm: &'a Gemm,
    win: &'a Window,
    /// Depth and positions of a block.
    block: (usize, usize),
    /// Panels of the rows wanted, over the whole depth.
    a: &'a [f32],
    /// `[c, h, w]`
    x: &'a [f32],
}

impl ImageProduct<'_> {
    /// Writes `out`, and calls `finish` on each block of columns while it is in cache.
    fn run(&self, mut out: MatMut<'_>, scratch: &mut [f32], finish: impl Fn(&mut MatMut<'_>)) {
        let (gemm, win, (block_depth, block_cols)) = (self.gemm, self.win, self.block);
        let (spread, panels) = scratch.split_at_mut(win.spread_len(win.c));
        conv::spread(gemm.target(), win, self.x, spread);
        let depth = win.depth();
        for col in (0..win.positions()).step_by(block_cols) {
            let cols = block_cols.min(win.positions() - col);
            let rows = out.rows();
            let mut out = out.block(0..rows, col..col + cols);
            for from in (0..depth).step_by(block_depth) {
                let deep = block_depth.min(depth - from);
                conv::panels(gemm.target(), win, spread, from..from + deep, col, cols, gemm.nr(), panels);
                let a = Left::Panels { values: self.a, panel: depth * gemm.mr(), from: from * gemm.mr() };
                gemm.multiply(a, panels, deep, out.block(0..rows, 0..cols), from > 0);
            }
            finish(&mut out);
        }
    }
}

/// The plan of a convolution.
pub(super) fn plan(layer: &LayerPlan) -> &ConvPlan {
    match &layer.op {
        OpPlan::Conv(plan) => plan,
        _ => unreachable!("`{}` is no convolution", layer.name),
    }
}

/// The plan of a convolution by products.
fn products(layer: &LayerPlan) -> &ConvProduct {
    match &plan(layer).algorithm {
        ConvAlgorithm::Product(products) => products,
        ConvAlgorithm::Tiles(_) => unreachable!("`{}` goes through tiles", layer.name),
    }
}

impl Engine {
    pub(super) fn conv_forward(&mut self, index: usize, pixels: Pixels<'_>) {
        match plan(&self.plan.layers[index]).algorithm {
            ConvAlgorithm::Tiles(_) => self.tiled_forward(index, pixels),
            ConvAlgorithm::Product(_) => self.conv_product(index, pixels),
        }
    }

    fn conv_product(&mut self, index: usize, pixels: Pixels<'_>) {
        let layer = &self.plan.layers[index];
        let (plan, gemm, forward) = (plan(layer), &self.gemm, &products(layer).forward);
        let (depth, k, positions) = (plan.win.depth(), plan.k, plan.win.positions());
        let params = self.params(layer, self.plan.weights);
        let packed = self.plan.slot(forward.packed);
        if self.weights_are_new() {
            let ([weight], [panels]) = self.arena.split([params[0]], [packed]);
            self.threads.chunks(panels, gemm.a_len(k, depth), &mut [], |g, panels, _| {
                gemm.pack_a(&weight[g * k * depth..], depth, 1, k, depth, panels);
            });
        }
        let reads = [self.input(layer, pixels.n), packed, params[1]];
        let ([x, panels, bias], [y, scratch]) = self.arena.split(reads, [self.output(layer, pixels.n), self.scratch()]);
        let (x, group_len) = (pixels.or(layer.input, x), plan.win.c * plan.win.h * plan.win.w);
        let out = MatMut::new(y, pixels.n * plan.groups * k, positions, positions);
        self.threads.parts(out, k, forward.rows, scratch, |row, out, scratch| {
            let (part, first) = (row / k, row % k);
            let (g, a) = (part % plan.groups, gemm.a_len(k, depth));
            let a = &panels[g * a + first * depth..(g + 1) * a];
            let x = &x[part * group_len..][..group_len];
            let product = ImageProduct { gemm, win: &plan.win, block: forward.block, a, x };
            product.run(out, scratch, |block| {
                for row in 0..block.rows() {
                    conv::bias_relu(gemm.target(), block.row(row), bias[g * k + first + row], plan.relu);
                }
            });
        });
    }

    pub(super) fn conv_data(&mut self, index: usize, n: usize) {
        match products(&self.plan.layers[index]).data {
            Some(ConvData::Flipped { .. }) => self.conv_data_flipped(index, n),
            Some(ConvData::Columns { .. }) => self.conv_data_columns(index, n),
            None => {}
        }
    }

    fn conv_data_flipped(&mut self, index: usize, n: usize) {
        let layer = &self.plan.layers[index];
        let (plan, gemm) = (plan(layer), &self.gemm);
        let Some(ConvData::Flipped { win, rows, packed, block }) = &products(layer).data else { return };
        let (c, depth, positions) = (plan.win.c, win.depth(), win.positions());
        let packed = self.plan.slot(*packed);
        let ([weight], [panels]) = self.arena.split([self.params(layer, self.plan.weights)[0]], [packed]);
        let (panel_len, group) = (gemm.mr() * depth, c.div_ceil(gemm.mr()));
        self.threads.chunks(panels, panel_len, &mut [], |task, panels, _| {
            let weight = &weight[task / group * plan.k * plan.win.depth()..];
            conv::pack_flipped_panel(gemm.target(), &plan.win, plan.k, weight, task % group, gemm.mr(), panels);
        });
        let ([dy, panels], [dx, scratch]) = self.arena.split([self.dy(layer, n), packed], [self.dx(layer, n), self.scratch()]);
        let dy_len = win.c * win.h * win.w;
        let out = MatMut::new(dx, n * plan.groups * c, positions, positions);
        self.threads.parts(out, c, *rows, scratch, |row, out, scratch| {
            let (part, first) = (row / c, row % c);
            let (g, a) = (part % plan.groups, gemm.a_len(c, depth));
            let a = &panels[g * a + first * depth..(g + 1) * a];
            ImageProduct { gemm, win, block: *block, a, x: &dy[part * dy_len..][..dy_len] }.run(out, scratch, |_| {});
        });
    }

    fn conv_data_columns(&mut self, index: usize, n: usize) {
        let layer = &self.plan.layers[index];
        let (plan, gemm, win) = (plan(layer), &self.gemm, &plan(layer).win);
        let Some(ConvData::Columns { packed, block }) = &products(layer).data else { return };
        let (depth, k, positions) = (win.depth(), plan.k, win.positions());
        let packed = self.plan.slot(*packed);
        let ([weight], [panels]) = self.arena.split([self.params(layer, self.plan.weights)[0]], [packed]);
        self.threads.chunks(panels, gemm.a_len(depth, k), &mut [], |g, panels, _| {
            gemm.pack_a(&weight[g * k * depth..], 1, depth, depth, k, panels);
        });
        let ([dy, panels], [dx, scratch]) = self.arena.split([self.dy(layer, n), packed], [self.dx(layer, n), self.scratch()]);
        self.threads.chunks(dx, win.c * win.h * win.w, scratch, |part, dx, scratch| {
            let g = part % plan.groups;
            let dy = &dy[part * k * positions..][..k * positions];
            let (right, columns) = scratch.split_at_mut(gemm.b_len(block.0, block.1));
            dx.fill(0.0);
            for col in (0..positions).step_by(block.1) {
                let cols = block.1.min(positions - col);
                for from in (0..k).step_by(block.0) {
                    let deep = block.0.min(k - from);
                    gemm.pack_b(&dy[from * positions + col..], 1, positions, cols, deep, right);
                    let values = &panels[g * gemm.a_len(depth, k)..][..gemm.a_len(depth, k)];
                    let a = Left::Panels { values, panel: k * gemm.mr(), from: from * gemm.mr() };
                    gemm.multiply(a, right, deep, MatMut::new(columns, depth, cols, block.1), from > 0);
                }
                conv::add_columns(gemm.target(), win, columns, block.1, col, cols, dx);
            }
        });
    }

    pub(super) fn conv_weight(&mut self, index: usize, pixels: Pixels<'_>, accumulate: bool) {
        let images = match &products(&self.plan.layers[index]).weight {
            Some(weight) => weight.images,
            None => return,
        };
        for first in (0..pixels.n).step_by(images) {
            self.add_weight_products(index, pixels, first, images.min(pixels.n - first));
        }
        self.store_weight_gradient(index, accumulate);
        self.conv_bias(index, pixels.n, accumulate);
    }

    /// Adds the products of `count` images from `first` on to the transposed weight gradient; the first ones overwrite it.
    fn add_weight_products(&mut self, index: usize, pixels: Pixels<'_>, first: usize, count: usize) {
        let layer = &self.plan.layers[index];
        let (plan, gemm) = (plan(layer), &self.gemm);
        let Some(weight) = &products(layer).weight else { return };
        let (win, k, positions) = (&plan.win, plan.k, plan.win.positions());
        let group_len = gemm.b_len(positions, k);
        let packed = self.plan.slot(weight.dy).first(count * plan.groups * group_len);
        let ([dy], [panels]) = self.arena.split([self.dy(layer, pixels.n)], [packed]);
        self.threads.chunks(panels, group_len, &mut [], |part, panels, _| {
            let dy = &dy[(first * plan.groups + part) * k * positions..][..k * positions];
            for begin in (0..positions).step_by(weight.positions) {
                let deep = weight.positions.min(positions - begin);
                let out = &mut panels[gemm.b_len(begin, k)..];
                gemm.pack_b(&dy[begin..], positions, 1, k, deep, out);
            }
        });
        let (reads, transposed) = ([self.input(layer, pixels.n), packed], self.plan.slot(weight.transposed));
        let ([x, panels], [out, scratch]) = self.arena.split(reads, [transposed, self.scratch()]);
        let (x, map) = (pixels.or(layer.input, x), win.h * win.w);
        let tasks_of_group = win.depth().div_ceil(weight.rows);
        self.threads.chunks(out, weight.rows * k, scratch, |task, out, scratch| {
            let (g, row) = (task / tasks_of_group, task % tasks_of_group * weight.rows);
            let rows = row..win.depth().min(row + weight.rows);
            let maps = rows.start / (win.r * win.s)..(rows.end - 1) / (win.r * win.s) + 1;
            for i in 0..count {
                let begin = ((first + i) * plan.groups + g) * win.c + maps.start;
                let panels = &panels[(i * plan.groups + g) * group_len..][..group_len];
                let fresh = first + i == 0;
                add_image(gemm, win, weight, k, &x[begin * map..][..maps.len() * map], rows.clone(), panels, fresh, out, scratch);
            }
        });
    }

    /// Transposes the gradient back to `[k, c, r, s]`.
    fn store_weight_gradient(&mut self, index: usize, accumulate: bool) {
        let layer = &self.plan.layers[index];
        let plan = plan(layer);
        let Some(weight) = &products(layer).weight else { return };
        let (target, k, depth) = (self.gemm.target(), plan.k, plan.win.depth());
        let ([from], [out]) = self.arena.split([self.plan.slot(weight.transposed)], [self.gradients(layer)[0]]);
        let rows = depth.next_multiple_of(weight.rows);
        let at_once = (1..=16).rev().find(|n| k.is_multiple_of(*n)).unwrap_or(1);
        self.threads.chunks(out, at_once * depth, &mut [], |task, out, _| {
            let (g, first) = (task * at_once / k, task * at_once % k);
            transpose::transpose(target, &from[g * rows * k + first..], k, depth, accumulate, out);
        });
    }

    fn conv_bias(&mut self, index: usize, n: usize, accumulate: bool) {
        let layer = &self.plan.layers[index];
        let (target, positions) = (self.gemm.target(), plan(layer).win.positions());
        let ([dy], [db]) = self.arena.split([self.dy(layer, n)], [self.gradients(layer)[1]]);
        self.threads.chunks(db, 1, &mut [], |k, db, _| {
            let maps = (0..n).map(|i| &dy[i * layer.output_len + k * positions..][..positions]);
            let sum: f32 = maps.map(|dy| conv::sum(target, dy)).sum();
            db[0] = if accumulate { db[0] + sum } else { sum };
        });
    }
}

/// Adds one image to rows `rows` of one group's transposed weight gradient, `out[rows, k]`; `x` holds the maps those rows read.
fn add_image(
    gemm: &Gemm,
    win: &Window,
    weight: &ConvWeight,
    k: usize,
    x: &[f32],
    rows: std::ops::Range<usize>,
    panels: &[f32],
    fresh: bool,
    out: &mut [f32],
    scratch: &mut [f32],
) {
    let positions = win.positions();
    let (spread, lines) = scratch.split_at_mut(win.spread_len(x.len() / (win.h * win.w)));
    conv::spread(gemm.target(), win, x, spread);
    for begin in (0..positions).step_by(weight.positions) {
        let deep = weight.positions.min(positions - begin);
        conv::lines(gemm.target(), win, spread, rows.clone(), begin, deep, lines);
        let out = MatMut::new(out, rows.len(), k, k);
        gemm.multiply(Left::Lines(lines), &panels[gemm.b_len(begin, k)..], deep, out, !fresh || begin > 0);
    }
}
