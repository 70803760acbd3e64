//! Learning rates over a run: closed forms of the step number, and the plateau rule, which has a state.

use net::{Form, Hyper, Net, ParamHyper, Role};
use serde::{Deserialize, Serialize};

use crate::{Error, Recipe, Result};

/// How one learning rate goes, as a recipe tells it: a first rate, one curve, and perhaps a warm-up.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "ScheduleText", into = "ScheduleText")]
pub struct Schedule {
    /// The rate at the start, warm-up left out.
    pub rate: f64,
    /// How it goes on.
    pub curve: Curve,
    /// How the first steps are held back.
    pub warmup: Option<Warmup>,
}

/// What becomes of the first rate ε₀. With t the share of the run's steps taken before the step, in `[0, 1)`:
#[derive(Debug, Clone, PartialEq)]
pub enum Curve {
    /// `ε₀`
    Constant,
    /// `ε₀ · factor^d`, d the drops so far: the paper's rule, by [`Scheduler::observe`].
    Plateau(Plateau),
    /// `ε₀` times the factors of all entries whose epoch has begun.
    Step(Vec<StepAt>),
    /// `to + (ε₀ − to) · (1 − t)^power`
    Polynomial(Polynomial),
    /// `to + (ε₀ − to) · (1 + cos πt) / 2` (Loshchilov and Hutter, 2017, without restarts)
    Cosine(To),
    /// `to + (ε₀ − to) · (1 − t)`
    Linear(To),
    /// `ε₀ · target_factor^−(i / (steps − 1))` with `i = ⌊t · steps⌋`: cuda-convnet2's discrete exponential (`dexp`, lr.cu).
    Dexp(Dexp),
}

/// Drops when the validation error stops improving.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plateau {
    /// What a drop multiplies the rate by, in `(0, 1)`.
    pub factor: f64,
    /// The most drops.
    pub times: u32,
    /// Evaluations in a row without a new lowest error that make a drop.
    pub patience: u32,
    /// How much lower the top-1 error, a share in `[0, 1]`, must be to count as improved.
    #[serde(default)]
    pub threshold: f64,
}

/// A change at the beginning of an epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepAt {
    /// The first epoch, counted from 0, that it holds for.
    pub epoch: u32,
    /// What it multiplies the rate by.
    pub factor: f64,
}

/// Parameters of [`Curve::Polynomial`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Polynomial {
    /// The exponent, above 0.
    pub power: f64,
    /// The rate at the end.
    #[serde(default)]
    pub to: f64,
}

/// Where a curve ends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct To {
    /// The rate at the end.
    #[serde(default)]
    pub to: f64,
}

/// Parameters of [`Curve::Dexp`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dexp {
    /// The first rate divided by the last (`tgtFactor`).
    pub target_factor: f64,
    /// Number of different rates, at least 2 (`numSteps`).
    pub steps: u32,
}

/// `rate · (from + (1 − from) · (s + 1) / w)` for the first `w` steps `s`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Warmup {
    /// `w` in steps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<u32>,
    /// `w` in epochs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epochs: Option<u32>,
    /// The factor that it starts from, in `[0, 1]`.
    #[serde(default)]
    pub from: f64,
}

/// A schedule's keys. One optional key for each curve, not a tagged enum, so that errors keep their line and column.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ScheduleText {
    rate: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    constant: Option<Nothing>,
    #[serde(skip_serializing_if = "Option::is_none")]
    plateau: Option<Plateau>,
    #[serde(skip_serializing_if = "Option::is_none")]
    step: Option<Vec<StepAt>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    polynomial: Option<Polynomial>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cosine: Option<To>,
    #[serde(skip_serializing_if = "Option::is_none")]
    linear: Option<To>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dexp: Option<Dexp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    warmup: Option<Warmup>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

impl TryFrom<ScheduleText> for Schedule {
    type Error = String;

