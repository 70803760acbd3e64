//! A row of pixels to a row of each of a net's maps.

use super::by_isa;

/// How the values of one map come about: `(pixel − mean + shift) · scale`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Affine<'a> {
    /// `[w]`
    pub(crate) mean: &'a [f32],
    pub(crate) shift: f32,
    pub(crate) scale: f32,
}

/// Which way a row is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// As it is.
    Forward,
    /// The pixels from the right; the means stay where they are.
    Reflected,
    /// The pixels and the means from the right.
    ReflectedWithMean,
}

/// Pixels at once.
const CHUNK: usize = 32;

by_isa! {
    /// One row: `out[c][x] = (row[x'][c] − mean[c][x″] + shift[c]) · scale[c]`, where `x'` and `x″` follow from `way`.
    ///
    /// `row` is `[w, 3]`, `affine` and `out` are in the order of the pixel's values, `out` is `[3][w]`.
    pub(crate) fn planes(row: &[u8], affine: [Affine<'_>; 3], way: Way, out: [&mut [f32]; 3]) {
        let [red, green, blue] = out;
        let w = red.len();
        assert!(row.len() == 3 * w && green.len() == w && blue.len() == w, "three maps of one width");
        assert!(affine.iter().all(|a| a.mean.len() == w), "a mean for each pixel");
        let whole = w / CHUNK * CHUNK;
        let mut x = 0;
        while x < w {
            // The rest comes pixel by pixel.
            if x < whole {
                let pixels: &[u8; 3 * CHUNK] = row[3 * x..][..3 * CHUNK].try_into().expect("a chunk");
                let mut values = [[0u8; CHUNK]; 3];
                for i in 0..CHUNK {
                    for c in 0..3 {
                        values[c][i] = pixels[3 * i + c];
                    }
                }
                chunk(&values[0], affine[0], way, x, red);
                chunk(&values[1], affine[1], way, x, green);
                chunk(&values[2], affine[2], way, x, blue);
                x += CHUNK;
            } else {
                chunk(&[row[3 * x]], affine[0], way, x, red);
                chunk(&[row[3 * x + 1]], affine[1], way, x, green);
                chunk(&[row[3 * x + 2]], affine[2], way, x, blue);
                x += 1;
            }
        }
    }
}

/// `values` are those of the pixels from `x` on.
#[inline(always)]
fn chunk<const N: usize>(values: &[u8; N], affine: Affine<'_>, way: Way, x: usize, out: &mut [f32]) {
    let Affine { mean, shift, scale } = affine;
    let end = out.len() - x - N;
    let mut values = *values;
    let (mean_at, out_at) = match way {
        Way::Forward => (x, x),
        Way::Reflected => {
            values.reverse();
            (end, end)
        }
        Way::ReflectedWithMean => (x, end),
    };
    let mean: &[f32; N] = mean[mean_at..][..N].try_into().expect("a chunk");
    let out: &mut [f32; N] = (&mut out[out_at..][..N]).try_into().expect("a chunk");
    for i in 0..N {
        out[i] = (f32::from(values[i]) - mean[i] + shift) * scale;
    }
    if way == Way::ReflectedWithMean {
        out.reverse();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::Target;

    #[test]
    fn every_instruction_set_and_way_agrees_with_the_formula() {
        for w in [1, 31, 32, 33, 64, 100] {
            let row: Vec<u8> = (0..3 * w).map(|i| (i * 37 % 256) as u8).collect();
            let mean: Vec<f32> = (0..3 * w).map(|i| 100.0 + i as f32 * 0.37).collect();
            let affine: [Affine; 3] = std::array::from_fn(|c| Affine {
                mean: &mean[c * w..][..w],
                shift: c as f32 - 0.7,
                scale: 1.0 / (50.0 + c as f32),
            });
            for way in [Way::Forward, Way::Reflected, Way::ReflectedWithMean] {
                for target in Target::all() {
                    let mut out = vec![0.0; 3 * w];
                    let (red, rest) = out.split_at_mut(w);
                    let (green, blue) = rest.split_at_mut(w);
                    planes(target, &row, affine, way, [red, green, blue]);
                    for (c, a) in affine.iter().enumerate() {
                        for x in 0..w {
                            let from = if way == Way::Forward { x } else { w - 1 - x };
                            let mean = a.mean[if way == Way::ReflectedWithMean { from } else { x }];
                            let expected = (f32::from(row[3 * from + c]) - mean + a.shift) * a.scale;
                            assert_eq!(out[c * w + x].to_bits(), expected.to_bits(), "{target:?} {way:?} w {w} c {c} x {x}");
                        }
                    }
                }
            }
        }
    }
}
