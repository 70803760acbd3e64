//! Matrix-vector products for few images: `y[n, k] ← x[n, i] · w[k, i]ᵀ + bias[k]`, then `max(·, 0)` where wanted.
//!
//! `w` is read as it lies, each row once from memory, and multiplied with all images while it is in cache; so the speed is
//! the memory's. An element is added up in 16 partial sums, each in ascending order of `i`, which are then added in halves:
//! its bits depend on its own row and image alone, not on the tile that they were computed in, nor on the number of images.
//!
//! FLOPs: `2 · n · k · i`. Bytes: `4 · (k · i + n · i + n · k)`.
//! Error bound of an element: `(i / 16 + 6) · ε · (|bias| + Σ_i |x · w|)` to first order.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod portable;

use super::{MatMut, Target};

/// Partial sums of an element.
const LANES: usize = 16;

/// Rows whose tiles are computed for all images before the next rows are read: few enough to stay in the second-level cache.
const STRIP: usize = 4;

/// [`LANES`] values. Methods are inlined into functions compiled for the instruction set.
trait Lanes: Copy {
    fn zero() -> Self;

    /// # Safety
    /// The CPU has the instruction set; [`LANES`] values can be read.
    unsafe fn load(from: *const f32) -> Self;

    /// `self + a · b`
    ///
    /// # Safety
    /// The CPU has the instruction set.
    unsafe fn plus_product(self, a: Self, b: Self) -> Self;

    /// # Safety
    /// The CPU has the instruction set.
    unsafe fn values(self) -> [f32; LANES];
}

/// Pointers into operands that [`linear`] has checked: `x[n, inputs]`, `w[rows, inputs]`, `bias[rows]`, `y[n, rows]`.
#[derive(Clone, Copy)]
struct Job {
    n: usize,
    rows: usize,
    inputs: usize,
    x: *const f32,
    w: *const f32,
    bias: *const f32,
    relu: bool,
    y: *mut f32,
    /// Values between images of `y`.
    ld: usize,
}

impl Job {
    /// Calls `tiles` for every strip of rows and, within it, for groups of at most `most` images:
    /// `tiles(row, rows, image, images)`.
    #[inline(always)]
    fn strips(&self, most: usize, tiles: impl Fn(usize, usize, usize, usize)) {
        let group = self.n.div_ceil(self.n.div_ceil(most));
        for row in (0..self.rows).step_by(STRIP) {
            for image in (0..self.n).step_by(group) {
                tiles(row, STRIP.min(self.rows - row), image, group.min(self.n - image));
            }
        }
    }

    /// The elements of `N` images and `rows` rows, `R` rows at a time.
    ///
    /// # Safety
    /// The CPU has the instruction set of `V`; the rows and images exist.
    #[inline(always)]
    unsafe fn tiles<V: Lanes, const R: usize, const N: usize>(&self, row: usize, rows: usize, image: usize) {
        let whole = rows / R * R;
        // SAFETY: the caller's promise.
        unsafe {
            for r in (0..whole).step_by(R) {
                self.tile::<V, R, N>(row + r, image);
            }
            for r in whole..rows {
                self.tile::<V, 1, N>(row + r, image);
            }
        }
    }

    /// The elements of `R` rows and `N` images.
    ///
    /// # Safety
    /// As [`Job::tiles`].
    #[inline(always)]
    unsafe fn tile<V: Lanes, const R: usize, const N: usize>(&self, row: usize, image: usize) {
        let inputs = self.inputs;
        let whole = inputs / LANES * LANES;
        let mut sum = [[V::zero(); N]; R];
        // SAFETY: rows and images exist; vectors are read from whole blocks of inputs or from a copy of what remains.
        unsafe {
            let (w, x) = (self.w.add(row * inputs), self.x.add(image * inputs));
            for d in (0..whole).step_by(LANES) {
                let mut weights = [V::zero(); R];
                for r in 0..R {
                    weights[r] = V::load(w.add(r * inputs + d));
                }
                for i in 0..N {
                    let values = V::load(x.add(i * inputs + d));
                    for r in 0..R {
                        sum[r][i] = sum[r][i].plus_product(weights[r], values);
                    }
                }
            }
            if whole < inputs {
                let rest = |from: *const f32| {
                    let mut lanes = [0.0; LANES];
                    std::ptr::copy_nonoverlapping(from.add(whole), lanes.as_mut_ptr(), inputs - whole);
                    V::load(lanes.as_ptr())
                };
                for i in 0..N {
                    for r in 0..R {
                        sum[r][i] = sum[r][i].plus_product(rest(w.add(r * inputs)), rest(x.add(i * inputs)));
                    }
                }
            }
            for r in 0..R {
                for i in 0..N {
                    let mut lanes = sum[r][i].values();
                    for half in [8, 4, 2, 1] {
                        for j in 0..half {
                            lanes[j] += lanes[j + half];
                        }
                    }
                    let y = lanes[0] + *self.bias.add(row + r);
                    *self.y.add((image + i) * self.ld + row + r) = if self.relu && y < 0.0 { 0.0 } else { y };
                }
            }
        }
    }
}

