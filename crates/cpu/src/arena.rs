//! One block of memory for everything that a run needs; tensors are offsets into it.

#![allow(unsafe_code)]

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

/// Zeroed f32 values, aligned to a huge page. Where the system can, it gives a page only when something is written to it.
#[derive(Debug)]
pub(crate) struct Arena {
    values: NonNull<f32>,
    len: usize,
    _pages: pages::Pages,
}

// SAFETY: the arena owns its memory, and hands it out only through `&self` and `&mut self`.
unsafe impl Send for Arena {}

impl Arena {
    /// `len` zeros, or `None` where there is no such memory.
    pub(crate) fn new(len: usize) -> Option<Arena> {
        let pages = pages::Pages::zeroed(len.max(1).checked_mul(size_of::<f32>())?)?;
        Some(Arena { values: pages.start().cast(), len, _pages: pages })
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

/// The size of a huge page.
const PAGE_BYTES: usize = 2 << 20;

/// Zeroed memory from the kernel, which clears each page when it is first touched; clearing it here would touch them all.
#[cfg(target_os = "linux")]
mod pages {
    use std::ptr::{self, NonNull};

    use super::PAGE_BYTES;

    /// A mapping of no file.
    #[derive(Debug)]
    pub(super) struct Pages {
        mapping: NonNull<u8>,
        mapped_bytes: usize,
    }

    impl Pages {
        /// At least `bytes` zero bytes from [`Pages::start`] on.
        pub(super) fn zeroed(bytes: usize) -> Option<Pages> {
            // Room to begin at a multiple of the huge page.
            let mapped_bytes = bytes.checked_add(PAGE_BYTES)?;
            let (access, kind) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
            // SAFETY: a new mapping, wherever the kernel has room for one, takes nothing from anybody.
            let mapping = unsafe { libc::mmap(ptr::null_mut(), mapped_bytes, access, kind, -1, 0) };
            if mapping == libc::MAP_FAILED {
                return None;
            }
            let pages = Pages { mapping: NonNull::new(mapping.cast())?, mapped_bytes };
            // SAFETY: `bytes` from the start on lie in the mapping; the advice changes no contents. Its failure only costs speed.
            unsafe { libc::madvise(pages.start().as_ptr().cast(), bytes, libc::MADV_HUGEPAGE) };
            Some(pages)
        }

        /// The first byte of a huge page.
        pub(super) fn start(&self) -> NonNull<u8> {
            let skipped = self.mapping.as_ptr().align_offset(PAGE_BYTES);
            assert!(skipped < PAGE_BYTES, "no multiple of {PAGE_BYTES} in {} bytes", self.mapped_bytes);
            // SAFETY: less than a huge page behind the beginning of a mapping that is longer.
            unsafe { self.mapping.add(skipped) }
        }
    }

    impl Drop for Pages {
        fn drop(&mut self) {
            // SAFETY: mapped by `Pages::zeroed`, and whoever was lent any of it is gone.
            unsafe { libc::munmap(self.mapping.as_ptr().cast(), self.mapped_bytes) };
        }
    }
}

/// Zeroed memory from the allocator.
#[cfg(not(target_os = "linux"))]
mod pages {
    use std::alloc::{Layout, alloc_zeroed, dealloc};
    use std::ptr::NonNull;

    use super::PAGE_BYTES;

    /// An allocation.
    #[derive(Debug)]
    pub(super) struct Pages {
        start: NonNull<u8>,
        layout: Layout,
    }

    impl Pages {
        /// `bytes` zero bytes, at least one, from [`Pages::start`] on.
        pub(super) fn zeroed(bytes: usize) -> Option<Pages> {
            let layout = Layout::from_size_align(bytes.max(1), PAGE_BYTES).ok()?;
            // SAFETY: the layout is not empty.
            let start = NonNull::new(unsafe { alloc_zeroed(layout) })?;
            Some(Pages { start, layout })
        }

        /// The first byte.
        pub(super) fn start(&self) -> NonNull<u8> {
            self.start
        }
    }

    impl Drop for Pages {
        fn drop(&mut self) {
            // SAFETY: allocated by `Pages::zeroed` with this layout.
            unsafe { dealloc(self.start.as_ptr(), self.layout) };
        }
    }
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
    fn values_start_at_zero_on_a_huge_page() {
        for len in [0, 1, (3 << 19) + 5] {
            let arena = Arena::new(len).unwrap();
            let values = arena.get(Slot { offset: 0, len });
            assert!(values.iter().all(|value| value.to_bits() == 0));
            assert_eq!(values.as_ptr().addr() % PAGE_BYTES, 0);
        }
        assert!(Arena::new(usize::MAX / 2).is_none() && Arena::new(usize::MAX / 8).is_none());
    }

    #[test]
    #[should_panic(expected = "overlapping")]
    fn overlapping_writes_are_refused() {
        Arena::new(64).unwrap().split([Slot { offset: 0, len: 17 }], [Slot { offset: 16, len: 4 }]);
    }
}
