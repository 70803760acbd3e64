//! How parameters lie on the device, against how a net writes them.

/// The order of a parameter's values on the device: `[k, r', s', c']` for the net's `[k, c, r, s]`, where taps are folded as the
/// pixels before them are: `r = r'·fold + dr`, `s = s'·fold + ds`, `c' = (dr·fold + ds)·c + channel`. What no value of the net falls
/// on is 0 and stays 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Order {
    pub(crate) k: usize,
    pub(crate) c: usize,
    pub(crate) r: usize,
    pub(crate) s: usize,
    pub(crate) fold: usize,
    /// Channels on the device, at least `c · fold²`.
    pub(crate) channels: usize,
}

impl Order {
    /// The net's own order, of `len` values.
    pub(crate) fn same(len: usize) -> Order {
        Order::turned(len, 1, 1, 1)
    }

    /// `[k, c, r, s]` to `[k, r, s, c]`.
    pub(crate) fn turned(k: usize, c: usize, r: usize, s: usize) -> Order {
        Order { k, c, r, s, fold: 1, channels: c }
    }

    /// `r'` and `s'`.
    pub(crate) fn window(&self) -> (usize, usize) {
        (self.r.div_ceil(self.fold), self.s.div_ceil(self.fold))
    }

    /// Values on the device.
    pub(crate) fn len(&self) -> usize {
        let (r, s) = self.window();
        self.k * r * s * self.channels
    }

    /// Calls `visit` with the place in the net's order and the place on the device of every value.
    fn each(&self, mut visit: impl FnMut(usize, usize)) {
        let ((rows, columns), fold) = (self.window(), self.fold);
        let mut at = 0;
        for k in 0..self.k {
            for c in 0..self.c {
                for r in 0..self.r {
                    for s in 0..self.s {
                        let channel = (r % fold * fold + s % fold) * self.c + c;
                        visit(at, ((k * rows + r / fold) * columns + s / fold) * self.channels + channel);
                        at += 1;
                    }
                }
            }
        }
    }

    /// The values as the device has them.
    pub(crate) fn to_device(self, values: &[f32]) -> Vec<f32> {
        let mut device = vec![0.0; self.len()];
        self.each(|at, there| device[there] = values[at]);
        device
    }

    /// The values as the net has them.
    pub(crate) fn to_net(self, device: &[f32]) -> Vec<f32> {
        let mut values = vec![0.0; self.k * self.c * self.r * self.s];
        self.each(|at, there| values[at] = device[there]);
        values
    }

    /// For each value of one `k` whether the net has it; `None` where it has all.
    pub(crate) fn mask(self) -> Option<Vec<u8>> {
        let one = Order { k: 1, ..self };
        let mut mask = vec![0; one.len()];
        one.each(|_, there| mask[there] = 1);
        mask.contains(&0).then_some(mask)
    }
}

/// Images `[n, h, w, c]` as `[n, c, h, w]`.
pub(crate) fn to_planes(values: &[f32], c: usize, plane: usize) -> Vec<f32> {
    let mut out = Vec::with_capacity(values.len());
    for image in values.chunks_exact(c * plane) {
        out.extend((0..c * plane).map(|at| image[at % plane * c + at / plane]));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folded_parameter_comes_back_and_its_mask_counts_what_it_has() {
        let order = Order { k: 2, c: 3, r: 11, s: 7, fold: 4, channels: 56 };
        let values: Vec<f32> = (1..=2 * 3 * 77).map(|x| x as f32).collect();
        let device = order.to_device(&values);
        assert_eq!(device.len(), 2 * 3 * 2 * 56);
        // k 1, c 2, r 9, s 6: the tap (2, 1), in it (1, 2).
        let there = ((3 + 2) * 2 + 1) * 56 + (4 + 2) * 3 + 2;
        assert_eq!(device[there], values[(3 + 2) * 77 + 9 * 7 + 6]);
        assert_eq!(order.to_net(&device), values);
        let mask = order.mask().expect("taps are missing");
        assert_eq!(mask.iter().filter(|&&has| has == 1).count(), 3 * 77);
        assert!(device[..mask.len()].iter().zip(&mask).all(|(&w, &has)| (w != 0.0) == (has == 1)));
    }

    #[test]
    fn a_plain_parameter_is_turned() {
        assert_eq!(Order::turned(1, 2, 1, 3).to_device(&[0.0, 1.0, 2.0, 10.0, 11.0, 12.0]), [0.0, 10.0, 1.0, 11.0, 2.0, 12.0]);
        assert_eq!(Order::turned(5, 2, 3, 3).mask(), None);
        assert_eq!(Order::same(3).to_device(&[1.0, 2.0, 3.0]), [1.0, 2.0, 3.0]);
        assert_eq!(to_planes(&[1.0, 4.0, 2.0, 5.0, 3.0, 6.0], 2, 3), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    }
}
