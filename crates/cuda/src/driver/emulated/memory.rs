//! Memory that plays the device's.

#![allow(unsafe_code)]

use std::alloc::{Layout, alloc, dealloc};

use net::Result;

use crate::driver::fault;

/// Bytes before and after every block of memory, which no kernel may write to: also the alignment that CUDA gives.
const GUARD: usize = 256;
/// What memory is filled with: not a number in every type, and an index far outside.
const FILL: u8 = 0xff;

struct Block {
    /// Of the guard before the memory.
    start: *mut u8,
    layout: Layout,
    bytes: usize,
}

impl Block {
    fn address(&self) -> u64 {
        self.start as u64 + GUARD as u64
    }
}

/// Everything that was taken.
#[derive(Default)]
pub(crate) struct Memory {
    blocks: Vec<Block>,
}

// SAFETY: the blocks belong to one value, and are memory without ties to a thread.
unsafe impl Send for Memory {}

impl Drop for Memory {
    fn drop(&mut self) {
        for block in &self.blocks {
            // SAFETY: it was taken with this layout, and is given back once.
            unsafe { dealloc(block.start, block.layout) }
        }
    }
}

impl Memory {
    /// Takes memory and fills it with what is not a number.
    ///
    /// # Errors
    /// Where the host has none.
    pub(crate) fn take(&mut self, bytes: u64) -> Result<u64> {
        let none = || fault(format!("the host has no {bytes} bytes of memory"));
        let size = usize::try_from(bytes).ok().and_then(|bytes| bytes.checked_add(2 * GUARD)).ok_or_else(none)?;
        let layout = Layout::from_size_align(size, GUARD).map_err(|_| none())?;
        // SAFETY: the size is not 0.
        let start = unsafe { alloc(layout) };
        if start.is_null() {
            return Err(none());
        }
        // SAFETY: as many bytes were taken.
        unsafe { start.write_bytes(FILL, size) };
        let block = Block { start, layout, bytes: size - 2 * GUARD };
        let address = block.address();
        self.blocks.push(block);
        Ok(address)
    }

    /// The bytes from `at` on.
    ///
    /// # Errors
    /// Where they do not lie in one block.
    pub(crate) fn bytes(&mut self, at: u64, len: u64) -> Result<&mut [u8]> {
        let inside = |block: &&Block| {
            at.checked_sub(block.address())
                .and_then(|offset| offset.checked_add(len))
                .is_some_and(|end| end <= block.bytes as u64)
        };
        let Some(block) = self.blocks.iter().find(inside) else {
            return Err(fault(format!("{len} bytes at {at:#x} are not the device's memory")));
        };
        let offset = (at - block.address()) as usize;
        // SAFETY: the bytes lie in the block and hold something since it was taken; `self` is borrowed, and kernels run only while
        // a borrow of the whole driver lasts.
        Ok(unsafe { std::slice::from_raw_parts_mut(block.start.add(GUARD + offset), len as usize) })
    }

    /// A block that something was written outside of, as address and bytes.
    pub(crate) fn overrun(&self) -> Option<(u64, usize)> {
        let whole = |block: &Block| {
            // SAFETY: the guards are part of what was taken, and hold something since then.
            let (before, after) = unsafe {
                let after = block.start.add(GUARD + block.bytes);
                (std::slice::from_raw_parts(block.start, GUARD), std::slice::from_raw_parts(after, GUARD))
            };
            before.iter().chain(after).all(|&byte| byte == FILL)
        };
        self.blocks.iter().find(|block| !whole(block)).map(|block| (block.address(), block.bytes))
    }
}
