//! Linear layers: which task packs and multiplies what.

use super::{Engine, Pixels};
use crate::kernels::gemm::Left;
use crate::kernels::{MatMut, linear, matvec};
use crate::plan::{
    Buffer, LINEAR_COLS, LINEAR_ROWS, LINEAR_WEIGHT_BLOCK, LayerPlan, LinearForward, LinearPlan, OpPlan, linear_depth,
};

/// The plan of a linear layer.
fn plan(layer: &LayerPlan) -> &LinearPlan {
    match &layer.op {
        OpPlan::Linear(plan) => plan,
        _ => unreachable!("`{}` is not linear", layer.name),
    }
}

/// The position of a layer's weight among the net's parameters.
fn weight_index(layer: &LayerPlan) -> usize {
    layer.params.map_or_else(|| unreachable!("`{}` has no parameters", layer.name), |(weight, _)| weight)
}

impl Engine {
    pub(super) fn linear_forward(&mut self, index: usize, pixels: Pixels<'_>) {
        match plan(&self.plan.layers[index]).forward {
            LinearForward::MatrixVector => self.linear_forward_rows(index, pixels),
            LinearForward::RoundedRows { w, x } => self.linear_forward_rounded(index, pixels, w, x),
            LinearForward::Product { x, w } => self.linear_forward_product(index, pixels, x, w),
        }
    }

    /// A task owns some rows of the weights.
    fn linear_forward_rows(&mut self, index: usize, pixels: Pixels<'_>) {
        let layer = &self.plan.layers[index];
        let (plan, target, n) = (plan(layer), self.gemm.target(), pixels.n);
        let (inputs, k) = (plan.inputs, plan.k);
        let [weight, bias] = self.params(layer, self.plan.weights);
        let ([x, weight, bias], [y]) = self.arena.split([self.input(layer, n), weight, bias], [self.output(layer, n)]);
        let (x, weight) = (pixels.or(layer.input, x), self.shared.or(weight_index(layer), weight));
        self.threads.blocks(MatMut::new(y, n, k, k), n, LINEAR_ROWS, &mut [], |_, row, out, _| {
            matvec::linear(target, x, &weight[row * inputs..], inputs, &bias[row..], plan.relu, out);
        });
    }

    /// A task owns some rows of the weights, which are rounded when they are new.
    fn linear_forward_rounded(&mut self, index: usize, pixels: Pixels<'_>, w: Buffer, x_packed: Buffer) {
        let layer = &self.plan.layers[index];
        let (plan, gemm, n) = (plan(layer), &self.linear, pixels.n);
        let (inputs, k, words) = (plan.inputs, plan.k, gemm.words(plan.inputs));
        let [weight, bias] = self.params(layer, self.plan.weights);
        let (w, x_packed) = (self.plan.slot(w), self.plan.slot(x_packed).first(n * words));
        if self.weights_are_new() {
            let ([weight], [w]) = self.arena.split([weight], [w]);
            let weight = self.shared.or(weight_index(layer), weight);
            self.threads.chunks(w, words, &mut [], |row, w, _| gemm.pack_rows(&weight[row * inputs..][..inputs], inputs, w));
        }
        let ([x], [rounded]) = self.arena.split([self.input(layer, n)], [x_packed]);
        gemm.pack_rows(&pixels.or(layer.input, x)[..n * inputs], inputs, rounded);
        let ([x, w, bias], [y]) = self.arena.split([x_packed, w, bias], [self.output(layer, n)]);
        self.threads.blocks(MatMut::new(y, n, k, k), n, LINEAR_ROWS, &mut [], |_, first, mut out, _| {
            let row = |r: usize| &w[(first + r) * words..][..words];
            let finish = |r: usize, sum: f32| {
                let y = sum + bias[first + r];
                if plan.relu && y < 0.0 { 0.0 } else { y }
            };
            let whole = out.cols() / 4 * 4;
            for r in (0..whole).step_by(4) {
                for i in 0..n {
                    let sums = gemm.rows_by_vector([row(r), row(r + 1), row(r + 2), row(r + 3)], &x[i * words..][..words]);
                    (0..4).for_each(|j| out.row(i)[r + j] = finish(r + j, sums[j]));
                }
            }
            for (r, i) in (whole..out.cols()).flat_map(|r| (0..n).map(move |i| (r, i))) {
                let [sum] = gemm.rows_by_vector([row(r)], &x[i * words..][..words]);
                out.row(i)[r] = finish(r, sum);
            }
        });
    }

