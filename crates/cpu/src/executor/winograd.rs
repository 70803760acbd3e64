//! Convolution by tiles: transform a few images, multiply point by point, transform back.

use std::time::{Duration, Instant};

use super::{Engine, Pixels};
use crate::arena::Slot;
use crate::kernels::MatMut;
use crate::kernels::lanes::LANES;
use crate::kernels::winograd::{
    Blocked, Points, WeightView, add_outer, fold, gradient, input, multiply, output, scatter, sum_rows, unfold, weight_gradient,
    weights,
};
use crate::plan::{Buffer, ConvAlgorithm, LayerPlan, TASKS, Tiled, TiledBackward};

/// The plan of a convolution by tiles, which is that of layer `layer`.
fn plan(layer: &LayerPlan) -> &Tiled {
    match &super::conv::plan(layer).algorithm {
        ConvAlgorithm::Tiles(tiled) => tiled,
        ConvAlgorithm::Product(_) => unreachable!("`{}` does not go through tiles", layer.name),
    }
}

/// The gradients' part of it.
fn backward(layer: &LayerPlan) -> &TiledBackward {
    let Some(backward) = &plan(layer).backward else { unreachable!("`{}` has no backward pass", layer.name) };
    backward
}

/// Some images of a batch.
#[derive(Clone, Copy)]
struct Part {
    first: usize,
    count: usize,
}

impl Tiled {
    fn points(&self) -> usize {
        self.tiling.tile.points()
    }

    /// Values of a row of points that `images` images take.
    fn row_len(&self, images: usize) -> usize {
        images * self.tiling.tiles() * LANES
    }

    /// Values of a row of points that a task transforms: an image's, or some rows of tiles of a single image.
    fn band_len(&self) -> usize {
        let (down, across) = self.tiling.grid();
        let bands = if self.images == 1 { TASKS.div_ceil(self.groups) } else { 1 };
        down.div_ceil(bands) * across * LANES
    }

    /// Output blocks that a task transforms back: all of a group, or fewer where there are few images.
    fn blocks_of_task(&self) -> usize {
        let blocks = self.k / LANES;
        let tasks = TASKS.div_ceil(self.images * self.groups);
        (1..=blocks).rev().find(|some| blocks.is_multiple_of(*some) && blocks / some >= tasks).unwrap_or(1)
    }

    /// The layer's weights as seen by this plan.
    fn view(&self, layer: &LayerPlan, inputs_are_lanes: bool) -> WeightView {
        let win = &super::conv::plan(layer).win;
        WeightView { k: self.k, c: win.c, r: win.r, fold: self.fold.map_or(1, |fold| fold.f), inputs_are_lanes }
    }

    /// Groups of images in the order of tasks.
    fn parts(&self, n: usize) -> impl Iterator<Item = Part> + use<> {
        let images = self.images;
        (0..n).step_by(images).map(move |first| Part { first, count: images.min(n - first) })
    }
}

impl Engine {
    pub(super) fn tiled_forward(&mut self, index: usize, pixels: Pixels<'_>) {
        let layer = &self.plan.layers[index];
        let (u, v, m) = (plan(layer).u, plan(layer).v, plan(layer).m);
        if self.weights_are_new() {
            self.transform_weights(index, u, false);
        }
        for part in plan(&self.plan.layers[index]).parts(pixels.n) {
            self.transform_input(index, pixels, part, v);
            self.multiply_points(index, part, v, u, m, false);
            self.transform_output(index, pixels.n, part);
        }
    }

    /// Gradients by weights, biases and, where it is wanted, input; returns the time that the last took.
    pub(super) fn tiled_backward(&mut self, index: usize, pixels: Pixels<'_>, accumulate: bool) -> Duration {
        let TiledBackward { v, m, u, .. } = *backward(&self.plan.layers[index]);
        let mut time = Duration::ZERO;
        let start = Instant::now();
        if let Some(u) = u {
            self.transform_weights(index, u, true);
            time += start.elapsed();
        }
        for part in plan(&self.plan.layers[index]).parts(pixels.n) {
            self.transform_input(index, pixels, part, v);
            self.transform_gradient(index, pixels.n, part);
            self.add_weight_points(index, part);
            self.add_biases(index, part, accumulate || part.first > 0);
            let start = Instant::now();
            if let Some(u) = u {
                self.multiply_points(index, part, m, u, v, true);
                self.scatter_points(index, pixels.n, part);
                time += start.elapsed();
            }
        }
        self.store_weight_points(index, accumulate);
        time
    }

