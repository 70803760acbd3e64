//! The promises of [`net::Executor`] beyond the values of one pass.

use net::{Batch, BucketValues, Conv, Executor, Form, Hyper, Kind, Layer, Linear, Mode, Net, Op, Padding, Pair, ParamHyper};
use net::{Mixed, ParamSet, Pixels, Result, Rounding, Shape, StepInfo, Tensor};
use reference::Pass;

use super::geometry::LEARN;
use crate::bound::{Bounded, Propagation, U, UNDERFLOW};
use crate::compare::{What, compare};
use crate::follow::{Check, activations};
use crate::inputs::{Values, batch, lively_params};
use crate::report::{Fault, Findings, Report};
use crate::subject::{Keep, Subject};

const SEED: u64 = 41;

/// Everything that an executor promises: accumulation over micro-batches, both updates, round trips, buckets, the queue
/// of losses, refusals, and that nothing but what is asked for changes.
pub fn contract(subject: &Subject<'_>) -> Report {
    type Case = fn(&Subject<'_>, &mut Findings) -> Result<(), Fault>;
    let cases: [(&str, Case); 11] = [
        ("micro-batches add up to the whole", micro_batches),
        ("images that are mixtures", mixtures),
        ("update, rate inside", |subject, findings| update(subject, Form::RateInside, findings)),
        ("update, rate outside", |subject, findings| update(subject, Form::RateOutside, findings)),
        ("what is loaded is saved", round_trips),
        ("buckets hold every gradient", buckets),
        ("losses come in order", losses),
        ("testing leaves training alone", testing_between),
        ("what is not finite shows", not_finite),
        ("refusals in training", refusals_in_training),
        ("refusals in inference", refusals_in_inference),
    ];
    let mut report = Report::new(subject.name);
    for (name, run) in cases {
        subject.case(&mut report, &format!("contract/{name}"), |findings| run(subject, findings));
    }
    report
}

fn tiny() -> Result<(Net, ParamSet), Fault> {
    let net = Net::preset("tiny")?;
    let params = lively_params(&net, SEED, 1.0);
    Ok((net, params))
}

fn same_bits(a: &[f32], b: &[f32]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits())
}

/// Six images at once and cut into one, two and three.
fn micro_batches(subject: &Subject<'_>, findings: &mut Findings) -> Result<(), Fault> {
    let (net, params) = tiny()?;
    let mut exec = subject.train(&net, 6)?;
    exec.load(Kind::Weights, &params)?;
    let check = subject.check(exec.as_ref(), &net, &params, Propagation::Probable);
    let whole = batch(&net, Values::Normal, SEED, 6, 6);
    add_up(exec.as_mut(), &check, &whole, &[1, 2, 3], findings)
}

/// Mixtures at once and cut into parts: any share of two labels, all of the one or the other, twice the same. Whole images said
/// to be mixtures, of themselves or of no share of another, give the bits of those that are not.
fn mixtures(subject: &Subject<'_>, findings: &mut Findings) -> Result<(), Fault> {
    let (net, params) = tiny()?;
    let mut exec = subject.train(&net, 6)?;
    exec.load(Kind::Weights, &params)?;
    let check = subject.check(exec.as_ref(), &net, &params, Propagation::Probable);
    let classes = net.classes() as u32;
    let plain = batch(&net, Values::Normal, SEED, 6, 6);
    let mut whole = plain.clone();
    let mut second: Vec<u32> = whole.labels.iter().map(|label| (label + 1) % classes).collect();
    second[5] = whole.labels[5];
    whole.mixed = Some(Mixed { labels: second.clone(), shares: vec![0.7, 0.1234567, 1e-9, 0.0, 1.0, 0.3] });
    add_up(exec.as_mut(), &check, &whole, &[1, 2, 3], findings)?;
    let mut left = Vec::new();
    let themselves = Mixed { labels: plain.labels.clone(), shares: vec![1.0; 6] };
    for mixed in [None, Some(themselves), Some(Mixed { labels: second, shares: vec![1.0; 6] })] {
        exec.forward_backward(&Batch { mixed, ..plain.clone() }, StepInfo::whole(SEED, 3, 6))?;
        let loss = exec.take_loss(true)?.ok_or_else(|| Fault::Contract("no loss after a pass".into()))?;
        left.push((loss.nll_sum.to_bits(), loss.top1, exec.save(Kind::Gradients)?));
    }
    findings.expect(left.iter().all(|other| *other == left[0]), || "mixtures with nothing have other bits".into());
    Ok(())
}

