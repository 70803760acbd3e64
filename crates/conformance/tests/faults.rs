//! The suite can fail: executors with one planted fault each are caught, by the case that should catch them.
//!
//! Each is the oracle behind a wrapper that changes one thing. The same wrapper with no fault passes.

use conformance::{Keep, Report, Subject, Tiles, contract, nets, no_tiles, ops, same_bits, training};
use net::{
    AvgPool, Batch, Bucket, Dropout, DropoutScaling, Executor, Form, Hyper, Kind, Layer, LrnAcross, LrnWithin, MaxPool, Mode,
};
use net::{Net, Op, ParamSet, Result, StepInfo, StepLoss, Tensor, Ties};

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    None,
    /// The largest element of the last linear layer's gradient is off by so many units in the last place.
    GradientOff(i32),
    /// The largest element of the gradient of conv2's weights is off by so many units in the last place.
    ConvGradientOff(i32),
    /// The last element of every activation of the first layer is off by so many units in the last place.
    ActivationOff(i32),
    /// The gradient by the pixels is that of another scale.
    PixelGradientScaled(f32),
    /// Ties between maxima go to all where they should go to the first, and the other way round.
    TiesSwapped,
    /// Alpha is divided by the window where it should not be, and the other way round.
    AlphaDivided,
    /// Normalisation across maps looks over the borders of towers.
    TowersIgnored,
    /// Survivors are scaled in testing instead of in training, and the other way round.
    DropoutScaledElsewhere,
    /// Masks are those of the next step.
    MaskOfNextStep,
    /// Masks start at the batch's first image, not at its place in the step.
    MaskIgnoresPlace,
    /// Gradients of later micro-batches replace those before.
    MicroBatchesReplace,
    /// The loss's gradient is divided by the images of the batch, not of the step.
    DividedByBatch,
    /// Average pooling counts pixels that are not there.
    AreaNotClipped,
    /// The images of a partial batch are one fewer than given.
    LastImageLost,
    /// Weights decay as if all had the first one's decay.
    DecayOfFirst,
    /// The update is that of the other form.
    OtherForm,
    /// A rate of 0 still decays the velocity.
    FrozenVelocity,
    /// Every image counts as right.
    AllRight,
    /// The newest loss is given first.
    LossesReversed,
    /// Nothing is ever refused.
    LabelsUnchecked,
    /// An image of two classes counts as one of the first.
    MixturesIgnored,
    /// Keeping activations changes the values.
    InspectionChanges,
    /// The loss forgets one image in a hundred thousand.
    LossOff,
}

struct Faulty {
    inner: reference::Reference,
    net: Net,
    fault: Fault,
    keep: Keep,
}

/// The net that the faulty executor really runs.
fn altered(net: &Net, fault: Fault) -> Net {
    let other = |op: &Op| match (op.clone(), fault) {
        (Op::MaxPool(pool), Fault::TiesSwapped) => {
            let ties = if pool.ties == Ties::First { Ties::All } else { Ties::First };
            Op::MaxPool(MaxPool { ties, ..pool })
        }
        (Op::Lrn(lrn), Fault::AlphaDivided) => Op::Lrn(LrnAcross { alpha_over_n: !lrn.alpha_over_n, ..lrn }),
        (Op::LrnWithin(lrn), Fault::AlphaDivided) => Op::LrnWithin(LrnWithin { alpha_over_n: !lrn.alpha_over_n, ..lrn }),
        (Op::Lrn(lrn), Fault::TowersIgnored) => Op::Lrn(LrnAcross { towers: 1, ..lrn }),
        (Op::Dropout(dropout), Fault::DropoutScaledElsewhere) => {
            let train = dropout.scaling == DropoutScaling::Train;
            Op::Dropout(Dropout { scaling: if train { DropoutScaling::Test } else { DropoutScaling::Train }, ..dropout })
        }
        (op, _) => op,
    };
    let layers = net.layers().iter().map(|layer| Layer { name: layer.name.clone(), op: other(&layer.op) }).collect();
    Net::new(net.name(), net.input(), layers).expect("the same shapes")
}

fn off(x: &mut f32, ulps: i32) {
    *x = f32::from_bits(x.to_bits().wrapping_add_signed(ulps));
}

