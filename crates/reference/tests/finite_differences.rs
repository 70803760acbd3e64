//! The gradients of the formulas are the gradients of the formulas: central differences in f64.
//!
//! A difference quotient `D(h) = (f(θ+h) − f(θ−h)) / 2h` errs by truncation, `f‴·h²/6 + O(h⁴)`, and by rounding, at most
//! `E/h` where `E` bounds the error of one evaluation of `f`. `D(h) − D(h/2)` is three quarters of the truncation, so it
//! measures it; `(4·D(h/2) − D(h)) / 3` is free of its leading term. The gradient must agree with that quotient within
//! the truncation that was removed plus the rounding. Where a rectifier or a maximum changes its choice between `θ−h` and
//! `θ+h` there is no derivative to compare with: such elements are skipped, and they must be few.

use net::random::{Purpose, Stream};
use net::{AvgPool, Batch, Conv, Dropout, DropoutScaling, Init, Layer, Learn, Linear, Local, LrnAcross, LrnWithin, MaxPool};
use net::{Mixed, Mode, Net, Op, Padding, Pair, Rounding, Shape, StepInfo, Ties};
use reference::{Pass, Reference, max_pool, prepare};

const STEP: f64 = 1e-4;

/// Rounding of one evaluation of the loss: some thousand operations on numbers of the loss's own size or below, each
/// with a relative error of 2⁻⁵³, in the worst case all of one sign.
const EVALUATION: f64 = 1e4 * f64::EPSILON / 2.0;

struct Problem {
    exec: Reference,
    pixels: Vec<f64>,
    /// What they show; without pixels.
    images: Batch,
    info: StepInfo,
}

/// A value that the loss depends on.
#[derive(Debug, Clone, Copy)]
enum Variable {
    Param(usize, usize),
    Pixel(usize),
}

#[derive(Debug, Default)]
struct Tally {
    compared: usize,
    skipped: usize,
}

impl Problem {
    fn new(net: &Net, images: usize, seed: u64) -> Problem {
        let mut exec = prepare(net, images, Mode::Train);
        for (index, info) in net.params().iter().enumerate() {
            let stream = Stream::new(seed, Purpose::Test, 1, 0, index as u32);
            let std = if info.shape.len() == 1 { 0.2 } else { 1.0 / (info.fan_in as f64).sqrt() };
            exec.weight_mut(index).iter_mut().enumerate().for_each(|(e, w)| *w = std * stream.normal(e as u32));
        }
        let stream = Stream::new(seed, Purpose::Test, 0, 0, 0);
        let pixels = (0..images * net.input().len()).map(|e| stream.normal(e as u32)).collect();
        let labels = |factor: usize, first: usize| (0..images).map(|i| ((first + i * factor) % net.classes()) as u32).collect();
        let shares = (0..images).map(|i| [0.75, 1.0, 0.2][i % 3]).collect();
        let mut shown = Batch { labels: labels(3, 0), ..Batch::with_capacity(images, 0) };
        (shown.n, shown.mixed) = (images, Some(Mixed { labels: labels(1, 1), shares }));
        let info = StepInfo { seed, step: 5, first_image: 0, step_images: images as u32 };
        Problem { exec, pixels, images: shown, info }
    }

    fn variables(&self, net: &Net) -> Vec<Variable> {
        let params = net.params().iter().enumerate().flat_map(|(i, p)| (0..p.len()).map(move |e| Variable::Param(i, e)));
        params.chain((0..self.pixels.len()).map(Variable::Pixel)).collect()
    }

    fn add(&mut self, variable: Variable, h: f64) {
        match variable {
            Variable::Param(index, e) => self.exec.weight_mut(index)[e] += h,
            Variable::Pixel(e) => self.pixels[e] += h,
        }
    }

    /// The step's mean loss, and every choice that rectifiers and maxima made.
    fn evaluate(&mut self, net: &Net) -> (f64, Vec<usize>) {
        self.exec.run(self.pixels.clone(), Pass::Train(self.info));
        (self.exec.nll_sum(self.images.targets()) / f64::from(self.info.step_images), choices(net, &self.exec))
    }

    /// Compares every derivative, times `factor`, with the difference quotient.
    fn check(mut self, net: &Net, factor: f64) -> Tally {
        self.exec.run(self.pixels.clone(), Pass::Train(self.info));
        let here = choices(net, &self.exec);
        self.exec.run_backward(self.images.targets(), self.info);
        let gradients: Vec<Vec<f64>> = (0..net.params().len()).map(|i| self.exec.gradient(i).to_vec()).collect();
        let by_pixel = self.exec.pixel_gradient().expect("a backward pass has run").to_vec();
        let mut tally = Tally::default();
        for variable in self.variables(net) {
            let gradient = match variable {
                Variable::Param(index, e) => gradients[index][e],
                Variable::Pixel(e) => by_pixel[e],
            };
            let mut quotient = |h: f64| {
                self.add(variable, h);
                let (above, choices_above) = self.evaluate(net);
                self.add(variable, -2.0 * h);
                let (below, choices_below) = self.evaluate(net);
                self.add(variable, h);
                ((above - below) / (2.0 * h), choices_above == here && choices_below == here, above.abs() + below.abs())
            };
            let ((wide, smooth, size), (narrow, ..)) = (quotient(STEP), quotient(STEP / 2.0));
            if !smooth {
                tally.skipped += 1;
                continue;
            }
            let (extrapolated, truncation) = ((4.0 * narrow - wide) / 3.0, (wide - narrow).abs() * 4.0 / 3.0);
            // Two evaluations a quotient, 1/2h, and the weights 4/3 (at h/2) and 1/3 of the extrapolation.
            let rounding = 3.0 * EVALUATION * size.max(1.0) / (2.0 * STEP);
            let gradient = factor * gradient;
            let error = (gradient - extrapolated).abs();
            assert!(
                error <= truncation + rounding,
                "{} {variable:?}: gradient {gradient:e}, difference quotient {extrapolated:e}, error {error:e}, \
                 truncation {truncation:e}, rounding {rounding:e}",
                net.name()
            );
            tally.compared += 1;
        }
        tally
    }
}

