//! Ten steps of training.
//!
//! Two runs of the same net part from each other: rounding moves the weights, the moved weights move the gradients, and
//! now and then a rectifier or a maximum decides otherwise. How fast depends on the net and has no useful bound in advance,
//! so the oracle measures it: it trains once as it is, and [`NUDGED`] times with every pass disturbed as rounding would. A
//! dot product of `K` terms computed in f32 is the exact one of weights that are off by at most `√K·u` (backward
//! error, in the probabilistic form of [`crate::bound`]), so each pass sees weights times `1 ± √K·u`, the signs at random;
//! each update rounds weights and velocities, a factor `1 ± u`. The engine may stray from the oracle [`LAMBDA`] times as
//! far as the root mean square of the disturbed runs, in the Euclidean norm of each tensor. A run in which weights have
//! not moved [`MEANINGFUL`] times as far as that proves nothing and fails.

use net::random::{Purpose, Stream};
use net::{Form, Hyper, Kind, Mode, Net, ParamHyper, ParamSet, StepInfo, Targets};
use reference::{Pass, Reference};

use crate::bound::{ELEMENTARY, LAMBDA, U, gamma};
use crate::follow::to_f64;
use crate::inputs::{Values, batch, lively_params};
use crate::report::{Fault, Findings, Report};
use crate::subject::Subject;

const SEED: u64 = 1957;
const STEPS: u32 = 10;
const NUDGED: u32 = 3;

/// How far weights must move, in units of what they may stray.
const MEANINGFUL: f64 = 20.0;

/// What ten steps left: the loss of each, then weights and momenta.
struct Course {
    nll_sums: Vec<f64>,
    tensors: Vec<Vec<f64>>,
}

