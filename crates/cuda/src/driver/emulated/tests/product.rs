use super::*;
use crate::args::macros::args;
use crate::args::{Elems, Floats, Ptr};

args! {
    struct Product {
        a: Elems,
        b: Elems,
        c: Floats,
        m: u32,
        n: u32,
        k: u32,
        reserved: u32,
    }
}

/// m, n, k with tails in every direction; k is three stages, the last one in part.
const SIZES: (usize, usize, usize) = (45, 72, 88);
/// The last of two stages is in part, and nothing was there before.
const SHORT: (usize, usize, usize) = (45, 72, 56);
/// Bytes of two stages.
const SHARED: u32 = 2 * 2 * 32 * 40 * 2;

fn text(macros: &str) -> String {
    source(&[Product::C], macros, include_str!("../../../../tests/host/product.cu"))
}

fn factors(element: Element, (m, n, k): (usize, usize, usize)) -> (Vec<f32>, Vec<f32>) {
    let stream = net::random::Stream::new(5, net::random::Purpose::Test, 0, 0, 0);
    let value = |i: usize| testing::wide(element, testing::narrow(element, (stream.uniform(i as u32) * 2.0 - 1.0) as f32));
    ((0..m * k).map(value).collect(), (m * k..m * k + k * n).map(value).collect())
}

/// The worst distance from the product in f64, as a part of what it may be: sums of K products in f32 differ from exact ones by at
/// most K · 2⁻²⁴ · Σ|a·b|. Infinite where a value is none.
fn distance(element: Element, sizes: (usize, usize, usize), c: &[f32]) -> f64 {
    let ((m, n, k), (a, b)) = (sizes, factors(element, sizes));
    let mut worst = 0.0_f64;
    for (i, j) in (0..m).flat_map(|i| (0..n).map(move |j| (i, j))) {
        let products = (0..k).map(|l| f64::from(a[i * k + l]) * f64::from(b[l * n + j]));
        let (sum, size) = products.fold((0.0, 0.0), |(sum, size), p| (sum + p, size + p.abs()));
        let distance = (f64::from(c[i * n + j]) - sum).abs() / (k as f64 * 2.0_f64.powi(-24) * size);
        worst = worst.max(if distance.is_nan() { f64::INFINITY } else { distance });
    }
    worst
}

fn run(device: &mut Emulated, element: Element, sizes: (usize, usize, usize)) -> Result<Vec<f32>> {
    let ((m, n, k), (a, b)) = (sizes, factors(element, sizes));
    let (a, b, c) = (device.with_elems(&a), device.with_elems(&b), device.room::<f32>(m * n));
    let args = Product { a: Ptr::at(a), b: Ptr::at(b), c: Ptr::at(c), m: m as u32, n: n as u32, k: k as u32, reserved: 0 };
    let grid = [n.div_ceil(32) as u32, m.div_ceil(32) as u32, 1];
    device.call("product", grid, 64, SHARED, &args)?;
    Ok(device.values(c, m * n))
}

fn product(element: Element, sizes: (usize, usize, usize), macros: &str, seed: u64) -> Option<Result<f64>> {
    let mut device = testing::device(element, seed)?;
    device.compile_text("product.cu", &text(macros)).unwrap();
    Some(run(&mut device, element, sizes).map(|c| distance(element, sizes, &c)))
}

#[test]
fn a_product_is_within_its_bound_in_any_order() {
    for (element, seed) in [Element::Bf16, Element::F16].into_iter().flat_map(|element| (0..10).map(move |seed| (element, seed)))
    {
        for sizes in [SIZES, SHORT, (1, 8, 8)] {
            let Some(distance) = product(element, sizes, "", seed) else { return };
            let distance = distance.unwrap();
            assert!(distance <= 1.0, "{element:?}, {sizes:?}, seed {seed}: {distance} of the bound");
        }
    }
}

/// Each shows in every order.
const FAULTS: [(&str, (usize, usize, usize)); 5] = [
    ("PRODUCT_WITHOUT_FIRST_BARRIER", SIZES),
    ("PRODUCT_WITHOUT_SECOND_BARRIER", SIZES),
    ("PRODUCT_WITHOUT_WAIT", SIZES),
    ("PRODUCT_WITHOUT_WARP_BARRIER", SIZES),
    ("PRODUCT_WITHOUT_TAIL", SHORT),
];

#[test]
fn every_missing_barrier_and_wait_gives_wrong_values() {
    for (fault, sizes) in FAULTS {
        for seed in 0..16 {
            let Some(distance) = product(Element::Bf16, sizes, &format!("#define {fault}"), seed) else { return };
            assert!(
                distance.as_ref().is_ok_and(|&distance| distance > 1.0),
                "{fault} does not show with seed {seed}: {distance:?}"
            );
        }
    }
}

#[test]
fn workers_and_seeds_do_not_change_a_bit() {
    let mut kept: Option<Vec<f32>> = None;
    for (seed, workers) in [(0, 1), (1, 1), (0, 2), (7, 3), (8, 64)] {
        let Some(device) = testing::device(Element::Bf16, seed) else { return };
        let mut device = device.with_workers(workers);
        device.compile_text("product.cu", &text("")).unwrap();
        let values = run(&mut device, Element::Bf16, SIZES).unwrap();
        assert_eq!(*kept.get_or_insert_with(|| values.clone()), values, "seed {seed}, {workers} workers");
    }
}

#[test]
fn sanitizers_find_nothing_in_a_right_product() {
    let Some(mut device) = testing::sanitized_device(Element::F16, 3) else { return };
    device.compile_text("product.cu", &text("")).unwrap();
    let values = run(&mut device, Element::F16, SIZES).unwrap();
    assert!(distance(Element::F16, SIZES, &values) <= 1.0);
}
