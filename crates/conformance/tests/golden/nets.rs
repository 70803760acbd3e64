//! The `torchvision`, `alexnet` and `caffe` presets with dropout off, against torchvision's own model and PyTorch
//! transcriptions: logits, every gradient, and ten steps of training. The real sizes are for the CPU engine, and for one pass of
//! the oracle; both also train the same layers with fewer maps on smaller images, where f64 leaves no room for any mistake.

use std::sync::{Mutex, PoisonError};

use conformance::golden::{Digest, Golden};
use net::{Batch, Form, Hyper, Init, Kind, Layer, Learn, Net, Op, ParamHyper, ParamSet, Shape, StepInfo};
use serde_json::Value;

use crate::engine::{Engine, exceeds, read};

/// What [`net::random::Purpose::Test`] numbers are for: pixels and labels of a step.
const PIXELS_LAYER: u32 = 0;
const LABELS_LAYER: u32 = 1;
const STEPS: usize = 10;

/// The preset with dropout off and the golden's initial values.
fn undropped(preset: &str, init: Init) -> Net {
    let net = Net::preset(preset).unwrap_or_else(|e| panic!("{e}"));
    let mut layers = net.layers().to_vec();
    for layer in &mut layers {
        let start = |weight: &mut Learn, bias: &mut Learn| (weight.init, bias.init) = (init, Init::FanIn);
        match &mut layer.op {
            Op::Dropout(dropout) => dropout.rate = 0.0,
            Op::Conv(conv) => start(&mut conv.weight, &mut conv.bias),
            Op::Linear(linear) => start(&mut linear.weight, &mut linear.bias),
            _ => {}
        }
    }
    Net::new(preset, net.input(), layers).unwrap_or_else(|e| panic!("{e}"))
}

/// The same layers with an eighth of the maps, hidden layers of 64, 20 classes, and images of `input`.
fn shrunk(net: &Net, input: Shape) -> Net {
    let shrink = |mut layer: Layer| {
        match &mut layer.op {
            Op::Conv(conv) => conv.k /= 8,
            Op::Linear(linear) => linear.k = if linear.k == 1000 { 20 } else { 64 },
            _ => {}
        }
        layer
    };
    Net::new(net.name(), input, net.layers().iter().cloned().map(shrink).collect()).unwrap_or_else(|e| panic!("{e}"))
}

/// A net of a case, with the facts under which the golden arose.
struct Case<'a> {
    golden: &'a Golden,
    case: &'a str,
    /// `small` or `full`.
    size: &'a str,
    net: Net,
    form: Form,
}

