use conformance::bound::{self, Bounded, Propagation};
use conformance::inputs::Values;
use net::{LrnAcross, MaxPool, Op, Padding, Pair, Rounding, Shape, Ties};
use reference::Pass as Of;

use super::*;
use crate::driver::Driver;
use crate::kernels::Element;
use crate::kernels::testing::{Bench, ELEMENTS, close, first, numbers, one_op, to_f64};
use crate::kernels::{lrn, pool};

struct Case {
    norm: LrnAcross,
    pool: MaxPool,
    input: Shape,
}

impl Case {
    fn pooling(&self, rectified: bool) -> NormPooling {
        let LrnAcross { n, k, beta, towers, .. } = self.norm;
        let Shape { c, .. } = self.input;
        let (k, a, beta) = (k as f32, self.norm.coefficient() as f32, beta as f32);
        let norm = Across { c, towers, pixels: self.input.plane(), n, k, a, beta, rectified };
        let MaxPool { kernel, stride, padding: Padding { top, left, .. }, .. } = self.pool;
        let output = one_op(self.input, Op::MaxPool(self.pool.clone())).expect("a net").output_of(0);
        NormPooling { norm, windows: Windows { input: self.input, output, kernel, stride, top, left, rectified: false } }
    }
}

fn case((c, h, w): (usize, usize, usize), towers: usize, beta: f64, (r, s): (usize, usize), stride: (usize, usize)) -> Case {
    let norm = LrnAcross { n: 5, k: 2.0, alpha: 0.3, beta, alpha_over_n: true, towers };
    let (kernel, stride) = (Pair { r, s }, Pair { r: stride.0, s: stride.1 });
    let pool = MaxPool { kernel, stride, padding: Padding::default(), rounding: Rounding::Ceil, ties: Ties::First };
    Case { norm, pool, input: Shape { c, h, w } }
}

fn cases() -> Vec<Case> {
    let mut all = vec![
        case((16, 13, 13), 1, 0.75, (3, 3), (2, 2)),
        case((96, 7, 6), 2, 0.75, (3, 3), (2, 2)),
        case((8, 31, 5), 1, 0.5, (3, 2), (2, 1)),
        case((32, 9, 4), 4, 0.6, (2, 2), (4, 3)),
        case((24, 3, 3), 1, 0.75, (3, 3), (1, 1)),
        case((8, 1, 1), 1, 0.75, (1, 1), (1, 1)),
        // More maps than shared memory has room for at once.
        case((256, 6, 40), 2, 0.75, (5, 5), (3, 3)),
    ];
    all[4].pool.padding = Padding { top: 1, left: 2, bottom: 2, right: 0 };
    all
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|x| x.to_bits()).collect()
}

fn check(element: Element, seed: u64, case: &Case, kind: Values, rectified: bool) -> Option<()> {
    let (images, input) = (1 + seed as usize % 2, case.input);
    let mut bench = Bench::new("norm_pool.cu", element, seed, images, first(images))?;
    for source in ["lrn.cu", "pool.cu"] {
        bench.device.compile(source).expect("the kernels compile");
    }
    let (pass, num) = (bench.pass, case.pooling(rectified));
    assert!(num.fits(&pass), "{num:?}");
    let output = num.windows.output;
    let mut values = numbers(element, kind, seed, images, input.len());
    if rectified {
        values.iter_mut().for_each(|x| *x = x.max(0.0));
    }
    let dy = numbers(element, Values::Normal, seed + 1, images, output.len());
    let [x, z, g] = [bench.maps(input, &values), bench.room(input), bench.maps(output, &dy)];
    let ys = [(); 3].map(|()| bench.room(output));
    let args = [(); 2].map(|()| Bytes::at(bench.device.room::<u8>(pass.capacity * output.len())));
    bench.run([
        forward(&pass, &num, x, ys[0], Some(args[0])),
        forward(&pass, &num, x, ys[1], None),
        lrn::across_forward(&pass, &num.norm, x, z),
        pool::max_forward(&pass, &num.windows, z, ys[2], Some(args[1])),
    ]);
    let [fused, unseen, apart] = ys.map(|y| bits(&bench.read(output, y)));
    assert!(fused == apart && unseen == apart, "{num:?}");
    let winners = args.map(|arg| bench.read_values::<u8>(arg, images * output.len()));
    assert_eq!(winners[0], winners[1], "{num:?}");

    let dx = bench.room(input);
    bench.run([backward(&pass, &num, x, args[0], g, dx)]);
    // Which maximum is the first depends on the rounding of the normalised values.
    let exact = |values: &[f32]| Bounded { value: to_f64(values), bound: vec![0.0; values.len()] };
    let normalised = to_f64(&bench.read(input, z));
    let net = one_op(input, Op::MaxPool(case.pool.clone())).expect("a net");
    let dz = bound::backward_input(&net, 0, Propagation::Worst, &[], None, Of::Test, &normalised, &exact(&dy));
    let net = one_op(input, Op::Lrn(case.norm.clone())).expect("a net");
    let mut oracle = bound::backward_input(&net, 0, Propagation::Worst, &[], None, Of::Test, &to_f64(&values), &dz);
    for (e, _) in values.iter().enumerate().filter(|&(_, &x)| rectified && x <= 0.0) {
        (oracle.value[e], oracle.bound[e]) = (0.0, 0.0);
    }
    close(&format!("gradient of {num:?}"), element, input, &bench.read(input, dx), &oracle);
    Some(())
}

#[test]
fn both_at_once() {
    for element in ELEMENTS {
        for (seed, case) in cases().iter().enumerate() {
            for (kind, rectified) in [(Values::Normal, true), (Values::Integers, false)] {
                if check(element, seed as u64, case, kind, rectified).is_none() {
                    return;
                }
            }
        }
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let pass = |element| Pass { element, capacity: 1, step: crate::args::Ptr::NULL };
    let fits = |case: Case, element| case.pooling(false).fits(&pass(element));
    assert!(fits(case((96, 55, 55), 1, 0.75, (3, 3), (2, 2)), Element::F32));
    assert!(!fits(case((12, 9, 9), 1, 0.75, (3, 3), (2, 2)), Element::Bf16));
    assert!(!fits(case((16, 30, 30), 1, 0.75, (16, 16), (1, 1)), Element::Bf16), "256 places");
    assert!(!fits(case((16, 7, 2000), 1, 0.75, (3, 3), (2, 2)), Element::Bf16), "a row too long");
    let wide = LrnAcross { n: 3, ..case((16, 7, 7), 1, 0.75, (3, 3), (2, 2)).norm };
    assert!(!fits(Case { norm: wide, ..case((16, 7, 7), 1, 0.75, (3, 3), (2, 2)) }, Element::Bf16));
}
