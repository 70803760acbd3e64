//! Collectives against the tables of the PTX ISA (sections of mma.m16n8k16, mma.m16n8k8 and ldmatrix), written out by formula.

use super::*;
use crate::args::macros::args;
use crate::args::{Floats, Ptr, Uints};

args! {
    struct Fragments {
        d: Floats,
        a: Uints,
        b: Uints,
    }

    struct Lanes {
        x: Uints,
        y: Uints,
        how: u32,
        by: u32,
        width: u32,
        reserved: u32,
    }
}

fn device(seed: u64) -> Option<Emulated> {
    let mut device = testing::device(Element::Bf16, seed)?;
    let text = source(&[Fragments::C, Lanes::C], "", include_str!("../../../../tests/host/warp.cu"));
    device.compile_text("warp.cu", &text).unwrap();
    Some(device)
}

/// Small whole numbers and halves, whose sums of products are exact.
fn matrix(rows: usize, columns: usize, salt: usize) -> Vec<Vec<f32>> {
    let value = |i: usize, j: usize| ((i * 7 + j * 13 + salt + i * j) % 31) as f32 / 2.0 - 7.0;
    (0..rows).map(|i| (0..columns).map(|j| value(i, j)).collect()).collect()
}

fn product(a: &[Vec<f32>], b: &[Vec<f32>], c: &[Vec<f32>]) -> Vec<Vec<f32>> {
    let sum = |i: usize, j: usize| c[i][j] + (0..b.len()).map(|k| a[i][k] * b[k][j]).sum::<f32>();
    (0..16).map(|i| (0..8).map(|j| sum(i, j)).collect()).collect()
}

/// Where the accumulator's value i of a thread stands: row and column.
fn place_of_c(lane: usize, i: usize) -> (usize, usize) {
    let (group, thread) = (lane >> 2, lane % 4);
    (if i < 2 { group } else { group + 8 }, thread * 2 + (i & 1))
}

fn check(kernel: &'static str, a: &[u32], b: &[u32], c: &[Vec<f32>], expected: &[Vec<f32>]) -> Option<()> {
    for seed in 0..4 {
        let mut device = device(seed)?;
        let d: Vec<f32> = (0..128).map(|at| place_of_c(at / 4, at % 4)).map(|(row, column)| c[row][column]).collect();
        let (d, a, b) = (device.with(&d), device.with(a), device.with(b));
        device.call(kernel, [1, 1, 1], 32, 0, &Fragments { d: Ptr::at(d), a: Ptr::at(a), b: Ptr::at(b) }).unwrap();
        for (at, value) in device.values::<f32>(d, 128).into_iter().enumerate() {
            let (row, column) = place_of_c(at / 4, at % 4);
            assert_eq!(value, expected[row][column], "{kernel}: row {row}, column {column}");
        }
    }
    Some(())
}

#[test]
fn fragments_of_16_bits_lie_as_ptx_says() {
    for (element, kernel) in [(Element::Bf16, "multiply_bf16"), (Element::F16, "multiply_f16")] {
        let (a, b, c) = (matrix(16, 16, 1), matrix(16, 8, 5), matrix(16, 8, 9));
        let pair =
            |low: f32, high: f32| u32::from(testing::narrow(element, low)) | u32::from(testing::narrow(element, high)) << 16;
        // a_i: row = group for i in {0, 1, 4, 5}, else group + 8; column = 2 · thread + (i & 1), + 8 from i = 4 on.
        let of_a = |lane: usize, i: usize| {
            let row = if matches!(i, 0 | 1 | 4 | 5) { lane >> 2 } else { (lane >> 2) + 8 };
            a[row][lane % 4 * 2 + (i & 1) + if i >= 4 { 8 } else { 0 }]
        };
        // b_i: row = 2 · thread + (i & 1), + 8 from i = 2 on; column = group.
        let of_b = |lane: usize, i: usize| b[lane % 4 * 2 + (i & 1) + if i >= 2 { 8 } else { 0 }][lane >> 2];
        let a_registers: Vec<u32> =
            (0..128).map(|at| (at / 4, at % 4 * 2)).map(|(lane, i)| pair(of_a(lane, i), of_a(lane, i + 1))).collect();
        let b_registers: Vec<u32> =
            (0..64).map(|at| (at / 2, at % 2 * 2)).map(|(lane, i)| pair(of_b(lane, i), of_b(lane, i + 1))).collect();
        if check(kernel, &a_registers, &b_registers, &c, &product(&a, &b, &c)).is_none() {
            return;
        }
    }
}

#[test]
fn fragments_of_tf32_lie_as_ptx_says_and_lose_their_lower_bits() {
    let (a, b, c) = (matrix(16, 8, 2), matrix(8, 8, 6), matrix(16, 8, 3));
    // a_i: row = group for i in {0, 2}, else group + 8; column = thread for i < 2, else thread + 4.
    let of_a = |lane: usize, i: usize| {
        a[if i.is_multiple_of(2) { lane >> 2 } else { (lane >> 2) + 8 }][if i < 2 { lane % 4 } else { lane % 4 + 4 }]
    };
    // b_i: row = thread, + 4 for i = 1; column = group.
    let of_b = |lane: usize, i: usize| b[lane % 4 + 4 * i][lane >> 2];
    let lower = |x: f32| x.to_bits() | 0x1fff;
    let a_registers: Vec<u32> = (0..128).map(|at| lower(of_a(at / 4, at % 4))).collect();
    let b_registers: Vec<u32> = (0..64).map(|at| lower(of_b(at / 2, at % 2))).collect();
    check("multiply_tf32", &a_registers, &b_registers, &c, &product(&a, &b, &c));
}

