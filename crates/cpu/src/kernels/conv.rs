//! Rearranging images for convolutions as matrix products.
//!
//! A convolution reads `x[c, p·stride − top + r, q·stride − left + s]`. [`spread`] copies an image once into a form in which
//! that is a contiguous run over `q` with no border to mind: padded with zeros, and each row sorted by column modulo the
//! stride. [`panels`] and [`lines`] then cut blocks of the matrix `[(c, r, s), (p, q)]` out of it.

use super::gemm::LINE;
use super::strided::copy_every;
use super::{Target, by_isa};

/// One group's convolution of one image: `[c, h, w] → [·, p, q]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) c: usize,
    pub(crate) h: usize,
    pub(crate) w: usize,
    pub(crate) r: usize,
    pub(crate) s: usize,
    pub(crate) stride_r: usize,
    pub(crate) stride_s: usize,
    /// Zero rows above the image, all of which are read by some window.
    pub(crate) top: usize,
    /// Zero columns before it.
    pub(crate) left: usize,
    pub(crate) p: usize,
    pub(crate) q: usize,
}

/// Values that [`panels`] and [`lines`] may read or write behind a run, for copying 16 at a time.
const SLACK: usize = 16;

impl Window {
    /// Rows of the matrix: `c · r · s`.
    pub(crate) fn depth(&self) -> usize {
        self.c * self.r * self.s
    }

    /// Columns of the matrix: `p · q`.
    pub(crate) fn positions(&self) -> usize {
        self.p * self.q
    }

    /// Rows of a spread map.
    fn rows(&self) -> usize {
        (self.p - 1) * self.stride_r + self.r
    }

    /// Columns of equal remainder in a row of a spread map.
    fn phase(&self) -> usize {
        ((self.q - 1) * self.stride_s + self.s).div_ceil(self.stride_s)
    }

    /// Values of a spread map.
    fn plane(&self) -> usize {
        self.rows() * self.phase() * self.stride_s
    }

    /// Values of `c` spread maps.
    pub(crate) fn spread_len(&self, c: usize) -> usize {
        c * self.plane() + SLACK
    }

    /// Where run `q` of row `p` begins in the spread maps for row `(c, r, s)` of the matrix, `q` and `p` being 0.
    fn origin(&self, row: usize) -> usize {
        let (c, r, s) = (row / (self.r * self.s), row / self.s % self.r, row % self.s);
        c * self.plane() + (r * self.stride_s + s % self.stride_s) * self.phase() + s / self.stride_s
    }
}

by_isa! {
    /// `out[c, row, column mod stride, column / stride] ← x[c, row − top, column − left]`, zeros outside the image; as many maps
    /// as `x` `[c, h, w]` has. `out` has `spread_len` values. Bytes: 4 a value read and 4 a value written.
    pub(crate) fn spread(win: &Window, x: &[f32], out: &mut [f32]) {
        let (phase, stride) = (win.phase(), win.stride_s);
        for (map, out) in x.chunks_exact(win.h * win.w).zip(out.chunks_exact_mut(win.plane())) {
            for (i, out) in out.chunks_exact_mut(phase * stride).enumerate() {
                if i < win.top || i - win.top >= win.h {
                    out.fill(0.0);
                    continue;
                }
                let row = &map[(i - win.top) * win.w..][..win.w];
                for (f, out) in out.chunks_exact_mut(phase).enumerate() {
                    // Columns j with 0 ≤ j · stride + f − left < w.
                    let begin = win.left.saturating_sub(f).div_ceil(stride).min(phase);
                    let end = (win.w + win.left).saturating_sub(f).div_ceil(stride).clamp(begin, phase);
                    out[..begin].fill(0.0);
                    out[end..].fill(0.0);
                    if begin < end {
                        copy_every(&row[begin * stride + f - win.left..], stride, &mut out[begin..end]);
                    }
                }
            }
        }
    }
}