/// Gradients of a batch at once and cut into parts of so many images, each with the masks of its place in the step.
pub(crate) fn add_up(
    exec: &mut dyn Executor,
    check: &Check<'_>,
    whole: &Batch,
    parts: &[usize],
    findings: &mut Findings,
) -> Result<(), Fault> {
    let (net, step_images) = (check.net, whole.n as u32);
    check.training(exec, whole, StepInfo::whole(SEED, 9, whole.n), findings)?;
    let mut sums: Vec<Bounded> =
        net.params().iter().map(|p| Bounded { value: vec![0.0; p.len()], bound: vec![0.0; p.len()] }).collect();
    let mut first = 0;
    for &n in parts {
        let part = part(net, whole, first, n);
        let info = StepInfo { seed: SEED, step: 9, first_image: first as u32, step_images };
        exec.forward_backward(&part, info)?;
        let values = activations(exec, &part)?;
        check.outputs(Pass::Train(info), &values, findings);
        check.loss(exec, &part, info, &values, findings)?;
        check.sweep(&values, part.targets(), info, &mut |param, first, gradient| {
            let Bounded { value, bound } = &mut sums[param];
            value[first..].iter_mut().zip(gradient.value).for_each(|(sum, g)| *sum += g);
            bound[first..].iter_mut().zip(gradient.bound).for_each(|(sum, b)| *sum += b);
        });
        first += n;
    }
    let saved = exec.save(Kind::Gradients)?;
    for (param, sum) in sums.iter().enumerate() {
        let engine = saved.get(&net.params()[param].name).map_or(&[][..], |tensor| &tensor.data);
        check.gradient(param, 0, engine, sum, findings);
    }
    Ok(())
}

fn part(net: &Net, whole: &Batch, first: usize, n: usize) -> Batch {
    let size = net.input().len();
    let mut part = Batch::with_capacity(n, size);
    part.f32_mut().copy_from_slice(&whole.f32()[first * size..(first + n) * size]);
    part.labels.copy_from_slice(&whole.labels[first..first + n]);
    part.mixed = whole
        .mixed
        .as_ref()
        .map(|mixed| Mixed { labels: mixed.labels[first..first + n].to_vec(), shares: mixed.shares[first..first + n].to_vec() });
    part.n = n;
    part
}

/// One update with a rate and decay of its own for every parameter. One parameter has rate 0: it must stay as it is,
/// and so must its velocity, even where its gradient is not a number.
fn update(subject: &Subject<'_>, form: Form, findings: &mut Findings) -> Result<(), Fault> {
    let (net, weights) = tiny()?;
    let (momenta, mut gradients) = (lively_params(&net, 43, 1.0), lively_params(&net, 44, 1.0));
    let frozen = 3;
    if let Some(gradient) = gradients.get_mut(&net.params()[frozen].name) {
        gradient.data[0] = f32::NAN;
    }
    let rate = |index| if index == frozen { 0.0 } else { 0.01 * (1.0 + index as f32) };
    let params = (0..net.params().len()).map(|i| ParamHyper { rate: rate(i), decay: [5e-4, 0.0, 0.3][i % 3] }).collect();
    let hyper = Hyper { form, momentum: 0.9, params };
    let mut exec = subject.train(&net, 1)?;
    for (kind, set) in [(Kind::Weights, &weights), (Kind::Momentum, &momenta), (Kind::Gradients, &gradients)] {
        exec.load(kind, set)?;
    }
    exec.apply(&hyper)?;
    let (new_weights, new_momenta) = (exec.save(Kind::Weights)?, exec.save(Kind::Momentum)?);
    for (index, info) in net.params().iter().enumerate() {
        let of = |set: &ParamSet| set.get(&info.name).map_or(Vec::new(), |tensor| tensor.data.clone());
        if index == frozen {
            let still = same_bits(&of(&new_weights), &of(&weights)) && same_bits(&of(&new_momenta), &of(&momenta));
            findings.expect(still, || format!("{} moved at rate 0", info.name));
            continue;
        }
        let [v, w] = updated(&hyper, hyper.params[index], &of(&gradients), &of(&momenta), &of(&weights));
        for (tensor, engine, oracle) in [("momentum", of(&new_momenta), v), ("weight", of(&new_weights), w)] {
            let tensor = format!("{tensor} of {}", info.name);
            let what = || What { op: "update".into(), tensor: tensor.clone(), shape: info.shape.clone(), first: 0 };
            findings.note(&tensor, engine.len(), compare(what, &engine, &oracle, 1.0));
        }
    }
    Ok(())
}