    /// A task owns some outputs, and packs the weights that they need into panels, unless they are kept.
    fn linear_forward_product(&mut self, index: usize, pixels: Pixels<'_>, packed: Buffer, kept: Option<Buffer>) {
        let layer = &self.plan.layers[index];
        let (plan, gemm, n) = (plan(layer), &self.linear, pixels.n);
        let (inputs, k, mr) = (plan.inputs, plan.k, gemm.mr());
        let packed = self.plan.slot(packed).first(gemm.a_len(n, inputs));
        let ([x], [panels]) = self.arena.split([self.input(layer, n)], [packed]);
        let (x, words) = (pixels.or(layer.input, x), gemm.words(inputs));
        self.threads.chunks(panels, mr * words, &mut [], |panel, panels, _| {
            gemm.pack_a(&x[panel * mr * inputs..], inputs, 1, mr.min(n - panel * mr), inputs, panels);
        });
        let [weight, bias] = self.params(layer, self.plan.weights);
        let (block, padded) = (linear_depth(inputs), k.next_multiple_of(gemm.nr()));
        if let (Some(kept), true) = (kept, self.weights_are_new()) {
            let ([weight], [w]) = self.arena.split([weight], [self.plan.slot(kept)]);
            let weight = self.shared.or(weight_index(layer), weight);
            self.threads.chunks(w, padded * gemm.words(block), &mut [], |task, w, _| {
                let from = task * block;
                gemm.pack_b(&weight[from..], inputs, 1, k, block.min(inputs - from), w);
            });
        }
        let kept = kept.map_or(packed.first(0), |kept| self.plan.slot(kept));
        let ([panels, weight, bias, kept], [y, scratch]) =
            self.arena.split([packed, weight, bias, kept], [self.output(layer, n), self.scratch()]);
        let weight = self.shared.or(weight_index(layer), weight);
        self.threads.blocks(MatMut::new(y, n, k, k), n, LINEAR_COLS, scratch, |_, col, mut out, scratch| {
            let cols = out.cols();
            for from in (0..inputs).step_by(block) {
                let deep = block.min(inputs - from);
                let right = if kept.is_empty() {
                    gemm.pack_b(&weight[col * inputs + from..], inputs, 1, cols, deep, scratch);
                    &*scratch
                } else {
                    &kept[padded * gemm.words(from) + col * gemm.words(deep)..]
                };
                let a = Left::Panels { values: panels, panel: mr * words, from: mr * gemm.words(from) };
                gemm.multiply(a, right, deep, out.block(0..n, 0..cols), from > 0);
            }
            for i in 0..n {
                linear::add_bias(gemm.target(), &bias[col..col + cols], plan.relu, out.row(i));
            }
        });
    }

    pub(super) fn linear_data(&mut self, index: usize, n: usize) {
        let layer = &self.plan.layers[index];
        let (plan, gemm) = (plan(layer), &self.linear);
        let Some(packed) = plan.data_dy else { return };
        let (inputs, k, mr) = (plan.inputs, plan.k, gemm.mr());
        let packed = self.plan.slot(packed).first(gemm.a_len(n, k));
        let ([dy], [panels]) = self.arena.split([self.dy(layer, n)], [packed]);
        let words = gemm.words(k);
        self.threads.chunks(panels, mr * words, &mut [], |panel, panels, _| {
            gemm.pack_a(&dy[panel * mr * k..], k, 1, mr.min(n - panel * mr), k, panels);
        });
        let weight = self.params(layer, self.plan.weights)[0];
        let ([panels, weight], [dx, scratch]) = self.arena.split([packed, weight], [self.dx(layer, n), self.scratch()]);
        self.threads.blocks(MatMut::new(dx, n, inputs, inputs), n, LINEAR_COLS, scratch, |_, col, mut out, scratch| {
            let (cols, block) = (out.cols(), linear_depth(k));
            for from in (0..k).step_by(block) {
                let deep = block.min(k - from);
                gemm.pack_b(&weight[from * inputs + col..], 1, inputs, cols, deep, scratch);
                let a = Left::Panels { values: panels, panel: mr * words, from: mr * gemm.words(from) };
                gemm.multiply(a, scratch, deep, out.block(0..n, 0..cols), from > 0);
            }
        });
    }

    pub(super) fn linear_weight(&mut self, index: usize, pixels: Pixels<'_>, accumulate: bool) {
        let layer = &self.plan.layers[index];
        let (plan, gemm, n) = (plan(layer), &self.linear, pixels.n);
        let words = gemm.words(n);
        let Some((left, right)) = plan.weight else { return };
        let (inputs, k, mr, nr) = (plan.inputs, plan.k, gemm.mr(), gemm.nr());
        let (left, right) = (self.plan.slot(left).first(gemm.a_len(k, n)), self.plan.slot(right).first(gemm.b_len(n, inputs)));
        let ([x, dy], [a, b]) = self.arena.split([self.input(layer, n), self.dy(layer, n)], [left, right]);
        let x = pixels.or(layer.input, x);
        self.threads.chunks(a, mr * words, &mut [], |panel, a, _| {
            gemm.pack_a(&dy[panel * mr..], 1, k, mr.min(k - panel * mr), n, a);
        });
        self.threads.chunks(b, nr * words, &mut [], |panel, b, _| {
            gemm.pack_b(&x[panel * nr..], 1, inputs, nr.min(inputs - panel * nr), n, b);
        });
        let [dw, db] = self.gradients(layer);
        let ([a, b, dy], [dw, db]) = self.arena.split([left, right, self.dy(layer, n)], [dw, db]);
        let (rows, cols) = (LINEAR_WEIGHT_BLOCK.0.next_multiple_of(mr), LINEAR_WEIGHT_BLOCK.1);
        self.threads.blocks(MatMut::new(dw, k, inputs, inputs), rows, cols, &mut [], |row, col, out, _| {
            let a = Left::Panels { values: &a[row * words..], panel: mr * words, from: 0 };
            gemm.multiply(a, &b[col * words..], n, out, accumulate);
        });
        self.threads.chunks(db, LINEAR_COLS, &mut [], |task, db, _| {
            linear::add_rows(gemm.target(), &dy[task * LINEAR_COLS..], k, n, accumulate, db);
        });
    }
}
