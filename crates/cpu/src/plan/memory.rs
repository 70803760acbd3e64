//! Where every buffer lies: buffers that are never needed at the same time share memory.

use crate::arena::{ALIGN, Slot};

/// A buffer of a plan: an index into its memory map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Buffer(pub(crate) usize);

/// What a buffer needs: values, and the first and last moment at which they matter.
#[derive(Debug, Clone, Copy)]
struct Need {
    len: usize,
    first: usize,
    last: usize,
}

/// Collects what buffers need.
#[derive(Debug, Default)]
pub(crate) struct Needs(Vec<Need>);

impl Needs {
    /// A buffer of `len` values that matter in the moments `first..=last`.
    pub(crate) fn buffer(&mut self, len: usize, first: usize, last: usize) -> Buffer {
        self.0.push(Need { len, first, last });
        Buffer(self.0.len() - 1)
    }

    /// Extends a buffer's life to `moment`.
    pub(crate) fn keep_until(&mut self, buffer: Buffer, moment: usize) {
        let need = &mut self.0[buffer.0];
        need.last = need.last.max(moment);
    }

    /// A place for each buffer, and the length of the whole: the largest first, each as low as buffers of the same moments allow.
    pub(crate) fn place(&self) -> (Vec<Slot>, usize) {
        let mut order: Vec<usize> = (0..self.0.len()).collect();
        order.sort_by_key(|&i| std::cmp::Reverse(self.0[i].len));
        let mut slots: Vec<Option<Slot>> = vec![None; self.0.len()];
        let mut total = 0;
        for i in order {
            let need = self.0[i];
            let mut taken: Vec<Slot> = (0..self.0.len())
                .filter(|&j| self.0[j].first <= need.last && need.first <= self.0[j].last)
                .filter_map(|j| slots[j])
                .collect();
            taken.sort_by_key(|slot| slot.offset);
            let mut offset = 0;
            for slot in taken {
                if slot.offset >= offset + need.len {
                    break;
                }
                offset = offset.max((slot.offset + slot.len).next_multiple_of(ALIGN));
            }
            slots[i] = Some(Slot { offset, len: need.len });
            total = total.max(offset + need.len);
        }
        (slots.into_iter().flatten().collect(), total)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_of_different_moments_share_and_others_do_not() {
        let mut needs = Needs::default();
        for (len, first, last) in [(100, 0, 3), (50, 4, 6), (60, 2, 4), (7, 0, 9), (90, 5, 8), (30, 1, 1)] {
            needs.buffer(len, first, last);
        }
        let (slots, total) = needs.place();
        for i in 0..slots.len() {
            assert!(slots[i].offset % ALIGN == 0 && slots[i].offset + slots[i].len <= total);
            for j in 0..i {
                let together = needs.0[i].first <= needs.0[j].last && needs.0[j].first <= needs.0[i].last;
                let (a, b) = (slots[i], slots[j]);
                let apart = a.offset + a.len <= b.offset || b.offset + b.len <= a.offset;
                assert!(!together || apart, "{i} and {j}");
            }
        }
        assert!(total < 100 + 50 + 60 + 7 + 90 + 30);
    }
}