/// Velocity and weight after an update, by the oracle. Bounds: the velocity sums three products of at most three factors;
/// the weight adds the velocity's error, times the rate where the rate is outside, and the rounding of its own sum.
fn updated(hyper: &Hyper, param: ParamHyper, g: &[f32], v: &[f32], w: &[f32]) -> [Bounded; 2] {
    let to_f64 = crate::follow::to_f64;
    let (mut new_v, mut new_w) = (to_f64(v), to_f64(w));
    reference::update::update(hyper.form, hyper.momentum, param, &to_f64(g), &mut new_v, &mut new_w);
    let (m, rate, decay) = (f64::from(hyper.momentum), f64::from(param.rate), f64::from(param.decay));
    let (scale, outside) = if hyper.form == Form::RateInside { (rate, 1.0) } else { (1.0, rate) };
    let size = |e: usize| (m * f64::from(v[e])).abs() + scale * (f64::from(g[e]).abs() + decay * f64::from(w[e]).abs());
    let v_bound: Vec<f64> = (0..w.len()).map(|e| 5.0 * U * size(e) + 3.0 * UNDERFLOW).collect();
    let w_bound = |e: usize| outside * v_bound[e] + 3.0 * U * (f64::from(w[e]).abs() + outside * new_v[e].abs()) + UNDERFLOW;
    let w_bound = (0..w.len()).map(w_bound).collect();
    [Bounded { value: new_v, bound: v_bound }, Bounded { value: new_w, bound: w_bound }]
}

/// Weights, momenta and gradients come back as they went in, bit by bit, whatever the order of their names.
fn round_trips(subject: &Subject<'_>, findings: &mut Findings) -> Result<(), Fault> {
    let (net, _) = tiny()?;
    let mut exec = subject.train(&net, 2)?;
    let kinds = [(Kind::Weights, 51), (Kind::Momentum, 52), (Kind::Gradients, 53)];
    let odd = [-0.0, f32::from_bits(1), f32::MAX, -f32::MIN_POSITIVE];
    let set = |seed| {
        let mut set = lively_params(&net, seed, 1.0);
        set.iter_mut().for_each(|(_, tensor)| tensor.data.iter_mut().zip(odd).for_each(|(x, odd)| *x = odd));
        set
    };
    for (kind, seed) in kinds {
        let reversed: Vec<(String, Tensor)> = set(seed).iter().map(|(n, t)| (n.to_string(), t.clone())).collect();
        exec.load(kind, &ParamSet::new(reversed.into_iter().rev().collect()))?;
    }
    for (kind, seed) in kinds {
        let saved = exec.save(kind)?;
        saved.check(&net)?;
        for (name, tensor) in set(seed).iter() {
            let same = saved.get(name).is_some_and(|saved| same_bits(&saved.data, &tensor.data));
            findings.expect(same, || format!("{kind:?} of {name} are saved otherwise than loaded"));
        }
    }
    Ok(())
}

