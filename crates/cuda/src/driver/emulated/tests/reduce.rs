use super::*;
use crate::args::macros::args;
use crate::args::{Floats, Ptr};

args! {
    struct Reduce {
        x: Floats,
        y: Floats,
        count: u32,
        reserved: u32,
    }
}

fn reduce(kernel: &'static str, macros: &str, threads: u32, seed: u64) -> Option<Result<f32>> {
    let mut device = testing::device(Element::F32, seed)?;
    device.compile_text("reduce.cu", &source(&[Reduce::C], macros, include_str!("../../../../tests/host/reduce.cu"))).unwrap();
    let (x, y) = (device.with(&values()), device.room::<f32>(1));
    let args = Reduce { x: Ptr::at(x), y: Ptr::at(y), count: 1000, reserved: 0 };
    Some(device.call(kernel, [1, 1, 1], threads, threads * 4, &args).map(|()| device.values::<f32>(y, 1)[0]))
}

/// Whole numbers, whose sums are exact in any order.
fn values() -> Vec<f32> {
    (0..1000).map(|i| (i % 17) as f32).collect()
}

#[test]
fn a_block_adds_up() {
    for seed in 0..20 {
        for (kernel, threads) in [("reduce", 256), ("reduce", 64), ("reduce_by_warps", 256), ("reduce_by_warps", 1024)] {
            let Some(sum) = reduce(kernel, "", threads, seed) else { return };
            assert_eq!(sum.unwrap(), values().iter().sum::<f32>(), "{kernel}, {threads} threads, seed {seed}");
        }
    }
}

#[test]
fn other_processors_switch_as_well() {
    for seed in 0..4 {
        let Some(mut device) = testing::device(Element::F32, seed) else { return };
        let text = source(&[Reduce::C], "", include_str!("../../../../tests/host/reduce.cu"));
        device.compile_text("portable.cu", &format!("#define EMULATED_PORTABLE\n{text}")).unwrap();
        let (x, y) = (device.with(&values()), device.room::<f32>(1));
        let args = Reduce { x: Ptr::at(x), y: Ptr::at(y), count: 1000, reserved: 0 };
        device.call("reduce", [3, 1, 1], 256, 256 * 4, &args).unwrap();
        assert_eq!(device.values::<f32>(y, 1), [values().iter().sum::<f32>()]);
    }
}

#[test]
fn a_missing_barrier_gives_a_wrong_sum() {
    for seed in 0..8 {
        let Some(sum) = reduce("reduce", "#define REDUCE_WITHOUT_BARRIER", 256, seed) else { return };
        assert_ne!(sum.unwrap(), values().iter().sum::<f32>(), "seed {seed}");
    }
}

#[test]
fn a_barrier_that_not_all_reach_is_an_error_with_any_seed() {
    for seed in 0..8 {
        let Some(sum) = reduce("reduce", "#define REDUCE_DIVERGENT", 256, seed) else { return };
        let message = sum.unwrap_err().to_string();
        assert!(message.contains("kernel `reduce`, block (0, 0, 0), thread "), "{message}");
        assert!(
            message.contains("waits at __syncthreads (reduce.cu:17) while others wait at another (reduce.cu:15)")
                || message.contains("waits at __syncthreads (reduce.cu:15) while others wait at another (reduce.cu:17)"),
            "{message}"
        );
        let Some(sum) = reduce("reduce", "#define REDUCE_FEWER_ROUNDS", 64, seed) else { return };
        let message = sum.unwrap_err().to_string();
        assert!(message.contains("while others wait at another"), "{message}");
    }
}
