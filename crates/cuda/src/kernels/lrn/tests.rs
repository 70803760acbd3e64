use conformance::bound::{self, Bounded, Propagation, Weights};
use conformance::inputs::Values;
use net::{LrnAcross, Net, Op, Shape};
use reference::Pass as Of;

use super::*;
use crate::kernels::Element;
use crate::kernels::testing::{Bench, ELEMENTS, close, first, numbers, one_op, to_f64};

fn shape(c: usize, h: usize, w: usize) -> Shape {
    Shape { c, h, w }
}

fn across() -> Vec<(Shape, LrnAcross)> {
    let across = |input, n, k, alpha, beta, alpha_over_n, towers| (input, LrnAcross { n, k, alpha, beta, alpha_over_n, towers });
    vec![
        across(shape(16, 7, 9), 5, 2.0, 1e-4, 0.75, true, 1),
        across(shape(16, 7, 9), 5, 2.0, 0.5, 0.75, false, 2),
        across(shape(96, 2, 2), 5, 2.0, 0.3, 0.75, true, 2),
        across(shape(32, 3, 3), 9, 1.0, 1e-3, 0.75, true, 1),
        across(shape(64, 2, 3), 9, 1.0, 0.3, 0.5, false, 4),
        across(shape(24, 2, 2), 7, 1.0, 0.3, 0.6, false, 1),
        across(shape(24, 3, 2), 7, 1.0, 0.3, 0.75, false, 3),
        across(shape(16, 3, 5), 3, 1.5, 0.3, 0.5, false, 2),
        across(shape(8, 4, 5), 3, 1.5, 0.3, 0.75, false, 1),
        across(shape(8, 3, 3), 1, 1.0, 0.7, 0.6, false, 1),
        // For kernels that take anything.
        across(shape(8, 4, 5), 3, 1.5, 0.3, 0.5, false, 4),
        across(shape(3, 2, 2), 9, 1.0, 0.7, 1.0, false, 1),
        across(shape(4, 3, 3), 1, 1.0, 0.7, 0.6, false, 4),
        across(shape(1, 1, 1), 5, 0.1, 2.0, 0.75, true, 1),
        across(shape(6, 5, 37), 5, 1.0, 0.0, 0.75, true, 1),
        across(shape(32, 2, 2), 11, 1.0, 0.2, 0.75, true, 2),
        across(shape(40, 1, 1), 101, 1.0, 0.2, 0.9, true, 1),
    ]
}

fn within() -> Vec<(Shape, net::LrnWithin)> {
    let within = |input, n, k, alpha, beta, alpha_over_n| (input, net::LrnWithin { n, k, alpha, beta, alpha_over_n });
    vec![
        within(shape(8, 9, 7), 5, 1.0, 1e-3, 0.75, true),
        within(shape(16, 6, 6), 3, 1.0, 0.5, 0.6, false),
        within(shape(24, 2, 3), 7, 2.0, 0.9, 0.75, true),
        within(shape(8, 4, 4), 1, 1.0, 0.9, 0.5, false),
        within(shape(8, 1, 1), 3, 0.5, 0.9, 0.75, false),
        within(shape(16, 3, 37), 5, 1.0, 0.2, 0.5, true),
        // For kernels that take anything.
        within(shape(2, 4, 4), 1, 1.0, 0.9, 1.0, false),
        within(shape(1, 1, 1), 3, 0.5, 0.9, 0.75, false),
        within(shape(3, 5, 4), 3, 1.0, 0.2, 0.75, true),
        within(shape(5, 3, 2), 9, 1.0, 0.2, 0.5, false),
    ]
}

const KINDS: [Values; 5] = [Values::Normal, Values::Tiny, Values::Zeros, Values::Pixels, Values::Negative];

/// Forward and backward launches of a layer.
type Launches<'a> = &'a dyn Fn(&Pass, [Elems; 4]) -> [Launch; 2];

/// Both passes beside the oracle; where `rectified`, of a rectifier's output.
fn check(
    source: &'static str,
    what: &str,
    net: &Net,
    seed: u64,
    element: Element,
    rectified: bool,
    launches: Launches<'_>,
) -> Option<()> {
    let input = net.input();
    for (turn, kind) in KINDS.into_iter().enumerate() {
        let images = 1 + (seed as usize + turn) % 3;
        let mut bench = Bench::new(source, element, seed, images, first(images))?;
        let mut values = numbers(element, kind, seed, images, input.len());
        if rectified {
            values.iter_mut().for_each(|x| *x = x.max(0.0));
        }
        let dy = numbers(element, Values::Normal, seed + 1, images, input.len());
        let (x, y) = (bench.maps(input, &values), bench.room(input));
        let (g, dx) = (bench.maps(input, &dy), bench.room(input));
        let pass = bench.pass;
        bench.run(launches(&pass, [x, y, g, dx]));
        let x64 = to_f64(&values);
        let what = format!("{what}, {kind:?}");
        let oracle = bound::forward(net, 0, Weights::default(), None, Of::Test, &x64);
        close(&what, element, input, &bench.read(input, y), &oracle);
        let exact = Bounded { value: to_f64(&dy), bound: vec![0.0; dy.len()] };
        let mut oracle = bound::backward_input(net, 0, Propagation::Worst, &[], None, Of::Test, &x64, &exact);
        for (e, _) in values.iter().enumerate().filter(|&(_, &x)| rectified && x <= 0.0) {
            (oracle.value[e], oracle.bound[e]) = (0.0, 0.0);
        }
        close(&format!("gradient of {what}"), element, input, &bench.read(input, dx), &oracle);
    }
    Some(())
}

