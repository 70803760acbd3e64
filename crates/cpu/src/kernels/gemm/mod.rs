//! Matrix products on packed panels: `c[i, j] ← [c[i, j] +] Σ_d a[i, d] · b[d, j]`.
//!
//! The operands are cut into panels that the innermost kernel reads from front to back. `b` lies in panels of `nr` columns,
//! `[panel, d, nr]`; `a` lies in panels of `mr` rows, `[panel, d, mr]`, or in plain rows [`LINE`] apart. The last panel is
//! filled up with values that are read, but reach no result. A kernel keeps an `mr × nr` tile of `c` in registers and adds up
//! over `d` in ascending order, so an element's bits depend on the depth of the block alone, not on its place in a tile.
//!
//! Error bound of an element: `depth · ε · Σ_d |a[i, d] · b[d, j]|` to first order, for any order of summation.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod bf16;
mod pack;
mod portable;

use super::{MatMut, Target};
use crate::Isa;

/// Values between rows of an unpacked `a`: room for [`LINE_DEPTH`] and for kernels that copy 16 at a time. Not a multiple of
/// a page, so that the rows of a panel lie in different cache sets.
pub(crate) const LINE: usize = LINE_DEPTH + 16;

/// The largest depth of an unpacked `a`.
pub(crate) const LINE_DEPTH: usize = 256;

/// What the innermost kernel computes: `c[rows × cols] ← [c +] a[rows × depth] · b[depth × cols]`.
struct Tile {
    rows: usize,
    cols: usize,
    depth: usize,
    /// Element `(i, d)` at `i · row + d · step`, of a layout that the kernel is compiled for.
    a: *const f32,
    /// `[depth, nr]`
    b: *const f32,
    /// Rows `ld` apart.
    c: *mut f32,
    ld: usize,
    /// Whether `c` is added to; if not, it is not read.
    accumulate: bool,
}

/// # Safety
/// The CPU has the kernel's instruction set; `1 ≤ rows ≤ mr`, `1 ≤ cols ≤ nr`; `a`, `b` and `c` can be read (and `c` written)
/// wherever the tile's layout says, and `a` and `b` in full panels.
type TileKernel = unsafe fn(Tile);

