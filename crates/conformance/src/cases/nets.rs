//! Whole nets.

use net::{Executor, Kind, Mode, Net, ParamSet, StepInfo, StepLoss};

use super::contract::add_up;
use crate::bound::Propagation;
use crate::inputs::{Values, batch, lively_params};
use crate::report::{Fault, Findings, Report};
use crate::subject::{Keep, Subject};

const SEED: u64 = 1998;

/// The presets called `names`, forward and backward, with dropout, in training and in testing, on `n` images each.
///
/// Every activation, the loss, every parameter's gradient and the gradient by the pixels are compared.
pub fn nets(subject: &Subject<'_>, names: &[&str], n: usize) -> Report {
    let mut report = Report::new(subject.name);
    for name in names {
        subject.case(&mut report, &format!("net/{name}"), |findings| one_net(subject, name, n, findings));
    }
    report
}

fn one_net(subject: &Subject<'_>, name: &str, n: usize, findings: &mut Findings) -> Result<(), Fault> {
    let net = Net::preset(name)?;
    let params = lively_params(&net, SEED, 0.05);
    let batch = batch(&net, Values::Pixels, SEED, n, n + 1);
    let mut exec = subject.train(&net, n + 1)?;
    let check = subject.check(exec.as_ref(), &net, &params, Propagation::Probable);
    exec.load(Kind::Weights, &params)?;
    let info = StepInfo { seed: SEED, step: 3, first_image: 0, step_images: n as u32 };
    check.training(exec.as_mut(), &batch, info, findings)?;
    live(exec.as_mut(), findings)?;
    drop(exec);
    let mut infer = subject.make(&net, n + 1, Mode::Infer, Keep::Everything)?;
    let check = subject.check(infer.as_ref(), &net, &params, Propagation::Probable);
    infer.load(Kind::Weights, &params)?;
    check.forward(infer.as_mut(), &batch, findings)
}

/// How a net is run that is no preset.
#[derive(Debug, Clone, Copy)]
pub struct Trial<'a> {
    /// The net.
    pub net: &'a Net,
    /// The kind of its pixels.
    pub values: Values,
    /// Images of the whole step.
    pub images: usize,
    /// Images that the executor is prepared for, at least as many.
    pub capacity: usize,
    /// Seed of pixels, labels and parameters.
    pub seed: u64,
}

/// A net of any make on the engine, which may have parts that are idle: forward and backward on all images at once, then
/// cut into two micro-batches; testing after that; and inference, whether or not the engine keeps everything.
///
/// Every activation, the losses, every parameter's gradient and the gradient by the pixels are compared.
pub fn trial(subject: &Subject<'_>, trial: &Trial<'_>) -> Report {
    let mut report = Report::new(subject.name);
    subject.case(&mut report, &format!("trial/{}", trial.net.name()), |findings| one_trial(subject, trial, findings));
    report
}

fn one_trial(subject: &Subject<'_>, trial: &Trial<'_>, findings: &mut Findings) -> Result<(), Fault> {
    let Trial { net, values, images, capacity, seed } = *trial;
    // Logits of about 1, or the softmax would pass no gradients.
    let (last, how) = match values {
        Values::Normal => (1.0, Propagation::Probable),
        Values::Pixels => (0.05, Propagation::Probable),
        Values::Offset | Values::Extreme => (0.01, Propagation::Worst),
        Values::Tiny | Values::Zeros | Values::Integers | Values::Negative => (1.0, Propagation::Worst),
    };
    let params = lively_params(net, seed, last);
    let batch = batch(net, values, seed, images, capacity);
    let mut exec = subject.train(net, capacity)?;
    let check = subject.check(exec.as_ref(), net, &params, how);
    exec.load(Kind::Weights, &params)?;
    let first = images.div_ceil(3);
    let parts = if images > 1 { vec![first, images - first] } else { vec![1] };
    add_up(exec.as_mut(), &check, &batch, &parts, findings)?;
    check.forward(exec.as_mut(), &batch, findings)?;
    drop(exec);
    let mut probabilities = Vec::new();
    for keep in [Keep::Everything, Keep::AsUsual] {
        let mut infer = subject.make(net, capacity, Mode::Infer, keep)?;
        infer.load(Kind::Weights, &params)?;
        if keep == Keep::Everything {
            let check = subject.check(infer.as_ref(), net, &params, how);
            check.forward(infer.as_mut(), &batch, findings)?;
        }
        probabilities.push(infer.forward(&batch)?.iter().map(|p| p.to_bits()).collect::<Vec<_>>());
    }
    findings.expect(probabilities[0] == probabilities[1], || "the probabilities depend on what is kept".into());
    Ok(())
}

