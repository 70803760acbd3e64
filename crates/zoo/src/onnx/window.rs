//! Where windows stand: kernel, stride, padding and rounding of convolutions and pools.

use net::{Padding, Pair, Rounding};
use weights::onnx::{Attribute, Node};

use super::chain::{Wrong, at};
use super::layers::int;

/// The windows of a node.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window {
    pub(super) kernel: Pair,
    pub(super) stride: Pair,
    pub(super) padding: Padding,
    /// Whether a last window that overhangs counts.
    pub(super) ceil: bool,
}

impl Window {
    pub(super) fn rounding(&self) -> Rounding {
        if self.ceil { Rounding::Ceil } else { Rounding::Floor }
    }
}

/// The windows of a node over maps of `size`, (rows, columns); `kernel` is that of the weights, if it has any.
pub(super) fn of(node: &Node, size: (usize, usize), kernel: Option<Pair>) -> Result<Window, Wrong> {
    if numbers::<2>(node, "dilations")?.is_some_and(|dilations| dilations != [1, 1]) {
        return Err(at(node, "has gaps in its windows (`dilations`)"));
    }
    let named = numbers::<2>(node, "kernel_shape")?.map(|[r, s]| Pair { r, s });
    let kernel = match (kernel, named) {
        (Some(kernel), Some(named)) if kernel != named => return Err(at(node, "has a `kernel_shape` that is not its weights'")),
        (Some(kernel), _) | (None, Some(kernel)) => kernel,
        (None, None) => return Err(at(node, "has no `kernel_shape`")),
    };
    let stride = numbers::<2>(node, "strides")?.map_or(Pair::square(1), |[r, s]| Pair { r, s });
    if kernel.r == 0 || kernel.s == 0 || stride.r == 0 || stride.s == 0 {
        return Err(at(node, "has a kernel or stride of 0"));
    }
    let pads = numbers::<4>(node, "pads")?.map(|[top, left, bottom, right]| Padding { top, left, bottom, right });
    let way = match node.attribute("auto_pad") {
        None => "",
        Some(Attribute::Text(way)) => way,
        Some(_) => return Err(at(node, "has an `auto_pad` that is no text")),
    };
    let padding = match way {
        "" | "NOTSET" => pads.unwrap_or_default(),
        "VALID" => Padding::default(),
        "SAME_UPPER" | "SAME_LOWER" => {
            let end_first = way == "SAME_UPPER";
            let ((top, bottom), (left, right)) =
                (same(size.0, kernel.r, stride.r, end_first), same(size.1, kernel.s, stride.s, end_first));
            Padding { top, left, bottom, right }
        }
        other => return Err(at(node, format!("has an `auto_pad` of `{other}`"))),
    };
    Ok(Window { kernel, stride, padding, ceil: int(node, "ceil_mode", 0)? != 0 })
}

/// A setting of `N` numbers that are not negative.
fn numbers<const N: usize>(node: &Node, name: &str) -> Result<Option<[usize; N]>, Wrong> {
    let fault = || at(node, format!("has a `{name}` that is not {N} numbers of at least 0"));
    match node.attribute(name) {
        None => Ok(None),
        Some(Attribute::Ints(values)) => {
            let values: Option<Vec<usize>> = values.iter().map(|&value| usize::try_from(value).ok()).collect();
            values.and_then(|values| values.try_into().ok()).map(Some).ok_or_else(fault)
        }
        Some(_) => Err(fault()),
    }
}

/// The padding before and behind an axis with which there is a window for every `stride` pixels; an odd pixel is behind if
/// `end_first`.
fn same(size: usize, kernel: usize, stride: usize, end_first: bool) -> (usize, usize) {
    let last = size.div_ceil(stride).saturating_sub(1) * stride;
    let all = last.saturating_add(kernel).saturating_sub(size);
    if end_first { (all / 2, all - all / 2) } else { (all - all / 2, all / 2) }
}
