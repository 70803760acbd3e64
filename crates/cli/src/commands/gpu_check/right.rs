//! Whether the GPU computes what it should.

use conformance::inputs::{self, Values};
use conformance::{Keep, OPS, Prepare, Report, Subject};
use net::{AvgPool, Batch, Executor, Form, Hyper, Kind, Layer, Mode, Net, Op, ParamHyper, ParamSet, Precision, StepInfo};
use serde_json::{Value, json};

use super::{Bench, How};
use crate::failure::Result;

/// One check: what was compared, what came out, and what is wrong where something is.
pub(super) struct Check {
    pub(super) name: String,
    pub(super) found: String,
    pub(super) fault: Option<String>,
}

impl Check {
    pub(super) fn json(&self) -> Value {
        json!({ "name": self.name, "found": self.found, "fault": self.fault })
    }
}

/// All checks, one after the other; one that fails does not keep others from running.
pub(super) fn check(bench: &Bench) -> Result<Vec<Check>> {
    let mut all = suite(bench);
    let nets: &[&str] = if bench.is_emulated() { &["tiny"] } else { &["cifar-80sec", "scenes"] };
    for precision in Precision::ALL {
        for name in nets {
            bench.say(&format!("gradients of {name} in {precision} beside the oracle"));
            all.push(gradients(bench, name, precision)?);
        }
    }
    let (nets, images, steps): (&[&str], usize, u32) =
        if bench.is_emulated() { (&["tiny"], 3, 3) } else { (&["alexnet", "torchvision"], 8, 20) };
    for name in nets {
        for precision in [Precision::F32, Precision::Bf16] {
            bench.say(&format!("{steps} steps of {name} in {precision} beside the CPU's engine"));
            all.push(course(bench, name, precision, images, steps)?);
        }
    }
    Ok(all)
}

/// The suite that every engine passes, in f32.
fn suite(bench: &Bench) -> Vec<Check> {
    let prepare: Box<Prepare<'_>> = Box::new(|net, batch, mode, keep| {
        let how = How { inspect: keep == Keep::Everything, ..How::of(Precision::F32) };
        Ok(Box::new(bench.prepare(net, batch, mode, how).map_err(|error| error.to_string())?) as Box<dyn Executor>)
    });
    let subject = Subject { name: "cuda", prepare: &*prepare, tiles: &conformance::no_tiles, cannot: &[] };
    type Part<'a> = (&'a str, &'a dyn Fn(&Subject<'_>) -> Report);
    let nets = |subject: &Subject<'_>| {
        let names: &[&str] = if bench.is_emulated() { &["tiny"] } else { &["tiny", "cifar-80sec", "cifar-13pct", "alexnet"] };
        conformance::nets(subject, names, 2)
    };
    let training = |subject: &Subject<'_>| {
        let mut reports = conformance::training(std::slice::from_ref(subject), &["tiny"], Form::RateOutside, 4);
        reports.pop().unwrap_or_else(|| Report::new("cuda"))
    };
    let parts: [Part<'_>; 4] = [
        ("every kind of layer", &|subject| conformance::ops(subject, OPS)),
        ("the contract of executors", &conformance::contract),
        ("whole nets", &nets),
        ("ten steps of training", &training),
    ];
    let run = |(name, part): &Part<'_>| {
        bench.say(&format!("{name}, beside the oracle"));
        let report = part(&subject);
        let found = report.to_string().lines().next().unwrap_or_default().to_string();
        let fault = report.verdict(false).err();
        Check { name: format!("suite: {name}, f32"), found, fault }
    };
    // What a device that is this CPU computes, the tests of the engine ask in full.
    let first = usize::from(bench.is_emulated());
    parts[first..].iter().map(run).collect()
}

/// The net without kinks: where a rectifier or a maximum chooses otherwise after one rounding, two right gradients are far apart.
fn smooth(net: &Net) -> Result<Net> {
    let op = |op: &Op| match op {
        Op::Relu => Op::Tanh,
        Op::MaxPool(pool) => {
            let (kernel, stride, padding, rounding) = (pool.kernel, pool.stride, pool.padding, pool.rounding);
            Op::AvgPool(AvgPool { kernel, stride, padding, rounding })
        }
        other => other.clone(),
    };
    let layers = net.layers().iter().map(|layer| Layer { name: layer.name.clone(), op: op(&layer.op) }).collect();
    Ok(Net::new(net.name(), net.input(), layers)?)
}

/// What one rounding of the precision changes, as a share.
fn rounding(precision: Precision) -> f64 {
    match precision {
        Precision::F32 => 2.0_f64.powi(-24),
        Precision::Tf32 | Precision::F16 => 2.0_f64.powi(-11),
        Precision::Bf16 => 2.0_f64.powi(-8),
    }
}

