//! One block of memory for everything that a run needs; tensors are offsets into it.

#![allow(unsafe_code)]

use std::alloc::{Layout, alloc, dealloc};
use std::ptr::NonNull;

/// A place in an [`Arena`], in f32 values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slot {
    pub(crate) offset: usize,
    pub(crate) len: usize,
}

impl Slot {
    /// The first `len` values of the slot.
    pub(crate) fn first(self, len: usize) -> Slot {
        assert!(len <= self.len, "{len} values of a slot of {}", self.len);
        Slot { len, ..self }
    }

    fn overlaps(self, other: Slot) -> bool {
        self.len > 0 && other.len > 0 && self.offset < other.offset + other.len && other.offset < self.offset + self.len
    }
}

/// Slots begin at multiples of this many values: a cache line.
pub(crate) const ALIGN: usize = 16;

/// The size of a huge page.
const PAGE_BYTES: usize = 2 << 20;

/// Zeroed f32 values, aligned to a huge page.
#[derive(Debug)]
pub(crate) struct Arena {
    values: NonNull<f32>,
    len: usize,
    layout: Layout,
}

// SAFETY: the arena owns its memory, and hands it out only through `&self` and `&mut self`.
unsafe impl Send for Arena {}

impl Arena {
    /// `len` zeros, or `None` where there is no such memory.
    pub(crate) fn new(len: usize) -> Option<Arena> {
        let layout = Layout::from_size_align(len.max(1).checked_mul(size_of::<f32>())?, PAGE_BYTES).ok()?;
        // SAFETY: the layout is not empty.
        let values = NonNull::new(unsafe { alloc(layout) }.cast::<f32>())?;
        #[cfg(target_os = "linux")]
        // SAFETY: the range is the allocation just made; the advice changes no contents. Its failure only costs speed.
        unsafe {
            libc::madvise(values.as_ptr().cast(), layout.size(), libc::MADV_HUGEPAGE);
        }
        // SAFETY: the allocation holds `len` f32 values, and zero bytes are the value 0.0.
        unsafe { values.as_ptr().write_bytes(0, len) };
        Some(Arena { values, len, layout })
    }

    /// The values of a slot.
    pub(crate) fn get(&self, slot: Slot) -> &[f32] {
        self.check(slot);
        // SAFETY: inside the allocation, initialised, and shared as `&self` is.
        unsafe { std::slice::from_raw_parts(self.values.as_ptr().add(slot.offset), slot.len) }
    }

    /// The values of a slot, for writing.
    pub(crate) fn get_mut(&mut self, slot: Slot) -> &mut [f32] {
        self.split([], [slot]).1[0]
    }

    /// Several slots at once: `reads` may overlap each other, `writes` nothing.
    pub(crate) fn split<const R: usize, const W: usize>(
        &mut self,
        reads: [Slot; R],
        writes: [Slot; W],
    ) -> ([&[f32]; R], [&mut [f32]; W]) {
        for (i, &write) in writes.iter().enumerate() {
            self.check(write);
            assert!(!reads.iter().chain(&writes[..i]).any(|&other| write.overlaps(other)), "overlapping slots");
        }
        reads.iter().for_each(|&read| self.check(read));
        // SAFETY: all slots are inside the allocation and initialised, `&mut self` excludes every other use of it, and no
        // written slot overlaps another (both checked above).
        unsafe {
            (
                reads.map(|slot| std::slice::from_raw_parts(self.values.as_ptr().add(slot.offset), slot.len)),
                writes.map(|slot| std::slice::from_raw_parts_mut(self.values.as_ptr().add(slot.offset), slot.len)),
            )
        }
    }

    fn check(&self, slot: Slot) {
        assert!(slot.offset <= self.len && slot.len <= self.len - slot.offset, "slot {slot:?} of an arena of {}", self.len);
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        // SAFETY: allocated by `Arena::new` with this layout.
        unsafe { dealloc(self.values.as_ptr().cast(), self.layout) };
    }
}

/// The memory of f32 values as bytes.
pub(crate) fn as_bytes(values: &[f32]) -> &[u8] {
    // SAFETY: four initialised bytes for each value, of any alignment.
    unsafe { std::slice::from_raw_parts(values.as_ptr().cast(), size_of_val(values)) }
}

/// The memory of f32 values as bytes, for writing.
pub(crate) fn as_bytes_mut(values: &mut [f32]) -> &mut [u8] {
    // SAFETY: as `as_bytes`, and every pattern of bits is an f32.
    unsafe { std::slice::from_raw_parts_mut(values.as_mut_ptr().cast(), size_of_val(values)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_disjoint_views() {
        let mut arena = Arena::new(64).unwrap();
        let (a, b) = (Slot { offset: 0, len: 16 }, Slot { offset: 16, len: 48 });
        let ([], [x, y]) = arena.split([], [a, b]);
        x.fill(1.0);
        y.fill(2.0);
        assert_eq!((arena.get(a)[15], arena.get(b)[0]), (1.0, 2.0));
    }

    #[test]
    #[should_panic(expected = "overlapping")]
    fn overlapping_writes_are_refused() {
        Arena::new(64).unwrap().split([Slot { offset: 0, len: 17 }], [Slot { offset: 16, len: 4 }]);
    }
}