    /// `u ← G w Gᵀ`; a task owns a block of lanes of a group.
    fn transform_weights(&mut self, index: usize, u: Buffer, inputs_are_lanes: bool) {
        let (layer, target) = (&self.plan.layers[index], self.gemm.target());
        let plan = plan(layer);
        let (points, tile, view) = (plan.points(), plan.tiling.tile, plan.view(layer, inputs_are_lanes));
        let (lanes, rows) = view.lanes_and_rows();
        let weight = self.params(layer, self.plan.weights)[0];
        let group = weight.len / plan.groups;
        let ([weight], [u]) = self.arena.split([weight], [self.plan.slot(u)]);
        let u = MatMut::new(u, plan.groups * points, lanes * rows, lanes * rows);
        self.threads.blocks(u, points, rows * LANES, &mut [], |row, col, mut u, _| {
            let weight = &weight[row / points * group..][..group];
            weights(target, tile, view, col / (rows * LANES), weight, &mut u);
        });
    }

    /// `v ← Bᵀ x B`; a task owns a group of an image, or a band of it.
    fn transform_input(&mut self, index: usize, pixels: Pixels<'_>, part: Part, v: Buffer) {
        let (layer, target) = (&self.plan.layers[index], self.gemm.target());
        let plan = plan(layer);
        let rows = plan.points() * plan.c / LANES;
        let (cols, across) = (plan.band_len(), plan.tiling.grid().1);
        let ([x], [v, scratch]) = self.arena.split([self.input(layer, pixels.n)], [self.plan.slot(v), self.scratch()]);
        let (x, len) = (pixels.or(layer.input, x), layer.input_len / plan.groups);
        let v = MatMut::new(v, plan.groups * rows, plan.row_len(part.count), plan.ld);
        self.threads.blocks(v, rows, cols, scratch, |row, col, mut v, scratch| {
            let (g, i, first) = (row / rows, part.first + col / plan.row_len(1), col % plan.row_len(1) / LANES);
            let (x, tile) = (&x[(i * plan.groups + g) * len..][..len], plan.tiling.tile);
            let Some(folded) = &plan.fold else { return input(target, tile, &plan.tiling, x, first, &mut v) };
            let (image, line) = scratch[..folded.len() + folded.line_len()].split_at_mut(folded.len());
            let end = (first + v.cols() / LANES).div_ceil(across);
            fold(target, folded, x, first / across * tile.m()..end * tile.m() + tile.r() - 1, image, line);
            input(target, tile, &plan.tiling, image, first, &mut v);
        });
    }

    /// `m ← A dy Aᵀ`; a task owns a group of an image.
    fn transform_gradient(&mut self, index: usize, n: usize, part: Part) {
        let (layer, target) = (&self.plan.layers[index], self.gemm.target());
        let (plan, m) = (plan(layer), self.plan.slot(backward(layer).m));
        let (rows, cols, len) = (plan.points() * plan.k / LANES, plan.row_len(1), layer.output_len / plan.groups);
        let ([dy], [m]) = self.arena.split([self.dy(layer, n)], [m]);
        let m = MatMut::new(m, plan.groups * rows, plan.row_len(part.count), plan.ld);
        self.threads.blocks(m, rows, cols, &mut [], |row, col, mut m, _| {
            let (g, i) = (row / rows, part.first + col / cols);
            let dy = &dy[(i * plan.groups + g) * len..][..len];
            gradient(target, plan.tiling.tile, &plan.tiling, dy, &mut m);
        });
    }

    /// `out[g, point] ← from[g, point] · u[g, point]`, from input to output channels, or back where `adjoint`; a task owns a point.
    fn multiply_points(&mut self, index: usize, part: Part, from: Buffer, u: Buffer, out: Buffer, adjoint: bool) {
        let (layer, target) = (&self.plan.layers[index], self.gemm.target());
        let plan = plan(layer);
        let (depth, lanes) = if adjoint { (plan.k, plan.c) } else { (plan.c, plan.k) };
        let (rows, blocks) = (part.count * plan.tiling.tiles(), lanes / LANES);
        let ([from, u], [out]) = self.arena.split([self.plan.slot(from), self.plan.slot(u)], [self.plan.slot(out)]);
        self.threads.chunks(out, blocks * plan.ld, &mut [], |task, out, _| {
            let a = Blocked { values: &from[task * depth / LANES * plan.ld..], block: plan.ld };
            let b = Blocked { values: &u[task * depth * lanes..], block: depth * LANES };
            multiply(target, a, b, out, plan.ld, rows, depth, blocks);
        });
    }

    /// `y ← Aᵀ m A`; a task owns a group of an image, or some of its channel blocks.
    fn transform_output(&mut self, index: usize, n: usize, part: Part) {
        let (layer, target) = (&self.plan.layers[index], self.gemm.target());
        let (plan, relu) = (plan(layer), super::conv::plan(layer).relu);
        let (blocks, some) = (plan.k / LANES, plan.blocks_of_task());
        let (area, tasks) = (layer.output_len / plan.groups / blocks, blocks / some);
        let bias = self.params(layer, self.plan.weights)[1];
        let y = images_of(self.output(layer, n), part, layer.output_len);
        let ([m, bias], [y]) = self.arena.split([self.plan.slot(plan.m), bias], [y]);
        self.threads.chunks(y, some * area, &mut [], |task, y, _| {
            let (part, block) = (task / tasks, task % tasks * some);
            let (i, g) = (part / plan.groups, part % plan.groups);
            let row = g * plan.points() * blocks + block;
            let m = Points { values: &m[row * plan.ld + plan.row_len(i)..], blocks, ld: plan.ld };
            let bias = &bias[g * plan.k + block * LANES..][..some * LANES];
            output(target, plan.tiling.tile, &plan.tiling, m, bias, relu, y);
        });
    }

