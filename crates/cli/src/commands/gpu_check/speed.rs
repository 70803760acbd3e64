//! How fast the GPU is: kernel by kernel, and in whole steps.

use std::sync::Arc;

use cuda::{KernelTime, Rate};
use net::random::{Purpose, Stream};
use net::{Batch, Bytes, Executor, Form, Hyper, Kind, Look, Mode, Net, ParamHyper, Pixels, Precision, Toning};
use serde_json::{Value, json};

use super::{Bench, How};
use crate::failure::Result;

/// What was measured.
pub(super) struct Speed {
    pub(super) device: String,
    /// The net and the batch of the kernels' times, and those, in the order of a step.
    pub(super) profiled: (String, usize),
    pub(super) kernels: Vec<KernelTime>,
    pub(super) rates: Vec<Measured>,
}

/// Images a second of a net.
pub(super) struct Measured {
    pub(super) net: &'static str,
    pub(super) mode: &'static str,
    pub(super) precision: Precision,
    /// Whether passes were recorded and put on the GPU at once.
    pub(super) recorded: bool,
    pub(super) rate: Rate,
}

impl Speed {
    pub(super) fn json(&self) -> Value {
        let kernel = |time: &KernelTime| {
            json!({
                "kernel": time.kernel, "layer": time.layer, "pass": time.pass, "microseconds": time.seconds * 1e6,
                "tflops": time.flops as f64 / time.seconds / 1e12, "gb_per_s": time.bytes as f64 / time.seconds / 1e9,
            })
        };
        let rate = |m: &Measured| {
            json!({
                "net": m.net, "mode": m.mode, "precision": m.precision.to_string(), "graph": m.recorded, "batch": m.rate.batch,
                "images_per_s": m.rate.images_per_s, "spread": m.rate.spread,
            })
        };
        json!({
            "kernels_of": { "net": self.profiled.0, "batch": self.profiled.1 },
            "kernels": self.kernels.iter().map(kernel).collect::<Vec<_>>(),
            "rates": self.rates.iter().map(rate).collect::<Vec<_>>(),
        })
    }
}

/// Crops of random bytes, as a loader gives them.
fn crops(net: &Net, n: usize) -> Batch {
    let (shape, stream) = (net.input(), Stream::new(1, Purpose::Test, 0, 0, 0));
    let block = |e: usize| stream.block(e as u32).map(u32::to_ne_bytes).concat();
    let mut rgb: Vec<u8> = (0..(n * shape.len()).div_ceil(16)).flat_map(block).collect();
    rgb.truncate(n * shape.len());
    let look = Look { place: [0, 0], reflected: false, shift: [0.0; 3], scale: [1.0 / 58.0; 3] };
    let mean = vec![120.0; 3 * shape.plane()];
    let toning = Toning { order: [0, 1, 2], mean, height: shape.h, width: shape.w, moves: false };
    let pixels = Pixels::Bytes(Bytes { rgb, looks: vec![look; n], toning: Arc::new(toning) });
    let labels = (0..n).map(|i| (i % net.classes()) as u32).collect();
    Batch { pixels, labels, mixed: None, n }
}

pub(super) fn measure(bench: &Bench) -> Result<Speed> {
    let small = bench.is_emulated();
    let (nets, batches): (&[&'static str], &[usize]) =
        if small { (&["tiny"], &[2]) } else { (&["alexnet", "torchvision"], &[128, 256, 512, 1024, 2048]) };
    let seconds = if small { 0.0 } else { 1.0 };
    let net = Net::preset(nets[0])?;
    let batch = crops(&net, if small { 2 } else { 1024 });
    bench.say(&format!("every kernel of a step of {} with {} images", nets[0], batch.n));
    let mut exec = bench.prepare(&net, batch.n, Mode::Train, How::of(Precision::Bf16))?;
    exec.load(Kind::Weights, &net.initial_params(bench.seed))?;
    let (device, kernels) = (exec.device_name(), exec.profile(&batch)?);
    drop(exec);
    let mut rates = Vec::new();
    for &name in nets {
        let net = Net::preset(name)?;
        let params = vec![ParamHyper { rate: 1e-6, decay: 5e-4 }; net.params().len()];
        let hyper = Hyper { form: Form::RateInside, momentum: 0.9, params };
        let weights = net.initial_params(bench.seed);
        for &n in batches {
            let batch = crops(&net, n);
            for (mode, mode_name) in [(Mode::Train, "train"), (Mode::Infer, "infer")] {
                for recorded in [true, false] {
                    bench.say(&format!("{mode_name} {name} with {n} images{}", if recorded { "" } else { ", unrecorded" }));
                    let how = How { unrecorded: !recorded, ..How::of(Precision::Bf16) };
                    let mut exec = bench.prepare(&net, n, mode, how)?;
                    exec.load(Kind::Weights, &weights)?;
                    let rate = exec.rate(&batch, &hyper, seconds)?;
                    rates.push(Measured { net: name, mode: mode_name, precision: Precision::Bf16, recorded, rate });
                }
            }
        }
    }
    Ok(Speed { device, profiled: (nets[0].into(), batch.n), kernels, rates })
}
