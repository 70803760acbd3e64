//! Crops of random size and proportions.

use data::augment::{Address, RandomResizedCrop};
use data::{Filter, Image, Preprocessing, Region, Resizer};
use net::Shape;
use proptest::prelude::*;

use crate::statistics::assert_uniform;
use crate::{case, each, numbers, rows};

#[test]
fn boxes_are_torchvisions() {
    each("crop", 4, |golden, name, rest| {
        let (scale, ratio) = rest.split_once('/').expect("two ranges");
        let crop = RandomResizedCrop { scale: numbers(scale), ratio: numbers(ratio) };
        let all = rows::<9>(golden, name);
        assert_eq!(all.len(), 66);
        for [seed, epoch, image, width, height, x, y, w, h] in all {
            let address = Address { seed: seed as u64, epoch: epoch as u32, image: image as u32 };
            let region = crop.region(address, (width as usize, height as usize));
            if w == 0 || h == 0 {
                // The central box of an image much too narrow may be empty in torchvision, which then fails.
                assert_eq!((region.width, region.height), (w.max(1) as usize, h.max(1) as usize));
                continue;
            }
            let expected = Region { x: x as usize, y: y as usize, width: w as usize, height: h as usize };
            assert_eq!(region, expected, "{crop:?} of {width} × {height}, image {image}");
        }
    });
}

/// `region` of `image` as an image of its own, resized.
pub(crate) fn cut_and_resize(image: &Image, region: Region, width: usize, height: usize) -> Image {
    let rows = image.rgb.chunks_exact(3 * image.width).skip(region.y).take(region.height);
    let rgb = rows.flat_map(|row| &row[3 * region.x..3 * (region.x + region.width)]).copied().collect();
    let part = Image { width: region.width, height: region.height, rgb };
    let (mut rgb, whole) = (Vec::new(), Region { x: 0, y: 0, width, height });
    Resizer::default().resize((&part).into(), width, height, Filter::Bilinear, whole, &mut rgb);
    Image { width, height, rgb }
}

#[test]
fn resized_crops_are_pillows() {
    each("resized", 5, |golden, name, rest| {
        let (source, place) = rest.split_once('/').expect("source and place");
        let source = case::picture(golden, &format!("source/{source}")).expect("its source");
        let expected = case::picture(golden, name).expect("listed");
        let [x, y, width, height] = numbers(place).map(|number| number as usize);
        let ours = cut_and_resize(&source, Region { x, y, width, height }, expected.width, expected.height);
        let (worst, place) = case::worst(&ours, &expected);
        assert_eq!(worst, 0, "{name}: {place}");
    });
}

#[test]
fn area_proportions_and_place_are_uniform() {
    // No box of up to half the area and a third more on one side is refused, and rounding to pixels is far below a bin.
    let crop = RandomResizedCrop { scale: [0.08, 0.5], ..RandomResizedCrop::default() };
    let side = 100_000;
    let (mut areas, mut ratios, mut xs, mut ys) = (vec![], vec![], vec![], vec![]);
    for image in 0..40_000 {
        let Region { x, y, width, height } = crop.region(Address { seed: 3, epoch: 1, image }, (side, side));
        let (w, h) = (width as f64, height as f64);
        areas.push(((w * h / (side * side) as f64 - 0.08) / 0.42).clamp(0.0, 1.0));
        let log = |x: f64| x.ln() / (4.0_f64 / 3.0).ln();
        ratios.push(((log(w / h) + 1.0) / 2.0).clamp(0.0, 1.0));
        xs.push(x as f64 / (side - width) as f64);
        ys.push(y as f64 / (side - height) as f64);
    }
    for (values, what) in [(areas, "area"), (ratios, "log ratio"), (xs, "column"), (ys, "row")] {
        assert_uniform(&values, what);
    }
}

#[test]
fn ranges_that_cannot_be_are_refused() {
    let input = Shape { c: 3, h: 8, w: 8 };
    let with = |crop| Preprocessing { random_resized_crop: Some(crop), ..Preprocessing::default() };
    let message = |p: Preprocessing| p.check(input).expect_err("refused").to_string();
    let good = RandomResizedCrop::default();
    assert!(with(good).check(input).is_ok());
    for scale in [[-0.1, 1.0], [0.5, 0.4], [0.1, 1.1], [f64::NAN, 1.0], [0.0, f64::NAN]] {
        let message = message(with(RandomResizedCrop { scale, ..good }));
        assert!(message.contains("scale") && message.contains("between 0 and 1"), "{message}");
    }
    for ratio in [[0.0, 1.0], [2.0, 1.0], [1.0, f64::INFINITY], [-1.0, 1.0]] {
        let message = message(with(RandomResizedCrop { ratio, ..good }));
        assert!(message.contains("ratio"), "{message}");
    }
    let grouped = message(Preprocessing { crop_group: 32, ..with(good) });
    assert!(grouped.contains("crop_group must be 1"), "{grouped}");
    let moving = message(Preprocessing { mean: data::Mean::ImageAtCrop, ..with(good) });
    assert!(moving.contains("no mean image at the crop's own place"), "{moving}");
}

proptest! {
    #[test]
    fn a_crop_is_never_empty_and_never_outside(
        image in any::<u32>(),
        (width, height) in prop_oneof![(1..40usize, 1..40usize), (1..70_000usize, Just(1)), (Just(1), 1..70_000usize)],
        scale in (0.0..=1.0, 0.0..=1.0),
        ratio in (-12.0..12.0, -12.0..12.0),
    ) {
        let upwards = |(a, b): (f64, f64)| [a.min(b), a.max(b)];
        let crop = RandomResizedCrop { scale: upwards(scale), ratio: upwards(ratio).map(f64::exp) };
        let region = crop.region(Address { seed: 1, epoch: 2, image }, (width, height));
        prop_assert!(region.width >= 1 && region.height >= 1);
        prop_assert!(region.x + region.width <= width && region.y + region.height <= height);
        prop_assert_eq!(region, crop.region(Address { seed: 1, epoch: 2, image }, (width, height)));
    }
}
