use conformance::bound::{self, Bounded, Propagation, Weights};
use conformance::inputs::Values;
use net::{AvgPool, MaxPool, Op, Padding, Rounding, Ties};
use reference::{Pass as Of, max_pool};

use super::*;
use crate::args::Ptr;
use crate::kernels::Element;
use crate::kernels::testing::{Bench, Dice, ELEMENTS, close, equal, first, numbers, one_op, to_f64};

#[derive(Debug, Clone, Copy)]
struct Case {
    input: Shape,
    kernel: Pair,
    stride: Pair,
    padding: Padding,
    rounding: Rounding,
}

impl Case {
    fn max(self, ties: Ties) -> MaxPool {
        let Case { kernel, stride, padding, rounding, .. } = self;
        MaxPool { kernel, stride, padding, rounding, ties }
    }

    fn average(self) -> AvgPool {
        let Case { kernel, stride, padding, rounding, .. } = self;
        AvgPool { kernel, stride, padding, rounding }
    }

    fn output(self) -> Option<Shape> {
        one_op(self.input, Op::AvgPool(self.average())).ok().map(|net| net.output_of(0))
    }

    fn windows(self, rectified: bool) -> Windows {
        let Case { input, kernel, stride, padding: Padding { top, left, .. }, .. } = self;
        Windows { input, output: self.output().expect("windows"), kernel, stride, top, left, rectified }
    }
}

fn case((c, h, w): (usize, usize, usize), kernel: usize, stride: usize, ceil: bool) -> Case {
    let rounding = if ceil { Rounding::Ceil } else { Rounding::Floor };
    let (kernel, stride) = (Pair::square(kernel), Pair::square(stride));
    Case { input: Shape { c, h, w }, kernel, stride, padding: Padding::default(), rounding }
}

fn cases() -> Vec<Case> {
    let padded = |case: Case, padding| Case { padding, ..case };
    let mut all = vec![
        case((16, 13, 13), 3, 2, false),
        case((8, 12, 12), 3, 2, true),
        padded(case((24, 12, 12), 3, 2, false), Padding::end(1)),
        case((5, 8, 8), 2, 2, false),
        padded(case((3, 7, 9), 3, 1, false), Padding::all(1)),
        case((1, 1, 1), 1, 1, false),
        case((8, 5, 5), 5, 1, false),
        case((2, 9, 9), 2, 4, true),
        padded(case((8, 2, 2), 3, 1, true), Padding::all(2)),
        // Windows of more than 255 places.
        case((8, 17, 18), 17, 1, false),
    ];
    for seed in 0..12 {
        let mut dice = Dice::new(1000 * seed);
        let drawn = std::iter::repeat_with(|| {
            let mut below = |n| dice.below(n);
            let input = Shape { c: [1, 4, 5, 8, 16][below(5)], h: 1 + below(10), w: 1 + below(10) };
            let (kernel, stride) = (Pair { r: 1 + below(5), s: 1 + below(5) }, Pair { r: 1 + below(4), s: 1 + below(4) });
            let padding = Padding { top: below(3), left: below(3), bottom: below(3), right: below(3) };
            Case { input, kernel, stride, padding, rounding: [Rounding::Floor, Rounding::Ceil][below(2)] }
        });
        all.extend(drawn.filter(|case| case.output().is_some()).take(1));
    }
    all
}

fn by_image(x: &[f64], len: usize, f: impl FnMut(&[f64]) -> Vec<f64>) -> Vec<f64> {
    x.chunks_exact(len).flat_map(f).collect()
}

/// The gradient by `x` in f64.
fn max_gradient(case: Case, ties: Ties, rectified: bool, x: &[f64], dy: &[f64]) -> Vec<f64> {
    let (pool, output) = (case.max(ties), case.output().expect("windows"));
    let mut all = vec![0.0; x.len()];
    let images = x.chunks_exact(case.input.len()).zip(dy.chunks_exact(output.len()));
    for ((x, dy), dx) in images.zip(all.chunks_exact_mut(case.input.len())) {
        max_pool::backward(&pool, case.input, output, x, dy, dx);
    }
    if rectified {
        all.iter_mut().zip(x).for_each(|(dx, &x)| *dx = if x > 0.0 { *dx } else { 0.0 });
    }
    all
}

