use conformance::bound::{Bounded, U, UNDERFLOW, gamma};
use conformance::inputs::Values;
use net::Shape;

use super::*;
use crate::kernels::Element;
use crate::kernels::testing::{Bench, ELEMENTS, Turn, close, first, numbers, to_f64};

/// The bits of a gradient that is added to `before`, where there is something.
fn gradient_of(bench: &mut Bench, shape: Shape, dy: &[f32], before: &[f32]) -> Vec<f32> {
    let (rows, pass) = (Rows { k: shape.c, plane: shape.plane() }, bench.pass);
    let dy = bench.maps(shape, dy);
    let partials = bench.room_for(rows.partials_len(&pass));
    let out = bench.values(before);
    bench.run(gradient(&pass, &rows, dy, partials, out));
    bench.read_values(out, shape.c)
}

/// Σ over images and pixels of `dy[n, k, plane]`, and of the sizes.
fn sums(shape: Shape, dy: &[f32]) -> (Vec<f64>, Vec<f64>) {
    let (mut sum, mut size) = (vec![0.0; shape.c], vec![0.0; shape.c]);
    for (map, values) in dy.chunks_exact(shape.plane()).enumerate() {
        sum[map % shape.c] += values.iter().map(|&x| f64::from(x)).sum::<f64>();
        size[map % shape.c] += values.iter().map(|&x| f64::from(x).abs()).sum::<f64>();
    }
    (sum, size)
}

#[test]
fn sums_of_rows() {
    let shapes = [
        (Shape { c: 1, h: 1, w: 1 }, 3),
        (Shape { c: 96, h: 5, w: 5 }, 2),
        (Shape { c: 8, h: 40, w: 60 }, 2),
        (Shape { c: 5, h: 37, w: 41 }, 3),
        (Shape { c: 1000, h: 1, w: 1 }, 5),
        (Shape { c: 70, h: 2, w: 3 }, 2),
        (Shape { c: 2048, h: 1, w: 1 }, 3),
    ];
    for element in ELEMENTS {
        for (seed, (shape, images)) in shapes.into_iter().enumerate() {
            for first_image in [0, 4] {
                let turn = Turn { first_image, ..first(images) };
                let Some(mut bench) = Bench::new("bias.cu", element, seed as u64, images, turn) else { return };
                let what = format!("bias gradient of {shape}");
                let before = vec![if first_image == 0 { f32::NAN } else { 0.5 }; shape.c];
                let after = |sum: &f64| if first_image == 0 { *sum } else { sum + 0.5 };
                let gradient = Shape { c: shape.c, h: 1, w: 1 };
                // Sums of small whole numbers are exact in any order.
                let whole = numbers(element, Values::Integers, 1, images, shape.len());
                let got = gradient_of(&mut bench, shape, &whole, &before);
                let expected: Vec<f64> = sums(shape, &whole).0.iter().map(after).collect();
                assert_eq!(to_f64(&got), expected, "{what}");
                let dy = numbers(element, Values::Normal, 2, images, shape.len());
                let got = gradient_of(&mut bench, shape, &dy, &before);
                let (sum, size) = sums(shape, &dy);
                let bound = size.iter().map(|size| gamma(images * shape.plane() + 1) * (size + 0.5) + UNDERFLOW).collect();
                let oracle = Bounded { value: sum.iter().map(after).collect(), bound };
                close(&what, Element::F32, gradient, &got, &oracle);
            }
        }
    }
}

/// Neither the room for more images nor the order of threads changes a bit.
#[test]
fn sums_have_one_order() {
    let shape = Shape { c: 24, h: 30, w: 31 };
    for element in ELEMENTS {
        let dy = numbers(element, Values::Normal, 2, 2, shape.len());
        let mut all = Vec::new();
        for (seed, capacity) in [(1, 3), (2, 3), (3, 17)] {
            let Some(mut bench) = Bench::new("bias.cu", element, seed, 2, first(2)) else { return };
            let more = Pass { capacity, ..bench.pass };
            let rows = Rows { k: shape.c, plane: shape.plane() };
            let at = bench.maps(shape, &dy);
            let partials = bench.room_for(rows.partials_len(&more));
            let out = bench.room_for(shape.c);
            bench.run(gradient(&more, &rows, at, partials, out));
            all.push(bench.read_values::<f32>(out, shape.c).iter().map(|x| x.to_bits()).collect::<Vec<_>>());
        }
        assert!(all.iter().all(|bits| *bits == all[0]));
    }
}

#[test]
fn parts_become_a_gradient() {
    for (seed, (len, parts)) in [(1, 1), (3, 2), (4, 1), (9, 5), (96, 3), (1024, 7), (5001, 4)].into_iter().enumerate() {
        for (first_image, mask_len) in [(0, 0), (3, 0), (0, 3), (3, len), (0, 12)] {
            let turn = Turn { first_image, ..first(1) };
            let Some(mut bench) = Bench::new("bias.cu", Element::Bf16, seed as u64, 1, turn) else { return };
            let values = numbers(Element::F32, Values::Normal, 3, parts, len);
            let before = vec![if first_image == 0 { f32::NAN } else { 0.25 }; len];
            let mask: Vec<u8> = (0..mask_len).map(|i| [1, 0, 0xff][i % 3]).collect();
            let (partials, out) = (bench.values(&values), bench.values(&before));
            let mask_at = (mask_len > 0).then(|| (bench.values(&mask), mask_len));
            let pass = bench.pass;
            bench.run([finish(&pass, len, parts, partials, out, mask_at)]);
            // Part by part, to the bit.
            let expected = |e: usize| {
                let sum = (1..parts).fold(values[e], |sum, part| sum + values[part * len + e]);
                let kept = mask_len == 0 || mask[e % mask_len] != 0;
                if !kept {
                    0.0
                } else if first_image == 0 {
                    sum
                } else {
                    before[e] + sum
                }
            };
            assert_eq!(bench.read_values(out, len), (0..len).map(expected).collect::<Vec<f32>>(), "{len} values, {parts} parts");
        }
    }
    // So much for the unit of these bounds.
    assert!(gamma(1) >= U);
}