#[test]
fn across_maps() {
    for element in ELEMENTS {
        for (number, (input, op)) in across().into_iter().enumerate() {
            let net = one_op(input, Op::Lrn(op.clone())).expect("a net");
            for rectified in [false, true] {
                let num = Across {
                    c: input.c,
                    towers: op.towers,
                    pixels: input.plane(),
                    n: op.n,
                    k: op.k as f32,
                    a: op.coefficient() as f32,
                    beta: op.beta as f32,
                    rectified,
                };
                let fast = (input.c / op.towers).is_multiple_of(16 / element.size()) && [3, 5, 9].contains(&op.n);
                let launches = |pass: &Pass, [x, y, dy, dx]: [Elems; 4]| {
                    let launches = [across_forward(pass, &num, x, y), across_backward(pass, &num, x, dy, dx)];
                    assert!(launches.iter().all(|launch| launch.kernel.ends_with("_each") != fast), "{op:?}");
                    launches
                };
                let what = format!("normalisation of {input}, {op:?}, rectified {rectified}");
                if check("lrn.cu", &what, &net, number as u64, element, rectified, &launches).is_none() {
                    return;
                }
            }
        }
    }
}

#[test]
fn within_maps() {
    for element in ELEMENTS {
        for (number, (input, op)) in within().into_iter().enumerate() {
            let net = one_op(input, Op::LrnWithin(op.clone())).expect("a net");
            let num = Within {
                c: input.c,
                h: input.h,
                w: input.w,
                n: op.n,
                k: op.k as f32,
                a: op.coefficient() as f32,
                beta: op.beta as f32,
            };
            // All of a map, and several tiles of it.
            for most_shared in [SHARED, 4096] {
                let launches = |pass: &Pass, [x, y, dy, dx]: [Elems; 4]| {
                    [
                        num.launch(pass, false, most_shared, LrnWithin { x, y, ..nothing_within(pass) }),
                        num.launch(pass, true, most_shared, LrnWithin { x, dy, dx, ..nothing_within(pass) }),
                    ]
                };
                let what = format!("normalisation of {input}, {op:?}, {most_shared} bytes");
                if check("lrn_within.cu", &what, &net, number as u64, element, false, &launches).is_none() {
                    return;
                }
            }
        }
    }
}

#[test]
fn tiles_fit() {
    let pass = |element| Pass { element, capacity: 1, step: crate::args::Ptr::NULL };
    let within = |h, w, n| Within { c: 256, h, w, n, k: 1.0, a: 1.0, beta: 0.75 };
    for element in ELEMENTS {
        let pass = pass(element);
        // Some maps are one tile, larger ones are cut, and a window may be too large for any.
        assert_eq!(within(13, 13, 5).tile(&pass, true, SHARED), Some((13, 13)));
        let (tile_h, tile_w) = within(55, 55, 5).tile(&pass, true, SHARED).expect("a tile");
        assert!(tile_h < 55 || tile_w < 55);
        assert!(within(55, 55, 5).shared(&pass, true, (tile_h, tile_w)) <= SHARED);
        assert_eq!(within(200, 200, 101).tile(&pass, true, SHARED), None);
    }
}

/// A window that no tile holds.
#[test]
fn windows_as_large_as_the_map() {
    let num = Within { c: 8, h: 6, w: 5, n: 9, k: 1.0, a: 0.1, beta: 0.75 };
    let op = net::LrnWithin { n: 9, k: 1.0, alpha: f64::from(0.1_f32), beta: 0.75, alpha_over_n: false };
    let input = shape(8, 6, 5);
    let net = one_op(input, Op::LrnWithin(op)).expect("a net");
    for element in ELEMENTS {
        let launches = |pass: &Pass, [x, y, dy, dx]: [Elems; 4]| {
            let launches = [
                num.launch(pass, false, 64, LrnWithin { x, y, ..nothing_within(pass) }),
                num.launch(pass, true, 64, LrnWithin { x, dy, dx, ..nothing_within(pass) }),
            ];
            assert!(launches.iter().all(|launch| launch.kernel.ends_with("_each")));
            launches
        };
        if check("lrn_within.cu", "normalisation by large windows", &net, 1, element, false, &launches).is_none() {
            return;
        }
    }
}
