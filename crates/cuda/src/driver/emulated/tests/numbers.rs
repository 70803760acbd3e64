use super::*;
use crate::args::macros::args;
use crate::args::{Ptr, Uints};

args! {
    struct Numbers {
        x: Uints,
        y: Uints,
        count: u32,
        how: u32,
    }
}

fn convert(values: &[u32], how: u32) -> Option<Vec<u32>> {
    let mut device = testing::device(Element::F32, 0)?.with_workers(2);
    device.compile_text("numbers.cu", &source(&[Numbers::C], "", include_str!("../../../../tests/host/numbers.cu"))).unwrap();
    let (x, y) = (device.with(values), device.room::<u32>(values.len()));
    let args = Numbers { x: Ptr::at(x), y: Ptr::at(y), count: values.len() as u32, how };
    device.call("convert", [64, 1, 1], 256, 0, &args).unwrap();
    Some(device.values(y, values.len()))
}

/// Floats at and beside every value of 16 bits and halfway to the next, of both signs; and floats of every exponent.
fn floats(element: Element) -> Vec<u32> {
    let mut values = Vec::new();
    for bits in 0..=u16::MAX {
        let value = testing::wide(element, bits);
        let next = testing::wide(element, bits.wrapping_add(1));
        let half = ((f64::from(value) + f64::from(next)) / 2.0) as f32;
        for x in [value, half] {
            values.extend([x.to_bits().wrapping_sub(1), x.to_bits(), x.to_bits().wrapping_add(1)]);
        }
    }
    values.extend((0..1 << 16).map(|i: u32| i.wrapping_mul(65_537).wrapping_add(i >> 3)));
    // Where f16 becomes infinite and f32 ends.
    values.extend([65_519.0_f32, 65_520.0, 65_535.0, 65_536.0, f32::MAX, f32::MIN_POSITIVE].map(f32::to_bits));
    values.extend([0x7f7f_7fff, 0x7f7f_8000, 0x7f7f_8001, 0x7f80_0000, 0xff80_0000, 0x7f80_0001, 0xffff_ffff, 1, 0x8000_0001]);
    values
}

#[test]
fn floats_are_rounded_to_the_nearest_of_16_bits() {
    for (element, how) in [(Element::Bf16, 0), (Element::F16, 1)] {
        let values = floats(element);
        let Some(rounded) = convert(&values, how) else { return };
        for (&x, &y) in values.iter().zip(&rounded) {
            let expected = testing::narrow(element, f32::from_bits(x));
            assert_eq!(y as u16, expected, "{element:?} of {x:#010x}, {:e}", f32::from_bits(x));
        }
    }
}

#[test]
fn values_of_16_bits_are_exact_in_f32() {
    let all: Vec<u32> = (0..1 << 16).collect();
    for (element, how) in [(Element::Bf16, 2), (Element::F16, 3)] {
        let Some(wide) = convert(&all, how) else { return };
        for (&bits, &y) in all.iter().zip(&wide) {
            let (expected, value) = (testing::wide(element, bits as u16), f32::from_bits(y));
            assert!(
                value.to_bits() == expected.to_bits() || value.is_nan() && expected.is_nan(),
                "{element:?} {bits:#06x}: {value}"
            );
        }
    }
}

#[test]
fn tf32_is_rounded_to_11_bits_with_ties_away_from_zero() {
    let values = floats(Element::Bf16);
    let more: Vec<u32> = (0..1 << 18).map(|i: u32| (i << 14 | 0x1000).wrapping_sub(1 - i % 3)).collect();
    let values: Vec<u32> = values.into_iter().chain(more).collect();
    let Some(rounded) = convert(&values, 4) else { return };
    for (&x, &y) in values.iter().zip(&rounded) {
        let value = f32::from_bits(x);
        if value.is_nan() {
            assert_eq!(y, 0x7fff_ffff);
            continue;
        }
        if value.is_infinite() {
            assert_eq!(y, x);
            continue;
        }
        // Steps of tf32 at this exponent; beyond the largest there is infinity.
        let exponent = ((x >> 23 & 0xff) as i32).max(1) - 127;
        let step = 2.0_f64.powi(exponent - 10);
        let steps = (f64::from(value.abs()) / step + 0.5).floor();
        let expected = if steps * step >= 2.0_f64.powi(128) { f32::INFINITY } else { (steps * step) as f32 };
        assert_eq!(f32::from_bits(y), expected.copysign(value), "{x:#010x}");
    }
}

#[test]
fn the_high_half_of_a_product() {
    let values: Vec<u32> = (0..10_000).map(|i: u32| i.wrapping_mul(429_497)).collect();
    let Some(high) = convert(&values, 5) else { return };
    for (&x, &y) in values.iter().zip(&high) {
        assert_eq!(u64::from(y), (u64::from(x) * 0x9e37_79b9) >> 32);
    }
}