/// What a visitor does to the buckets is done to the gradients; the last layer's come first.
fn buckets(subject: &Subject<'_>, findings: &mut Findings) -> Result<(), Fault> {
    let (net, params) = tiny()?;
    let mut exec = subject.train(&net, 3)?;
    exec.load(Kind::Weights, &params)?;
    exec.forward_backward(&batch(&net, Values::Normal, SEED, 3, 3), StepInfo::whole(SEED, 0, 3))?;
    let before = exec.save(Kind::Gradients)?;
    let mut indices = Vec::new();
    exec.each_bucket(&mut |bucket| {
        indices.push(bucket.index);
        if let BucketValues::Host(values) = bucket.values {
            values.iter_mut().for_each(|g| *g *= 2.0);
        }
        Ok(())
    })?;
    findings.expect(!indices.is_empty() && indices.iter().enumerate().all(|(i, &index)| i == index), || {
        format!("buckets are numbered {indices:?}")
    });
    let after = exec.save(Kind::Gradients)?;
    for ((name, before), (_, after)) in before.iter().zip(after.iter()) {
        let twice: Vec<f32> = before.data.iter().map(|g| 2.0 * g).collect();
        findings.expect(same_bits(&twice, &after.data), || format!("doubling every bucket does not double {name}"));
    }
    exec.each_bucket(&mut |bucket| {
        if let (0, BucketValues::Host(values)) = (bucket.index, bucket.values) {
            values.fill(f32::NAN);
        }
        Ok(())
    })?;
    let marked = exec.save(Kind::Gradients)?;
    let last = marked.iter().last().is_some_and(|(_, tensor)| tensor.data.iter().any(|g| g.is_nan()));
    findings.expect(last, || "the first bucket holds nothing of the last parameter".into());
    let refused = exec.each_bucket(&mut |_| Err(net::Error::Batch("stop".into())));
    findings.expect(refused.is_err(), || "a visitor's error is lost".into());
    Ok(())
}

/// Losses are taken in the order of their passes, once each; equal passes give equal bits.
fn losses(subject: &Subject<'_>, findings: &mut Findings) -> Result<(), Fault> {
    let (net, params) = tiny()?;
    let mut exec = subject.train(&net, 3)?;
    exec.load(Kind::Weights, &params)?;
    findings.expect(exec.take_loss(true)?.is_none(), || "a loss before any pass".into());
    let mut expected = Vec::new();
    for (step, n) in [(4, 3), (5, 1), (4, 3)] {
        let images = batch(&net, Values::Normal, u64::from(step), n, 3);
        exec.forward_backward(&images, StepInfo::whole(SEED, step, n))?;
        expected.push((step, n));
    }
    let mut taken = Vec::new();
    while let Some(loss) = exec.take_loss(true)? {
        taken.push(loss);
    }
    let got: Vec<(u32, usize)> = taken.iter().map(|loss| (loss.step, loss.images as usize)).collect();
    findings.expect(got == expected, || format!("(step, images) of the losses are {got:?}, of the passes {expected:?}"));
    if let [first, _, again] = taken[..] {
        let same = first.nll_sum.to_bits() == again.nll_sum.to_bits() && first.top1 == again.top1;
        findings.expect(same, || format!("the same pass gave {first:?} and {again:?}"));
    }
    // All logits equal: the lowest class is on top.
    exec.load(Kind::Weights, &ParamSet::zeros(&net))?;
    for (label, top1) in [(0, 1), (1, 0)] {
        let mut images = batch(&net, Values::Normal, SEED, 1, 1);
        images.labels[0] = label;
        exec.forward_backward(&images, StepInfo::whole(SEED, 0, 1))?;
        let loss = exec.take_loss(true)?.ok_or_else(|| Fault::Contract("no loss after a pass".into()))?;
        findings.expect(loss.top1 == top1, || format!("top1 {} for label {label} among equal probabilities", loss.top1));
    }
    Ok(())
}