/// The left operand of a block product.
#[derive(Clone, Copy)]
pub(crate) enum Left<'a> {
    /// Panels of `mr` rows: panel `i` of this block begins at `i · panel + from`.
    Panels { values: &'a [f32], panel: usize, from: usize },
    /// Rows [`LINE`] apart, as many as fill the last panel, at most [`LINE_DEPTH`] deep.
    Lines(&'a [f32]),
}

/// The matrix products of one instruction set.
#[derive(Clone, Copy)]
pub(crate) struct Gemm {
    target: Target,
    mr: usize,
    nr: usize,
    panels: TileKernel,
    lines: TileKernel,
    pairs: Option<Pairs>,
}

/// How pairs of bf16 values are multiplied.
#[derive(Clone, Copy)]
struct Pairs {
    /// By one instruction.
    hardware: bool,
}

impl Gemm {
    /// Products of operands rounded to bf16; panels hold words of two values, and there are no lines.
    pub(crate) fn bf16(target: Target) -> Gemm {
        let hardware = bf16::has_instruction(target);
        let panels: TileKernel = match hardware {
            #[cfg(target_arch = "x86_64")]
            true => bf16::x86::tile,
            _ => bf16::tile_emulated,
        };
        Gemm { target, mr: bf16::MR, nr: bf16::NR, panels, lines: panels, pairs: Some(Pairs { hardware }) }
    }

    /// Whether operands are rounded to bf16.
    pub(crate) fn is_bf16(&self) -> bool {
        self.pairs.is_some()
    }

    /// Words of a panel's lane that hold `depth` values.
    pub(crate) fn words(&self, depth: usize) -> usize {
        if self.is_bf16() { bf16::words(depth) } else { depth }
    }

    /// Packs rows `x[row, inputs]` as [`Gemm::rows_by_vector`] reads them, `words(inputs)` apart.
    pub(crate) fn pack_rows(&self, x: &[f32], inputs: usize, out: &mut [f32]) {
        let hardware = self.pairs.is_some_and(|pairs| pairs.hardware);
        bf16::pack_rows(hardware, self.target, x, inputs, out);
    }

    /// `Σ_i w[r, i] · x[i]` for each of `R` packed rows of bf16.
    pub(crate) fn rows_by_vector<const R: usize>(&self, w: [&[f32]; R], x: &[f32]) -> [f32; R] {
        bf16::dots(self.pairs.is_some_and(|pairs| pairs.hardware), w, x)
    }

    pub(crate) fn new(target: Target) -> Gemm {
        match target.isa() {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => {
                let (panels, lines): (TileKernel, TileKernel) = (avx512::f32_tile_panels, avx512::f32_tile_lines);
                Gemm { target, mr: avx512::MR, nr: avx512::NR, panels, lines, pairs: None }
            }
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => {
                let (panels, lines): (TileKernel, TileKernel) = (avx2::f32_tile_panels, avx2::f32_tile_lines);
                Gemm { target, mr: avx2::MR, nr: avx2::NR, panels, lines, pairs: None }
            }
            _ => Gemm {
                target,
                mr: portable::MR,
                nr: portable::NR,
                panels: portable::f32_tile_panels,
                lines: portable::f32_tile_lines,
                pairs: None,
            },
        }
    }

    pub(crate) fn target(&self) -> Target {
        self.target
    }

    /// Rows of a panel of `a`.
    pub(crate) fn mr(&self) -> usize {
        self.mr
    }

    /// Columns of a panel of `b`.
    pub(crate) fn nr(&self) -> usize {
        self.nr
    }

    /// Values of the panels of an `a` of `rows × depth`.
    pub(crate) fn a_len(&self, rows: usize, depth: usize) -> usize {
        rows.next_multiple_of(self.mr) * self.words(depth)
    }

    /// Values of the panels of a `b` of `depth × cols`.
    pub(crate) fn b_len(&self, depth: usize, cols: usize) -> usize {
        cols.next_multiple_of(self.nr) * self.words(depth)
    }

    /// Packs `count × depth` values, element `(i, d)` at `i · stride + d · step` of `from`, as panels of `a`.
    pub(crate) fn pack_a(&self, from: &[f32], stride: usize, step: usize, count: usize, depth: usize, out: &mut [f32]) {
        self.pack(from, stride, step, count, depth, self.mr, out);
    }

    /// Packs `count × depth` values, element `(d, j)` at `j · stride + d · step` of `from`, as panels of `b`.
    pub(crate) fn pack_b(&self, from: &[f32], stride: usize, step: usize, count: usize, depth: usize, out: &mut [f32]) {
        self.pack(from, stride, step, count, depth, self.nr, out);
    }

    fn pack(&self, from: &[f32], stride: usize, step: usize, count: usize, depth: usize, width: usize, out: &mut [f32]) {
        match self.pairs {
            Some(Pairs { hardware }) => bf16::pack(hardware, self.target, from, stride, step, count, depth, width, out),
            None => pack::pack(self.target, from, stride, step, count, depth, width, out),
        }
    }

    /// `c ← [c +] a · b` over `depth`, with `b` in panels exactly `depth` deep; `c` is not read unless `accumulate`.
    /// FLOPs: `2 · rows · cols · depth`.
    pub(crate) fn multiply(&self, a: Left<'_>, b: &[f32], depth: usize, mut c: MatMut<'_>, accumulate: bool) {
        let (rows, cols) = (c.rows(), c.cols());
        if rows == 0 || cols == 0 {
            return;
        }
        assert!(b.len() >= self.b_len(depth, cols), "b has {} values", b.len());
        let (values, panel, from, kernel) = match a {
            Left::Panels { values, panel, from } => (values, panel, from, self.panels),
            Left::Lines(values) => (values, self.mr * LINE, 0, self.lines),
        };
        let words = self.words(depth);
        let last_panel = match a {
            Left::Panels { .. } => words * self.mr,
            Left::Lines(_) => self.mr * LINE,
        };
        assert!((rows - 1) / self.mr * panel + from + last_panel <= values.len(), "a has {} values", values.len());
        assert!(matches!(a, Left::Panels { .. }) || depth <= LINE_DEPTH && !self.is_bf16());
        let ld = c.ld();
        for i in (0..rows).step_by(self.mr) {
            for j in (0..cols).step_by(self.nr) {
                // SAFETY: `Target` entitles to the kernel; the asserts above keep `a` and `b` inside their slices, and the
                // tile inside the block `c`.
                unsafe {
                    kernel(Tile {
                        rows: self.mr.min(rows - i),
                        cols: self.nr.min(cols - j),
                        depth: words,
                        a: values.as_ptr().add(i / self.mr * panel + from),
                        b: b.as_ptr().add(j * words),
                        c: c.as_mut_ptr().add(i * ld + j),
                        ld,
                        accumulate,
                    });
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Small integers: every order of summation gives the same bits, so products must agree exactly.
    fn integers(n: usize, salt: usize) -> Vec<f32> {
        (0..n).map(|i| ((i * 37 + salt * 11) % 17) as f32 - 8.0).collect()
    }

    fn product(gemm: &Gemm, m: usize, n: usize, k: usize, transposed: bool) {
        let (a, b) = (integers(m * k, 1), integers(k * n, 2));
        let strides = |rows: usize, cols: usize| if transposed { (1, rows) } else { (cols, 1) };
        let ((ar, ac), (br, bc)) = (strides(m, k), strides(k, n));
        let (mut ap, mut bp) = (vec![7.0; gemm.a_len(m, k)], vec![7.0; gemm.b_len(k, n)]);
        gemm.pack_a(&a, ar, ac, m, k, &mut ap);
        gemm.pack_b(&b, bc, br, n, k, &mut bp);
        let ld = n + 3;
        let mut c = vec![1.0; m * ld];
        for accumulate in [false, true] {
            let left = Left::Panels { values: &ap, panel: k * gemm.mr(), from: 0 };
            gemm.multiply(left, &bp, k, MatMut::new(&mut c, m, n, ld), accumulate);
        }
        if k <= LINE_DEPTH {
            let mut lines = vec![f32::NAN; m.next_multiple_of(gemm.mr()) * LINE];
            (0..m).for_each(|i| (0..k).for_each(|d| lines[i * LINE + d] = a[i * ar + d * ac]));
            gemm.multiply(Left::Lines(&lines), &bp, k, MatMut::new(&mut c, m, n, ld), true);
        }
        let times = if k <= LINE_DEPTH { 3.0 } else { 2.0 };
        for i in 0..m {
            for j in 0..ld {
                let sum: f32 = (0..k).map(|d| a[i * ar + d * ac] * b.get(d * br + j * bc).unwrap_or(&0.0)).sum();
                let expected = if j < n { times * sum } else { 1.0 };
                assert_eq!(c[i * ld + j], expected, "({i}, {j}) of {m} × {n} × {k} on {}", gemm.target().isa());
            }
        }
    }

    #[test]
    fn products_are_exact_on_integers() {
        for isa in Isa::ALL {
            let Some(target) = Target::new(isa) else {
                // The suite lists what this CPU lacks.
                continue;
            };
            let gemm = Gemm::new(target);
            for m in [1, 2, 5, 6, 11, 12, 13, 25] {
                for n in [1, 7, 8, 15, 16, 17, 31, 32, 33, 65] {
                    for k in [1, 2, 16, 17, 300] {
                        product(&gemm, m, n, k, false);
                        product(&gemm, m, n, k, true);
                    }
                }
            }
        }
    }
}