/// The place in its window of the first receiver of each output's gradient.
fn places(case: Case, win: &Windows, x: &[f64]) -> Vec<Option<u32>> {
    let output = win.output;
    let mut all = Vec::new();
    for x in x.chunks_exact(case.input.len()) {
        let receivers = max_pool::receivers(&case.max(Ties::First), case.input, output, x);
        for (out, winners) in receivers.into_iter().enumerate() {
            let (p, q) = (out / output.w % output.h, out % output.w);
            let (row, column) = (winners[0] / case.input.w % case.input.h, winners[0] % case.input.w);
            let place = (row + win.top - p * win.stride.r) * win.kernel.s + column + win.left - q * win.stride.s;
            all.push((!win.rectified || x[winners[0]] > 0.0).then_some(place as u32));
        }
    }
    all
}

fn winners(bench: &mut Bench, win: &Windows, arg: Bytes) -> Vec<Option<u32>> {
    let Shape { c, .. } = win.output;
    let count = bench.images * win.output.len();
    let numbers: Vec<u32> = match win.arg_bytes() {
        1 => bench
            .read_values::<u8>(arg, count)
            .into_iter()
            .map(|arg| if arg == u8::MAX { u32::MAX } else { arg.into() })
            .collect(),
        2 => {
            let args = bench.read_values::<u16>(Ptr::at(arg.address), count);
            args.into_iter().map(|arg| if arg == u16::MAX { u32::MAX } else { arg.into() }).collect()
        }
        _ => bench.read_values::<u32>(Ptr::at(arg.address), count),
    };
    // `[n, p, q, c]` to `[n, c, p, q]`.
    let (len, plane) = (win.output.len(), win.output.plane());
    let at = |e: usize| numbers[e / len * len + e % plane * c + e % len / plane];
    (0..count).map(|e| Some(at(e)).filter(|&arg| arg != u32::MAX)).collect()
}

fn one_max(element: Element, seed: u64, case: Case, kind: Values, rectified: bool) -> Option<()> {
    let images = 1 + seed as usize % 3;
    let win = case.windows(rectified);
    let mut values = numbers(element, kind, seed, images, case.input.len());
    if rectified {
        values.iter_mut().for_each(|x| *x = x.max(0.0));
    }
    let x64 = to_f64(&values);
    let what = format!("max pooling, {case:?}, {kind:?}, rectified {rectified}");
    let mut bench = Bench::new("pool.cu", element, seed, images, first(images))?;
    let pass = bench.pass;
    let arg = Bytes::at(bench.device.room::<u8>(pass.capacity * win.output.len() * win.arg_bytes()));
    let (x, y, unseen) = (bench.maps(case.input, &values), bench.room(win.output), bench.room(win.output));
    bench.run([max_forward(&pass, &win, x, y, Some(arg)), max_forward(&pass, &win, x, unseen, None)]);
    let outputs = bench.read(win.output, y);
    let max = by_image(&x64, case.input.len(), |x| {
        let mut y = vec![0.0; win.output.len()];
        max_pool::forward(&case.max(Ties::First), case.input, win.output, x, &mut y);
        y
    });
    equal(&what, element, win.output, &outputs, &max);
    assert_eq!(outputs, bench.read(win.output, unseen));
    assert_eq!(winners(&mut bench, &win, arg), places(case, &win, &x64), "{what}");

    // Sums of small whole numbers are exact.
    let dy = numbers(element, Values::Integers, seed + 1, images, win.output.len());
    let (g, dx, all) = (bench.maps(win.output, &dy), bench.room(case.input), bench.room(case.input));
    bench.run([max_backward(&pass, &win, arg, g, dx), max_backward_all(&pass, &win, x, y, g, all)]);
    for (ties, dx) in [(Ties::First, dx), (Ties::All, all)] {
        let expected = max_gradient(case, ties, rectified, &x64, &to_f64(&dy));
        equal(&format!("gradient of {what}, ties {ties:?}"), element, case.input, &bench.read(case.input, dx), &expected);
    }
    if !rectified {
        rounded_sums(&mut bench, case, &win, (x, y, arg), &x64);
    }
    Some(())
}