impl Faulty {
    /// The largest element of a tensor, by its size.
    fn largest(values: &mut [f32]) -> Option<&mut f32> {
        values.iter_mut().max_by(|a, b| a.abs().total_cmp(&b.abs()))
    }

    /// The factor between the mean over a window's pixels and over its full area, for each output of the first layer.
    fn unclipped(&self, pool: &AvgPool, out: usize) -> f32 {
        let (input, output) = (self.net.input_of(0), self.net.output_of(0));
        let (p, q) = (out / output.w % output.h, out % output.w);
        let rows = net::window(p, pool.kernel.r, pool.stride.r, pool.padding.top, input.h).len();
        let columns = net::window(q, pool.kernel.s, pool.stride.s, pool.padding.left, input.w).len();
        (rows * columns) as f32 / (pool.kernel.r * pool.kernel.s) as f32
    }
}

impl Executor for Faulty {
    fn engine(&self) -> &'static str {
        "faulty"
    }

    fn net(&self) -> &Net {
        &self.net
    }

    fn capacity(&self) -> usize {
        self.inner.capacity()
    }

    fn load(&mut self, kind: Kind, values: &ParamSet) -> Result<()> {
        self.inner.load(kind, values)
    }

    fn save(&mut self, kind: Kind) -> Result<ParamSet> {
        let mut set = self.inner.save(kind)?;
        match (self.fault, kind) {
            (Fault::GradientOff(ulps) | Fault::ConvGradientOff(ulps), Kind::Gradients) => {
                let last = &self.net.params()[self.net.params().len() - 2].name;
                let name = if self.fault == Fault::ConvGradientOff(ulps) { "conv2.weight" } else { last }.to_string();
                set.get_mut(&name).and_then(|tensor| Faulty::largest(&mut tensor.data)).into_iter().for_each(|x| off(x, ulps));
            }
            (Fault::InspectionChanges, Kind::Weights) if self.keep == Keep::Everything => {
                set.iter_mut().for_each(|(_, tensor)| off(&mut tensor.data[0], 1));
            }
            _ => {}
        }
        Ok(set)
    }

    fn forward_backward(&mut self, batch: &Batch, mut info: StepInfo) -> Result<()> {
        let mut batch = batch.clone();
        match self.fault {
            Fault::MaskOfNextStep => info.step += 1,
            Fault::MaskIgnoresPlace if info.first_image > 0 => {
                // The sum needs another first image than 0: the gradients are kept aside.
                let before = self.inner.save(Kind::Gradients)?;
                self.inner.forward_backward(&batch, StepInfo { first_image: 0, ..info })?;
                let mut sum = self.inner.save(Kind::Gradients)?;
                for ((_, sum), (_, before)) in sum.iter_mut().zip(before.iter()) {
                    sum.data.iter_mut().zip(&before.data).for_each(|(sum, before)| *sum += before);
                }
                return self.inner.load(Kind::Gradients, &sum);
            }
            Fault::MicroBatchesReplace => self.inner.load(Kind::Gradients, &ParamSet::zeros(&self.net))?,
            Fault::DividedByBatch => info.step_images = batch.n as u32,
            Fault::LastImageLost if batch.n == 2 => {
                let size = self.net.input().len();
                batch.f32_mut()[size..2 * size].fill(0.0);
            }
            Fault::MixturesIgnored => batch.mixed = None,
            Fault::LabelsUnchecked => {
                batch.labels.iter_mut().for_each(|label| *label = (*label).min(self.net.classes() as u32 - 1))
            }
            _ => {}
        }
        self.inner.forward_backward(&batch, info)
    }

    fn take_loss(&mut self, wait: bool) -> Result<Option<StepLoss>> {
        let mut losses = Vec::new();
        if self.fault == Fault::LossesReversed {
            while let Some(loss) = self.inner.take_loss(wait)? {
                losses.push(loss);
            }
            return Ok(losses.pop());
        }
        let loss = self.inner.take_loss(wait)?;
        Ok(loss.map(|loss| match self.fault {
            Fault::AllRight => StepLoss { top1: loss.images, ..loss },
            Fault::MaskOfNextStep => StepLoss { step: loss.step - 1, ..loss },
            Fault::LossOff => StepLoss { nll_sum: loss.nll_sum * (1.0 - 1e-5), ..loss },
            _ => loss,
        }))
    }

    fn each_bucket(&mut self, visit: &mut dyn FnMut(Bucket<'_>) -> Result<()>) -> Result<()> {
        self.inner.each_bucket(visit)
    }

    fn apply(&mut self, hyper: &Hyper) -> Result<()> {
        let mut hyper = hyper.clone();
        match self.fault {
            Fault::DecayOfFirst => {
                let first = hyper.params.first().map_or(0.0, |p| p.decay);
                hyper.params.iter_mut().for_each(|p| p.decay = first);
            }
            Fault::OtherForm if hyper.form == Form::RateInside => hyper.form = Form::RateOutside,
            Fault::OtherForm => hyper.form = Form::RateInside,
            Fault::FrozenVelocity => {
                let mut momenta = self.inner.save(Kind::Momentum)?;
                for (param, (_, tensor)) in hyper.params.iter().zip(momenta.iter_mut()) {
                    if param.rate == 0.0 {
                        tensor.data.iter_mut().for_each(|v| *v *= hyper.momentum);
                    }
                }
                self.inner.load(Kind::Momentum, &momenta)?;
            }
            _ => {}
        }
        self.inner.apply(&hyper)
    }

    fn forward(&mut self, batch: &Batch) -> Result<&[f32]> {
        self.inner.forward(batch)
    }

    fn activation(&mut self, layer: &str) -> Result<Tensor> {
        let mut tensor = self.inner.activation(layer)?;
        if self.net.layer_index(layer) == Some(0) {
            match (self.fault, &self.net.layers()[0].op) {
                (Fault::ActivationOff(ulps), _) => Faulty::largest(&mut tensor.data).into_iter().for_each(|x| off(x, ulps)),
                (Fault::AreaNotClipped, Op::AvgPool(pool)) => {
                    (0..tensor.data.len()).for_each(|out| tensor.data[out] *= self.unclipped(pool, out));
                }
                _ => {}
            }
        }
        Ok(tensor)
    }

    fn input_gradient(&mut self) -> Result<Tensor> {
        let mut tensor = self.inner.input_gradient()?;
        if let Fault::PixelGradientScaled(factor) = self.fault {
            tensor.data.iter_mut().for_each(|g| *g *= factor);
        }
        Ok(tensor)
    }

    fn plan(&self) -> String {
        self.inner.plan()
    }
}