/// [`same_bits`] of a net of any make.
pub fn trial_same_bits(subjects: &[Subject<'_>], net: &Net, n: usize) -> Report {
    let all: Vec<&str> = subjects.iter().map(|s| s.name).collect();
    let mut report = Report::new(&all.join(" = "));
    same_bits_of(&mut report, subjects, &|| Ok(net.clone()), net.name(), n);
    report
}

/// The case means something: every parameter has a gradient.
fn live(exec: &mut dyn Executor, findings: &mut Findings) -> Result<(), Fault> {
    for (name, tensor) in exec.save(Kind::Gradients)?.iter() {
        findings.expect(tensor.data.iter().any(|g| *g != 0.0), || format!("all gradients of {name} are 0"));
    }
    Ok(())
}

/// All that two steps of training leave behind, and what comes of testing after them.
#[derive(Debug, Clone, PartialEq)]
struct Outcome {
    losses: Vec<StepLoss>,
    sets: Vec<(Kind, ParamSet)>,
    probabilities: Vec<f32>,
}

/// Every subject computes the same bits of loss, weights, momenta, gradients and probabilities as the first: two steps of
/// each preset called `names` on `n` images, cut into two micro-batches, whether or not it keeps everything.
pub fn same_bits(subjects: &[Subject<'_>], names: &[&str], n: usize) -> Report {
    let all: Vec<&str> = subjects.iter().map(|s| s.name).collect();
    let mut report = Report::new(&all.join(" = "));
    for name in names {
        same_bits_of(&mut report, subjects, &|| Net::preset(name), name, n);
    }
    report
}

/// [`same_bits`] of one net.
fn same_bits_of(report: &mut Report, subjects: &[Subject<'_>], net: &dyn Fn() -> net::Result<Net>, name: &str, n: usize) {
    let mut first = None;
    for subject in subjects {
        for keep in [Keep::AsUsual, Keep::Everything] {
            subject.case(report, &format!("same bits/{name}/{}/{keep:?}", subject.name), |findings| {
                let outcome = outcome(subject, &net()?, n, keep)?;
                let expected = first.get_or_insert_with(|| outcome.clone());
                same(expected, &outcome, findings);
                Ok(())
            });
        }
    }
}

fn outcome(subject: &Subject<'_>, net: &Net, n: usize, keep: Keep) -> Result<Outcome, Fault> {
    let mut exec = subject.make(net, n, Mode::Train, keep)?;
    exec.load(Kind::Weights, &lively_params(net, SEED, 0.05))?;
    exec.load(Kind::Momentum, &ParamSet::zeros(net))?;
    let hyper = net::ParamHyper { rate: 1e-3, decay: 5e-4 };
    let hyper = net::Hyper { momentum: 0.9, params: vec![hyper; net.params().len()], ..net::Hyper::default() };
    let mut losses = Vec::new();
    for step in 0..2 {
        for part in 0..2 {
            let batch = batch(net, Values::Pixels, u64::from(10 * step + part), n, n);
            let (first_image, step_images) = (part * n as u32, 2 * n as u32);
            exec.forward_backward(&batch, StepInfo { seed: SEED, step, first_image, step_images })?;
            losses.extend(exec.take_loss(true)?);
        }
        exec.apply(&hyper)?;
    }
    let probabilities = exec.forward(&batch(net, Values::Pixels, 77, n, n))?.to_vec();
    let kinds = [Kind::Weights, Kind::Momentum, Kind::Gradients];
    let sets = kinds.into_iter().map(|kind| Ok((kind, exec.save(kind)?))).collect::<Result<_, net::Error>>()?;
    Ok(Outcome { losses, sets, probabilities })
}

fn same(expected: &Outcome, outcome: &Outcome, findings: &mut Findings) {
    let losses = |o: &Outcome| o.losses.iter().map(|l| (l.nll_sum.to_bits(), l.top1, l.images)).collect::<Vec<_>>();
    findings.expect(outcome.losses.len() == 4 && losses(expected) == losses(outcome), || {
        format!("losses {:?}, expected {:?}", outcome.losses, expected.losses)
    });
    let mut slices = vec![("probabilities".to_string(), &expected.probabilities, &outcome.probabilities)];
    for ((kind, a), (_, b)) in expected.sets.iter().zip(&outcome.sets) {
        slices.extend(a.iter().zip(b.iter()).map(|((name, a), (_, b))| (format!("{kind:?} of {name}"), &a.data, &b.data)));
    }
    for (name, a, b) in slices {
        let different = a.iter().zip(b).position(|(a, b)| a.to_bits() != b.to_bits());
        findings.expect(different.is_none() && a.len() == b.len(), || {
            let at = different.unwrap_or(0);
            format!("{name} differ, first at {at}: {:e} and {:e}", b[at], a[at])
        });
        findings.checked += a.len();
    }
}