/// Positions `begin .. begin + len` of one row of the matrix, whose run `(0, 0)` begins at `spread[origin]`. Writes up to
/// [`SLACK`] unspecified values behind them.
///
/// # Safety
/// `begin + len ≤ positions`; `spread` holds [`SLACK`] values behind the last run, `out` behind `len`.
#[inline(always)]
unsafe fn run(win: &Window, spread: *const f32, begin: usize, len: usize, out: *mut f32) {
    let row = win.stride_r * win.phase() * win.stride_s;
    let (mut p, mut q, mut done) = (begin / win.q, begin % win.q, 0);
    while done < len {
        let n = (win.q - q).min(len - done);
        for i in (0..n).step_by(16) {
            // SAFETY: the caller's promise: at most 15 values behind the run are read or written.
            unsafe {
                let from = spread.add(p * row + q + i).cast::<[f32; 16]>();
                out.add(done + i).cast::<[f32; 16]>().write_unaligned(from.read_unaligned());
            }
        }
        (p, q, done) = (p + 1, 0, done + n);
    }
}

/// Most positions that [`panels`] takes at once.
pub(crate) const MOST_POSITIONS: usize = 512;

by_isa! {
    /// Rows `rows` and positions `begin .. begin + len` of the matrix as panels `[panel, row, width]`; lanes behind `len` get
    /// unspecified finite values of the image or zeros.
    pub(crate) fn panels(
        win: &Window, spread: &[f32], rows: std::ops::Range<usize>, begin: usize, len: usize, width: usize, out: &mut [f32],
    ) {
        assert!(len <= MOST_POSITIONS && begin + len <= win.positions() && rows.end <= win.depth());
        assert!(spread.len() >= win.spread_len(win.c) && out.len() >= len.next_multiple_of(width) * rows.len());
        let mut line = [0.0f32; MOST_POSITIONS + SLACK + 32];
        let depth = rows.len();
        for (d, row) in rows.enumerate() {
            // SAFETY: the row is one of the matrix, whose runs lie in `spread` as asserted; `line` has room behind `len`.
            unsafe { run(win, spread.as_ptr().add(win.origin(row)), begin, len, line.as_mut_ptr()) };
            for (panel, j) in (0..len).step_by(width).enumerate() {
                let out = &mut out[(panel * depth + d) * width..][..width];
                match <&mut [f32; 32]>::try_from(&mut *out) {
                    // SAFETY: `j < len ≤ MOST_POSITIONS` and `line` has 48 values behind that.
                    Ok(out) => *out = unsafe { line.as_ptr().add(j).cast::<[f32; 32]>().read_unaligned() },
                    Err(_) => out.copy_from_slice(&line[j..j + width]),
                }
            }
        }
    }
}

by_isa! {
    /// Rows `rows` and positions `begin .. begin + len` of the matrix as plain rows `LINE` apart. `spread` begins with the map
    /// of the first row.
    pub(crate) fn lines(win: &Window, spread: &[f32], rows: std::ops::Range<usize>, begin: usize, len: usize, out: &mut [f32]) {
        let first_map = rows.start / (win.r * win.s);
        let maps = (rows.end - 1) / (win.r * win.s) + 1 - first_map;
        assert!(len + SLACK <= LINE && begin + len <= win.positions() && rows.end <= win.depth());
        assert!(spread.len() >= win.spread_len(maps) && out.len() >= rows.len() * LINE);
        for (i, row) in rows.enumerate() {
            let origin = win.origin(row) - first_map * win.plane();
            // SAFETY: the row's map is one of the `maps` in `spread`; a line of `out` has room for `len + SLACK`.
            unsafe { run(win, spread.as_ptr().add(origin), begin, len, out.as_mut_ptr().add(i * LINE)) };
        }
    }
}

by_isa! {
    /// `x[c, h, w] += columns[(c, r, s), position]` for positions `begin .. begin + len`: the adjoint of cutting the matrix out of
    /// an image. Rows of `columns` are `ld` apart.
    pub(crate) fn add_columns(win: &Window, columns: &[f32], ld: usize, begin: usize, len: usize, x: &mut [f32]) {
        for row in 0..win.depth() {
            let (c, r, s) = (row / (win.r * win.s), row / win.s % win.r, row % win.s);
            let map = &mut x[c * win.h * win.w..][..win.h * win.w];
            for (i, &value) in columns[row * ld..][..len].iter().enumerate() {
                let (p, q) = ((begin + i) / win.q, (begin + i) % win.q);
                let (h, w) = ((p * win.stride_r + r).wrapping_sub(win.top), (q * win.stride_s + s).wrapping_sub(win.left));
                if h < win.h && w < win.w {
                    map[h * win.w + w] += value;
                }
            }
        }
    }
}

