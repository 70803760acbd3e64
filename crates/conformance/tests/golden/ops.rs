//! Every op that PyTorch has, in nets of one op, a linear layer and softmax: outputs, loss and gradients elementwise.

use conformance::golden::Golden;
use net::{Batch, Kind, Mixed, Net, ParamSet, StepInfo, Tensor};

use crate::engine::{Column, Engine, exceeds, read};

/// One net of a case, with what it is run on.
struct OneOp<'a> {
    golden: &'a Golden,
    case: &'a str,
    name: &'a str,
    net: Net,
    batch: Batch,
    params: ParamSet,
}

impl<'a> OneOp<'a> {
    fn new(golden: &'a Golden, case: &'a str, name: &'a str, text: &str) -> OneOp<'a> {
        let net = Net::from_toml(text).unwrap_or_else(|e| panic!("{case}/{name}: {e}\n{text}"));
        let get = |key: &str| golden.tensor(&format!("{name}/{key}")).unwrap_or_else(|e| panic!("{e}"));
        let labels = get("labels").1.to_f64();
        let mut batch = Batch::with_capacity(labels.len(), net.input().len());
        batch.n = labels.len();
        batch.labels = labels.iter().map(|&label| label as u32).collect();
        if golden.has(&format!("{name}/second")) {
            let second = get("second").1.to_f64().iter().map(|&label| label as u32).collect();
            let shares = get("shares").1.to_f64().iter().map(|&share| share as f32).collect();
            batch.mixed = Some(Mixed { labels: second, shares });
        }
        let given = |key: &str| golden.f32(&format!("{name}/{key}")).unwrap_or_else(|e| panic!("{e}")).to_vec();
        batch.f32_mut().copy_from_slice(&given("input"));
        let tensor = |p: &net::ParamInfo| {
            let key = format!("param/{}", p.name);
            (p.name.clone(), Tensor { shape: get(&key).0.to_vec(), data: given(&key) })
        };
        let params = ParamSet::new(net.params().iter().map(tensor).collect());
        OneOp { golden, case, name, net, batch, params }
    }

    /// Runs the passes that the golden has; the number of values compared.
    fn check(&self, mut engine: Engine) -> usize {
        let seed = self.golden.facts()["seed"].as_u64().unwrap_or_else(|| panic!("no seed"));
        engine.executor().load(Kind::Weights, &self.params).unwrap_or_else(|e| panic!("{}/{}: {e}", self.case, self.name));
        let train = self.golden.has(&format!("{}/nll", self.name));
        let mut compared = 0;
        if train {
            compared += self.training_pass(&mut engine, StepInfo::whole(seed, 0, self.batch.n));
        }
        if self.golden.has(&format!("{}/probabilities", self.name)) {
            let probabilities = engine.probabilities(&self.batch);
            compared += self.compare(&engine, "probabilities", &probabilities);
            if !train {
                compared += self.activations(&mut engine);
            }
        }
        compared
    }

    fn training_pass(&self, engine: &mut Engine, info: StepInfo) -> usize {
        let executor = engine.executor();
        let loss = executor.forward_backward(&self.batch, info).and_then(|()| executor.take_loss(true));
        let loss = loss.ok().flatten().unwrap_or_else(|| panic!("{}/{}: no loss", self.case, self.name));
        let nll = self.values("nll").iter().sum::<f64>();
        let granted = engine.granted(self.noise("nll")) * self.batch.n as f64;
        let apart = (loss.nll_sum - nll).abs();
        assert!(apart <= granted, "{}: loss {} for {nll}, granted {granted:e}", self.at(engine, "nll"), loss.nll_sum);
        let mut compared = 1 + self.activations(engine);
        for (p, gradient) in self.net.params().iter().zip(engine.parameters(Kind::Gradients)) {
            compared += self.compare(engine, &format!("gradient/{}", p.name), &gradient);
        }
        let input_gradient = engine.input_gradient();
        compared + self.compare(engine, "gradient/input", &input_gradient)
    }

    fn activations(&self, engine: &mut Engine) -> usize {
        let layers = self.net.layers().iter().filter(|layer| layer.name != "prob");
        layers
            .map(|layer| {
                let activation = engine.activation(&layer.name);
                self.compare(engine, &format!("activation/{}", layer.name), &activation)
            })
            .sum()
    }

    fn values(&self, key: &str) -> Vec<f64> {
        self.golden.f64(&format!("{}/{key}", self.name)).unwrap_or_else(|e| panic!("{e}"))
    }

    fn noise(&self, key: &str) -> f64 {
        self.golden.f64(&format!("noise/{}/{key}", self.name)).unwrap_or_else(|e| panic!("{e}"))[0]
    }

    fn at(&self, engine: &Engine, key: &str) -> String {
        format!("{} {}/{} {key}", engine.name(), self.case, self.name)
    }

    /// Every element within what the engine is granted; their number.
    fn compare(&self, engine: &Engine, key: &str, got: &Column) -> usize {
        let (expected, granted) = (self.values(key), engine.granted(self.noise(key)));
        let at = self.at(engine, key);
        assert_eq!(got.len(), expected.len(), "{at}");
        let apart = |i: usize| (got.at(i) - expected[i]).abs();
        let wrong: Vec<usize> = (0..got.len()).filter(|&i| exceeds(apart(i), granted)).collect();
        if let Some(&worst) = wrong.iter().max_by(|&&a, &&b| apart(a).total_cmp(&apart(b))) {
            let (shape, _) = self.golden.tensor(&format!("{}/{key}", self.name)).unwrap_or_else(|e| panic!("{e}"));
            panic!(
                "{at}: {} of {} elements differ; worst at {worst} of {shape:?}: expected {:e}, got {:e}, apart by {:e}, \
                 granted {granted:e}",
                wrong.len(),
                got.len(),
                expected[worst],
                got.at(worst),
                apart(worst)
            );
        }
        got.len()
    }
}

fn case(case: &str, nets: usize) {
    let golden = read(case);
    let texts = golden.facts()["nets"].as_object().unwrap_or_else(|| panic!("{case}: no nets"));
    assert_eq!(texts.len(), nets, "{case}");
    for (name, text) in texts {
        let one = OneOp::new(&golden, case, name, text.as_str().unwrap_or(""));
        for engine in [Engine::reference(&one.net, one.batch.n), Engine::cpu(&one.net, one.batch.n)] {
            assert!(one.check(engine) > 0, "{case}/{name}: nothing compared");
        }
    }
}

#[test]
fn conv() {
    case("conv", 14);
}

#[test]
fn local() {
    case("local", 4);
}

#[test]
fn linear() {
    case("linear", 5);
}

#[test]
fn relu() {
    case("relu", 2);
}

#[test]
fn tanh() {
    case("tanh", 3);
}

#[test]
fn lrn_across() {
    case("lrn-across", 11);
}

#[test]
fn lrn_within() {
    case("lrn-within", 4);
}

#[test]
fn max_pool() {
    case("max-pool", 24);
}

#[test]
fn avg_pool() {
    case("avg-pool", 8);
}

#[test]
fn dropout() {
    case("dropout", 4);
}

#[test]
fn softmax() {
    case("softmax", 6);
}
