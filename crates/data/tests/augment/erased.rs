//! What is erased of an input.

use data::augment::{Address, Erasing, Value};
use data::{Preprocessing, Region};
use net::Shape;
use proptest::prelude::*;

use crate::statistics::{assert_shares, assert_uniform};
use crate::{each, numbers, rows};

#[test]
fn rectangles_are_torchvisions() {
    let (mut erased, mut whole) = (0, 0);
    each("erasing", 4, |golden, name, rest| {
        let [probability, scale, ratio] = rest.split('/').collect::<Vec<_>>().try_into().expect("three parts");
        let [probability] = numbers(probability);
        let erasing = Erasing { probability, scale: numbers(scale), ratio: numbers(ratio), value: Value::Zero };
        for [seed, epoch, image, width, height, x, y, w, h] in rows::<9>(golden, name) {
            let address = Address { seed: seed as u64, epoch: epoch as u32, image: image as u32 };
            let expected = Region { x: x as usize, y: y as usize, width: w as usize, height: h as usize };
            let expected = (x >= 0).then_some(expected);
            let ours = erasing.region(address, width as usize, height as usize);
            assert_eq!(ours, expected, "{erasing:?} of {width} × {height}, image {image}");
            *if ours.is_some() { &mut erased } else { &mut whole } += 1;
        }
    });
    assert!(erased > 50 && whole > 50, "{erased} erased, {whole} whole");
}

#[test]
fn coin_area_proportions_and_place_are_uniform() {
    // No rectangle of these is too large, and rounding to pixels is far below a bin.
    let erasing = Erasing { probability: 0.75, scale: [0.02, 0.2], ratio: [0.3, 3.3], value: Value::Zero };
    let side = 100_000;
    let (mut areas, mut ratios, mut xs, mut ys, mut whole) = (vec![], vec![], vec![], vec![], 0);
    for image in 0..40_000 {
        let Some(Region { x, y, width, height }) = erasing.region(Address { seed: 4, epoch: 0, image }, side, side) else {
            whole += 1;
            continue;
        };
        let (w, h) = (width as f64, height as f64);
        areas.push(((w * h / (side * side) as f64 - 0.02) / 0.18).clamp(0.0, 1.0));
        ratios.push((((h / w).ln() - 0.3_f64.ln()) / 11.0_f64.ln()).clamp(0.0, 1.0));
        xs.push(x as f64 / (side - width) as f64);
        ys.push(y as f64 / (side - height) as f64);
    }
    assert_shares(&[areas.len() as u32, whole], &[0.75, 0.25], "erased, whole");
    for (values, what) in [(areas, "area"), (ratios, "log ratio"), (xs, "column"), (ys, "row")] {
        assert_uniform(&values, what);
    }
}

#[test]
fn numbers_that_cannot_be_are_refused() {
    let input = Shape { c: 3, h: 8, w: 8 };
    let with = |erasing| Preprocessing { erasing: Some(erasing), ..Preprocessing::default() };
    let good = Erasing::default();
    assert!(with(good).check(input).is_ok());
    for (bad, name) in [
        (Erasing { probability: 1.1, ..good }, "probability = 1.1 is not in 0..=1"),
        (Erasing { probability: f64::NAN, ..good }, "probability"),
        (Erasing { scale: [0.4, 0.3], ..good }, "scale = [0.4, 0.3] does not go upwards between 0 and 1"),
        (Erasing { ratio: [0.0, 1.0], ..good }, "ratio"),
    ] {
        let message = with(bad).check(input).expect_err("refused").to_string();
        assert!(message.starts_with(&format!("preprocessing: erasing {name}")), "{message}");
    }
}

proptest! {
    #[test]
    fn a_rectangle_is_never_outside(
        image in any::<u32>(),
        (width, height) in prop_oneof![(1..40usize, 1..40usize), (1..5_000usize, Just(1)), (Just(1), 1..5_000usize)],
        scale in (0.0..=1.0, 0.0..=1.0),
        ratio in (-12.0..12.0, -12.0..12.0),
    ) {
        let upwards = |(a, b): (f64, f64)| [a.min(b), a.max(b)];
        let ratio = upwards(ratio).map(f64::exp);
        let erasing = Erasing { probability: 1.0, scale: upwards(scale), ratio, value: Value::Noise };
        if let Some(region) = erasing.region(Address { seed: 1, epoch: 2, image }, width, height) {
            prop_assert!(region.width < width && region.height < height);
            prop_assert!(region.x + region.width <= width && region.y + region.height <= height);
        }
    }
}
