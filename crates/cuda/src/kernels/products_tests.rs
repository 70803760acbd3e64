//! The three passes of every product beside the oracle, on the emulated device.

use net::random::{Purpose, Stream};
use net::{Conv, Init, Learn, Linear, Local, Op, Padding, Pair, Rounding, Shape};

use super::products::{Operands, Product};
use crate::args::{Ptr, Step, Struct};
use crate::driver::Driver;
use crate::driver::emulated::testing::{self, narrow, wide};
use crate::kernels::Element;
use crate::plan::{Order, to_planes};

const LEARN: Learn = Learn { init: Init::Constant(0.0), rate: 1.0, decay: 1.0 };
const ELEMENTS: [Element; 4] = [Element::F32, Element::Tf32, Element::Bf16, Element::F16];

fn conv(k: usize, kernel: (usize, usize), stride: (usize, usize), padding: Padding, groups: usize) -> Op {
    let (kernel, stride) = (Pair { r: kernel.0, s: kernel.1 }, Pair { r: stride.0, s: stride.1 });
    Op::Conv(Conv { k, kernel, stride, padding, rounding: Rounding::Floor, groups, weight: LEARN, bias: LEARN })
}

fn local(k: usize, kernel: usize, stride: usize, padding: Padding) -> Op {
    let (kernel, stride) = (Pair::square(kernel), Pair::square(stride));
    Op::Local(Local { k, kernel, stride, padding, weight: LEARN, bias: LEARN })
}

fn shape(c: usize, h: usize, w: usize) -> Shape {
    Shape { c, h, w }
}

/// Numbers that the element holds.
fn numbers(element: Element, item: u32, count: usize) -> Vec<f32> {
    let stream = Stream::new(7, Purpose::Test, 0, 0, item);
    let round = |x: f32| match element {
        Element::F32 => x,
        // 10 bits of fraction.
        Element::Tf32 => f32::from_bits(x.to_bits() & !0x1fff),
        Element::Bf16 | Element::F16 => wide(element, narrow(element, x)),
    };
    (0..count as u32).map(|e| round(stream.normal(e) as f32)).collect()
}

fn f64s(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&x| f64::from(x)).collect()
}

/// Images `[n, c, h, w]` as the device has them.
fn turned(values: &[f32], shape: Shape) -> Vec<f32> {
    let order = Order::turned(1, shape.c, shape.h, shape.w);
    values.chunks_exact(shape.len()).flat_map(|image| order.to_device(image)).collect()
}

/// A layer's numbers, and what the oracle makes of them: every value with the sum of its products' magnitudes.
struct Case {
    op: Op,
    input: Shape,
    output: Shape,
    images: usize,
    x: Vec<f32>,
    w: Vec<f32>,
    b: Vec<f32>,
    dy: Vec<f32>,
}

type Values = Vec<(f64, f64)>;

impl Case {
    fn new(op: Op, input: Shape, output: Shape, images: usize, element: Element) -> Case {
        let (weights, biases) = match &op {
            Op::Conv(conv) => (conv.k * input.c / conv.groups * conv.kernel.r * conv.kernel.s, conv.k),
            Op::Local(local) => (output.len() * input.c * local.kernel.r * local.kernel.s, output.len()),
            _ => (output.len() * input.len(), output.len()),
        };
        let [x, w, dy] = [(0, images * input.len()), (1, weights), (2, images * output.len())]
            .map(|(item, count)| numbers(element, item, count));
        Case { op, input, output, images, x, w, b: numbers(Element::F32, 3, biases), dy }
    }

    /// `y`, `dx` and `dw` of the oracle for these numbers.
    fn oracle(&self, x: &[f64], w: &[f64], b: &[f64], dy: &[f64]) -> [Vec<f64>; 3] {
        let (input, output) = (self.input, self.output);
        let (mut y, mut dx, mut dw) = (vec![0.0; dy.len()], vec![0.0; x.len()], vec![0.0; w.len()]);
        let mut db = vec![0.0; b.len()];
        for i in 0..self.images {
            let (x, dy) = (&x[i * input.len()..][..input.len()], &dy[i * output.len()..][..output.len()]);
            let (y, dx) = (&mut y[i * output.len()..][..output.len()], &mut dx[i * input.len()..][..input.len()]);
            match &self.op {
                Op::Conv(op) => {
                    reference::conv::forward(op, input, output, x, w, b, y);
                    reference::conv::backward_input(op, input, output, w, dy, dx);
                    reference::conv::backward_params(op, input, output, x, dy, &mut dw, &mut db);
                }
                Op::Local(op) => {
                    reference::local::forward(op, input, output, x, w, b, y);
                    reference::local::backward_input(op, input, output, w, dy, dx);
                    reference::local::backward_params(op, input, output, x, dy, &mut dw, &mut db);
                }
                _ => {
                    reference::linear::forward(x, w, b, y);
                    reference::linear::backward_input(w, dy, dx);
                    reference::linear::backward_params(x, dy, &mut dw, &mut db);
                }
            }
        }
        [y, dx, dw]
    }

