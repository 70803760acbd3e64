use conformance::bound::{Bounded, U, UNDERFLOW};
use conformance::inputs::Values;
use net::random::{dropout_keeps, dropout_stream, dropout_threshold};
use net::{DropoutScaling, Shape, StepInfo};

use super::*;
use crate::kernels::testing::{Bench, ELEMENTS, SEED, Turn, close, numbers, rounded, to_f64};

/// Of every kernel, and of both kinds of odd shape.
const SHAPES: [(Shape, &str); 8] = [
    (Shape { c: 1, h: 1, w: 1 }, "dropout_each"),
    (Shape { c: 3, h: 5, w: 7 }, "dropout_each"),
    (Shape { c: 16, h: 3, w: 3 }, "dropout_each"),
    (Shape { c: 10, h: 2, w: 2 }, "dropout_each"),
    (Shape { c: 8, h: 1, w: 1 }, "dropout_flat"),
    (Shape { c: 1000, h: 1, w: 1 }, "dropout_flat"),
    (Shape { c: 8, h: 2, w: 2 }, "dropout_maps"),
    (Shape { c: 24, h: 6, w: 6 }, "dropout_maps"),
];

#[test]
fn masks_are_those_of_every_engine() {
    let turn = Turn { first_image: 5, step_images: 10, loss_scale: 1.0 };
    for element in ELEMENTS {
        for (seed, (shape, kernel)) in SHAPES.into_iter().enumerate() {
            for (i, rate) in [0.0, 0.1, 0.5, 0.9].into_iter().enumerate() {
                for scaling in [DropoutScaling::Train, DropoutScaling::Test] {
                    let images = 1 + (seed + i) % 3;
                    let Some(mut bench) = Bench::new("dropout.cu", element, seed as u64, images, turn) else { return };
                    let factor = if scaling == DropoutScaling::Train { (1.0 / (1.0 - rate)) as f32 } else { 1.0 };
                    let threshold = dropout_threshold(rate);
                    let num = Numbers { c: shape.c, plane: shape.plane(), layer: 17, threshold, factor };
                    let values = numbers(element, Values::Normal, 1, images, shape.len());
                    let (x, y) = (bench.maps(shape, &values), bench.room(shape));
                    let pass = bench.pass;
                    let launch = dropout(&pass, &num, x, y);
                    assert_eq!(launch.kernel, kernel);
                    bench.run([launch, dropout(&pass, &num, x, x)]);
                    let outputs = bench.read(shape, y);
                    assert_eq!(outputs, bench.read(shape, x), "in place");

                    let kept = |e: usize| {
                        let stream = dropout_stream(SEED, 17, 7, 5 + (e / shape.len()) as u32);
                        dropout_keeps(stream.u32((e % shape.len()) as u32), threshold)
                    };
                    let expected = |e: usize| if kept(e) { rounded(element, values[e] * factor) } else { 0.0 };
                    assert_eq!(outputs, (0..values.len()).map(expected).collect::<Vec<f32>>());
                    close("dropout", element, shape, &outputs, &oracle(rate, scaling, shape, &values));
                }
            }
        }
    }
}

/// The factor is rounded, and the product.
fn oracle(rate: f64, scaling: DropoutScaling, shape: Shape, x: &[f32]) -> Bounded {
    let op = net::Dropout { rate, scaling };
    let info = StepInfo { seed: SEED, step: 7, first_image: 5, step_images: 10 };
    let mut value = vec![0.0; x.len()];
    for (image, (x, y)) in x.chunks_exact(shape.len()).zip(value.chunks_exact_mut(shape.len())).enumerate() {
        let factors = reference::dropout::factors(&op, 17, reference::Pass::Train(info), image, shape.len());
        reference::dropout::apply(&factors, &to_f64(x), y);
    }
    let bound = value.iter().map(|y| 2.0 * U * y.abs() + UNDERFLOW).collect();
    Bounded { value, bound }
}
