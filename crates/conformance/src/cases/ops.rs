//! Every op alone, in many geometries, on values chosen to hurt.

use net::{Layer, Linear, Mode, Net, Op, ParamSet, Shape, StepInfo};
use reference::Pass;
use reference::layer::{self, Params};

use super::geometry::{Geometry, LEARN, all};
use crate::bound::Propagation;
use crate::follow::to_f64;
use crate::inputs::{Values, batch, lively_params};
use crate::report::{Fault, Findings, Report};
use crate::subject::{Keep, Subject};

/// The largest batch of these cases.
const CAPACITY: usize = 3;

/// The kinds of op, as [`Op::kind`] calls them.
pub const OPS: &[&str] =
    &["conv", "local", "relu", "tanh", "lrn", "lrn_within", "max_pool", "avg_pool", "dropout", "linear", "softmax"];

/// Every op of these `kinds`, forward and backward: a net `[op, linear, softmax]` in full and partial batches, and in one
/// for inference, with errors propagated as [`Propagation::Worst`].
pub fn ops(subject: &Subject<'_>, kinds: &[&str]) -> Report {
    let mut report = Report::new(subject.name);
    for (number, geometry) in all().iter().enumerate().filter(|(_, geometry)| kinds.contains(&geometry.op.kind())) {
        subject.case(&mut report, &geometry.name, |findings| one_geometry(subject, number as u64, geometry, findings));
    }
    let softmax_sizes: &[usize] = if kinds.contains(&"softmax") { &[1, 2, 3, 10, 1000] } else { &[] };
    for &classes in softmax_sizes {
        subject.case(&mut report, &format!("softmax/{classes} classes"), |findings| softmax(subject, classes, findings));
    }
    report
}

/// The op, then something linear and a softmax that make a loss of it.
pub(crate) fn one_op(geometry: &Geometry) -> net::Result<Net> {
    let layer = |name: &str, op| Layer { name: name.into(), op };
    let head = Op::Linear(Linear { k: 7, weight: LEARN, bias: LEARN });
    let layers = vec![layer("op", geometry.op.clone()), layer("head", head), layer("prob", Op::Softmax)];
    Net::new("one-op", geometry.input, layers)
}

fn one_geometry(subject: &Subject<'_>, seed: u64, geometry: &Geometry, findings: &mut Findings) -> Result<(), Fault> {
    let net = one_op(geometry)?;
    let mut exec = subject.train(&net, CAPACITY)?;
    let kinds = [Values::Normal, Values::Offset, Values::Tiny, Values::Zeros, Values::Integers, Values::Negative, Values::Pixels];
    for (turn, values) in kinds.into_iter().enumerate() {
        let n = [3, 1, 2][turn % 3];
        let batch = batch(&net, values, seed, n, CAPACITY);
        let params = head_to_measure(&net, values, seed, &to_f64(batch.f32()));
        let check = subject.check(exec.as_ref(), &net, &params, Propagation::Worst);
        exec.load(net::Kind::Weights, &params)?;
        // One image more in the step than in the batch, so that the division shows.
        let info = StepInfo { seed: 0x0123_4567_89ab_cdef, step: 7 + turn as u32, first_image: 0, step_images: n as u32 + 1 };
        check.training(exec.as_mut(), &batch, info, findings)?;
        check.forward(exec.as_mut(), &batch, findings)?;
    }
    let params = lively_params(&net, seed, 1.0);
    let mut infer = subject.make(&net, 1, Mode::Infer, Keep::Everything)?;
    infer.load(net::Kind::Weights, &params)?;
    let check = subject.check(infer.as_ref(), &net, &params, Propagation::Worst);
    check.forward(infer.as_mut(), &batch(&net, Values::Normal, seed, 1, 1), findings)
}

/// Parameters whose last weights bring logits to about 1 on this batch, so that the softmax passes gradients of every
/// class, however large or small the op's output is.
fn head_to_measure(net: &Net, values: Values, seed: u64, pixels: &[f64]) -> ParamSet {
    let mut params = lively_params(net, seed + 1000 * values as u64, 1.0);
    let tensor = |name: &str| params.get(name).map_or(Vec::new(), |tensor| to_f64(&tensor.data));
    let (weight, bias) = (tensor("op.weight"), tensor("op.bias"));
    let y = layer::forward(net, 0, Params { weight: &weight, bias: &bias }, Pass::Test, pixels);
    let rms = (y.iter().map(|y| y * y).sum::<f64>() / y.len() as f64).sqrt();
    if rms > 0.0
        && let Some(head) = params.get_mut("head.weight")
    {
        head.data.iter_mut().for_each(|w| *w = (f64::from(*w) / rms) as f32);
    }
    params
}

/// Softmax alone, on logits that are equal, tied, large, and far apart.
fn softmax(subject: &Subject<'_>, classes: usize, findings: &mut Findings) -> Result<(), Fault> {
    let layers = vec![Layer { name: "prob".into(), op: Op::Softmax }];
    let net = Net::new("softmax", Shape { c: classes, h: 1, w: 1 }, layers)?;
    let params = ParamSet::zeros(&net);
    let mut exec = subject.train(&net, CAPACITY)?;
    let check = subject.check(exec.as_ref(), &net, &params, Propagation::Worst);
    for values in
        [Values::Normal, Values::Offset, Values::Zeros, Values::Integers, Values::Negative, Values::Pixels, Values::Extreme]
    {
        for n in [3, 1] {
            let batch = batch(&net, values, classes as u64, n, CAPACITY);
            check.training(exec.as_mut(), &batch, StepInfo::whole(1, 0, n), findings)?;
            check.forward(exec.as_mut(), &batch, findings)?;
        }
    }
    Ok(())
}