/// ‖found − expected‖ / ‖expected‖ of the parameter that is worst.
fn distance(found: &ParamSet, expected: &ParamSet) -> (f64, String) {
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|x| x * x).sum::<f64>().sqrt();
    let mut worst = (0.0, String::new());
    for ((name, found), (_, expected)) in found.iter().zip(expected.iter()) {
        let pairs = found.data.iter().zip(&expected.data);
        let apart = norm(&mut pairs.map(|(&a, &b)| f64::from(a) - f64::from(b)));
        let share = apart / norm(&mut expected.data.iter().map(|&x| f64::from(x))).max(f64::MIN_POSITIVE);
        if exceeds(share, worst.0) {
            worst = (share, name.to_string());
        }
    }
    worst
}

/// Weights that every precision has exactly, so that what differs is what the passes round.
fn exact_weights(net: &Net, seed: u64) -> ParamSet {
    let mut set = net.initial_params(seed);
    for (_, tensor) in set.iter_mut() {
        tensor.data.iter_mut().for_each(|w| *w = f32::from_bits(w.to_bits() & 0xffff_0000));
    }
    set
}

/// The gradients of a net without kinks, against the oracle's: each within what some ten layers of roundings make, by norm.
fn gradients(bench: &Bench, name: &str, precision: Precision) -> Result<Check> {
    const ROUNDINGS: f64 = 4.0;
    let net = smooth(&Net::preset(name)?)?;
    let (n, info) = (4, StepInfo { seed: bench.seed, step: 5, first_image: 0, step_images: 4 });
    let (batch, weights) = (inputs::batch(&net, Values::Normal, bench.seed, n, n), exact_weights(&net, bench.seed));
    let mut oracle = reference::prepare(&net, n, Mode::Train);
    let mut exec = bench.prepare(&net, n, Mode::Train, How::of(precision))?;
    let of = |exec: &mut dyn Executor| -> Result<ParamSet> {
        exec.load(Kind::Weights, &weights)?;
        exec.forward_backward(&batch, info)?;
        Ok(exec.save(Kind::Gradients)?)
    };
    let (expected, found) = (of(&mut oracle)?, of(&mut exec)?);
    let (worst, parameter) = distance(&found, &expected);
    let bound = ROUNDINGS * rounding(precision).max(2.0_f64.powi(-22));
    let fault = exceeds(worst, bound).then(|| format!("{worst:.2e} of the norm of {parameter}, and {bound:.2e} may be"));
    let name = format!("gradients of {name} without kinks, {precision}");
    Ok(Check { name, found: format!("at most {worst:.2e} of their norm, at {parameter}"), fault })
}

/// The losses of some steps of training, against the CPU engine's in f32: the loss is a mean, so it moves by a few roundings.
fn course(bench: &Bench, name: &str, precision: Precision, images: usize, steps: u32) -> Result<Check> {
    const ROUNDINGS: f64 = 4.0;
    let net = Net::preset(name)?;
    let batches: Vec<Batch> =
        (0..u64::from(steps)).map(|step| inputs::batch(&net, Values::Normal, bench.seed + step, images, images)).collect();
    let hyper =
        Hyper { form: Form::RateInside, momentum: 0.9, params: vec![ParamHyper { rate: 1e-3, decay: 5e-4 }; net.params().len()] };
    let losses = |exec: &mut dyn Executor| -> Result<Vec<f64>> {
        exec.load(Kind::Weights, &net.initial_params(bench.seed))?;
        for (step, batch) in batches.iter().enumerate() {
            exec.forward_backward(batch, StepInfo::whole(bench.seed, step as u32, images))?;
            exec.apply(&hyper)?;
        }
        let mut all = Vec::new();
        while let Some(loss) = exec.take_loss(true)? {
            all.push(loss.nll_sum / images as f64);
        }
        Ok(all)
    };
    let expected = losses(&mut cpu::prepare(&net, images, Mode::Train, &cpu::Options::default())?)?;
    let found = losses(&mut bench.prepare(&net, images, Mode::Train, How::of(precision))?)?;
    let apart = expected.iter().zip(&found).map(|(a, b)| (a - b).abs() / a.abs()).fold(0.0, nan_max);
    let bound = ROUNDINGS * rounding(precision).max(2.0_f64.powi(-16));
    let missing = (found.len() != steps as usize).then(|| format!("{} losses of {steps} steps", found.len()));
    let fault =
        missing.or_else(|| exceeds(apart, bound).then(|| format!("losses are {apart:.2e} apart, and {bound:.2e} may be")));
    let last = found.last().copied().unwrap_or(f64::NAN);
    let name = format!("{steps} steps of {name}, {precision}, beside the CPU's engine");
    Ok(Check { name, found: format!("losses at most {apart:.2e} apart, the last {last:.4}"), fault })
}

/// Whether a value is larger than a bound, or no number.
fn exceeds(value: f64, bound: f64) -> bool {
    value > bound || value.is_nan()
}

/// The larger, and what is no number before everything else.
fn nan_max(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() { f64::NAN } else { a.max(b) }
}