/// Which rectifiers are open and which pixels every maximum passes its gradient to.
fn choices(net: &Net, exec: &Reference) -> Vec<usize> {
    let mut all = Vec::new();
    for (index, layer) in net.layers().iter().enumerate() {
        let (input, output) = (net.input_of(index), net.output_of(index));
        match &layer.op {
            Op::Relu => all.extend(exec.input_of(index).iter().map(|&x| usize::from(x > 0.0))),
            Op::MaxPool(pool) => {
                for x in exec.input_of(index).chunks_exact(input.len()) {
                    all.extend(max_pool::receivers(pool, input, output, x).concat());
                }
            }
            _ => {}
        }
    }
    all
}

fn layer(name: &str, op: Op) -> Layer {
    Layer { name: name.into(), op }
}

fn learn() -> Learn {
    Learn { init: Init::Constant(0.0), rate: 1.0, decay: 1.0 }
}

/// The op, then something linear and a softmax that make a loss of it.
fn one_op(name: &str, input: Shape, op: Op) -> Net {
    let head = Linear { k: 7, weight: learn(), bias: learn() };
    let layers = vec![layer("op", op), layer("fc", Op::Linear(head)), layer("prob", Op::Softmax)];
    Net::new(name, input, layers).expect("a net of the test")
}

#[test]
fn every_parameter_and_pixel_of_tiny() {
    let net = Net::preset("tiny").expect("a preset");
    for (seed, ties) in [(1, Ties::First), (2, Ties::All)] {
        let mut layers = net.layers().to_vec();
        for layer in &mut layers {
            if let Op::MaxPool(pool) = &mut layer.op {
                pool.ties = ties;
            }
        }
        let net = Net::new("tiny", net.input(), layers).expect("tiny with other ties");
        let tally = Problem::new(&net, 3, seed).check(&net, 1.0);
        let all = net.parameter_count() + 3 * net.input().len();
        assert_eq!(tally.compared + tally.skipped, all);
        assert!(tally.skipped * 100 <= all, "{tally:?} of {all}: kinks must be rare");
    }
}

#[test]
fn every_op_in_odd_geometry() {
    let asymmetric = Padding { top: 1, left: 2, bottom: 0, right: 1 };
    let (r3s2, r2s3) = (Pair { r: 3, s: 2 }, Pair { r: 2, s: 3 });
    let conv = |groups, rounding| {
        let (weight, bias) = (learn(), learn());
        Op::Conv(Conv { k: 4, kernel: r3s2, stride: r2s3, padding: asymmetric, rounding, groups, weight, bias })
    };
    let max = |ties| {
        let rounding = Rounding::Ceil;
        Op::MaxPool(MaxPool { kernel: r3s2, stride: Pair::square(2), padding: Padding { left: 1, ..asymmetric }, rounding, ties })
    };
    let across = |n, alpha_over_n, towers| Op::Lrn(LrnAcross { n, k: 1.5, alpha: 0.7, beta: 0.75, alpha_over_n, towers });
    let within = |n, alpha_over_n| Op::LrnWithin(LrnWithin { n, k: 0.8, alpha: 0.9, beta: 0.6, alpha_over_n });
    let dropout = |scaling| Op::Dropout(Dropout { rate: 0.3, scaling });
    let local = Local { k: 3, kernel: r3s2, stride: r2s3, padding: asymmetric, weight: learn(), bias: learn() };
    let average = AvgPool {
        kernel: r3s2,
        stride: Pair { r: 2, s: 1 },
        padding: Padding { left: 1, ..asymmetric },
        rounding: Rounding::Ceil,
    };
    let ops = [
        ("conv", conv(1, Rounding::Floor)),
        ("conv ceil in groups", conv(2, Rounding::Ceil)),
        ("local", Op::Local(local)),
        ("relu", Op::Relu),
        ("tanh", Op::Tanh),
        ("lrn", across(3, false, 1)),
        ("lrn in towers", across(5, true, 2)),
        ("lrn within", within(3, true)),
        ("lrn within wide", within(5, false)),
        ("max pool first", max(Ties::First)),
        ("max pool all", max(Ties::All)),
        ("average pool", Op::AvgPool(average)),
        ("dropout train", dropout(DropoutScaling::Train)),
        ("dropout test", dropout(DropoutScaling::Test)),
        ("linear", Op::Linear(Linear { k: 5, weight: learn(), bias: learn() })),
    ];
    for (name, op) in ops {
        let net = one_op(name, Shape { c: 4, h: 7, w: 5 }, op);
        let tally = Problem::new(&net, 2, 11).check(&net, 1.0);
        let all = tally.compared + tally.skipped;
        assert!(tally.skipped * 50 <= all, "{name}: {tally:?}: kinks must be rare");
    }
}

/// The check itself must be able to fail: gradients that are off by a ten-thousandth are not within its tolerance.
#[test]
#[should_panic(expected = "difference quotient")]
fn a_wrong_gradient_is_found() {
    let net = one_op("tanh", Shape { c: 2, h: 2, w: 2 }, Op::Tanh);
    Problem::new(&net, 1, 3).check(&net, 1.0001);
}