/// `forward` between a backward pass and its update, as when a run evaluates itself, changes neither.
fn testing_between(subject: &Subject<'_>, findings: &mut Findings) -> Result<(), Fault> {
    let (net, params) = tiny()?;
    let mut exec = subject.train(&net, 3)?;
    let check = subject.check(exec.as_ref(), &net, &params, Propagation::Probable);
    for (kind, set) in [(Kind::Weights, &params), (Kind::Momentum, &ParamSet::zeros(&net))] {
        exec.load(kind, set)?;
    }
    let images = batch(&net, Values::Normal, SEED, 3, 3);
    exec.forward_backward(&images, StepInfo::whole(SEED, 0, 3))?;
    let before = exec.save(Kind::Gradients)?;
    check.forward(exec.as_mut(), &batch(&net, Values::Normal, 99, 2, 3), findings)?;
    let first = exec.forward(&images)?.to_vec();
    let again = exec.forward(&images)?.to_vec();
    findings.expect(same_bits(&first, &again), || "testing twice gives two results".into());
    let after = exec.save(Kind::Gradients)?;
    for ((name, before), (_, after)) in before.iter().zip(after.iter()) {
        findings.expect(same_bits(&before.data, &after.data), || format!("testing changed the gradient of {name}"));
    }
    exec.forward_backward(&images, StepInfo::whole(SEED, 0, 3))?;
    let repeated = exec.save(Kind::Gradients)?;
    for ((name, before), (_, after)) in before.iter().zip(repeated.iter()) {
        findings.expect(same_bits(&before.data, &after.data), || format!("the same pass gave another gradient of {name}"));
    }
    Ok(())
}

/// A weight that is not finite makes the loss not finite, through a rectifier too: divergence must not hide.
fn not_finite(subject: &Subject<'_>, findings: &mut Findings) -> Result<(), Fault> {
    let conv = Conv {
        k: 4,
        kernel: Pair::square(3),
        stride: Pair::square(1),
        padding: Padding::all(1),
        rounding: Rounding::Floor,
        groups: 1,
        weight: LEARN,
        bias: LEARN,
    };
    let ops = [Op::Conv(conv), Op::Relu, Op::Linear(Linear { k: 3, weight: LEARN, bias: LEARN }), Op::Softmax];
    let layers = ops.into_iter().enumerate().map(|(i, op)| Layer { name: format!("layer{i}"), op }).collect();
    let net = Net::new("not-finite", Shape { c: 2, h: 5, w: 6 }, layers)?;
    let mut exec = subject.train(&net, 2)?;
    for info in net.params() {
        for bad in [f32::NAN, f32::INFINITY] {
            let mut params = lively_params(&net, SEED, 1.0);
            if let Some(tensor) = params.get_mut(&info.name) {
                tensor.data.fill(bad);
            }
            exec.load(Kind::Weights, &params)?;
            exec.forward_backward(&batch(&net, Values::Normal, SEED, 2, 2), StepInfo::whole(SEED, 0, 2))?;
            let loss = exec.take_loss(true)?.ok_or_else(|| Fault::Contract("no loss after a pass".into()))?;
            findings
                .expect(!loss.nll_sum.is_finite(), || format!("{} is all {bad}, yet the loss is {}", info.name, loss.nll_sum));
        }
    }
    Ok(())
}

fn refused<T>(findings: &mut Findings, what: &str, result: Result<T>) {
    findings.expect(result.is_err(), || format!("{what} is not refused"));
}

