//! Linear layers with operands rounded to bf16, beside exact sums of the rounded operands.

use cpu::{Isa, Options};
use net::random::{Purpose, Stream};
use net::{Batch, Executor, Kind, Mode, Net, ParamSet, Precision, StepInfo};

/// Depths that are odd, not a multiple of a vector, and longer than a block of the product.
const NET: &str = r#"
name = "wide"
input = { c = 3, h = 11, w = 11 }

[[layer]]
name = "fc1"
linear = { k = 801, weight = { init = "fan_in" }, bias = { init = "fan_in" } }

[[layer]]
name = "fc2"
linear = { k = 37, weight = { init = "fan_in" }, bias = { init = "fan_in" } }

[[layer]]
name = "prob"
softmax = {}
"#;

/// Unit roundoff of f32, and of bf16.
const U: f64 = 1.0 / 16_777_216.0;
const U16: f64 = 1.0 / 256.0;

/// The nearest value with 8 bits, ties to even.
fn rounded(x: f32) -> f64 {
    let bits = x.to_bits();
    f64::from(f32::from_bits((bits + 0x7fff + (bits >> 16 & 1)) & 0xffff_0000))
}

fn batch(net: &Net, n: usize) -> Batch {
    let mut batch = Batch::with_capacity(n, net.input().len());
    let stream = Stream::new(9, Purpose::Test, 0, 0, 0);
    batch.f32_mut().iter_mut().enumerate().for_each(|(e, x)| *x = stream.normal(e as u32) as f32);
    batch.labels.iter_mut().enumerate().for_each(|(i, label)| *label = i as u32 % net.classes() as u32);
    batch.n = n;
    batch
}

fn params(net: &Net) -> ParamSet {
    let mut params = ParamSet::zeros(net);
    for (index, info) in net.params().iter().enumerate() {
        let stream = Stream::new(11, Purpose::Test, index as u32, 0, 0);
        let scale = 1.0 / (info.fan_in as f64).sqrt();
        if let Some(tensor) = params.get_mut(&info.name) {
            tensor.data.iter_mut().enumerate().for_each(|(e, w)| *w = (scale * stream.normal(e as u32)) as f32);
        }
    }
    params
}

fn engine(net: &Net, n: usize, mode: Mode, isa: Isa, threads: usize, inspect: bool, precision: Precision) -> cpu::Cpu {
    let options = Options { threads: Some(threads), isa: Some(isa), inspect, precision, ..Options::default() };
    let mut exec = cpu::prepare(net, n, mode, &options).expect("an executor");
    exec.load(Kind::Weights, &params(net)).expect("weights");
    exec
}

/// Checks `y[n, k] = x[n, i] · w[k, i]ᵀ + b[k]` with rounded operands.
fn check(x: &[f32], w: &[f32], b: &[f32], y: &[f32], what: &str) {
    let (k, inputs) = (b.len(), w.len() / b.len());
    let mut rounding_seen = 0.0f64;
    for (x, y) in x.chunks_exact(inputs).zip(y.chunks_exact(k)) {
        for (j, (w, &y)) in w.chunks_exact(inputs).zip(y).enumerate() {
            let (mut sum, mut size, mut exact) = (f64::from(b[j]), f64::from(b[j]).abs(), f64::from(b[j]));
            for (&x, &w) in x.iter().zip(w) {
                let product = rounded(x) * rounded(w);
                (sum, size, exact) = (sum + product, size + product.abs(), exact + f64::from(x) * f64::from(w));
            }
            let (error, bound) = ((f64::from(y) - sum).abs(), (inputs + 2) as f64 * U * size);
            assert!(error <= bound, "{what}: output {j}: {y} for {sum}, error {error:e}, bound {bound:e}");
            assert!((f64::from(y) - exact).abs() <= 2.0 * U16 * size, "{what}: output {j}: {y} for {exact}");
            rounding_seen = rounding_seen.max((sum - exact).abs() / size);
        }
    }
    assert!(rounding_seen > 16.0 * U, "{what}: operands have not been rounded");
}

#[test]
fn linear_layers_sum_products_of_rounded_operands() {
    let net = Net::from_toml(NET).expect("a net");
    let weights = params(&net);
    let of = |name: &str| weights.get(name).map_or(&[][..], |tensor| &tensor.data);
    for isa in Isa::ALL.into_iter().filter(|isa| isa.available()) {
        for (mode, n) in [(Mode::Infer, 1), (Mode::Infer, 5), (Mode::Infer, 29), (Mode::Train, 3), (Mode::Train, 29)] {
            let batch = batch(&net, n);
            let mut exec = engine(&net, n, mode, isa, 2, true, Precision::Bf16);
            for round in 0..2 {
                exec.forward(&batch).expect("a pass");
                let [h, y] = ["fc1", "fc2"].map(|layer| exec.activation(layer).expect("an activation").data);
                let what = format!("{isa}, {mode:?}, {n} images, pass {round}");
                check(batch.f32(), of("fc1.weight"), of("fc1.bias"), &h, &what);
                check(&h, of("fc2.weight"), of("fc2.bias"), &y, &what);
            }
        }
    }
}

/// All gradients of one pass, one behind the other.
fn gradients(exec: &mut cpu::Cpu, batch: &Batch) -> Vec<f32> {
    exec.forward_backward(batch, StepInfo::whole(1, 0, batch.n)).expect("a pass");
    exec.save(Kind::Gradients).expect("gradients").iter().flat_map(|(_, tensor)| tensor.data.clone()).collect()
}

#[test]
fn gradients_are_near_those_in_f32_and_do_not_depend_on_threads() {
    for net in [Net::from_toml(NET).expect("a net"), Net::preset("cifar-80sec").expect("a preset")] {
        let batch = batch(&net, 13);
        for isa in Isa::ALL.into_iter().filter(|isa| isa.available()) {
            let of = |threads, precision| gradients(&mut engine(&net, 13, Mode::Train, isa, threads, false, precision), &batch);
            let (exact, near, same) = (of(2, Precision::F32), of(1, Precision::Bf16), of(3, Precision::Bf16));
            assert!(
                near.iter().zip(&same).all(|(a, b)| a.to_bits() == b.to_bits()),
                "{}: {isa}: threads change bits",
                net.name()
            );
            let norm = |values: &mut dyn Iterator<Item = f32>| values.map(|x| f64::from(x).powi(2)).sum::<f64>().sqrt();
            let distance = norm(&mut exact.iter().zip(&near).map(|(a, b)| a - b)) / norm(&mut exact.iter().copied());
            assert!(distance > 1e-5 && distance < 1e-2, "{}: {isa}: {distance:e} from the gradients in f32", net.name());
        }
    }
}
