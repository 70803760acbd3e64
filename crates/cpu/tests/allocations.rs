//! After `prepare` nothing is allocated: not by the thread that steps, nor by those that it has started.

#![allow(unsafe_code)]

mod prepared;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use cpu::Options;
use net::{Batch, BucketValues, Executor, Form, Mixed, Net, StepInfo};
use prepared::{NETS, batch, hyper, prepared};

/// Counts the allocations of all threads but the process's first: the harness waits and prints there, and allocates when
/// it likes.
struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

/// Whether this thread is the process's first. Where that cannot be asked, it counts as another.
fn is_first_thread() -> bool {
    #[cfg(target_os = "linux")]
    // SAFETY: neither takes anything or can fail.
    return unsafe { libc::gettid() == libc::getpid() };
    #[cfg(not(target_os = "linux"))]
    return false;
}

// SAFETY: hands everything on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(usize::from(!is_first_thread()), Ordering::Relaxed);
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

/// The only test of this file: another one would allocate meanwhile.
#[test]
fn steps_allocate_nothing() {
    // With one test thread the harness runs a test on its own thread, which is not counted.
    thread::spawn(|| NETS.into_iter().for_each(two_steps_allocate_nothing)).join().unwrap();
}

fn two_steps_allocate_nothing(name: &str) {
    let net = Net::preset(name).unwrap();
    let (batch, n) = (batch(&net, 5), 5);
    let mut exec = prepared(&net, n, &Options { threads: Some(3), ..Options::default() });
    let shares = vec![0.3; n];
    let unprepared = ALLOCATIONS.load(Ordering::SeqCst);
    let mixed = Batch { mixed: Some(Mixed { labels: vec![0; n], shares }), ..batch.clone() };
    let hypers = [hyper(&net, Form::RateInside), hyper(&net, Form::RateOutside)];
    let before = ALLOCATIONS.load(Ordering::SeqCst);
    assert!(before > unprepared, "this thread is counted");
    for (step, hyper) in hypers.iter().enumerate() {
        exec.forward_backward(&batch, StepInfo::whole(1, step as u32, n)).unwrap();
        exec.forward_backward(&mixed, StepInfo { first_image: 5, ..StepInfo::whole(1, step as u32, 2 * n) }).unwrap();
        assert!(exec.take_loss(true).unwrap().is_some());
        let mut sum = 0.0;
        exec.each_bucket(&mut |bucket| {
            let BucketValues::Host(values) = bucket.values else { unreachable!() };
            sum += values.iter().sum::<f32>();
            Ok(())
        })
        .unwrap();
        assert!(sum.is_finite());
        exec.apply(hyper).unwrap();
        exec.forward(&batch).unwrap();
    }
    assert_eq!(ALLOCATIONS.load(Ordering::SeqCst) - before, 0, "{name}");
}