/// Batches, parameter sets, layers and rates that do not fit are errors, and leave the executor as it was.
fn refusals_in_training(subject: &Subject<'_>, findings: &mut Findings) -> Result<(), Fault> {
    let (net, params) = tiny()?;
    let mut exec = subject.train(&net, 3)?;
    findings.expect(exec.capacity() == 3, || format!("prepared for 3 images, capacity {}", exec.capacity()));
    findings.expect(exec.net() == &net, || "the executor's net is another".into());
    findings.expect(!exec.engine().is_empty() && !exec.plan().is_empty(), || "no engine name or no plan".into());
    exec.load(Kind::Weights, &params)?;
    let good = || batch(&net, Values::Normal, SEED, 2, 3);
    let with = |change: &dyn Fn(&mut Batch)| {
        let mut images = good();
        change(&mut images);
        images
    };
    let classes = net.classes() as u32;
    let bad = [
        ("an empty batch", with(&|b| b.n = 0)),
        ("a batch above capacity", batch(&net, Values::Normal, SEED, 4, 4)),
        ("a batch of another shape", with(&|b| b.pixels = Pixels::F32(vec![0.0; 3 * net.input().len() - 3]))),
        ("a batch without room for its images", with(&|b| b.labels.truncate(1))),
    ];
    for (what, images) in &bad {
        refused(findings, what, exec.forward_backward(images, StepInfo::whole(SEED, 0, images.n.max(1))));
        refused(findings, what, exec.forward(images).map(drop));
    }
    for label in [classes, u32::MAX] {
        let images = with(&|b| b.labels[1] = label);
        refused(findings, "a label that is no class", exec.forward_backward(&images, StepInfo::whole(SEED, 0, 2)));
        findings.expect(exec.forward(&images).is_ok(), || "testing needs no labels, yet it refuses one".into());
        let images = with(&|b| b.mixed = Some(Mixed { labels: vec![0, label, 0], shares: vec![0.5; 3] }));
        refused(findings, "a second label that is no class", exec.forward_backward(&images, StepInfo::whole(SEED, 0, 2)));
        findings.expect(exec.forward(&images).is_ok(), || "testing needs no second labels, yet it refuses one".into());
    }
    for shares in [vec![0.5, -0.1, 0.5], vec![0.5, 1.1, 0.5], vec![f32::NAN; 3], vec![0.5]] {
        let images = with(&|b| b.mixed = Some(Mixed { labels: vec![0; 3], shares: shares.clone() }));
        refused(findings, "a share that is none", exec.forward_backward(&images, StepInfo::whole(SEED, 0, 2)));
    }
    let all: Vec<(String, Tensor)> = params.iter().map(|(n, t)| (n.into(), t.clone())).collect();
    let (mut extra, mut turned) = (all.clone(), all.clone());
    extra.push(("more.weight".into(), Tensor::zeros(&[1])));
    turned[0].1.shape.reverse();
    for (what, tensors) in
        [("a missing parameter", all[1..].to_vec()), ("a parameter too many", extra), ("a misshapen one", turned)]
    {
        for kind in [Kind::Weights, Kind::Momentum, Kind::Gradients] {
            refused(findings, what, exec.load(kind, &ParamSet::new(tensors.clone())));
        }
    }
    refused(findings, "the activation of no layer", exec.activation("no-such-layer"));
    for count in [0, net.params().len() - 1, net.params().len() + 1] {
        let hyper = Hyper { params: vec![ParamHyper { rate: 1.0, decay: 0.0 }; count], ..Hyper::default() };
        refused(findings, "a wrong number of rates", exec.apply(&hyper));
    }
    let check = subject.check(exec.as_ref(), &net, &params, Propagation::Probable);
    check.training(exec.as_mut(), &good(), StepInfo::whole(SEED, 0, 2), findings)
}

/// An executor for inference refuses to train, and still infers.
fn refusals_in_inference(subject: &Subject<'_>, findings: &mut Findings) -> Result<(), Fault> {
    let (net, params) = tiny()?;
    let mut exec = subject.make(&net, 2, Mode::Infer, Keep::Everything)?;
    exec.load(Kind::Weights, &params)?;
    let images = batch(&net, Values::Normal, SEED, 2, 2);
    refused(findings, "a backward pass", exec.forward_backward(&images, StepInfo::whole(SEED, 0, 2)));
    refused(
        findings,
        "an update",
        exec.apply(&Hyper { params: vec![ParamHyper::default(); net.params().len()], ..Hyper::default() }),
    );
    refused(findings, "saving momenta", exec.save(Kind::Momentum));
    refused(findings, "saving gradients", exec.save(Kind::Gradients));
    refused(findings, "an input gradient", exec.input_gradient());
    for (name, tensor) in exec.save(Kind::Weights)?.iter() {
        let same = params.get(name).is_some_and(|loaded| same_bits(&loaded.data, &tensor.data));
        findings.expect(same, || format!("weights of {name} are saved otherwise than loaded"));
    }
    let check = subject.check(exec.as_ref(), &net, &params, Propagation::Probable);
    check.forward(exec.as_mut(), &images, findings)
}
