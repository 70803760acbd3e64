//! Where windows stand in Caffe, whose padding is the same at both ends.

use net::{Conv, Op, Padding, Pair, Shape};
use weights::caffemodel::{Convolution, PoolMethod, Pooling};

/// A convolution's window in Caffe: vertical, horizontal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) pad: [usize; 2],
    pub(super) kernel: [usize; 2],
    /// Zeros in the window before our own.
    pub(super) front: [usize; 2],
}

/// The window that makes the same of the same image with the same padding at both ends: as it is where Caffe's windows are as
/// many as ours, else with zeros before or behind its own weights.
pub(super) fn convolution(conv: &Conv, input: Shape, output: Shape) -> Window {
    let rows = axis(input.h, output.h, conv.kernel.r, conv.stride.r, conv.padding.top);
    let columns = axis(input.w, output.w, conv.kernel.s, conv.stride.s, conv.padding.left);
    let both = |index: usize| [rows[index], columns[index]];
    Window { pad: both(0), kernel: both(1), front: both(2) }
}

/// Padding, window and zeros in front along one axis, so that `(size + 2 · padding − window) / stride + 1`, rounded down, is `out`.
fn axis(size: usize, out: usize, kernel: usize, stride: usize, before: usize) -> [usize; 3] {
    // Where the last of our windows ends, and where Caffe's padded image does.
    let (last, end) = ((out - 1) * stride + kernel, size + 2 * before);
    if last > end {
        // Our padding behind is more: it becomes the padding of both ends, and the window begins as much earlier.
        let pad = last - before - size;
        return [pad, kernel + (pad - before), pad - before];
    }
    // Caffe would have more windows where a whole step is left: the window becomes longer until it is not.
    let more = (end - last + 1).saturating_sub(stride);
    [before, kernel + more, 0]
}

pub(super) fn settings(conv: &Conv, window: &Window) -> Convolution {
    Convolution {
        outputs: conv.k,
        kernel: window.kernel,
        stride: [conv.stride.r, conv.stride.s],
        pad: window.pad,
        dilation: [1; 2],
        groups: conv.groups,
        bias: true,
    }
}

/// A pooling layer in Caffe's words.
///
/// # Errors
/// Why there are none.
pub(super) fn pooling(op: &Op, input: Shape, output: Shape) -> Result<Pooling, String> {
    let (method, kernel, stride, padding) = match op {
        Op::MaxPool(pool) => (PoolMethod::Max, pool.kernel, pool.stride, pool.padding),
        Op::AvgPool(pool) => (PoolMethod::Average, pool.kernel, pool.stride, pool.padding),
        _ => return Err("does not pool".into()),
    };
    let Padding { top, left, .. } = padding;
    if method == PoolMethod::Average && (top, left) != (0, 0) {
        return Err("takes means of what is inside the image; Caffe's count padding as pixels".into());
    }
    // The windows are clipped to the image, so that only where they begin and how many there are is of meaning.
    let same = |floor: bool| {
        let clips = top + left > 0;
        count(input.h, kernel.r, stride.r, top, clips, floor) == Some(output.h)
            && count(input.w, kernel.s, stride.s, left, clips, floor) == Some(output.w)
    };
    let floor = match [false, true].into_iter().find(|&floor| same(floor)) {
        Some(floor) => floor,
        None => return Err(format!("has {} × {} windows; Caffe, which pads both ends alike, has others", output.h, output.w)),
    };
    let pair = |Pair { r, s }: Pair| [r, s];
    Ok(Pooling { method, kernel: pair(kernel), stride: pair(stride), pad: [top, left], global: false, floor })
}

/// How many windows Caffe has along one axis.
fn count(size: usize, kernel: usize, stride: usize, pad: usize, clips: bool, floor: bool) -> Option<usize> {
    let room = (size + 2 * pad).checked_sub(kernel)?;
    let windows = 1 + if floor { room / stride } else { room.div_ceil(stride) };
    let overhangs = clips && (windows - 1) * stride >= size + pad;
    Some(if overhangs { windows - 1 } else { windows })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every window reads the same pixels by the same weights as ours, for all small geometries.
    #[test]
    fn windows_stand_where_ours_stand() {
        let all = |index: usize| (1 + index % 13, 1 + index / 13 % 4, 1 + index / 52 % 3, index / 156 % 5, index / 780 % 5);
        for (size, kernel, stride, before, after) in (0..3900).map(all) {
            if size + before + after < kernel {
                continue;
            }
            for ceil in [false, true] {
                let room = size + before + after - kernel;
                let out = 1 + if ceil { room.div_ceil(stride) } else { room / stride };
                let [pad, window, front] = axis(size, out, kernel, stride, before);
                assert!(size + 2 * pad >= window, "{size} {kernel} {stride} {before} {after}");
                assert_eq!((size + 2 * pad - window) / stride + 1, out, "{size} {kernel} {stride} {before} {after}");
                assert_eq!(pad - front, before);
                assert!(window >= front + kernel);
            }
        }
    }
}