    /// `dx ← Σ B v Bᵀ`; a task owns a group of an image.
    fn scatter_points(&mut self, index: usize, n: usize, part: Part) {
        let (layer, target) = (&self.plan.layers[index], self.gemm.target());
        let (plan, backward) = (plan(layer), backward(layer));
        let (rows, len) = (plan.points() * plan.c / LANES, layer.input_len / plan.groups);
        let x = if backward.mask { self.input(layer, n) } else { Slot { offset: 0, len: 0 } };
        let dx = images_of(self.dx(layer, n), part, layer.input_len);
        let ([v, x], [dx, scratch]) = self.arena.split([self.plan.slot(backward.v), x], [dx, self.scratch()]);
        self.threads.chunks(dx, len, scratch, |task, dx, scratch| {
            let (i, g) = (task / plan.groups, task % plan.groups);
            let v = Points { values: &v[g * rows * plan.ld + plan.row_len(i)..], blocks: plan.c / LANES, ld: plan.ld };
            let x = if x.is_empty() { x } else { &x[((part.first + i) * plan.groups + g) * len..][..len] };
            let (tile, tiling) = (plan.tiling.tile, &plan.tiling);
            let Some(folded) = &plan.fold else { return scatter(target, tile, tiling, v, x, dx, scratch) };
            let (image, scratch) = scratch.split_at_mut(folded.len());
            scatter(target, tile, tiling, v, &[], image, scratch);
            unfold(target, folded, image, dx);
        });
    }

    /// `du[g, point] ← [du +] v[g, point]ᵀ · m[g, point]`; a task owns a point.
    fn add_weight_points(&mut self, index: usize, part: Part) {
        let (layer, target) = (&self.plan.layers[index], self.gemm.target());
        let (plan, backward) = (plan(layer), backward(layer));
        let rows = part.count * plan.tiling.tiles();
        let reads = [self.plan.slot(backward.v), self.plan.slot(backward.m)];
        let ([v, m], [du]) = self.arena.split(reads, [self.plan.slot(backward.du)]);
        self.threads.chunks(du, plan.c * plan.k, &mut [], |task, du, _| {
            let a = Blocked { values: &v[task * plan.c / LANES * plan.ld..], block: plan.ld };
            let b = Blocked { values: &m[task * plan.k / LANES * plan.ld..], block: plan.ld };
            add_outer(target, a, b, du, plan.c, rows, plan.k / LANES, part.first > 0);
        });
    }

    /// `db ← [db +] Σ dy`: at one point, the transformed gradient of a tile is the sum of the tile.
    fn add_biases(&mut self, index: usize, part: Part, accumulate: bool) {
        let (layer, target) = (&self.plan.layers[index], self.gemm.target());
        let plan = plan(layer);
        let (blocks, point) = (plan.k / LANES, plan.tiling.tile.point_of_sums());
        let db = self.gradients(layer)[1];
        let ([m], [db]) = self.arena.split([self.plan.slot(backward(layer).m)], [db]);
        self.threads.chunks(db, LANES, &mut [], |task, db, _| {
            let (g, block) = (task / blocks, task % blocks);
            let row = (g * plan.points() + point) * blocks + block;
            sum_rows(target, &m[row * plan.ld..][..plan.row_len(part.count)], accumulate, db);
        });
    }

    /// `dw ← [dw +] Gᵀ du G`; a task owns a block of outputs of a group.
    fn store_weight_points(&mut self, index: usize, accumulate: bool) {
        let (layer, target) = (&self.plan.layers[index], self.gemm.target());
        let (plan, view) = (plan(layer), plan(layer).view(layer, false));
        let (blocks, block, stride) = (plan.k / LANES, plan.c * LANES, plan.c * plan.k);
        let dw = self.gradients(layer)[0];
        let each = LANES * view.c * view.r * view.r;
        let ([du], [dw]) = self.arena.split([self.plan.slot(backward(layer).du)], [dw]);
        self.threads.chunks(dw, each, &mut [], |task, dw, _| {
            let (g, column) = (task / blocks, task % blocks);
            let du = &du[g * plan.points() * stride + column * block..];
            weight_gradient(target, plan.tiling.tile, view, du, stride, accumulate, dw);
        });
    }
}

/// The images `part` of a slot that holds `len` values for each.
fn images_of(slot: Slot, part: Part, len: usize) -> Slot {
    Slot { offset: slot.offset + part.first * len, len: part.count * len }
}
