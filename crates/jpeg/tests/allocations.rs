//! A decoder that has met a file's like allocates nothing.

#![allow(unsafe_code)]

mod case;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use jpeg::{Decoder, Header, Region, Scale};

/// Counts the allocations of each thread by itself: the harness has threads of its own.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: hands everything on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

#[test]
fn the_second_time_nothing_is_allocated() {
    let files = case::Golden::read().files();
    let mut decoder = Decoder::default();
    let mut rgb = Vec::new();
    let mut all = || {
        for (_, file) in &files {
            for scale in Scale::ALL {
                let header = Header::parse(file).expect("a header");
                let (width, height) = scale.size(header.width, header.height);
                decoder.decode(file, scale, Region::whole(width, height), &mut rgb).expect("a picture");
            }
        }
    };
    all();
    let before = ALLOCATIONS.get();
    assert!(before > 0, "the first time something is");
    all();
    assert_eq!(ALLOCATIONS.get(), before);
}
