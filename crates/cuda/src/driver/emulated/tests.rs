use super::*;
use crate::args::macros::args;
use crate::args::{Floats, Ptr};

args! {
    /// Of the kernels in tests/host.
    struct Reduce { x: Floats, y: Floats, count: u32, reserved: u32 }
}

fn reduce(fault: &str, seed: u64) -> Option<net::Result<f32>> {
    let mut device = testing::device(Element::F32, seed)?;
    device
        .compile_text("reduce.cu", &format!("#define FAULT_{fault}\n{}", include_str!("../../../tests/host/reduce.cu")))
        .unwrap();
    let values: Vec<f32> = (0..1000).map(|i| (i % 17) as f32).collect();
    let (x, y) = (device.with(&values), device.room::<f32>(1));
    let args = Reduce { x: Ptr::at(x), y: Ptr::at(y), count: 1000, reserved: 0 };
    Some(device.call("reduce", [1, 1, 1], 256, 256 * 4, &args).map(|()| device.values::<f32>(y, 1)[0]))
}

#[test]
fn a_block_adds_up() {
    let expected: f32 = (0..1000).map(|i| (i % 17) as f32).sum();
    for seed in 0..20 {
        let Some(result) = reduce("NONE", seed) else { return };
        assert_eq!(result.unwrap(), expected, "seed {seed}");
    }
}

#[test]
fn every_source_is_compiled_for_every_element() {
    for element in [Element::F32, Element::Tf32, Element::Bf16, Element::F16] {
        let Some(mut device) = testing::device(element, 1) else { return };
        for (name, _) in SOURCES {
            device.compile(name).unwrap();
        }
    }
}
