//! After `prepare` nothing is allocated; and the bits do not depend on the number of threads.

#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use cpu::{Cpu, Isa, Options};
use net::random::{Purpose, Stream};
use net::{Batch, BucketValues, Executor, Form, Hyper, Kind, Mixed, Mode, Net, ParamHyper, StepInfo};

/// Counts the allocations of all threads.
struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

/// Held by every test, so that no test counts another's allocations.
static ALONE: Mutex<()> = Mutex::new(());

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

/// Every op there is, and the ops of the big nets at sizes with several blocks in each direction.
const NETS: [&str; 4] = ["tiny", "cifar-80sec", "cifar-18pct", "cifar-11pct"];

fn batch(net: &Net, n: usize) -> Batch {
    let mut batch = Batch::with_capacity(n, net.input().len());
    let stream = Stream::new(5, Purpose::Test, 0, 0, 0);
    batch.f32_mut().iter_mut().enumerate().for_each(|(e, x)| *x = stream.normal(e as u32) as f32);
    batch.labels.iter_mut().enumerate().for_each(|(i, label)| *label = stream.below(i as u32, net.classes() as u32));
    batch.n = n;
    batch
}

fn hyper(net: &Net, form: Form) -> Hyper {
    Hyper { form, momentum: 0.9, params: vec![ParamHyper { rate: 0.01, decay: 0.001 }; net.params().len()] }
}

fn prepared(net: &Net, n: usize, options: &Options) -> Cpu {
    let mut exec = cpu::prepare(net, n, Mode::Train, options).unwrap();
    exec.load(Kind::Weights, &net.initial_params(3)).unwrap();
    exec
}

#[test]
fn steps_allocate_nothing() {
    let _alone = ALONE.lock().unwrap_or_else(|poison| poison.into_inner());
    for name in NETS {
        let net = Net::preset(name).unwrap();
        let (batch, n) = (batch(&net, 5), 5);
        let mut exec = prepared(&net, n, &Options { threads: Some(3), ..Options::default() });
        let shares = vec![0.3; n];
        let mixed = Batch { mixed: Some(Mixed { labels: vec![0; n], shares }), ..batch.clone() };
        let hypers = [hyper(&net, Form::RateInside), hyper(&net, Form::RateOutside)];
        let before = ALLOCATIONS.load(Ordering::SeqCst);
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
}

/// Everything that two steps leave behind, as bits.
fn trace(net: &Net, options: &Options) -> Vec<u32> {
    let n = 7;
    let batch = batch(net, n);
    let mut exec = prepared(net, n, options);
    let mut bits = Vec::new();
    for step in 0..2 {
        exec.forward_backward(&batch, StepInfo { step_images: 12, ..StepInfo::whole(1, step, n) }).unwrap();
        exec.forward_backward(&batch, StepInfo { first_image: 7, ..StepInfo::whole(1, step, 12) }).unwrap();
        exec.apply(&hyper(net, Form::RateInside)).unwrap();
        while let Some(loss) = exec.take_loss(true).unwrap() {
            bits.extend([loss.nll_sum.to_bits() as u32, (loss.nll_sum.to_bits() >> 32) as u32, loss.top1]);
        }
    }
    for kind in [Kind::Weights, Kind::Momentum, Kind::Gradients] {
        let set = exec.save(kind).unwrap();
        bits.extend(set.iter().flat_map(|(_, tensor)| tensor.data.iter().map(|x| x.to_bits())));
    }
    bits.extend(exec.forward(&batch).unwrap().iter().map(|x| x.to_bits()));
    bits
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    let _alone = ALONE.lock().unwrap_or_else(|poison| poison.into_inner());
    for name in NETS {
        let net = Net::preset(name).unwrap();
        for isa in Isa::ALL {
            // The slower ones need fewer nets: what they share is tested with the fastest.
            if isa != Isa::detect() && name != "tiny" && name != "cifar-18pct" {
                continue;
            }
            if !isa.available() {
                skip(&format!("{name} on {isa}, which this CPU lacks"));
                continue;
            }
            for inspect in [false, true] {
                let run =
                    |threads| trace(&net, &Options { threads: Some(threads), isa: Some(isa), inspect, ..Options::default() });
                let one = run(1);
                let many: &[usize] = if inspect { &[3] } else { &[2, 5, 64] };
                for &threads in many {
                    assert!(one == run(threads), "{name} on {isa}, inspect {inspect}, with {threads} threads");
                }
            }
        }
    }
}

#[test]
fn inspection_changes_no_bit() {
    let _alone = ALONE.lock().unwrap_or_else(|poison| poison.into_inner());
    for name in NETS {
        let net = Net::preset(name).unwrap();
        let run = |inspect| trace(&net, &Options { threads: Some(2), isa: None, inspect, ..Options::default() });
        assert!(run(false) == run(true), "{name}");
    }
}

/// Memory is shared more tightly in inference: whatever was overwritten too early would show.
#[test]
fn inference_gives_the_bits_of_testing_in_training() {
    let _alone = ALONE.lock().unwrap_or_else(|poison| poison.into_inner());
    for name in NETS.iter().chain(&["scenes"]) {
        let net = Net::preset(name).unwrap();
        let batch = batch(&net, 3);
        let run = |mode, inspect| {
            let mut exec =
                cpu::prepare(&net, 4, mode, &Options { threads: Some(2), isa: None, inspect, ..Options::default() }).unwrap();
            exec.load(Kind::Weights, &net.initial_params(3)).unwrap();
            exec.forward(&batch).unwrap().iter().map(|x| x.to_bits()).collect::<Vec<u32>>()
        };
        let expected = run(Mode::Train, false);
        assert!(run(Mode::Infer, false) == expected && run(Mode::Infer, true) == expected, "{name}");
    }
}

/// Says past the test runner that something cannot run here; where `ALEXNET_NO_SKIPS=1`, that is a failure.
fn skip(reason: &str) {
    assert!(std::env::var_os("ALEXNET_NO_SKIPS").is_none_or(|v| v != "1"), "skipped: {reason}");
    let _ = std::io::Write::write_all(&mut std::io::stdout(), format!("skipped: {reason}\n").as_bytes());
}
