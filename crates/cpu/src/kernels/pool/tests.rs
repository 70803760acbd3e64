//! The maximum against a loop over every window, on every instruction set of this CPU.

use super::*;
use crate::Isa;

/// Values full of ties, zeros of both signs, infinities and, one in `nan` of them, NaN.
fn values(len: usize, seed: u32, nan: u32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2_654_435_761) | 1;
    let mut draw = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state
    };
    let mut value = || match (draw() >> 8) % nan {
        0 => f32::from_bits(f32::NAN.to_bits() | (draw() % 1000)),
        _ => match (draw() >> 8) % 7 {
            0 => 0.0,
            1 => -0.0,
            2 => f32::NEG_INFINITY,
            3 => draw() as f32,
            i => i as f32 - 5.0,
        },
    };
    (0..len).map(|_| value()).collect()
}

/// The maximum of a window and where it is: the first of equal ones by row, the last NaN by column.
fn plain(win: &PoolWindow, x: &[f32], p: usize, q: usize) -> (u32, u8) {
    let arg = |row: usize, col: usize| ((row + win.top - p * win.stride_r) * win.s + col + win.left - q * win.stride_s) as u8;
    for col in win.cols(q).rev() {
        for row in win.rows(p).rev() {
            if x[row * win.w + col].is_nan() {
                return (x[row * win.w + col].to_bits(), arg(row, col));
            }
        }
    }
    let (mut row, mut col) = (win.rows(p).start, win.cols(q).start);
    for r in win.rows(p) {
        for c in win.cols(q) {
            if x[r * win.w + c] > x[row * win.w + col] {
                (row, col) = (r, c);
            }
        }
    }
    (x[row * win.w + col].to_bits(), arg(row, col))
}

fn check(win: &PoolWindow) {
    let maps = 3;
    for (seed, nan) in [(1, u32::MAX), (2, 20), (3, 3)] {
        let x = values(maps * win.h * win.w, seed, nan);
        let at = |k: usize, p: usize, q: usize| plain(win, &x[k * win.h * win.w..][..win.h * win.w], p, q);
        let windows = (0..maps * win.p * win.q).map(|i| at(i / (win.p * win.q), i / win.q % win.p, i % win.q));
        let (want, want_arg): (Vec<u32>, Vec<u8>) = windows.unzip();
        for target in Isa::ALL.into_iter().filter_map(Target::new) {
            let mut scratch = vec![f32::NAN; win.max_scratch_len()];
            let (mut y, mut arg) = (vec![f32::NAN; want.len()], vec![255; want.len()]);
            max(target, win, &x, &mut y, &mut arg, &mut scratch);
            assert!(y.iter().map(|y| y.to_bits()).eq(want.iter().copied()), "{} {win:?} seed {seed}", target.isa());
            assert_eq!(arg, want_arg, "{} {win:?} seed {seed}", target.isa());
            y.fill(f32::NAN);
            max(target, win, &x, &mut y, &mut [], &mut scratch);
            assert!(y.iter().map(|y| y.to_bits()).eq(want.iter().copied()), "{} {win:?} no arg", target.isa());
        }
    }
}

/// Windows at every place that holds a pixel.
fn window_of(
    h: usize,
    w: usize,
    (r, s): (usize, usize),
    (stride_r, stride_s): (usize, usize),
    (top, left): (usize, usize),
) -> PoolWindow {
    let (p, q) = ((h + top - 1) / stride_r + 1, (w + left - 1) / stride_s + 1);
    PoolWindow { h, w, r, s, stride_r, stride_s, top, left, p, q }
}

#[test]
fn every_width() {
    for w in 1..=70 {
        for s in [2, 3] {
            check(&window_of(5, w, (3, s), (2, 2), (0, 0)));
            check(&window_of(4, w, (2, s), (2, 2), (1, s - 1)));
        }
    }
}

#[test]
fn windows_that_end_in_the_image() {
    for (h, p) in [(55, 27), (27, 13), (13, 6)] {
        check(&PoolWindow { h, w: h, r: 3, s: 3, stride_r: 2, stride_s: 2, top: 0, left: 0, p, q: p });
    }
}

#[test]
fn odd_windows() {
    for kernel in [(1, 1), (1, 3), (3, 2), (5, 3), (2, 5), (7, 7), (16, 16)] {
        for stride in [(1, 1), (1, 2), (2, 1), (2, 2), (3, 3), (2, 4), (4, 5)] {
            // A window that steps past its own size must not end in the padding alone.
            for pad in [(0, 0), (kernel.0 / 2, kernel.1 / 2), (kernel.0 - 1, kernel.1 - 1)] {
                check(&window_of(9, 35, kernel, stride, pad));
            }
        }
    }
}
