use conformance::inputs::Values;

use super::*;
use crate::kernels::Element;
use crate::kernels::testing::{Bench, ELEMENTS, Turn, first, numbers, rounded};

struct Case {
    fold: Fold,
    /// Whether a kernel that takes anything is needed.
    each: bool,
}

fn case(
    (c, h, w): (usize, usize, usize),
    fold: usize,
    (top, left): (usize, usize),
    (out_c, out_h, out_w): (usize, usize, usize),
) -> Case {
    let (input, output) = (Shape { c, h, w }, Shape { c: out_c, h: out_h, w: out_w });
    Case { fold: Fold { input, fold, top, left, output }, each: false }
}

fn cases() -> Vec<Case> {
    vec![
        // 11 × 11 at stride 4, without room and with it.
        case((3, 23, 23), 4, (0, 0), (48, 6, 6)),
        case((3, 24, 20), 4, (2, 2), (48, 7, 6)),
        case((1, 22, 22), 4, (1, 1), (16, 6, 6)),
        // Unfolded, with further channels or not.
        case((3, 9, 7), 1, (0, 0), (8, 9, 7)),
        case((3, 9, 7), 1, (0, 0), (3, 9, 7)),
        case((1, 1, 1), 1, (0, 0), (1, 1, 1)),
        case((16, 5, 4), 1, (0, 0), (16, 5, 4)),
        case((2, 5, 6), 1, (3, 1), (4, 9, 8)),
        // Pixels that no value shows.
        case((3, 11, 10), 2, (0, 1), (16, 4, 3)),
        case((3, 8, 8), 3, (1, 2), (27, 2, 5)),
        // Several tiles of a row.
        case((200, 3, 60), 1, (0, 0), (200, 3, 60)),
        case((90, 4, 32), 2, (0, 0), (360, 2, 16)),
        Case { each: true, ..case((7000, 1, 2), 1, (0, 0), (7000, 1, 2)) },
        Case { each: true, ..case((800, 3, 4), 3, (1, 0), (7208, 2, 2)) },
    ]
}

/// Where pixel (ch, row, column) of an image lies in `[channels, rows, columns]` of `y`, if it does.
fn place(fold: &Fold, ch: usize, row: usize, column: usize) -> Option<usize> {
    let (row, column, f) = (row + fold.top, column + fold.left, fold.fold);
    let k = (row % f * f + column % f) * fold.input.c + ch;
    let inside = row / f < fold.output.h && column / f < fold.output.w;
    inside.then_some((k * fold.output.h + row / f) * fold.output.w + column / f)
}

fn pixels(fold: &Fold) -> impl Iterator<Item = (usize, Option<usize>)> {
    let (fold, Shape { h, w, .. }) = (*fold, fold.input);
    (0..fold.input.len()).map(move |e| (e, place(&fold, e / (h * w), e / w % h, e % w)))
}

#[test]
fn pixels_become_values() {
    for element in ELEMENTS {
        for (seed, Case { fold, each }) in cases().into_iter().enumerate() {
            let images = 1 + seed % 3;
            let Some(mut bench) = Bench::new("input.cu", element, seed as u64, images, first(images)) else { return };
            let values = numbers(Element::F32, Values::Pixels, 1, images, fold.input.len());
            let (x, y) = (bench.floats(&values), bench.room(fold.output));
            let pass = bench.pass;
            let from = Pixels { floats: x, rgb: Bytes::NULL, looks: Ptr::NULL };
            let launch = forward(&pass, &fold, from, y);
            assert_eq!(launch.kernel.ends_with("_each"), each, "{fold:?}");
            bench.run([launch]);
            let mut expected = vec![0.0; images * fold.output.len()];
            for (x, y) in values.chunks_exact(fold.input.len()).zip(expected.chunks_exact_mut(fold.output.len())) {
                pixels(&fold).filter_map(|(e, place)| Some((e, place?))).for_each(|(e, place)| y[place] = rounded(element, x[e]));
            }
            assert!(bench.read(fold.output, y) == expected, "{fold:?} of {element:?}");
        }
    }
}

#[test]
fn gradients_go_back() {
    for element in ELEMENTS {
        for (seed, Case { fold, .. }) in cases().into_iter().enumerate() {
            let images = 1 + seed % 3;
            let turn = Turn { loss_scale: 4.0, ..first(images) };
            let Some(mut bench) = Bench::new("input.cu", element, seed as u64, images, turn) else { return };
            let dy = numbers(element, Values::Normal, 1, images, fold.output.len());
            let given = bench.maps(fold.output, &dy);
            let count = bench.pass.capacity * fold.input.len();
            let dx = bench.room_for(count);
            let pass = bench.pass;
            bench.run([backward(&pass, &fold, given, dx)]);
            let got: Vec<f32> = bench.read_values(dx, count);
            let (got, behind) = got.split_at(images * fold.input.len());
            assert!(behind.iter().all(|x| x.is_nan()), "the image behind the last was written");
            let mut expected = vec![0.0; got.len()];
            for (dy, dx) in dy.chunks_exact(fold.output.len()).zip(expected.chunks_exact_mut(fold.input.len())) {
                pixels(&fold).for_each(|(e, place)| dx[e] = place.map_or(0.0, |place| dy[place] / 4.0));
            }
            assert!(got == expected, "{fold:?} of {element:?}");
        }
    }
}
