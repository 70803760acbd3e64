//! The maximum's forward pass on AVX-512 where windows are 2 or 3 columns wide at a stride of 2: sixteen output columns at a time,
//! all in registers from the image's rows to the output.

use std::arch::x86_64::*;

use super::PoolWindow;

/// Image columns or output columns of one vector.
const LANES: usize = 16;

/// How far ahead of an output row its image rows are asked for: memory answers late, and each row is read but once or twice.
const AHEAD: usize = 2048;

/// The key of a column outside the image: no column of the image loses to it.
const OUTSIDE: i32 = 1 << 16;

/// Whether this file knows the geometry.
pub(super) fn fits(win: &PoolWindow) -> bool {
    win.stride_s == 2 && matches!(win.s, 2 | 3)
}

/// `super::max` where `fits`.
///
/// # Safety
/// The CPU has AVX-512 F, BW and VL.
pub(super) unsafe fn max(win: &PoolWindow, x: &[f32], y: &mut [f32], arg: &mut [u8]) {
    let maps = x.len() / (win.h * win.w);
    assert!(fits(win) && win.h * win.w > 0, "a geometry of this file: {win:?}");
    assert!(y.len() == maps * win.p * win.q && (arg.is_empty() || arg.len() == y.len()), "a place for each window");
    // SAFETY: the caller's promise; the slices are as long as asserted.
    unsafe {
        match win.s {
            2 => maps_of::<2>(win, x, y, arg),
            _ => maps_of::<3>(win, x, y, arg),
        }
    }
}

/// # Safety
/// The CPU has AVX-512 F, BW and VL; `y` and `arg`, where it is not empty, hold `[k, p, q]` for the maps `x[k, h, w]`.
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
unsafe fn maps_of<const S: usize>(win: &PoolWindow, x: &[f32], y: &mut [f32], arg: &mut [u8]) {
    for (map, x) in x.chunks_exact(win.h * win.w).enumerate() {
        for p in 0..win.p {
            let rows = win.rows(p);
            let strip = Strip { x: &x[rows.start * win.w..rows.end * win.w], w: win.w };
            let ahead = strip.x.as_ptr().wrapping_add(AHEAD);
            for line in (0..win.stride_r * win.w).step_by(LANES) {
                // A prefetch reads nothing, wherever it points.
                _mm_prefetch::<_MM_HINT_T0>(ahead.wrapping_add(line).cast());
            }
            let out = (map * win.p + p) * win.q;
            let y = &mut y[out..][..win.q];
            let arg = if arg.is_empty() { &mut [] } else { &mut arg[out..][..win.q] };
            // SAFETY: the caller's promise.
            unsafe {
                if win.r == 3 && rows.len() == 3 {
                    row_of::<S, 3>(win.left, strip, 0, y, arg);
                } else {
                    row_of::<S, 0>(win.left, strip, rows.start + win.top - p * win.stride_r, y, arg);
                }
            }
        }
    }
}

/// The image rows of one output row.
#[derive(Clone, Copy)]
struct Strip<'a> {
    /// `[r, w]`
    x: &'a [f32],
    w: usize,
}

/// Maxima and their keys: `r · S` in columns, `r · S + s` in windows.
#[derive(Clone, Copy)]
struct Best {
    value: __m512,
    key: __m512i,
}

impl Best {
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn nothing() -> Best {
        Best { value: _mm512_set1_ps(f32::NEG_INFINITY), key: _mm512_set1_epi32(OUTSIDE) }
    }
}