/// Ten steps of the presets called `names` on `n` images each, by every subject: losses, weights and momenta.
pub fn training(subjects: &[Subject<'_>], names: &[&str], form: Form, n: usize) -> Vec<Report> {
    let mut reports: Vec<Report> = subjects.iter().map(|subject| Report::new(subject.name)).collect();
    for name in names {
        // The oracle's runs serve all subjects.
        let oracle = Net::preset(name).map(|net| (0..=NUDGED).map(|run| by_oracle(&net, form, n, run)).collect::<Vec<_>>());
        for (subject, report) in subjects.iter().zip(&mut reports) {
            subject.case(report, &format!("training/{name}/{form:?}"), |findings| {
                let runs = oracle.as_ref().map_err(|error| Fault::Contract(error.to_string()))?;
                let net = Net::preset(name)?;
                let course = by_engine(subject, &net, form, n)?;
                judge(&net, &course, runs, findings);
                Ok(())
            });
        }
    }
    reports
}

/// Rates near the presets' own, decay on weights only.
fn hyper(net: &Net, form: Form) -> Hyper {
    let param = |index| ParamHyper { rate: [0.001, 0.002][index % 2], decay: [5e-3, 0.0][index % 2] };
    Hyper { form, momentum: 0.9, params: (0..net.params().len()).map(param).collect() }
}

fn first_params(net: &Net) -> ParamSet {
    lively_params(net, SEED, 0.5)
}

fn info(step: u32, n: usize) -> StepInfo {
    StepInfo::whole(SEED, step, n)
}

fn by_engine(subject: &Subject<'_>, net: &Net, form: Form, n: usize) -> Result<Course, Fault> {
    let mut exec = subject.train(net, n)?;
    exec.load(Kind::Weights, &first_params(net))?;
    exec.load(Kind::Momentum, &ParamSet::zeros(net))?;
    let mut nll_sums = Vec::new();
    for step in 0..STEPS {
        exec.forward_backward(&batch(net, Values::Normal, u64::from(step), n, n), info(step, n))?;
        exec.apply(&hyper(net, form))?;
        nll_sums.extend(exec.take_loss(true)?.map(|loss| loss.nll_sum));
    }
    let sets = [exec.save(Kind::Weights)?, exec.save(Kind::Momentum)?];
    let tensors = sets.iter().flat_map(|set| set.iter().map(|(_, tensor)| to_f64(&tensor.data))).collect();
    Ok(Course { nll_sums, tensors })
}

/// The oracle's run; all but run 0 are disturbed.
fn by_oracle(net: &Net, form: Form, n: usize, run: u32) -> Course {
    let mut exec = reference::prepare(net, n, Mode::Train);
    let first = first_params(net);
    for (index, (_, tensor)) in first.iter().enumerate() {
        exec.weight_mut(index).copy_from_slice(&to_f64(&tensor.data));
    }
    let params = net.params();
    let hyper = hyper(net, form);
    let mut momenta: Vec<Vec<f64>> = params.iter().map(|p| vec![0.0; p.len()]).collect();
    let mut nll_sums = Vec::new();
    for step in 0..STEPS {
        let images = batch(net, Values::Normal, u64::from(step), n, n);
        let weights: Vec<Vec<f64>> = (0..params.len()).map(|index| exec.weight(index).to_vec()).collect();
        let nudge = |index: usize, size: f64, what: u32, values: &mut [f64]| {
            if run > 0 {
                disturb(Stream::new(SEED, Purpose::Test, run, step, 3 * index as u32 + what), size, values);
            }
        };
        for (index, info) in params.iter().enumerate() {
            nudge(index, (info.fan_in as f64).sqrt() * U, 0, exec.weight_mut(index));
        }
        nll_sums.push(pass(&mut exec, to_f64(images.f32()), images.targets(), info(step, n)));
        for (index, w) in weights.into_iter().enumerate() {
            exec.weight_mut(index).copy_from_slice(&w);
            let gradient = exec.gradient(index).to_vec();
            let (v, w) = (&mut momenta[index], exec.weight_mut(index));
            reference::update::update(form, hyper.momentum, hyper.params[index], &gradient, v, w);
            nudge(index, U, 1, v);
            nudge(index, U, 2, w);
        }
    }
    let weights = (0..params.len()).map(|index| exec.weight(index).to_vec());
    Course { nll_sums, tensors: weights.chain(momenta).collect() }
}

fn pass(exec: &mut Reference, pixels: Vec<f64>, targets: Targets<'_>, info: StepInfo) -> f64 {
    exec.run(pixels, Pass::Train(info));
    exec.run_backward(targets, info);
    exec.nll_sum(targets)
}

/// Each value times `1 ± size`, at random.
fn disturb(stream: Stream, size: f64, values: &mut [f64]) {
    for (word, some) in values.chunks_mut(32).enumerate() {
        let bits = stream.u32(word as u32);
        some.iter_mut().enumerate().for_each(|(i, x)| *x *= if bits >> i & 1 == 0 { 1.0 + size } else { 1.0 - size });
    }
}

fn distance(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt()
}

fn root_mean_square(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = values.len() as f64;
    (values.map(|x| x * x).sum::<f64>() / count).sqrt()
}

fn judge(net: &Net, engine: &Course, runs: &[Course], findings: &mut Findings) {
    let (oracle, nudged) = (&runs[0], &runs[1..]);
    findings.expect(engine.nll_sums.len() == oracle.nll_sums.len(), || format!("{} losses of 10 steps", engine.nll_sums.len()));
    let mut strayed = 0.0_f64;
    for (step, (&loss, &expected)) in engine.nll_sums.iter().zip(&oracle.nll_sums).enumerate() {
        // What the runs strayed in this or an earlier step, and the rounding of the softmax itself.
        strayed = strayed.max(root_mean_square(nudged.iter().map(|run| run.nll_sums[step] - expected)));
        let bound = LAMBDA * strayed + (2.0 * ELEMENTARY + gamma(net.classes())) * (1.0 + expected);
        let error = (loss - expected).abs();
        findings.expect(error <= bound, || format!("loss of step {step}: {loss:e}, oracle {expected:e}, bound {bound:.3e}"));
        note_share(findings, error / bound, || format!("loss of step {step}"));
    }
    let first = first_params(net);
    let start = first.iter().map(|(_, tensor)| to_f64(&tensor.data)).chain(net.params().iter().map(|p| vec![0.0; p.len()]));
    for (index, start) in start.enumerate() {
        let info = &net.params()[index % net.params().len()];
        let tensor = || format!("{} of {}", if index < net.params().len() { "weights" } else { "momenta" }, info.name);
        let expected = &oracle.tensors[index];
        let strayed = root_mean_square(nudged.iter().map(|run| distance(&run.tensors[index], expected)));
        let bound = LAMBDA * strayed + f64::from(f32::MIN_POSITIVE);
        let error = distance(&engine.tensors[index], expected);
        let moved = distance(expected, &start);
        findings.checked += expected.len();
        findings.expect(error <= bound, || {
            let name = tensor();
            format!("{name} {:?}: distance {error:.3e} from the oracle's, bound {bound:.3e}, moved {moved:.3e}", info.shape)
        });
        findings.expect(moved >= MEANINGFUL * bound, || {
            format!("{} moved {moved:.3e}, too little for a bound of {bound:.3e}", tensor())
        });
        note_share(findings, error / bound, tensor);
    }
}

fn note_share(findings: &mut Findings, share: f64, tensor: impl FnOnce() -> String) {
    if share > findings.closest.0 && share <= 1.0 {
        findings.closest = (share, tensor());
    }
}
