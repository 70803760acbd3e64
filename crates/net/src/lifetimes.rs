//! Where an engine's buffers lie: buffers that are never needed at the same time share memory.

/// A buffer: an index into what [`Needs::place`] returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Buffer(pub usize);

/// A place in an engine's memory, in its unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Where it begins.
    pub offset: usize,
    /// How long it is.
    pub len: usize,
}

/// What a buffer needs: room, and the first and last moment at which it matters.
#[derive(Debug, Clone, Copy)]
struct Need {
    len: usize,
    first: usize,
    last: usize,
}

/// Collects what buffers need. Moments are numbered as the engine likes.
#[derive(Debug, Default)]
pub struct Needs(Vec<Need>);

impl Needs {
    /// A buffer of `len` units that matter in the moments `first..=last`.
    pub fn buffer(&mut self, len: usize, first: usize, last: usize) -> Buffer {
        self.0.push(Need { len, first, last });
        Buffer(self.0.len() - 1)
    }

    /// Extends a buffer's life to `moment`.
    pub fn keep_until(&mut self, buffer: Buffer, moment: usize) {
        let need = &mut self.0[buffer.0];
        need.last = need.last.max(moment);
    }

    /// A place for each buffer, beginning at multiples of `align`, and the length of the whole: the largest first, each as low as
    /// buffers of the same moments allow.
    pub fn place(&self, align: usize) -> (Vec<Place>, usize) {
        let mut order: Vec<usize> = (0..self.0.len()).collect();
        order.sort_by_key(|&i| std::cmp::Reverse(self.0[i].len));
        let mut places: Vec<Option<Place>> = vec![None; self.0.len()];
        let mut total = 0;
        for i in order {
            let need = self.0[i];
            let mut taken: Vec<Place> = (0..self.0.len())
                .filter(|&j| self.0[j].first <= need.last && need.first <= self.0[j].last)
                .filter_map(|j| places[j])
                .collect();
            taken.sort_by_key(|place| place.offset);
            let mut offset = 0;
            for place in taken {
                if place.offset >= offset + need.len {
                    break;
                }
                offset = offset.max((place.offset + place.len).next_multiple_of(align));
            }
            places[i] = Some(Place { offset, len: need.len });
            total = total.max(offset + need.len);
        }
        (places.into_iter().flatten().collect(), total)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALIGN: usize = 16;

    #[test]
    fn buffers_of_different_moments_share_and_others_do_not() {
        let mut needs = Needs::default();
        for (len, first, last) in [(100, 0, 3), (50, 4, 6), (60, 2, 4), (7, 0, 9), (90, 5, 8), (30, 1, 1)] {
            needs.buffer(len, first, last);
        }
        let (slots, total) = needs.place(ALIGN);
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
