//! A block of a row-major matrix.

use std::marker::PhantomData;
use std::ops::Range;

/// A writable block of a row-major matrix whose rows lie `ld` values apart.
pub(crate) struct MatMut<'a> {
    values: *mut f32,
    rows: usize,
    cols: usize,
    ld: usize,
    borrow: PhantomData<&'a mut [f32]>,
}

// SAFETY: it stands for `&mut` borrows of its rows; shared, it only yields blocks that the caller promises are disjoint.
unsafe impl Send for MatMut<'_> {}
// SAFETY: as above.
unsafe impl Sync for MatMut<'_> {}

impl<'a> MatMut<'a> {
    /// The first `cols` values of `rows` rows that begin `ld` apart.
    pub(crate) fn new(values: &'a mut [f32], rows: usize, cols: usize, ld: usize) -> MatMut<'a> {
        assert!(
            cols <= ld && (rows == 0 || (rows - 1) * ld + cols <= values.len()),
            "{rows} × {cols} by {ld} of {}",
            values.len()
        );
        MatMut { values: values.as_mut_ptr(), rows, cols, ld, borrow: PhantomData }
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    pub(crate) fn cols(&self) -> usize {
        self.cols
    }

    pub(crate) fn ld(&self) -> usize {
        self.ld
    }

    pub(crate) fn as_mut_ptr(&mut self) -> *mut f32 {
        self.values
    }

    /// Row `i`, for writing.
    pub(crate) fn row(&mut self, i: usize) -> &mut [f32] {
        assert!(i < self.rows);
        // SAFETY: inside the slice given to `new`, and `&mut self` is the only way to it.
        unsafe { std::slice::from_raw_parts_mut(self.values.add(i * self.ld), self.cols) }
    }

    /// A block of this block.
    pub(crate) fn block(&mut self, rows: Range<usize>, cols: Range<usize>) -> MatMut<'_> {
        // SAFETY: `&mut self` stays borrowed while the block is used.
        unsafe { self.shared_block(rows, cols) }
    }

    /// A block of this block, for one of several tasks.
    ///
    /// # Safety
    /// Blocks in use at the same time are disjoint.
    pub(crate) unsafe fn shared_block(&self, rows: Range<usize>, cols: Range<usize>) -> MatMut<'_> {
        assert!(rows.start <= rows.end && rows.end <= self.rows && cols.start <= cols.end && cols.end <= self.cols);
        // SAFETY: the offset stays inside the slice given to `new`; an empty block is never followed.
        let values = self.values.wrapping_add(rows.start * self.ld + cols.start);
        MatMut { values, rows: rows.len(), cols: cols.len(), ld: self.ld, borrow: PhantomData }
    }
}
