//! Squared Euclidean distances of many vectors to a few queries: `y[n, m] ← Σ_d (x[n, d] − q[m, d])²`.
//!
//! `x` is read as it lies, each vector once from memory, and compared with all queries while it is in cache; so the speed is
//! the memory's. An element is added up in 64 partial sums, each in ascending order of `d`, which are then added in halves: its
//! bits depend on its own vector and query alone. Operands may lie at any address.
//!
//! FLOPs: `3 · n · m · d`. Bytes: `n · d` values of 2 or 4 bytes, and `4 · (m · d + n · m)`.
//! Error bound of an element: `(d / 64 + 11) · ε · Σ_d (x − q)²` to first order, but for squares below the normal range; the terms
//! are not negative, so this is a relative error.

use super::lanes::{LANES, Lanes, by_lanes};

/// Vectors of partial sums of an element.
const SUMS: usize = 4;

/// How the values of a vector are kept, little-endian.
trait Element {
    const BYTES: usize;

    /// # Safety
    /// The CPU has the instruction set of `L`; [`LANES`] values can be read.
    unsafe fn load<L: Lanes>(from: *const u8) -> L;
}

/// f32
struct Single;

impl Element for Single {
    const BYTES: usize = 4;

    #[inline(always)]
    unsafe fn load<L: Lanes>(from: *const u8) -> L {
        // SAFETY: the caller's promise; vectors are loaded from any address.
        unsafe {
            if cfg!(target_endian = "little") {
                return L::load(from.cast());
            }
            let lanes = from.cast::<[[u8; 4]; LANES]>().read_unaligned().map(f32::from_le_bytes);
            L::load(lanes.as_ptr())
        }
    }
}

/// IEEE 754 binary16
struct Half;

impl Element for Half {
    const BYTES: usize = 2;

    #[inline(always)]
    unsafe fn load<L: Lanes>(from: *const u8) -> L {
        // SAFETY: the caller's promise.
        unsafe { L::load_halves(from) }
    }
}

by_lanes! {
    /// `y[n, m] ← Σ_d (x[n, d] − q[m, d])²` for f32 values.
    /// `x`: `[n, d]`, little-endian; `q`: `[m, d]`; `y`: `[n, m]`; `d` is `width`, from 1 on, and `m` is from 1 on.
    pub(crate) fn squared_distances_f32 = of_singles(x: &[u8], q: &[f32], width: usize, y: &mut [f32])
}

by_lanes! {
    /// The same for half-precision values `x`.
    pub(crate) fn squared_distances_f16 = of_halves(x: &[u8], q: &[f32], width: usize, y: &mut [f32])
}

#[inline(always)]
unsafe fn of_singles<L: Lanes>(x: &[u8], q: &[f32], width: usize, y: &mut [f32]) {
    // SAFETY: the caller's promise.
    unsafe { distances::<L, Single>(x, q, width, y) }
}

#[inline(always)]
unsafe fn of_halves<L: Lanes>(x: &[u8], q: &[f32], width: usize, y: &mut [f32]) {
    // SAFETY: the caller's promise.
    unsafe { distances::<L, Half>(x, q, width, y) }
}

/// # Safety
/// The CPU has the instruction set of `L`.
#[inline(always)]
unsafe fn distances<L: Lanes, E: Element>(x: &[u8], q: &[f32], width: usize, y: &mut [f32]) {
    assert!(width > 0 && !q.is_empty() && q.len().is_multiple_of(width), "{} values of queries of {width}", q.len());
    let queries = q.len() / width;
    assert!(y.len().is_multiple_of(queries) && x.len() == y.len() / queries * width * E::BYTES, "{} bytes", x.len());
    for (x, y) in x.chunks_exact(width * E::BYTES).zip(y.chunks_exact_mut(queries)) {
        for (q, y) in q.chunks_exact(width).zip(y) {
            // SAFETY: the caller's promise; both have `width` values.
            *y = unsafe { distance::<L, E>(x, q) };
        }
    }
}

/// # Safety
/// The CPU has the instruction set of `L`; `x` has as many values as `q`.
#[inline(always)]
unsafe fn distance<L: Lanes, E: Element>(x: &[u8], q: &[f32]) -> f32 {
    let (whole, strips) = (q.len() / LANES * LANES, q.len() / (SUMS * LANES) * SUMS * LANES);
    // SAFETY: vectors are read from whole blocks of values, or from a copy of what remains.
    unsafe {
        let mut sum = [L::splat(0.0); SUMS];
        let square = |sum: L, x: *const u8, q: *const f32| {
            let difference = E::load::<L>(x).sub(L::load(q));
            sum.add_product(difference, difference)
        };
        for d in (0..strips).step_by(SUMS * LANES) {
            for s in 0..SUMS {
                let d = d + s * LANES;
                sum[s] = square(sum[s], x.as_ptr().add(d * E::BYTES), q.as_ptr().add(d));
            }
        }
        let mut s = 0;
        for d in (strips..whole).step_by(LANES) {
            sum[s] = square(sum[s], x.as_ptr().add(d * E::BYTES), q.as_ptr().add(d));
            s += 1;
        }
        if whole < q.len() {
            let (mut rest, mut of_query) = ([0; 4 * LANES], [0.0; LANES]);
            rest[..x.len() - whole * E::BYTES].copy_from_slice(&x[whole * E::BYTES..]);
            of_query[..q.len() - whole].copy_from_slice(&q[whole..]);
            sum[s] = square(sum[s], rest.as_ptr(), of_query.as_ptr());
        }
        let mut lanes = [0.0; LANES];
        sum[0].add(sum[1]).add(sum[2].add(sum[3])).store(lanes.as_mut_ptr());
        for half in [8, 4, 2, 1] {
            for j in 0..half {
                lanes[j] += lanes[j + half];
            }
        }
        lanes[0]
    }
}