    fn expected(&self) -> [Values; 3] {
        let magnitudes = |values: &[f32]| values.iter().map(|&x| f64::from(x.abs())).collect::<Vec<f64>>();
        let values = self.oracle(&f64s(&self.x), &f64s(&self.w), &f64s(&self.b), &f64s(&self.dy));
        let sums = self.oracle(&magnitudes(&self.x), &magnitudes(&self.w), &magnitudes(&self.b), &magnitudes(&self.dy));
        let mut both = values.into_iter().zip(sums).map(|(values, sums)| values.into_iter().zip(sums).collect());
        [both.next(), both.next(), both.next()].map(|values| values.expect("three"))
    }

    fn weight_order(&self) -> Order {
        match &self.op {
            Op::Conv(conv) => Order::turned(conv.k, self.input.c / conv.groups, conv.kernel.r, conv.kernel.s),
            Op::Local(local) => Order::turned(self.output.len(), self.input.c, local.kernel.r, local.kernel.s),
            _ => Order::turned(self.output.len(), self.input.c, self.input.h, self.input.w),
        }
    }

    /// The same on the device, in an order of threads that depends on `seed`: prepared for `capacity` images.
    fn device(&self, element: Element, seed: u64, capacity: usize, relu: bool) -> Option<[Vec<f32>; 3]> {
        let mut device = testing::device(element, seed)?;
        ["conv_forward.cu", "conv_data.cu", "conv_weight.cu"].iter().for_each(|source| device.compile(source).unwrap());
        let product = Product::new(&self.op, self.input, self.output, element, capacity).expect("a product");
        let step = Step { images: self.images as u32, ..Step::NONE };
        let step = Ptr::at(device.with(&step.bytes()));
        let (order, bias_order) = (
            self.weight_order(),
            match &self.op {
                Op::Local(_) => Order::turned(1, self.output.c, self.output.h, self.output.w),
                _ => Order::same(self.b.len()),
            },
        );
        let x = Ptr::at(device.with_elems(&turned(&self.x, self.input)));
        let dy = Ptr::at(device.with_elems(&turned(&self.dy, self.output)));
        let w = Ptr::at(device.with_elems(&order.to_device(&self.w)));
        let bias = Ptr::at(device.with(&bias_order.to_device(&self.b)));
        let (y_at, dx_at) =
            (device.room_for_elems(capacity * self.output.len()), device.room_for_elems(capacity * self.input.len()));
        let (partials, parts) = product.partials();
        let out_at = device.room::<f32>(partials.max(product.weights()));
        let (y, dx, out) = (Ptr::at(y_at), Ptr::at(dx_at), Ptr::at(out_at));
        device.launch(&product.forward(Operands { step, x, w, y }, bias, relu, Ptr::NULL)).unwrap();
        device.launch(&product.data(Operands { step, x: dx, w, y: dy }, None)).unwrap();
        device.launch(&product.weight(Operands { step, x, w, y: dy }, out, Ptr::NULL)).unwrap();
        let planes = |values: Vec<f32>, shape: Shape| to_planes(&values, shape.c, shape.plane());
        let through_at = device.room_for_elems(capacity * self.input.len());
        device.launch(&product.data(Operands { step, x: Ptr::at(through_at), w, y: dy }, Some((x, 1.5)))).unwrap();
        let through = planes(device.elems(through_at, self.images * self.input.len()), self.input);
        let y = planes(device.elems(y_at, self.images * self.output.len()), self.output);
        let dx = planes(device.elems(dx_at, self.images * self.input.len()), self.input);
        let shares = device.values::<f32>(out_at, parts * product.weights());
        let sum = |at: usize| shares.chunks_exact(product.weights()).map(|share| share[at]).sum();
        let dw = order.to_net(&(0..product.weights()).map(sum).collect::<Vec<f32>>());
        self.check_through(element, &dx, &through);
        Some([y, dx, dw])
    }