/// One output row, of a window whose row `r` is the first of the strip; `R` rows, or as many as there are where it is 0.
///
/// # Safety
/// The CPU has AVX-512 F, BW and VL.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
unsafe fn row_of<const S: usize, const R: usize>(left: usize, strip: Strip<'_>, r: usize, y: &mut [f32], arg: &mut [u8]) {
    let even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    let odd = _mm512_setr_epi32(1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
    let next = _mm512_setr_epi32(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16);
    let column = |at: usize| columns::<S, R>(strip, at as isize - left as isize, r);
    let mut a = column(0);
    for first in (0..y.len()).step_by(LANES) {
        let b = column(2 * first + LANES);
        // The last lane's third column, and the next vector's first columns.
        let more = first + LANES <= y.len();
        let c = if more { column(2 * first + 2 * LANES) } else { Best::nothing() };
        let evens = pick(a, even, b);
        let mut best = beat::<1>(evens, pick(a, odd, b));
        if S == 3 {
            best = beat::<2>(best, pick(evens, next, c));
        }
        a = c;
        let lanes = lanes_below(y.len() - first);
        // SAFETY: the lanes of the mask lie in `y` and `arg`.
        unsafe {
            _mm512_mask_storeu_ps(y.as_mut_ptr().add(first), lanes, best.value);
            if !arg.is_empty() {
                debug_assert_eq!(arg.len(), y.len());
                _mm_mask_storeu_epi8(arg.as_mut_ptr().add(first).cast(), lanes, _mm512_cvtepi32_epi8(best.key));
            }
        }
    }
}

/// The maxima down the strip's columns `at..at + 16`, of which any may lie outside the image.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
fn columns<const S: usize, const R: usize>(strip: Strip<'_>, at: isize, r: usize) -> Best {
    let w = strip.w as isize;
    if at >= w {
        return Best::nothing();
    }
    let inside = lanes_below((w - at) as usize) & !lanes_below((-at).max(0) as usize);
    let rows = if R > 0 { R } else { strip.x.len() / strip.w };
    assert!(strip.x.len() == rows * strip.w, "whole rows");
    let nothing = Best::nothing();
    // SAFETY: the lanes of the mask lie in row `row` of the strip; others are not read.
    let load = |row: usize| unsafe {
        let from = strip.x.as_ptr().wrapping_add(row * strip.w).wrapping_offset(at);
        _mm512_mask_loadu_ps(nothing.value, inside, from)
    };
    let key = |row: usize| _mm512_set1_epi32(((r + row) * S) as i32);
    let mut best = Best { value: load(0), key: _mm512_mask_mov_epi32(nothing.key, inside, key(0)) };
    for row in 1..rows {
        let x = load(row);
        // Rows come in order, so an equal value below never wins.
        let wins = _mm512_cmp_ps_mask::<_CMP_GT_OQ>(x, best.value) | _mm512_cmp_ps_mask::<_CMP_UNORD_Q>(x, x);
        best = Best { value: _mm512_mask_mov_ps(best.value, wins, x), key: _mm512_mask_mov_epi32(best.key, wins, key(row)) };
    }
    best
}

/// The lanes of `a` followed by `b` that `index` names.
#[inline]
#[target_feature(enable = "avx512f")]
fn pick(a: Best, index: __m512i, b: Best) -> Best {
    Best { value: _mm512_permutex2var_ps(a.value, index, b.value), key: _mm512_permutex2var_epi32(a.key, index, b.key) }
}

/// The better of `best` and the columns `x` at column `s` of the window; of equal values the one of the smaller key.
#[inline]
#[target_feature(enable = "avx512f")]
fn beat<const S: i32>(best: Best, x: Best) -> Best {
    let key = _mm512_add_epi32(x.key, _mm512_set1_epi32(S));
    let ties = _mm512_mask_cmp_ps_mask::<_CMP_EQ_OQ>(_mm512_cmplt_epi32_mask(key, best.key), x.value, best.value);
    let wins =
        _mm512_cmp_ps_mask::<_CMP_GT_OQ>(x.value, best.value) | _mm512_cmp_ps_mask::<_CMP_UNORD_Q>(x.value, x.value) | ties;
    Best { value: _mm512_mask_mov_ps(best.value, wins, x.value), key: _mm512_mask_mov_epi32(best.key, wins, key) }
}

/// The first `count` lanes, or all.
#[inline(always)]
fn lanes_below(count: usize) -> __mmask16 {
    ((1u32 << count.min(LANES)) - 1) as __mmask16
}
