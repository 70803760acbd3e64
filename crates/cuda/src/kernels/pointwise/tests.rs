use conformance::bound::{self, Bounded, U, UNDERFLOW, Weights};
use conformance::inputs::Values;
use net::{Op, Shape};
use reference::Pass as Of;

use super::*;
use crate::kernels::testing::{Bench, ELEMENTS, close, equal, first, numbers, one_op, rounded, to_f64};

const SHAPES: [Shape; 5] = [
    Shape { c: 1, h: 1, w: 1 },
    Shape { c: 3, h: 5, w: 7 },
    Shape { c: 16, h: 4, w: 4 },
    Shape { c: 1001, h: 1, w: 1 },
    Shape { c: 2048, h: 2, w: 1 },
];
const KINDS: [Values; 5] = [Values::Normal, Values::Zeros, Values::Integers, Values::Negative, Values::Tiny];

#[test]
fn rectification() {
    for element in ELEMENTS {
        for (seed, shape) in SHAPES.into_iter().enumerate() {
            for (turn, kind) in KINDS.into_iter().enumerate() {
                let images = 1 + (seed + turn) % 3;
                let Some(mut bench) = Bench::new("pointwise.cu", element, seed as u64, images, first(images)) else { return };
                let values = numbers(element, kind, 1, images, shape.len());
                let len = values.len();
                let dy = numbers(element, Values::Normal, 2, images, shape.len());
                let x = bench.maps(shape, &values);
                let (mut y, mut dx) = (vec![0.0; len], vec![0.0; len]);
                reference::relu::forward(&to_f64(&values), &mut y);
                reference::relu::backward(&to_f64(&values), &to_f64(&dy), &mut dx);

                let (other, g) = (bench.room(shape), bench.maps(shape, &dy));
                let pass = bench.pass;
                bench.run([relu_forward(&pass, shape.len(), x, other)]);
                equal("relu", element, shape, &bench.read(shape, other), &y);
                bench.run([relu_forward(&pass, shape.len(), x, x)]);
                equal("relu in place", element, shape, &bench.read(shape, x), &y);
                let out = bench.room(shape);
                bench.run([relu_backward(&pass, shape.len(), x, g, out)]);
                equal("relu's gradient", element, shape, &bench.read(shape, out), &dx);
                bench.run([relu_backward(&pass, shape.len(), x, g, g)]);
                equal("relu's gradient in place", element, shape, &bench.read(shape, g), &dx);
            }
        }
    }
}

#[test]
fn hyperbolic_tangent() {
    for element in ELEMENTS {
        for (seed, shape) in SHAPES.into_iter().enumerate() {
            for (turn, kind) in [Values::Normal, Values::Tiny, Values::Pixels].into_iter().enumerate() {
                let images = 1 + (seed + turn) % 3;
                let Some(mut bench) = Bench::new("pointwise.cu", element, seed as u64, images, first(images)) else { return };
                let values = numbers(element, kind, 1, images, shape.len());
                let net = one_op(shape, Op::Tanh).expect("a net");
                let oracle = bound::forward(&net, 0, Weights::default(), None, Of::Test, &to_f64(&values));
                let (x, y) = (bench.maps(shape, &values), bench.room(shape));
                let pass = bench.pass;
                bench.run([tanh_forward(&pass, shape.len(), x, y)]);
                let outputs = bench.read(shape, y);
                close("tanh", element, shape, &outputs, &oracle);
                bench.run([tanh_forward(&pass, shape.len(), x, x)]);
                assert_eq!(bench.read(shape, x), outputs);

                // Of what y is, two sums and two products.
                let dy = numbers(element, Values::Normal, 2, images, shape.len());
                let value: Vec<f64> = to_f64(&outputs).iter().zip(&dy).map(|(y, &dy)| f64::from(dy) * (1.0 - y * y)).collect();
                let bound = value.iter().map(|dx| 4.1 * U * dx.abs() + UNDERFLOW).collect();
                let (g, dx) = (bench.maps(shape, &dy), bench.room(shape));
                bench.run([tanh_backward(&pass, shape.len(), y, g, dx)]);
                close("tanh's gradient", element, shape, &bench.read(shape, dx), &Bounded { value, bound });
            }
        }
    }
}

#[test]
fn a_factor() {
    for element in ELEMENTS {
        for shape in SHAPES {
            let Some(mut bench) = Bench::new("pointwise.cu", element, 5, 2, first(2)) else { return };
            let values = numbers(element, Values::Normal, 1, 2, shape.len());
            let (x, y) = (bench.maps(shape, &values), bench.room(shape));
            let pass = bench.pass;
            bench.run([scale(&pass, shape.len(), 0.3, x, y)]);
            let expected: Vec<f32> = values.iter().map(|x| rounded(element, 0.3 * x)).collect();
            assert_eq!(bench.read(shape, y), expected);
        }
    }
}

#[test]
fn what_is_no_number_stays_none() {
    let shape = Shape { c: 9, h: 1, w: 1 };
    for element in ELEMENTS {
        let Some(mut bench) = Bench::new("pointwise.cu", element, 5, 1, first(1)) else { return };
        let values = [f32::NAN, 1.0, f32::NEG_INFINITY, f32::INFINITY, -0.0, 0.0, -1.0, 2.0, f32::NAN];
        let (x, y, t) = (bench.maps(shape, &values), bench.room(shape), bench.room(shape));
        let pass = bench.pass;
        bench.run([relu_forward(&pass, 9, x, y), tanh_forward(&pass, 9, x, t)]);
        let (relu, tanh) = (bench.read(shape, y), bench.read(shape, t));
        for out in [&relu, &tanh] {
            assert!(out[0].is_nan() && out[8].is_nan() && out[1..8].iter().all(|y| !y.is_nan()), "{out:?}");
        }
        assert_eq!(relu[1..8], [1.0, 0.0, f32::INFINITY, 0.0, 0.0, 0.0, 2.0]);
        assert_eq!([tanh[2], tanh[3], tanh[5]], [-1.0, 1.0, 0.0]);
    }
}