    /// The gradient that has passed a rectifier and dropout: one and a half times `dx` where `x` is above 0, and rounded once.
    fn check_through(&self, element: Element, dx: &[f32], through: &[f32]) {
        for (at, ((&x, &dx), &through)) in self.x.iter().zip(dx).zip(through).enumerate() {
            let expected = if x > 0.0 { 1.5 * dx } else { 0.0 };
            let bound = 2.0 * rounding(element) * f64::from(expected.abs())
                + if rounding(element) > 0.0 { 2.0_f64.powi(-24) } else { 0.0 };
            assert!(
                (f64::from(through) - f64::from(expected)).abs() <= bound,
                "{:?} {element:?} {at}: {through}, {expected}",
                self.op
            );
        }
    }

    /// Compares value by value: a sum of `terms` products in f32 errs by γ of so many operations of the magnitudes, and the result is
    /// rounded once more.
    fn check(&self, element: Element, seed: u64, capacity: usize) {
        let Some(found) = self.device(element, seed, capacity, false) else { return };
        let terms = (self.input.len() * 2).max(self.images * self.output.plane() * 2).max(self.output.len() * 2) as f64;
        for (what, (found, expected)) in ["y", "dx", "dw"].iter().zip(found.iter().zip(self.expected())) {
            let rounding = if *what == "dw" { 0.0 } else { rounding(element) };
            for (at, (&found, (value, sum))) in found.iter().zip(expected).enumerate() {
                // Below the least normal number of f16, roundings do not shrink.
                let bound = terms * 2.0_f64.powi(-24) * sum + rounding * 1.01 * value.abs() + 2.0_f64.powi(-25);
                let distance = (f64::from(found) - value).abs();
                assert!(distance <= bound, "{:?} {element:?} {what}[{at}]: {found} for {value}, bound {bound}", self.op);
            }
        }
    }
}

/// How far a value may be rounded, as a share of it.
fn rounding(element: Element) -> f64 {
    match element {
        Element::F32 | Element::Tf32 => 0.0,
        Element::Bf16 => 2.0_f64.powi(-8),
        Element::F16 => 2.0_f64.powi(-11),
    }
}

/// Every kind of product, on shapes that fill no tile and on shapes that are no whole vectors.
fn cases() -> Vec<(Op, Shape, Shape, usize)> {
    let pad = Padding::all;
    let lopsided = Padding { top: 2, left: 0, bottom: 1, right: 3 };
    let linear = |k| Op::Linear(Linear { k, weight: LEARN, bias: LEARN });
    vec![
        (conv(16, (3, 3), (1, 1), pad(1), 1), shape(8, 7, 6), shape(16, 7, 6), 2),
        (conv(48, (5, 5), (1, 1), pad(2), 2), shape(32, 6, 5), shape(48, 6, 5), 3),
        (conv(6, (3, 2), (2, 1), lopsided, 3), shape(9, 7, 5), shape(6, 4, 7), 2),
        (conv(7, (11, 11), (4, 4), pad(2), 1), shape(3, 23, 27), shape(7, 5, 6), 1),
        (conv(8, (1, 1), (1, 1), pad(0), 1), shape(8, 1, 1), shape(8, 1, 1), 5),
        (conv(4, (5, 5), (3, 3), pad(4), 4), shape(4, 2, 2), shape(4, 2, 2), 2),
        (linear(24), shape(16, 3, 2), shape(24, 1, 1), 5),
        (linear(10), shape(5, 2, 3), shape(10, 1, 1), 70),
        (linear(200), shape(136, 1, 1), shape(200, 1, 1), 130),
        (local(16, 3, 1, pad(1)), shape(8, 4, 3), shape(16, 4, 3), 3),
        (local(5, 3, 2, lopsided), shape(3, 5, 4), shape(5, 3, 3), 66),
    ]
}

#[test]
fn every_pass_agrees_with_the_oracle() {
    for element in ELEMENTS {
        for (seed, (op, input, output, images)) in cases().into_iter().enumerate() {
            Case::new(op, input, output, images, element).check(element, seed as u64, images + seed % 3);
        }
    }
}

/// Enough rows and columns for every tile, several of them, and weights in parts.
#[test]
fn large_tiles_agree_with_the_oracle() {
    for element in ELEMENTS {
        let op = conv(136, (3, 3), (1, 1), Padding::all(1), 1);
        let case = Case::new(op, shape(104, 12, 12), shape(136, 12, 12), 8, element);
        case.check(element, 3, 9);
    }
}
