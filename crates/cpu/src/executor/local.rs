//! Locally connected layers: which task packs and multiplies what.

use super::{Engine, Pixels};
use crate::kernels::gemm::Left;
use crate::kernels::{MatMut, local};
use crate::plan::{LayerPlan, LocalPlan, OpPlan};

/// The plan of a locally connected layer.
fn plan(layer: &LayerPlan) -> &LocalPlan {
    match &layer.op {
        OpPlan::Local(plan) => plan,
        _ => unreachable!("`{}` is not locally connected", layer.name),
    }
}

impl Engine {
    pub(super) fn local_forward(&mut self, index: usize, pixels: Pixels<'_>) {
        let layer = &self.plan.layers[index];
        let (plan, gemm, n) = (plan(layer), &self.gemm, pixels.n);
        let (win, k, depth, positions) = (&plan.win, plan.k, plan.win.depth(), plan.win.positions());
        let [weight, bias] = self.params(layer, self.plan.weights);
        let by_position = self.plan.slot(plan.by_position).first(positions * n * k);
        let reads = [self.input(layer, n), weight];
        let ([x, weight], [out, scratch]) = self.arena.split(reads, [by_position, self.scratch()]);
        let x = pixels.or(layer.input, x);
        self.threads.chunks(out, n * k, scratch, |position, out, scratch| {
            let (patches, rest) = scratch.split_at_mut(n * depth);
            let (a, b) = rest.split_at_mut(gemm.a_len(n, depth));
            local::patches(gemm.target(), win, position, x, patches);
            gemm.pack_a(patches, depth, 1, n, depth, a);
            gemm.pack_b(&weight[position * k * depth..], depth, 1, k, depth, b);
            let a = Left::Panels { values: a, panel: gemm.mr() * depth, from: 0 };
            gemm.multiply(a, b, depth, MatMut::new(out, n, k, k), false);
        });
        let ([values, bias], [y]) = self.arena.split([by_position, bias], [self.output(layer, n)]);
        self.threads.chunks(y, layer.output_len, &mut [], |i, y, _| {
            local::from_positions(gemm.target(), values, n, i, positions, bias, plan.relu, y);
        });
    }

    /// Sorts the gradient by position, `[position, n, k]`.
    fn sort_by_position(&mut self, index: usize, n: usize) {
        let layer = &self.plan.layers[index];
        let (plan, target) = (plan(layer), self.gemm.target());
        let (k, positions) = (plan.k, plan.win.positions());
        let by_position = self.plan.slot(plan.by_position).first(positions * n * k);
        let ([dy], [out]) = self.arena.split([self.dy(layer, n)], [by_position]);
        self.threads.chunks(out, n * k, &mut [], |position, out, _| {
            local::at_position(target, dy, positions, position, out);
        });
    }

    pub(super) fn local_weight(&mut self, index: usize, pixels: Pixels<'_>, accumulate: bool) {
        self.sort_by_position(index, pixels.n);
        let layer = &self.plan.layers[index];
        let (plan, gemm, n) = (plan(layer), &self.gemm, pixels.n);
        let (win, k, depth, positions) = (&plan.win, plan.k, plan.win.depth(), plan.win.positions());
        let by_position = self.plan.slot(plan.by_position).first(positions * n * k);
        let [dw, db] = self.gradients(layer);
        let ([x, dy], [dw, db, scratch]) = self.arena.split([self.input(layer, n), by_position], [dw, db, self.scratch()]);
        let x = pixels.or(layer.input, x);
        self.threads.chunks(dw, k * depth, scratch, |position, dw, scratch| {
            let (patches, rest) = scratch.split_at_mut(n * depth);
            let (a, b) = rest.split_at_mut(gemm.a_len(k, n));
            local::patches(gemm.target(), win, position, x, patches);
            gemm.pack_a(&dy[position * n * k..], 1, k, k, n, a);
            gemm.pack_b(patches, 1, depth, depth, n, b);
            let a = Left::Panels { values: a, panel: gemm.mr() * n, from: 0 };
            gemm.multiply(a, b, n, MatMut::new(dw, k, depth, depth), accumulate);
        });
        self.threads.chunks(db, positions, &mut [], |k_index, db, _| {
            for (position, db) in db.iter_mut().enumerate() {
                let sum: f32 = (0..n).map(|i| dy[(position * n + i) * k + k_index]).sum();
                *db = if accumulate { *db + sum } else { sum };
            }
        });
    }

    pub(super) fn local_data(&mut self, index: usize, n: usize) {
        let layer = &self.plan.layers[index];
        let (plan, gemm) = (plan(layer), &self.gemm);
        let (win, k, depth, positions) = (&plan.win, plan.k, plan.win.depth(), plan.win.positions());
        let by_position = self.plan.slot(plan.by_position).first(positions * n * k);
        let weight = self.params(layer, self.plan.weights)[0];
        let ([weight, dy], [dx, scratch]) = self.arena.split([weight, by_position], [self.dx(layer, n), self.scratch()]);
        self.threads.chunks(dx, plan.images * layer.input_len, scratch, |task, dx, scratch| {
            let (first, images) = (task * plan.images, dx.len() / layer.input_len);
            let (a, rest) = scratch.split_at_mut(gemm.a_len(images, k));
            let (b, patches) = rest.split_at_mut(gemm.b_len(k, depth));
            dx.fill(0.0);
            for position in 0..positions {
                gemm.pack_a(&dy[(position * n + first) * k..], k, 1, images, k, a);
                gemm.pack_b(&weight[position * k * depth..], 1, depth, depth, k, b);
                let left = Left::Panels { values: a, panel: gemm.mr() * k, from: 0 };
                gemm.multiply(left, b, k, MatMut::new(patches, images, depth, depth), false);
                local::add_patches(gemm.target(), win, position, &patches[..images * depth], dx);
            }
        });
    }
}