impl Case<'_> {
    fn fact(&self, key: &str) -> f64 {
        let value = &self.golden.facts()[self.size][key];
        value.as_f64().unwrap_or_else(|| panic!("{}: no {key}", self.case))
    }

    fn seed(&self) -> u64 {
        self.golden.facts()["seed"].as_u64().unwrap_or_else(|| panic!("{}: no seed", self.case))
    }

    fn values(&self, key: &str) -> Vec<f64> {
        self.golden.f64(&format!("{}/{key}", self.size)).unwrap_or_else(|e| panic!("{e}"))
    }

    fn noise(&self, key: &str) -> Vec<f64> {
        self.golden.f64(&format!("noise/{}/{key}", self.size)).unwrap_or_else(|e| panic!("{e}"))
    }

    /// Pixels are addressed bytes less 128, times the golden's scale, which is a power of 2.
    fn batch(&self, step: u32) -> Batch {
        let (n, scale, labels) = (self.fact("n") as usize, self.fact("pixel") as f32, self.fact("labels") as u32);
        let mut batch = Batch::with_capacity(n, self.net.input().len());
        batch.n = n;
        let stream = |layer, item| net::random::Stream::new(self.seed(), net::random::Purpose::Test, layer, step, item);
        for (item, image) in batch.f32_mut().chunks_exact_mut(self.net.input().len()).enumerate() {
            let stream = stream(PIXELS_LAYER, item as u32);
            for (block, pixels) in image.chunks_mut(4).enumerate() {
                for (pixel, bits) in pixels.iter_mut().zip(stream.block(block as u32)) {
                    *pixel = ((bits >> 24) as f32 - 128.0) * scale;
                }
            }
        }
        batch.labels = (0..n as u32).map(|e| stream(LABELS_LAYER, 0).below(e, labels)).collect();
        batch
    }

    fn hyper(&self, step: u32) -> Hyper {
        let drop = if f64::from(step) < self.fact("drop_at") { 1.0 } else { self.fact("drop") };
        let rate = self.fact("rate") * drop;
        let decay = self.fact("decay");
        let params = self.net.params().iter();
        let params = params.map(|p| ParamHyper { rate: (rate * p.learn.rate) as f32, decay: (decay * p.learn.decay) as f32 });
        Hyper { form: self.form, momentum: self.fact("momentum") as f32, params: params.collect() }
    }

    /// The first `steps` of ten steps, and everything that the golden has of them.
    fn check(&self, mut engine: Engine, steps: usize) {
        let mut wrong = Vec::new();
        let first = self.net.initial_params(self.seed());
        engine.executor().load(Kind::Weights, &first).unwrap_or_else(|e| panic!("{e}"));
        let (losses, loss_noise) = (self.values("losses"), self.noise("losses"));
        assert_eq!(losses.len(), STEPS, "{}", self.case);
        for (step, &expected) in losses.iter().enumerate().take(steps) {
            let loss = self.mean_loss(&mut engine, step as u32);
            let granted = engine.granted(loss_noise[step]);
            if exceeds((loss - expected).abs(), granted) {
                wrong.push(format!("loss of step {step}: expected {expected}, got {loss}, granted {granted:e}"));
            }
            if step == 0 {
                self.first_pass(&mut engine, &mut wrong);
            }
            if steps == STEPS {
                engine.executor().apply(&self.hyper(step as u32)).unwrap_or_else(|e| panic!("{e}"));
            }
        }
        if steps == STEPS {
            self.last_weights(&mut engine, &first, &mut wrong);
        }
        assert!(wrong.is_empty(), "{} {} {}:\n{}", engine.name(), self.case, self.size, wrong.join("\n"));
    }

    fn mean_loss(&self, engine: &mut Engine, step: u32) -> f64 {
        let batch = self.batch(step);
        let executor = engine.executor();
        let info = StepInfo::whole(self.seed(), step, batch.n);
        let loss = executor.forward_backward(&batch, info).and_then(|()| executor.take_loss(true));
        loss.ok().flatten().map_or(f64::NAN, |loss| loss.nll_sum / batch.n as f64)
    }

    fn first_pass(&self, engine: &mut Engine, wrong: &mut Vec<String>) {
        let last_linear = self.net.layers().len() - 2;
        let logits = engine.activation(&self.net.layers()[last_linear].name);
        let granted = engine.granted(self.noise("logits")[0]);
        for (i, expected) in self.values("logits").into_iter().enumerate() {
            if exceeds((logits.at(i) - expected).abs(), granted) {
                wrong.push(format!("logit {i}: expected {expected}, got {}, granted {granted:e}", logits.at(i)));
            }
        }
        let mut gradients = engine.parameters(Kind::Gradients);
        gradients.push(engine.input_gradient());
        for (index, gradient) in gradients.iter().enumerate() {
            self.compare(engine, "gradient", index, gradient.len(), |i| gradient.at(i), wrong);
        }
    }

    fn last_weights(&self, engine: &mut Engine, first: &ParamSet, wrong: &mut Vec<String>) {
        let weights = engine.parameters(Kind::Weights);
        for ((index, now), (_, first)) in weights.iter().enumerate().zip(first.iter()) {
            let moved = |i: usize| now.at(i) - f64::from(first.data[i]);
            self.compare(engine, "displacement", index, now.len(), moved, wrong);
        }
        drop(weights);
        for (index, momentum) in engine.parameters(Kind::Momentum).iter().enumerate() {
            self.compare(engine, "momentum", index, momentum.len(), |i| momentum.at(i), wrong);
        }
    }

    fn compare(&self, engine: &Engine, what: &str, index: usize, len: usize, at: impl Fn(usize) -> f64, wrong: &mut Vec<String>) {
        let key = format!("{what}/{index}");
        let kept = self.values(&key);
        let golden = Digest::parse(len, &kept).unwrap_or_else(|| panic!("{key}: not a digest"));
        let mut granted = engine.granted(self.noise(&key)[0]);
        if let (Engine::Reference(_), "momentum") = (engine, what) {
            granted += f64::from(f32::EPSILON) / 2.0 * golden.norm(); // the oracle shows momenta rounded to f32
        }
        let name = self.net.params().get(index).map_or("the input", |p| p.name.as_str());
        let differences = Digest::of(len, at, index as u32, self.seed()).differences(&golden, granted);
        wrong.extend(differences.into_iter().map(|line| format!("{what} of {name}: {line}")));
    }
}

fn init(facts: &Value) -> Init {
    match facts["init"].as_str() {
        Some("xavier") => Init::Xavier,
        Some("fan_in") => Init::FanIn,
        other => panic!("initial values {other:?}"),
    }
}

fn small(preset: &str) {
    let golden = read(preset);
    let facts = &golden.facts()["small"];
    let side = facts["shape"][1].as_u64().unwrap_or(0) as usize;
    let net = shrunk(&undropped(preset, init(facts)), Shape { c: 3, h: side, w: side });
    let n = facts["n"].as_u64().unwrap_or(0) as usize;
    for engine in [Engine::reference(&net, n), Engine::cpu(&net, n)] {
        let case = Case { golden: &golden, case: preset, size: "small", net: net.clone(), form: Form::RateInside };
        case.check(engine, STEPS);
    }
}

/// One at a time: each takes a gigabyte or two.
static FULL: Mutex<()> = Mutex::new(());

fn full(preset: &str) {
    let _alone = FULL.lock().unwrap_or_else(PoisonError::into_inner);
    let golden = read(preset);
    let facts = &golden.facts()["full"];
    let net = undropped(preset, init(facts));
    let n = facts["n"].as_u64().unwrap_or(0) as usize;
    let case = Case { golden: &golden, case: preset, size: "full", net, form: Form::RateInside };
    case.check(Engine::cpu(&case.net, n), STEPS);
    case.check(Engine::reference(&case.net, n), 1);
}

#[test]
fn torchvision_small() {
    small("torchvision");
}

#[test]
fn alexnet_small() {
    small("alexnet");
}

#[test]
fn caffe_small() {
    small("caffe");
}

#[test]
fn torchvision_full() {
    full("torchvision");
}

#[test]
fn alexnet_full() {
    full("alexnet");
}

#[test]
fn caffe_full() {
    full("caffe");
}

/// The update with the rate outside the velocity, against `torch.optim.SGD` itself.
#[test]
fn rate_outside() {
    let golden = read("sgd");
    let facts = &golden.facts()["small"];
    let net = Net::from_toml(facts["net"].as_str().unwrap_or("")).unwrap_or_else(|e| panic!("{e}"));
    let n = facts["n"].as_u64().unwrap_or(0) as usize;
    for engine in [Engine::reference(&net, n), Engine::cpu(&net, n)] {
        Case { golden: &golden, case: "sgd", size: "small", net: net.clone(), form: Form::RateOutside }.check(engine, STEPS);
    }
}