#[cfg(test)]
mod tests {
    use net::random::{Purpose, Stream};

    use super::*;
    use crate::Isa;
    use crate::kernels::Target;
    use crate::kernels::lanes::half;

    /// Bytes of `len` values, and the values.
    fn values(len: usize, salt: u32, halves: bool) -> (Vec<u8>, Vec<f32>) {
        let stream = Stream::new(11, Purpose::Test, salt, 0, 0);
        if halves {
            // Every exponent below 2, those below the normal range among them.
            let bits = |e: usize| (stream.block(e as u32)[0] as u16) & 0x83ff | (stream.below(e as u32, 16) as u16) << 10;
            let bits: Vec<u16> = (0..len).map(bits).collect();
            (bits.iter().flat_map(|bits| bits.to_le_bytes()).collect(), bits.iter().map(|&bits| half(bits)).collect())
        } else {
            let all: Vec<f32> = (0..len).map(|e| stream.normal(e as u32) as f32).collect();
            (all.iter().flat_map(|x| x.to_le_bytes()).collect(), all)
        }
    }

    fn distances(target: Target, halves: bool, x: &[u8], q: &[f32], width: usize, y: &mut [f32]) {
        let run = if halves { squared_distances_f16 } else { squared_distances_f32 };
        run(target, x, q, width, y);
    }

    #[test]
    fn distances_lie_within_their_bound_of_exact_sums() {
        for (target, halves) in Isa::ALL.into_iter().filter_map(Target::new).flat_map(|t| [(t, false), (t, true)]) {
            for (n, m, width) in
                [(1, 1, 1), (3, 2, 15), (2, 1, 16), (5, 3, 17), (2, 2, 63), (3, 1, 64), (2, 1, 81), (2, 2, 1000), (2, 1, 4096)]
            {
                let ((bytes, x), (_, q)) = (values(n * width, 1, halves), values(m * width, 2, false));
                let mut y = vec![f32::NAN; n * m];
                distances(target, halves, &bytes, &q, width, &mut y);
                for (i, j) in (0..n).flat_map(|i| (0..m).map(move |j| (i, j))) {
                    let square = |d: usize| (f64::from(x[i * width + d]) - f64::from(q[j * width + d])).powi(2);
                    let exact: f64 = (0..width).map(square).sum();
                    // A difference's rounding counts twice; then a product, its partial sum, six halvings.
                    let roundings = (width.div_ceil(SUMS * LANES) + 9) as f64 * f64::from(f32::EPSILON / 2.0);
                    let bound = roundings / (1.0 - roundings) * exact;
                    let (got, isa) = (y[i * m + j], target.isa());
                    let distance = (f64::from(got) - exact).abs();
                    assert!(distance <= bound, "({i}, {j}) of {n} × {m} × {width} on {isa}: {got}, {exact} ± {bound}");
                }
            }
        }
    }

    #[test]
    fn a_distance_has_the_same_bits_in_any_company_and_at_any_address() {
        for (target, halves) in Isa::ALL.into_iter().filter_map(Target::new).flat_map(|t| [(t, false), (t, true)]) {
            let (n, m, width) = (7, 3, 150);
            let ((bytes, _), (_, q)) = (values(n * width, 1, halves), values(m * width, 2, false));
            let mut all = vec![0.0; n * m];
            distances(target, halves, &bytes, &q, width, &mut all);
            for (i, j) in (0..n).flat_map(|i| (0..m).map(move |j| (i, j))) {
                let row = bytes.len() / n;
                let moved = [&[0], &bytes[i * row..][..row]].concat();
                let mut y = [0.0];
                distances(target, halves, &moved[1..], &q[j * width..][..width], width, &mut y);
                assert_eq!(y[0].to_bits(), all[i * m + j].to_bits(), "({i}, {j}) on {}", target.isa());
            }
        }
    }

    #[test]
    fn a_vector_is_at_no_distance_from_itself() {
        for (target, halves) in Isa::ALL.into_iter().filter_map(Target::new).flat_map(|t| [(t, false), (t, true)]) {
            let (bytes, x) = values(333, 1, halves);
            let mut y = [1.0];
            distances(target, halves, &bytes, &x, 333, &mut y);
            assert_eq!(y, [0.0]);
        }
    }
}
