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

impl Engine {
    pub(super) fn linear_forward(&mut self, index: usize, pixels: Pixels<'_>) {
        match plan(&self.plan.layers[index]).forward {
            LinearForward::MatrixVector => self.linear_forward_rows(index, pixels),
            LinearForward::Product { x } => self.linear_forward_product(index, pixels, x),
        }
    }

    /// A task owns some rows of the weights.
    fn linear_forward_rows(&mut self, index: usize, pixels: Pixels<'_>) {
        let layer = &self.plan.layers[index];
        let (plan, target, n) = (plan(layer), self.gemm.target(), pixels.n);
        let (inputs, k) = (plan.inputs, plan.k);
        let [weight, bias] = self.params(layer, self.plan.weights);
        let ([x, weight, bias], [y]) = self.arena.split([self.input(layer, n), weight, bias], [self.output(layer, n)]);
        let x = pixels.or(layer.input, x);
        self.threads.blocks(MatMut::new(y, n, k, k), n, LINEAR_ROWS, &mut [], |_, row, out, _| {
            matvec::linear(target, x, &weight[row * inputs..], inputs, &bias[row..], plan.relu, out);
        });
    }

    /// A task owns some outputs, and packs the weights that they need into panels.
    fn linear_forward_product(&mut self, index: usize, pixels: Pixels<'_>, packed: Buffer) {
        let layer = &self.plan.layers[index];
        let (plan, gemm, n) = (plan(layer), &self.gemm, pixels.n);
        let (inputs, k, mr) = (plan.inputs, plan.k, gemm.mr());
        let packed = self.plan.slot(packed).first(gemm.a_len(n, inputs));
        let ([x], [panels]) = self.arena.split([self.input(layer, n)], [packed]);
        let x = pixels.or(layer.input, x);
        self.threads.chunks(panels, mr * inputs, &mut [], |panel, panels, _| {
            gemm.pack_a(&x[panel * mr * inputs..], inputs, 1, mr.min(n - panel * mr), inputs, panels);
        });
        let [weight, bias] = self.params(layer, self.plan.weights);
        let ([panels, weight, bias], [y, scratch]) =
            self.arena.split([packed, weight, bias], [self.output(layer, n), self.scratch()]);
        self.threads.blocks(MatMut::new(y, n, k, k), n, LINEAR_COLS, scratch, |_, col, mut out, scratch| {
            let (cols, block) = (out.cols(), linear_depth(inputs));
            for from in (0..inputs).step_by(block) {
                let deep = block.min(inputs - from);
                gemm.pack_b(&weight[col * inputs + from..], inputs, 1, cols, deep, scratch);
                let a = Left::Panels { values: panels, panel: mr * inputs, from: mr * from };
                gemm.multiply(a, scratch, deep, out.block(0..n, 0..cols), from > 0);
            }
            for i in 0..n {
                linear::add_bias(gemm.target(), &bias[col..col + cols], plan.relu, out.row(i));
            }
        });
    }

    pub(super) fn linear_data(&mut self, index: usize, n: usize) {
        let layer = &self.plan.layers[index];
        let (plan, gemm) = (plan(layer), &self.gemm);
        let Some(packed) = plan.data_dy else { return };
        let (inputs, k, mr) = (plan.inputs, plan.k, gemm.mr());
        let packed = self.plan.slot(packed).first(gemm.a_len(n, k));
        let ([dy], [panels]) = self.arena.split([self.dy(layer, n)], [packed]);
        self.threads.chunks(panels, mr * k, &mut [], |panel, panels, _| {
            gemm.pack_a(&dy[panel * mr * k..], k, 1, mr.min(n - panel * mr), k, panels);
        });
        let weight = self.params(layer, self.plan.weights)[0];
        let ([panels, weight], [dx, scratch]) = self.arena.split([packed, weight], [self.dx(layer, n), self.scratch()]);
        self.threads.blocks(MatMut::new(dx, n, inputs, inputs), n, LINEAR_COLS, scratch, |_, col, mut out, scratch| {
            let (cols, block) = (out.cols(), linear_depth(k));
            for from in (0..k).step_by(block) {
                let deep = block.min(k - from);
                gemm.pack_b(&weight[from * inputs + col..], 1, inputs, cols, deep, scratch);
                let a = Left::Panels { values: panels, panel: mr * k, from: mr * from };
                gemm.multiply(a, scratch, deep, out.block(0..n, 0..cols), from > 0);
            }
        });
    }

    pub(super) fn linear_weight(&mut self, index: usize, pixels: Pixels<'_>, accumulate: bool) {
        let layer = &self.plan.layers[index];
        let (plan, gemm, n) = (plan(layer), &self.gemm, pixels.n);
        let Some((left, right)) = plan.weight else { return };
        let (inputs, k, mr, nr) = (plan.inputs, plan.k, gemm.mr(), gemm.nr());
        let (left, right) = (self.plan.slot(left).first(gemm.a_len(k, n)), self.plan.slot(right).first(gemm.b_len(n, inputs)));
        let ([x, dy], [a, b]) = self.arena.split([self.input(layer, n), self.dy(layer, n)], [left, right]);
        let x = pixels.or(layer.input, x);
        self.threads.chunks(a, mr * n, &mut [], |panel, a, _| {
            gemm.pack_a(&dy[panel * mr..], 1, k, mr.min(k - panel * mr), n, a);
        });
        self.threads.chunks(b, nr * n, &mut [], |panel, b, _| {
            gemm.pack_b(&x[panel * nr..], 1, inputs, nr.min(inputs - panel * nr), n, b);
        });
        let [dw, db] = self.gradients(layer);
        let ([a, b, dy], [dw, db]) = self.arena.split([left, right, self.dy(layer, n)], [dw, db]);
        let (rows, cols) = (LINEAR_WEIGHT_BLOCK.0.next_multiple_of(mr), LINEAR_WEIGHT_BLOCK.1);
        self.threads.blocks(MatMut::new(dw, k, inputs, inputs), rows, cols, &mut [], |row, col, out, _| {
            let a = Left::Panels { values: &a[row * n..], panel: mr * n, from: 0 };
            gemm.multiply(a, &b[col * n..], n, out, accumulate);
        });
        self.threads.chunks(db, LINEAR_COLS, &mut [], |task, db, _| {
            linear::add_rows(gemm.target(), &dy[task * LINEAR_COLS..], k, n, accumulate, db);
        });
    }
}