/// Runs a suite on the oracle with a fault.
fn with(fault: Fault, suite: impl Fn(&Subject<'_>) -> Report) -> Report {
    let prepare = move |net: &Net, batch: usize, mode: Mode, keep: Keep| {
        let inner = reference::prepare(&altered(net, fault), batch, mode);
        Ok(Box::new(Faulty { inner, net: net.clone(), fault, keep }) as Box<dyn Executor>)
    };
    suite(&Subject { name: "faulty", prepare: &prepare, tiles: &no_tiles, cannot: &[] })
}

/// The same of an engine that says that it computes the gradient of conv2's weights by tiles.
fn with_tiles(fault: Fault, suite: impl Fn(&Subject<'_>) -> Report) -> Report {
    let tiles = |exec: &dyn Executor| {
        let mut all = no_tiles(exec);
        all[exec.net().layer_index("conv2").expect("a layer")].weight = Some(Tiles { m: 4, fold: 1 });
        all
    };
    with(fault, |subject| suite(&Subject { tiles: &tiles, ..*subject }))
}

/// The suite passes without the fault and, with it, fails with a message that holds `part`.
fn caught(fault: Fault, part: &str, suite: impl Fn(&Subject<'_>) -> Report) {
    let sound = with(Fault::None, &suite);
    assert!(sound.verdict(false).is_ok(), "without a fault: {sound}");
    let report = with(fault, &suite);
    let found = report.faults().any(|(case, fault)| format!("{case}: {fault}").contains(part));
    assert!(found && report.verdict(true).is_err(), "{fault:?} must be found as `{part}`:\n{report}");
}

#[test]
fn a_value_just_out_of_its_bound() {
    // One product and one sum: a bound of a few units in the last place.
    caught(Fault::GradientOff(64), "gradient of head.weight", |s| ops(s, &["relu"]));
    caught(Fault::ActivationOff(1), "activation of op", |s| ops(s, &["relu"]));
    caught(Fault::ActivationOff(40), "activation of op", |s| ops(s, &["lrn"]));
    caught(Fault::PixelGradientScaled(1.0 + 1e-4), "gradient of the pixels", |s| ops(s, &["linear"]));
    caught(Fault::GradientOff(150), "gradient of fc5.weight", |s| nets(s, &["tiny"], 2));
    caught(Fault::LossOff, "nll_sum", |s| nets(s, &["tiny"], 2));
}

/// A rounding that only tiles may leave is out of bounds, unless the engine says that it uses them; then more is too much.
#[test]
fn tiles_are_granted_where_an_engine_says_so() {
    let tiny = |subject: &Subject<'_>| nets(subject, &["tiny"], 2);
    caught(Fault::ConvGradientOff(800), "gradient of conv2.weight", tiny);
    let granted = with_tiles(Fault::ConvGradientOff(800), tiny);
    assert!(granted.verdict(false).is_ok(), "{granted}");
    let report = with_tiles(Fault::ConvGradientOff(3200), tiny);
    let found = report.faults().any(|(_, fault)| fault.to_string().contains("gradient of conv2.weight"));
    assert!(found, "{report}");
}

#[test]
fn a_layer_with_another_meaning() {
    caught(Fault::TiesSwapped, "max_pool: gradient of the pixels", |s| ops(s, &["max_pool"]));
    caught(Fault::AlphaDivided, "activation of op", |s| ops(s, &["lrn"]));
    caught(Fault::AlphaDivided, "activation of op", |s| ops(s, &["lrn_within"]));
    caught(Fault::AlphaDivided, "activation of norm1", |s| nets(s, &["tiny"], 2));
    caught(Fault::TowersIgnored, "activation of norm1", |s| nets(s, &["tiny"], 2));
    caught(Fault::DropoutScaledElsewhere, "activation of op", |s| ops(s, &["dropout"]));
    caught(Fault::AreaNotClipped, "activation of op", |s| ops(s, &["avg_pool"]));
    caught(Fault::LastImageLost, "activation of op", |s| ops(s, &["tanh"]));
}

#[test]
fn masks_and_micro_batches() {
    caught(Fault::MaskOfNextStep, "activation of drop3", |s| nets(s, &["tiny"], 2));
    caught(Fault::MaskIgnoresPlace, "contract/micro-batches", contract);
    caught(Fault::MicroBatchesReplace, "contract/micro-batches", contract);
    caught(Fault::DividedByBatch, "gradient of", |s| ops(s, &["relu"]));
}

#[test]
fn updates() {
    caught(Fault::DecayOfFirst, "contract/update", contract);
    caught(Fault::OtherForm, "contract/update", contract);
    caught(Fault::FrozenVelocity, "moved at rate 0", contract);
    let ten_steps = |form| move |s: &Subject<'_>| training(std::slice::from_ref(s), &["tiny"], form, 3).remove(0);
    caught(Fault::DecayOfFirst, "distance", ten_steps(Form::RateInside));
    caught(Fault::OtherForm, "momenta of", ten_steps(Form::RateOutside));
    caught(Fault::MaskOfNextStep, "loss of step", ten_steps(Form::RateInside));
}

#[test]
fn promises() {
    caught(Fault::AllRight, "top1", contract);
    caught(Fault::LossesReversed, "of the losses are", contract);
    caught(Fault::LabelsUnchecked, "a label that is no class is not refused", contract);
    caught(Fault::MixturesIgnored, "contract/images that are mixtures", contract);
    caught(Fault::InspectionChanges, "Weights of", |s| same_bits(std::slice::from_ref(s), &["tiny"], 2));
}

#[test]
fn nothing_passes_by_not_running() {
    assert!(Report::new("idle").verdict(true).is_err(), "an empty report is no pass");
    let prepare = |_: &Net, _: usize, _: Mode, _: Keep| Err("out of order".to_string());
    let cannot = [("relu/", "of a reason")];
    let skipped = ops(&Subject { name: "absent", prepare: &prepare, tiles: &no_tiles, cannot: &cannot }, &["relu"]);
    assert_eq!((skipped.cases.len(), skipped.skipped.len()), (0, 4));
    assert!(skipped.verdict(true).is_err(), "all skipped is no pass");
    let failed = ops(&Subject { name: "absent", prepare: &prepare, tiles: &no_tiles, cannot: &[] }, &["relu"]);
    assert_eq!(failed.faults().count(), 4);
}