    fn try_from(text: ScheduleText) -> Result<Schedule, String> {
        let mut curves = [
            text.constant.map(|_| Curve::Constant),
            text.plateau.map(Curve::Plateau),
            text.step.map(Curve::Step),
            text.polynomial.map(Curve::Polynomial),
            text.cosine.map(Curve::Cosine),
            text.linear.map(Curve::Linear),
            text.dexp.map(Curve::Dexp),
        ]
        .into_iter()
        .flatten();
        let curve = curves.next().unwrap_or(Curve::Constant);
        match curves.next() {
            None => Ok(Schedule { rate: text.rate, curve, warmup: text.warmup }),
            Some(second) => Err(format!("a schedule has one curve, not both `{}` and `{}`", curve.key(), second.key())),
        }
    }
}

impl From<Schedule> for ScheduleText {
    fn from(schedule: Schedule) -> ScheduleText {
        let mut text = ScheduleText {
            rate: schedule.rate,
            constant: None,
            plateau: None,
            step: None,
            polynomial: None,
            cosine: None,
            linear: None,
            dexp: None,
            warmup: schedule.warmup,
        };
        match schedule.curve {
            Curve::Constant => text.constant = Some(Nothing {}),
            Curve::Plateau(curve) => text.plateau = Some(curve),
            Curve::Step(curve) => text.step = Some(curve),
            Curve::Polynomial(curve) => text.polynomial = Some(curve),
            Curve::Cosine(curve) => text.cosine = Some(curve),
            Curve::Linear(curve) => text.linear = Some(curve),
            Curve::Dexp(curve) => text.dexp = Some(curve),
        }
        text
    }
}

/// A key within a schedule and what is wrong with its value.
pub(crate) type Fault = (Vec<String>, String);

impl Curve {
    fn key(&self) -> &'static str {
        match self {
            Curve::Constant => "constant",
            Curve::Plateau(_) => "plateau",
            Curve::Step(_) => "step",
            Curve::Polynomial(_) => "polynomial",
            Curve::Cosine(_) => "cosine",
            Curve::Linear(_) => "linear",
            Curve::Dexp(_) => "dexp",
        }
    }

    /// The first value that cannot be.
    fn check(&self) -> Result<(), Fault> {
        let key = |name: &str| vec![self.key().to_string(), name.to_string()];
        let need = |good: bool, name: &str, message: &str| if good { Ok(()) } else { Err((key(name), message.to_string())) };
        let rate = |value: f64| need(value >= 0.0 && value.is_finite(), "to", "a rate is a number of at least 0");
        match self {
            Curve::Constant => Ok(()),
            Curve::Plateau(p) => {
                need(p.factor > 0.0 && p.factor < 1.0, "factor", "the factor of a drop lies between 0 and 1")?;
                need(p.patience >= 1, "patience", "a drop takes at least one evaluation without improvement")?;
                need((0.0..1.0).contains(&p.threshold), "threshold", "the threshold is a share in [0, 1)")
            }
            Curve::Step(list) => {
                for (i, at) in list.iter().enumerate() {
                    let key = |name: &str| vec!["step".into(), i.to_string(), name.to_string()];
                    if !(at.factor >= 0.0 && at.factor.is_finite()) {
                        return Err((key("factor"), "a factor is a number of at least 0".into()));
                    }
                    if i > 0 && list[i - 1].epoch >= at.epoch {
                        return Err((key("epoch"), "the epochs of a step schedule rise".into()));
                    }
                }
                Ok(())
            }
            Curve::Polynomial(p) => {
                need(p.power > 0.0 && p.power.is_finite(), "power", "the power is a number above 0")?;
                rate(p.to)
            }
            Curve::Cosine(to) | Curve::Linear(to) => rate(to.to),
            Curve::Dexp(d) => {
                let good = d.target_factor > 0.0 && d.target_factor.is_finite();
                need(good, "target_factor", "the target factor is a number above 0")?;
                need(d.steps >= 2, "steps", "a discrete exponential has at least 2 steps")
            }
        }
    }
}