#[test]
fn products_are_of_the_values_of_16_bits() {
    // One product a value: subnormals, the largest, infinity, and what is not a number.
    for (element, kernel, special) in [
        (Element::F16, "multiply_f16", [0x0001_u16, 0x03ff, 0x7bff, 0x8001, 0x7c00, 0xfc00, 0x7e00, 0x3c00]),
        (Element::Bf16, "multiply_bf16", [0x0001_u16, 0x007f, 0x7f7f, 0x8001, 0x7f80, 0xff80, 0x7fc0, 0x3f80]),
    ] {
        let Some(mut device) = device(0) else { return };
        // a [i, 0] = special[i % 8], b [0, j] = 1: d [i, j] = special[i % 8].
        let one = testing::narrow(element, 1.0);
        let a: Vec<u32> = (0..128)
            .map(|at: usize| if at % 4 < 2 && (at / 4).is_multiple_of(4) { u32::from(special[at / 16]) } else { 0 })
            .collect();
        let b: Vec<u32> = (0..64)
            .map(|at: usize| if at.is_multiple_of(2) && (at / 2).is_multiple_of(4) { u32::from(one) } else { 0 })
            .collect();
        let (d, a, b) = (device.with(&[0.0_f32; 128]), device.with(&a), device.with(&b));
        device.call(kernel, [1, 1, 1], 32, 0, &Fragments { d: Ptr::at(d), a: Ptr::at(a), b: Ptr::at(b) }).unwrap();
        for (at, value) in device.values::<f32>(d, 128).into_iter().enumerate() {
            let expected = testing::wide(element, special[place_of_c(at / 4, at % 4).0 % 8]);
            assert!(value == expected || value.is_nan() && expected.is_nan(), "{kernel}: {value}, not {expected}");
        }
    }
}

#[test]
fn matrices_are_loaded_as_ptx_says() {
    for (how, seed) in [(0, 0), (1, 0), (0, 1), (1, 1)] {
        let Some(mut device) = device(seed) else { return };
        // matrix [4], row [8], column [8]: its own number.
        let value = |matrix: usize, row: usize, column: usize| (matrix * 64 + row * 8 + column) as u32;
        let words: Vec<u32> = (0..128).map(|at| (2 * at) | ((2 * at + 1) << 16)).collect();
        let (x, y) = (device.with(&words), device.room::<u32>(128));
        let args = Lanes { x: Ptr::at(x), y: Ptr::at(y), how, by: 0, width: 0, reserved: 0 };
        device.call("load_matrices", [1, 1, 1], 32, 512, &args).unwrap();
        for (at, word) in device.values::<u32>(y, 128).into_iter().enumerate() {
            let (lane, r) = (at / 4, at % 4);
            let (row, column) = (lane / 4, lane % 4 * 2);
            let expected = match how {
                0 => value(r, row, column) | value(r, row, column + 1) << 16,
                _ => value(r, column, row) | value(r, column + 1, row) << 16,
            };
            assert_eq!(word, expected, "thread {lane}, register {r}, {}", ["as it is", "transposed"][how as usize]);
        }
    }
}

#[test]
fn shuffles_find_their_values() {
    // Whose value a thread gets, by the programming guide.
    let source = |how: u32, lane: u32, by: u32, width: u32| {
        let first = lane / width * width;
        match how {
            0 => first + by % width,
            1 if lane - first >= by => lane - by,
            2 if lane - first + by < width => lane + by,
            3 | 4 if lane ^ by < first + width => lane ^ by,
            5 => lane ^ by,
            6 if lane.is_multiple_of(2) => lane ^ by,
            _ => lane,
        }
    };
    let mut cases: Vec<(u32, u32, u32)> = Vec::new();
    for (how, width) in (0..5).flat_map(|how| [32, 16, 8, 4, 2, 1].map(|width| (how, width))) {
        cases.extend([0, 1, 2, 3, 7, 16, 31].map(|by| (how, by, width)));
    }
    cases.extend([1, 3, 8, 15].map(|by| (5, by, 16)));
    cases.extend([2, 6, 16].map(|by| (6, by, 32)));
    for (number, (how, by, width)) in cases.into_iter().enumerate() {
        let Some(mut device) = device(number as u64) else { return };
        let values: Vec<u32> = (0..64).map(|i| 1000 + i).collect();
        let (x, y) = (device.with(&values), device.room::<u32>(64));
        let args = Lanes { x: Ptr::at(x), y: Ptr::at(y), how, by, width, reserved: 0 };
        device.call("shuffles", [1, 1, 1], 64, 0, &args).unwrap();
        for (i, value) in (0..64_u32).zip(device.values::<u32>(y, 64)) {
            assert_eq!(value, 1000 + i / 32 * 32 + source(how, i % 32, by, width), "way {how} by {by} of {width}, thread {i}");
        }
    }
}
