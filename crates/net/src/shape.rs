//! Shapes, and the one place that knows how many windows fit.

use crate::{Op, Padding, Pair, Rounding};

/// The shape of one image's activation: maps, rows, columns. A vector is `k × 1 × 1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Maps.
    pub c: usize,
    /// Rows.
    pub h: usize,
    /// Columns.
    pub w: usize,
}

impl Shape {
    /// Values per image. Checked shapes never overflow.
    pub fn len(&self) -> usize {
        self.c * self.h * self.w
    }

    /// Whether there are no values; never true of a checked net's shapes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Values per map.
    pub fn plane(&self) -> usize {
        self.h * self.w
    }
}

impl std::fmt::Display for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.pad(&if self.h == 1 && self.w == 1 { format!("{}", self.c) } else { format!("{}×{}×{}", self.c, self.h, self.w) })
    }
}

/// Largest number of values of one activation or parameter: far above any AlexNet, far below overflow.
const MOST_VALUES: u128 = 1 << 40;

/// The pixels that output position `out` of a pooling window covers along one axis, clipped to `0..size`.
pub fn window(out: usize, kernel: usize, stride: usize, before: usize, size: usize) -> std::ops::Range<usize> {
    let begin = out * stride;
    begin.saturating_sub(before)..(begin + kernel).saturating_sub(before).min(size)
}

/// How many windows fit along one axis, or why none does.
fn windows(
    size: usize,
    kernel: usize,
    stride: usize,
    before: usize,
    after: usize,
    rounding: Rounding,
    pool: bool,
) -> Result<usize, String> {
    if kernel == 0 || stride == 0 {
        return Err("kernel and stride are at least 1".into());
    }
    if [size, kernel, stride, before, after].iter().any(|&x| x > 1 << 24) {
        return Err("a size above 16,777,216 is not supported".into());
    }
    if pool && (before >= kernel || after >= kernel) {
        return Err(format!("padding {before}/{after} is not smaller than the kernel {kernel}, so a window could see no pixel"));
    }
    let padded = size + before + after;
    if padded < kernel {
        return Err(format!("a kernel of {kernel} does not fit into {size} pixels with {before} + {after} of padding"));
    }
    let steps = match rounding {
        Rounding::Floor => (padded - kernel) / stride,
        Rounding::Ceil => (padded - kernel).div_ceil(stride),
    };
    // A window that would begin behind the image is none (only possible when rounding up or with end padding).
    let last = if pool { steps.min((size + before - 1) / stride) } else { steps };
    Ok(last + 1)
}

fn spatial(
    input: Shape,
    kernel: Pair,
    stride: Pair,
    padding: Padding,
    rounding: Rounding,
    pool: bool,
) -> Result<(usize, usize), String> {
    let p = windows(input.h, kernel.r, stride.r, padding.top, padding.bottom, rounding, pool)
        .map_err(|e| format!("vertically, {e}"))?;
    let q = windows(input.w, kernel.s, stride.s, padding.left, padding.right, rounding, pool)
        .map_err(|e| format!("horizontally, {e}"))?;
    Ok((p, q))
}

/// The product, or an error where it is zero or beyond all sense.
fn sane_product(what: &str, sizes: &[usize]) -> Result<(), String> {
    let product = sizes.iter().try_fold(1u128, |acc, &x| acc.checked_mul(x as u128)).unwrap_or(u128::MAX);
    match product {
        0 => Err(format!("{what} {sizes:?} has a size of 0")),
        p if p > MOST_VALUES => Err(format!("{what} {sizes:?} has more than 2^40 values")),
        _ => Ok(()),
    }
}

/// Checks an input shape.
pub(crate) fn check_input(input: Shape) -> Result<(), String> {
    sane_product("the input", &[input.c, input.h, input.w])
}

/// The output shape of `op` on `input`, or why there is none.
pub(crate) fn infer(op: &Op, input: Shape) -> Result<Shape, String> {
    let out = match op {
        Op::Conv(conv) => {
            if conv.groups == 0 || !input.c.is_multiple_of(conv.groups) || conv.k % conv.groups != 0 {
                return Err(format!("{} groups do not divide {} input maps and {} output maps", conv.groups, input.c, conv.k));
            }
            let (h, w) = spatial(input, conv.kernel, conv.stride, conv.padding, conv.rounding, false)?;
            Shape { c: conv.k, h, w }
        }
        Op::Local(local) => {
            let (h, w) = spatial(input, local.kernel, local.stride, local.padding, Rounding::Floor, false)?;
            Shape { c: local.k, h, w }
        }
        Op::MaxPool(pool) => {
            let (h, w) = spatial(input, pool.kernel, pool.stride, pool.padding, pool.rounding, true)?;
            Shape { c: input.c, h, w }
        }
        Op::AvgPool(pool) => {
            let (h, w) = spatial(input, pool.kernel, pool.stride, pool.padding, pool.rounding, true)?;
            Shape { c: input.c, h, w }
        }
        Op::Lrn(lrn) => {
            check_lrn(lrn.n, lrn.k, lrn.coefficient())?;
            if lrn.towers == 0 || !input.c.is_multiple_of(lrn.towers) {
                return Err(format!("{} towers do not divide {} maps", lrn.towers, input.c));
            }
            input
        }
        Op::LrnWithin(lrn) => {
            check_lrn(lrn.n, lrn.k, lrn.coefficient())?;
            input
        }
        Op::Dropout(dropout) => {
            if !(0.0..1.0).contains(&dropout.rate) {
                return Err(format!("a dropout rate of {} is not in [0, 1)", dropout.rate));
            }
            input
        }
        Op::Linear(linear) => Shape { c: linear.k, h: 1, w: 1 },
        Op::Relu | Op::Tanh => input,
        Op::Softmax => Shape { c: input.len(), h: 1, w: 1 },
    };
    sane_product("the output", &[out.c, out.h, out.w])?;
    for shape in param_shapes(op, input, out).iter().flatten() {
        sane_product("a parameter", shape)?;
    }
    Ok(out)
}

fn check_lrn(n: usize, k: f64, coefficient: f64) -> Result<(), String> {
    if n.is_multiple_of(2) {
        return Err(format!("a normalisation window of {n} is not odd"));
    }
    if !(k > 0.0 && k.is_finite() && coefficient >= 0.0 && coefficient.is_finite()) {
        return Err(format!("normalisation needs k > 0 and alpha ≥ 0, not {k} and {coefficient}"));
    }
    Ok(())
}

/// Weight and bias shapes of an op.
pub(crate) fn param_shapes(op: &Op, input: Shape, output: Shape) -> Option<[Vec<usize>; 2]> {
    match op {
        Op::Conv(conv) => Some([vec![conv.k, input.c / conv.groups, conv.kernel.r, conv.kernel.s], vec![conv.k]]),
        Op::Local(local) => {
            Some([vec![output.h, output.w, local.k, input.c, local.kernel.r, local.kernel.s], vec![local.k, output.h, output.w]])
        }
        Op::Linear(linear) => Some([vec![linear.k, input.len()], vec![linear.k]]),
        _ => None,
    }
}

/// Multiply-adds of one image's forward pass, counting every window in full as the field does.
pub(crate) fn multiply_adds(op: &Op, input: Shape, output: Shape) -> u64 {
    let per_output = match op {
        Op::Conv(conv) => input.c / conv.groups * conv.kernel.r * conv.kernel.s,
        Op::Local(local) => input.c * local.kernel.r * local.kernel.s,
        Op::Linear(_) => input.len(),
        _ => 0,
    };
    per_output as u64 * output.len() as u64
}