/// `y[n, k] ← x[n, i] · w[k, i]ᵀ + bias[k]` for the rows `k` that `bias` has, then `max(·, 0)` if `relu`; NaN stays.
pub(crate) fn linear(target: Target, x: &[f32], w: &[f32], inputs: usize, bias: &[f32], relu: bool, mut y: MatMut<'_>) {
    let (n, rows, ld) = (y.rows(), y.cols(), y.ld());
    if n == 0 || rows == 0 {
        return;
    }
    assert!(x.len() >= n * inputs && w.len() >= rows * inputs && bias.len() >= rows, "{n} images, {rows} rows of {inputs}");
    let (x, w, bias) = (x.as_ptr(), w.as_ptr(), bias.as_ptr());
    let job = Job { n, rows, inputs, x, w, bias, relu, y: y.as_mut_ptr(), ld };
    // SAFETY: a `Target` exists only for an instruction set that the CPU has, and the operands have been checked.
    unsafe {
        match target.isa() {
            #[cfg(target_arch = "x86_64")]
            crate::Isa::Avx512 => avx512::run(job),
            #[cfg(target_arch = "x86_64")]
            crate::Isa::Avx2 => avx2::run(job),
            _ => portable::run(job),
        }
    }
}

#[cfg(test)]
mod tests {
    use net::random::{Purpose, Stream};

    use super::*;
    use crate::Isa;

    fn normals(len: usize, salt: u32) -> Vec<f32> {
        let stream = Stream::new(9, Purpose::Test, salt, 0, 0);
        (0..len).map(|e| stream.normal(e as u32) as f32).collect()
    }

    /// Products of `n` images, with room of 3 behind each row of `y` that must stay as it was.
    fn products(target: Target, n: usize, k: usize, inputs: usize, relu: bool) -> Vec<f32> {
        let (x, w, bias) = (normals(n * inputs, 1), normals(k * inputs, 2), normals(k, 3));
        let mut y = vec![7.0; n * (k + 3)];
        linear(target, &x, &w, inputs, &bias, relu, MatMut::new(&mut y, n, k, k + 3));
        for i in 0..n {
            assert_eq!(y[i * (k + 3) + k..][..3], [7.0; 3]);
            for j in 0..k {
                let terms = (0..inputs).map(|d| f64::from(x[i * inputs + d]) * f64::from(w[j * inputs + d]));
                let exact = terms.clone().sum::<f64>() + f64::from(bias[j]);
                let size = terms.map(f64::abs).sum::<f64>() + f64::from(bias[j]).abs();
                // Roundings on the way of a term: a product, its partial sum, four halvings, the bias.
                let roundings = (inputs.div_ceil(LANES) + 6) as f64 * f64::from(f32::EPSILON / 2.0);
                let bound = roundings / (1.0 - roundings) * size;
                let expected = if relu { exact.max(0.0) } else { exact };
                let (got, isa) = (y[i * (k + 3) + j], target.isa());
                let distance = (f64::from(got) - expected).abs();
                assert!(distance <= bound, "({i}, {j}) of {n} × {k} × {inputs} on {isa}: {got}, {expected} ± {bound}");
            }
        }
        y
    }

    #[test]
    fn products_lie_within_their_bound_of_exact_sums() {
        for target in Isa::ALL.into_iter().filter_map(Target::new) {
            for n in 1..=9 {
                for (k, inputs) in [(1, 1), (3, 15), (4, 16), (5, 17), (6, 31), (11, 333), (7, 1024)] {
                    products(target, n, k, inputs, false);
                    products(target, n, k, inputs, true);
                }
            }
        }
    }

    #[test]
    fn an_image_has_the_same_bits_in_any_company() {
        for target in Isa::ALL.into_iter().filter_map(Target::new) {
            let (k, inputs) = (7, 100);
            let all = products(target, 9, k, inputs, false);
            for n in 1..9 {
                assert_eq!(products(target, n, k, inputs, false), all[..n * (k + 3)], "{n} on {}", target.isa());
            }
        }
    }

    #[test]
    fn nan_stays_through_a_rectifier() {
        for target in Isa::ALL.into_iter().filter_map(Target::new) {
            let mut y = [0.0];
            linear(target, &[f32::NAN], &[1.0], 1, &[0.0], true, MatMut::new(&mut y, 1, 1, 1));
            assert!(y[0].is_nan());
        }
    }
}