impl Schedule {
    /// One rate from beginning to end.
    pub fn constant(rate: f64) -> Schedule {
        Schedule { rate, curve: Curve::Constant, warmup: None }
    }

    /// The first value that cannot be.
    pub(crate) fn check(&self) -> Result<(), Fault> {
        if !(self.rate >= 0.0 && self.rate.is_finite()) {
            return Err((vec!["rate".into()], "a rate is a number of at least 0".into()));
        }
        self.curve.check()?;
        let Some(warmup) = &self.warmup else { return Ok(()) };
        if warmup.steps.is_some() == warmup.epochs.is_some() {
            return Err((vec!["warmup".into()], "a warm-up is told in `steps` or in `epochs`".into()));
        }
        if !(0.0..=1.0).contains(&warmup.from) {
            return Err((vec!["warmup".into(), "from".into()], "a warm-up starts from a factor in [0, 1]".into()));
        }
        Ok(())
    }

    /// The rate at a step, `drops` being the plateau rule's drops so far.
    fn at(&self, step: u32, run: Span, drops: u32) -> f64 {
        let t = f64::from(step) / f64::from(run.steps.max(1));
        let rate = self.rate;
        let plain = match &self.curve {
            Curve::Constant => rate,
            Curve::Plateau(plateau) => rate * plateau.factor.powi(drops as i32),
            Curve::Step(list) => {
                let epoch = step / run.steps_per_epoch;
                list.iter().filter(|at| at.epoch <= epoch).fold(rate, |rate, at| rate * at.factor)
            }
            Curve::Polynomial(p) => p.to + (rate - p.to) * (1.0 - t).powf(p.power),
            Curve::Cosine(c) => c.to + (rate - c.to) * 0.5 * (1.0 + (std::f64::consts::PI * t).cos()),
            Curve::Linear(l) => l.to + (rate - l.to) * (1.0 - t),
            Curve::Dexp(d) => {
                let slice = (u64::from(step) * u64::from(d.steps) / u64::from(run.steps.max(1))).min(u64::from(d.steps) - 1);
                rate * d.target_factor.powf(-(slice as f64) / f64::from(d.steps - 1))
            }
        };
        plain * self.warmup.as_ref().map_or(1.0, |warmup| warmup.factor(step, run))
    }
}

impl Warmup {
    fn factor(&self, step: u32, run: Span) -> f64 {
        let length = self.steps.unwrap_or_else(|| self.epochs.unwrap_or(0).saturating_mul(run.steps_per_epoch));
        if step >= length {
            return 1.0;
        }
        self.from + (1.0 - self.from) * f64::from(step + 1) / f64::from(length)
    }
}

/// The length of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Steps in the whole run.
    pub steps: u32,
    /// Steps in an epoch, at least 1.
    pub steps_per_epoch: u32,
}

/// What the plateau rule remembers. Part of a checkpoint.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlateauState {
    /// The lowest top-1 error so far, a share in `[0, 1]`.
    pub lowest: Option<f64>,
    /// Evaluations in a row without a lower one.
    pub stale: u32,
    /// Drops so far.
    pub drops: u32,
}

impl PlateauState {
    fn observe(&mut self, plateau: &Plateau, error: f64) {
        match self.lowest {
            Some(lowest) if error >= lowest - plateau.threshold => self.stale += 1,
            _ => (self.lowest, self.stale) = (Some(error), 0),
        }
        if self.stale >= plateau.patience && self.drops < plateau.times {
            (self.drops, self.stale) = (self.drops + 1, 0);
        }
    }
}

/// What the schedules of weights and biases remember.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScheduleState {
    /// Of the weights.
    pub weight: PlateauState,
    /// Of the biases.
    pub bias: PlateauState,
}