by_isa! {
    /// Packs one group's weights `[k, c, r, s]` as panels of rows `c` and depth `(k, r, s)`, each window turned by half a turn: the
    /// left operand of the data gradient of a stride-1 convolution. `panel` selects one panel of `width` rows, `out` holds it.
    pub(crate) fn pack_flipped_panel(win: &Window, k: usize, weight: &[f32], panel: usize, width: usize, out: &mut [f32]) {
        let area = win.r * win.s;
        for i in 0..k {
            for t in 0..area {
                for l in 0..width {
                    let c = panel * width + l;
                    let value = if c < win.c { weight[(i * win.c + c) * area + area - 1 - t] } else { 0.0 };
                    out[(i * area + t) * width + l] = value;
                }
            }
        }
    }
}

by_isa! {
    /// `y ← y + bias`, then `max(·, 0)` if `relu`; NaN stays.
    pub(crate) fn bias_relu(y: &mut [f32], bias: f32, relu: bool) {
        if relu {
            y.iter_mut().for_each(|y| *y = if *y + bias < 0.0 { 0.0 } else { *y + bias });
        } else {
            y.iter_mut().for_each(|y| *y += bias);
        }
    }
}

by_isa! {
    /// `sum ← Σ x`, in 16 partial sums, each in order.
    pub(crate) fn total(x: &[f32], sum: &mut f32) {
        let mut lanes = [0.0f32; 16];
        let chunks = x.chunks_exact(16);
        for (lane, &x) in lanes.iter_mut().zip(chunks.remainder()) {
            *lane += x;
        }
        for chunk in chunks {
            for (lane, &x) in lanes.iter_mut().zip(chunk) {
                *lane += x;
            }
        }
        for half in [8, 4, 2, 1] {
            for i in 0..half {
                lanes[i] += lanes[i + half];
            }
        }
        *sum = lanes[0];
    }
}

/// `total`, returned.
pub(crate) fn sum(target: Target, x: &[f32]) -> f32 {
    let mut sum = 0.0;
    total(target, x, &mut sum);
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Isa;

    fn windows() -> Vec<Window> {
        let base = Window { c: 2, h: 7, w: 6, r: 3, s: 4, stride_r: 2, stride_s: 3, top: 1, left: 2, p: 4, q: 3 };
        vec![
            base,
            Window { stride_r: 1, stride_s: 1, p: 7, q: 7, ..base },
            Window { c: 3, h: 40, w: 41, r: 5, s: 5, stride_r: 4, stride_s: 4, top: 0, left: 0, p: 10, q: 10 },
            Window { c: 1, h: 2, w: 2, r: 1, s: 1, stride_r: 3, stride_s: 3, top: 0, left: 0, p: 1, q: 1 },
        ]
    }

    fn element(win: &Window, x: &[f32], row: usize, position: usize) -> f32 {
        let (c, r, s) = (row / (win.r * win.s), row / win.s % win.r, row % win.s);
        let (h, w) = (position / win.q * win.stride_r + r, position % win.q * win.stride_s + s);
        let inside = h >= win.top && h - win.top < win.h && w >= win.left && w - win.left < win.w;
        if inside { x[(c * win.h + h - win.top) * win.w + w - win.left] } else { 0.0 }
    }

    #[test]
    fn blocks_of_the_matrix_are_what_a_convolution_reads() {
        for target in Isa::ALL.into_iter().filter_map(Target::new) {
            for win in windows() {
                let x: Vec<f32> = (0..win.c * win.h * win.w).map(|i| i as f32 + 1.0).collect();
                let mut image = vec![0.0; win.spread_len(win.c)];
                spread(target, &win, &x, &mut image);
                for begin in [0, win.positions() / 2] {
                    let (len, width) = (win.positions() - begin, 8);
                    let mut out = vec![0.0; len.next_multiple_of(width) * win.depth()];
                    panels(target, &win, &image, 0..win.depth(), begin, len, width, &mut out);
                    let mut flat = vec![0.0; win.depth() * LINE];
                    lines(target, &win, &image, 0..win.depth(), begin, len, &mut flat);
                    for row in 0..win.depth() {
                        for j in 0..len {
                            let expected = element(&win, &x, row, begin + j);
                            assert_eq!(out[(j / width * win.depth() + row) * width + j % width], expected, "{win:?} {row} {j}");
                            assert_eq!(flat[row * LINE + j], expected, "{win:?} {row} {j}");
                        }
                    }
                }
            }
        }
    }
}