/// Gradients whose sums round.
fn rounded_sums(bench: &mut Bench, case: Case, win: &Windows, (x, y, arg): (Elems, Elems, Bytes), x64: &[f64]) {
    let (pass, element) = (bench.pass, bench.pass.element);
    let dy = numbers(element, Values::Normal, 77, bench.images, win.output.len());
    let (g, dx, all) = (bench.maps(win.output, &dy), bench.room(case.input), bench.room(case.input));
    bench.run([max_backward(&pass, win, arg, g, dx), max_backward_all(&pass, win, x, y, g, all)]);
    for (ties, dx) in [(Ties::First, dx), (Ties::All, all)] {
        let net = one_op(case.input, Op::MaxPool(case.max(ties))).expect("a net");
        let exact = Bounded { value: to_f64(&dy), bound: vec![0.0; dy.len()] };
        let oracle = bound::backward_input(&net, 0, Propagation::Worst, &[], None, Of::Test, x64, &exact);
        close(&format!("gradient of {case:?}, ties {ties:?}"), element, case.input, &bench.read(case.input, dx), &oracle);
    }
}

#[test]
fn maxima() {
    for element in ELEMENTS {
        for (number, case) in cases().into_iter().enumerate() {
            let kinds = [Values::Integers, [Values::Normal, Values::Zeros, Values::Negative][number % 3]];
            for kind in kinds {
                for rectified in [false, true] {
                    if one_max(element, number as u64, case, kind, rectified).is_none() {
                        return;
                    }
                }
            }
        }
    }
}

/// Windows of more than 65,535 places.
#[test]
fn the_largest_windows() {
    let large = case((1, 257, 256), 256, 1, false);
    one_max(Element::F32, 3, large, Values::Integers, true);
}

#[test]
fn what_is_no_number_wins() {
    let case = case((8, 4, 4), 3, 1, false);
    for element in ELEMENTS {
        let win = case.windows(false);
        let mut values = numbers(element, Values::Normal, 1, 1, case.input.len());
        // The first and the middle pixel of two maps; every value of another is −∞.
        values[0] = f32::NAN;
        values[16 + 5] = f32::NAN;
        values[32..48].fill(f32::NEG_INFINITY);
        let Some(mut bench) = Bench::new("pool.cu", element, 1, 1, first(1)) else { return };
        let pass = bench.pass;
        let arg = Bytes::at(bench.device.room::<u8>(pass.capacity * win.output.len()));
        let (x, y) = (bench.maps(case.input, &values), bench.room(win.output));
        bench.run([max_forward(&pass, &win, x, y, Some(arg))]);
        let y = bench.read(win.output, y);
        assert_eq!(y[..4].iter().map(|y| y.is_nan()).collect::<Vec<_>>(), [true, false, false, false]);
        assert!(y[4..8].iter().all(|y| y.is_nan()) && y[12..].iter().all(|y| y.is_finite()), "{y:?}");
        assert_eq!(y[8..12], [f32::NEG_INFINITY; 4]);
        let arg = winners(&mut bench, &win, arg);
        assert_eq!([arg[0], arg[4], arg[7], arg[8], arg[11]], [0, 4, 0, 0, 0].map(Some));
    }
}

#[test]
fn means() {
    for element in ELEMENTS {
        for (number, case) in cases().into_iter().enumerate() {
            let images = 1 + number % 3;
            let Some(mut bench) = Bench::new("pool.cu", element, number as u64, images, first(images)) else { return };
            let (pass, win) = (bench.pass, case.windows(false));
            let net = one_op(case.input, Op::AvgPool(case.average())).expect("a net");
            for kind in [Values::Normal, Values::Pixels] {
                let values = numbers(element, kind, 1, images, case.input.len());
                let dy = numbers(element, Values::Normal, 2, images, win.output.len());
                let (x, y) = (bench.maps(case.input, &values), bench.room(win.output));
                let (g, dx) = (bench.maps(win.output, &dy), bench.room(case.input));
                bench.run([avg_forward(&pass, &win, x, y), avg_backward(&pass, &win, g, dx)]);
                let x64 = to_f64(&values);
                let oracle = bound::forward(&net, 0, Weights::default(), None, Of::Test, &x64);
                close(&format!("mean, {case:?}"), element, win.output, &bench.read(win.output, y), &oracle);
                let exact = Bounded { value: to_f64(&dy), bound: vec![0.0; dy.len()] };
                let oracle = bound::backward_input(&net, 0, Propagation::Worst, &[], None, Of::Test, &x64, &exact);
                close(&format!("gradient of mean, {case:?}"), element, case.input, &bench.read(case.input, dx), &oracle);
            }
        }
    }
}