/// The schedule's rates at a step, before the factors of the net and of the recipe's layers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rates {
    /// Of weights.
    pub weight: f64,
    /// Of biases.
    pub bias: f64,
}

/// Turns a step's number into the numbers of its update: for each parameter the schedule's rate × the net's factor × the
/// factor of the recipe's layer table, and the recipe's decay × the net's factor.
#[derive(Debug, Clone)]
pub struct Scheduler {
    weight: Schedule,
    bias: Schedule,
    state: ScheduleState,
    span: Span,
    momentum: f64,
    form: Form,
    params: Vec<Param>,
}

/// What is constant about one parameter.
#[derive(Debug, Clone)]
struct Param {
    role: Role,
    rate: f64,
    decay: f64,
    /// First step and factor, in the recipe's order; the last that has begun holds.
    overrides: Vec<(u64, f64)>,
}

impl Scheduler {
    /// The schedules of `recipe` for every parameter of `net`.
    ///
    /// # Errors
    /// Where the recipe names a layer that the net lacks or that has no parameters.
    pub fn new(recipe: &Recipe, net: &Net, span: Span) -> Result<Scheduler> {
        for layer in &recipe.layers {
            let known = net.params().iter().any(|p| net.layers()[p.layer].name == layer.name);
            if !known {
                let message = format!("net `{}` has no layer `{}` with parameters", net.name(), layer.name);
                return Err(Error::RecipeFit { key: "layers".into(), message });
            }
        }
        let param = |p: &net::ParamInfo| Param {
            role: p.role,
            rate: p.learn.rate,
            decay: recipe.decay * p.learn.decay,
            overrides: recipe
                .layers
                .iter()
                .filter(|layer| layer.name == net.layers()[p.layer].name && layer.covers(p.role))
                .map(|layer| (u64::from(layer.from_epoch) * u64::from(span.steps_per_epoch), layer.rate))
                .collect(),
        };
        Ok(Scheduler {
            weight: recipe.schedule.clone(),
            bias: recipe.bias_schedule.clone().unwrap_or_else(|| recipe.schedule.clone()),
            state: ScheduleState::default(),
            span,
            momentum: recipe.momentum,
            form: recipe.form.into(),
            params: net.params().iter().map(param).collect(),
        })
    }

    /// Fills `hyper` with the numbers of the update at `step`, and gives the rates they come from. Allocates only where
    /// `hyper` is too small.
    pub fn at(&self, step: u32, hyper: &mut Hyper) -> Rates {
        let rates = self.rates(step);
        hyper.form = self.form;
        hyper.momentum = self.momentum as f32;
        hyper.params.clear();
        hyper.params.extend(self.params.iter().map(|param| {
            let scheduled = if param.role == Role::Weight { rates.weight } else { rates.bias };
            let overridden = param.overrides.iter().rev().find(|(first, _)| *first <= u64::from(step));
            let factor = overridden.map_or(1.0, |(_, factor)| *factor);
            ParamHyper { rate: (scheduled * param.rate * factor) as f32, decay: param.decay as f32 }
        }));
        rates
    }

    /// The schedule's rates at `step`, with what has been observed so far.
    pub fn rates(&self, step: u32) -> Rates {
        Rates {
            weight: self.weight.at(step, self.span, self.state.weight.drops),
            bias: self.bias.at(step, self.span, self.state.bias.drops),
        }
    }

    /// Tells the plateau rule the top-1 error of an evaluation, a share in `[0, 1]`.
    pub fn observe(&mut self, error: f64) {
        for (schedule, state) in [(&self.weight, &mut self.state.weight), (&self.bias, &mut self.state.bias)] {
            if let Curve::Plateau(plateau) = &schedule.curve {
                state.observe(plateau, error);
            }
        }
    }

    /// What must be kept to go on later.
    pub fn state(&self) -> ScheduleState {
        self.state
    }

    /// Goes on from a kept state.
    pub fn restore(&mut self, state: ScheduleState) {
        self.state = state;
    }
}
