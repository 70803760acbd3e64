//! RandAugment: each operation, and which are chosen.

use data::Preprocessing;
use data::augment::{Address, MOST_MAGNITUDE, Op, RandAugment};
use net::Shape;
use proptest::prelude::*;

use crate::colours::{address, assert_equals};
use crate::statistics::assert_shares;
use crate::{each, numbers, rows};

fn op(name: &str) -> Op {
    Op::ALL.into_iter().find(|op| format!("{op:?}") == name).unwrap_or_else(|| panic!("no operation {name}"))
}

#[test]
fn every_operation_equals_torchvisions() {
    each("operation", 14 * 4, |golden, name, rest| {
        let [what, magnitude, sign, _] = rest.split('/').collect::<Vec<_>>().try_into().expect("four parts");
        let magnitude = magnitude.parse().expect("a number");
        assert_equals(golden, name, |image| op(what).apply(magnitude, sign == "-1", &mut image.rgb, image.width, &mut vec![3]));
    });
}

/// CRC-32 as in zlib.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xEDB8_8320 } else { crc >> 1 })
    })
}

#[test]
fn a_whole_crop_equals_torchvisions_at_every_magnitude() {
    let pixel = |x: usize, y: usize, c: usize| (((x * x * (c + 1) + 3 * y * y + 7 * x * y) / 64) % 256) as u8;
    let rgb: Vec<u8> = (0..3 * 224 * 224).map(|i| pixel(i / 3 % 224, i / 3 / 224, i % 3)).collect();
    let mut differing = Vec::new();
    each("digest", 14, |golden, name, what| {
        let digests = rows::<2>(golden, name);
        assert_eq!(digests.len(), 31);
        for (magnitude, signs) in digests.into_iter().enumerate() {
            for (sign, expected) in signs.into_iter().enumerate() {
                let mut ours = rgb.clone();
                op(what).apply(magnitude as u32, sign == 1, &mut ours, 224, &mut Vec::new());
                if i64::from(crc32(&ours)) != expected {
                    differing.push(format!("{what} {magnitude} {}", ["+", "-"][sign]));
                }
            }
        }
    });
    assert!(differing.is_empty(), "{} differ: {differing:?}", differing.len());
}

#[test]
fn the_same_numbers_choose_the_same_operations() {
    each("rand", 3 * 8, |golden, name, rest| {
        let [how, at, _] = rest.split('/').collect::<Vec<_>>().try_into().expect("three parts");
        let [ops, magnitude] = numbers(how).map(|number| number as u32);
        let augment = RandAugment { ops, magnitude };
        assert_equals(golden, name, |image| augment.apply(address(at), &mut image.rgb, image.width, &mut Vec::new()));
    });
}

#[test]
fn every_operation_and_sign_is_as_frequent_in_each_place() {
    let augment = RandAugment { ops: 3, magnitude: 9 };
    let mut counts = [[0; 28]; 3];
    for image in 0..20_000 {
        for (place, (op, negative)) in augment.choices(Address { seed: 5, epoch: 2, image }).enumerate() {
            counts[place][2 * (op as usize) + usize::from(negative)] += 1;
        }
    }
    for (place, counts) in counts.iter().enumerate() {
        assert_shares(counts, &[1.0 / 28.0; 28], &format!("operation {place}"));
    }
}

#[test]
fn numbers_that_cannot_be_are_refused() {
    let input = Shape { c: 3, h: 8, w: 8 };
    let with = |ops, magnitude| Preprocessing { rand_augment: Some(RandAugment { ops, magnitude }), ..Preprocessing::default() };
    for (ops, magnitude) in [(0, 0), (2, 9), (14, MOST_MAGNITUDE)] {
        assert!(with(ops, magnitude).check(input).is_ok());
    }
    let message = |ops, magnitude| with(ops, magnitude).check(input).expect_err("refused").to_string();
    assert_eq!(message(2, 31), "preprocessing: rand_augment magnitude = 31 is not in 0..=30");
    assert_eq!(message(15, 9), "preprocessing: rand_augment ops = 15 is not in 0..=14");
}

proptest! {
    #[test]
    fn any_size_is_fine_and_no_pixel_is_made_up(
        (width, height) in prop_oneof![(1..20usize, 1..20usize), (Just(1000), Just(1)), (Just(1), Just(1000))],
        op in 0..14usize,
        magnitude in 0..=MOST_MAGNITUDE,
        negative in any::<bool>(),
    ) {
        let op = Op::ALL[op];
        let before: Vec<u8> = (0..3 * width * height).map(|i| (i * 41 % 255) as u8 + 1).collect();
        let mut after = before.clone();
        op.apply(magnitude, negative, &mut after, width, &mut Vec::new());
        prop_assert_eq!(after.len(), before.len());
        if magnitude == 0 && !matches!(op, Op::Solarize | Op::AutoContrast | Op::Equalize) {
            prop_assert_eq!(&after, &before);
        }
        if matches!(op, Op::ShearX | Op::ShearY | Op::TranslateX | Op::TranslateY | Op::Rotate) {
            let known: std::collections::HashSet<&[u8]> = before.chunks(3).collect();
            prop_assert!(after.chunks(3).all(|pixel| pixel == [0; 3] || known.contains(pixel)));
        }
    }
}
