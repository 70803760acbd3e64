//! A decoder that has met a file's like allocates nothing.

#![allow(unsafe_code)]

mod case;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use jpeg::{Decoder, Header, Region, Scale};

/// Counts allocations.
struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: hands everything on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
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
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    all();
    assert_eq!(ALLOCATIONS.load(Ordering::Relaxed), before);
}
