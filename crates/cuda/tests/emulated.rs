//! Whole nets on the emulated device, in every precision and form of input, beside the oracle.

use std::path::PathBuf;
use std::sync::Arc;

use cuda::Cuda;
use cuda::emulator::{self, Options};
use net::random::{Purpose, Stream};
use net::{
    Batch, Bytes, Executor, Form, Hyper, Kind, Look, Mode, Net, ParamHyper, ParamSet, Pixels, Precision, StepInfo, Toning,
};

const EVERY: [Precision; 4] = [Precision::F32, Precision::Tf32, Precision::Bf16, Precision::F16];

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("alexnet/emulated")
}

/// Whether there is a device; where not, the test is skipped, aloud.
fn is_there() -> bool {
    let Err(reason) = emulator::available(&folder()) else { return true };
    assert!(std::env::var_os("ALEXNET_NO_SKIPS").is_none_or(|value| value != "1"), "skipped: {reason}");
    // Past the test runner, which keeps to itself what passing tests print.
    let _ = std::io::Write::write_all(&mut std::io::stdout(), format!("skipped: {reason}\n").as_bytes());
    false
}

fn options(precision: Precision) -> Options {
    Options { precision, inspect: false, keep: None, unrecorded: false, seed: 1, workers: 2, folder: folder() }
}

fn train(net: &Net, n: usize, precision: Precision) -> Cuda {
    emulator::prepare(net, n, Mode::Train, &options(precision)).expect("an executor")
}

/// AlexNet's layers, few and narrow: two towers, response normalisation, overlapping pools, dropout.
fn narrow() -> Net {
    let text = r#"
        name = "narrow"
        input = { c = 3, h = 35, w = 39 }
        [[layer]]
        name = "conv1"
        conv = { k = 16, kernel = 11, stride = 4, padding = 2, weight = { init = { gaussian = 0.05 } }, bias = { init = { constant = 0.1 } } }
        [[layer]]
        name = "relu1"
        relu = {}
        [[layer]]
        name = "norm1"
        lrn = { n = 5, k = 2.0, alpha = 1e-3, beta = 0.75, alpha_over_n = false }
        [[layer]]
        name = "pool1"
        max_pool = { kernel = 3, stride = 2 }
        [[layer]]
        name = "conv2"
        conv = { k = 32, kernel = 3, padding = 1, groups = 2, weight = { init = { gaussian = 0.1 } }, bias = { init = { constant = 0.1 } } }
        [[layer]]
        name = "relu2"
        relu = {}
        [[layer]]
        name = "fc3"
        linear = { k = 48, weight = { init = { gaussian = 0.05 } }, bias = { init = { constant = 0.1 } } }
        [[layer]]
        name = "relu3"
        relu = {}
        [[layer]]
        name = "drop3"
        dropout = { rate = 0.5, scaling = "test" }
        [[layer]]
        name = "fc4"
        linear = { k = 10, weight = { init = { gaussian = 0.1 } }, bias = { init = { constant = 0.0 } } }
        [[layer]]
        name = "prob"
        softmax = {}
    "#;
    Net::from_toml(text).expect("a net")
}

/// The same without kinks: where a rectifier or a maximum chooses otherwise after one rounding, two right gradients are far apart.
fn smooth() -> Net {
    let text = narrow().to_toml().replace("relu = {}", "tanh = {}").replace("max_pool", "avg_pool");
    Net::from_toml(&text).expect("a net")
}

fn batch(net: &Net, n: usize) -> Batch {
    let mut batch = Batch::with_capacity(n, net.input().len());
    let stream = Stream::new(3, Purpose::Test, 0, 0, 0);
    batch.f32_mut().iter_mut().enumerate().for_each(|(e, x)| *x = stream.normal(e as u32) as f32);
    batch.labels.iter_mut().enumerate().for_each(|(e, label)| *label = (e * 7 % net.classes()) as u32);
    batch.n = n;
    batch
}

/// ‖found − expected‖ / ‖expected‖
fn distance(found: &[f32], expected: &[f32]) -> f64 {
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|x| x * x).sum::<f64>().sqrt();
    let apart = norm(&mut found.iter().zip(expected).map(|(&a, &b)| f64::from(a) - f64::from(b)));
    apart / norm(&mut expected.iter().map(|&x| f64::from(x)))
}

/// Weights and biases that every precision has exactly, so that what differs is what the passes round.
fn weights(net: &Net) -> ParamSet {
    let mut set = net.initial_params(5);
    for (_, tensor) in set.iter_mut() {
        tensor.data.iter_mut().for_each(|w| *w = f32::from_bits(w.to_bits() & 0xffff_0000));
    }
    set
}

#[test]
fn gradients_are_the_oracles_to_what_the_precision_rounds() {
    if !is_there() {
        return;
    }
    let net = smooth();
    let (batch, info, weights) = (batch(&net, 6), StepInfo::whole(9, 4, 6), weights(&net));
    let mut oracle = reference::prepare(&net, 6, Mode::Train);
    oracle.load(Kind::Weights, &weights).unwrap();
    oracle.forward_backward(&batch, info).unwrap();
    let expected = oracle.save(Kind::Gradients).unwrap();
    let expected_loss = oracle.take_loss(true).unwrap().expect("a loss");
    for precision in EVERY {
        let mut exec = train(&net, 6, precision);
        exec.load(Kind::Weights, &weights).unwrap();
        exec.forward_backward(&batch, info).unwrap();
        let loss = exec.take_loss(true).unwrap().expect("a loss");
        let found = exec.save(Kind::Gradients).unwrap();
        // Of one rounding: 2^-24, 2^-11, 2^-8, 2^-11; errors grow along some ten layers.
        let bound = match precision {
            Precision::F32 => 1e-6,
            Precision::Tf32 | Precision::F16 => 2e-3,
            Precision::Bf16 => 1e-2,
        };
        for ((name, found), (_, expected)) in found.iter().zip(expected.iter()) {
            let distance = distance(&found.data, &expected.data);
            assert!(distance <= bound, "{precision}, {name}: {distance:.2e} of its norm");
        }
        let apart = (loss.nll_sum - expected_loss.nll_sum).abs() / expected_loss.nll_sum;
        assert!(apart <= bound, "{precision}: a loss of {} for {}", loss.nll_sum, expected_loss.nll_sum);
        assert_eq!((loss.top1, loss.images, loss.step), (expected_loss.top1, 6, 4), "{precision}");
    }
}

#[test]
fn every_precision_learns_a_batch_by_heart() {
    if !is_there() {
        return;
    }
    let net = narrow();
    let batch = batch(&net, 8);
    let params = vec![ParamHyper { rate: 0.02, decay: 5e-4 }; net.params().len()];
    let hyper = Hyper { form: Form::RateInside, momentum: 0.9, params };
    for precision in [Precision::Bf16, Precision::F16] {
        let mut exec = train(&net, 8, precision);
        exec.load(Kind::Weights, &net.initial_params(5)).unwrap();
        for step in 0..60 {
            exec.forward_backward(&batch, StepInfo::whole(1, step, 8)).unwrap();
            exec.apply(&hyper).unwrap();
        }
        let losses: Vec<f64> = std::iter::from_fn(|| exec.take_loss(true).unwrap()).map(|loss| loss.nll_sum / 8.0).collect();
        assert_eq!(losses.len(), 60);
        assert!(losses[0] > 2.0 && losses[59] < 0.2, "{precision}: {losses:?}");
    }
}

/// Crops with means that move, reflection and noise, as a loader gives them to engines that take bytes.
fn bytes(net: &Net, n: usize) -> Pixels {
    let (shape, stream) = (net.input(), Stream::new(4, Purpose::Test, 0, 0, 0));
    let (height, width) = (shape.h + 5, shape.w + 3);
    let number = |e: usize| stream.u32(e as u32);
    let rgb = (0..n * shape.len()).map(|e| number(e) as u8).collect();
    let mean = (0..3 * height * width).map(|e| number(e) as f32 / 4e9 * 255.0).collect();
    let look = |i: usize| Look {
        place: [number(i) % 6, number(i + 50) % 4],
        reflected: number(i + 99) % 2 == 1,
        shift: [0.3, -1.7, 2.25 * i as f32],
        scale: [1.0 / 58.0, 1.0 / 57.0, 1.0 / 63.5],
    };
    let toning = Arc::new(Toning { order: [2, 1, 0], mean, height, width, moves: true });
    Pixels::Bytes(Bytes { rgb, looks: (0..n).map(look).collect(), toning })
}

#[test]
fn bytes_are_the_values_that_they_stand_for() {
    if !is_there() {
        return;
    }
    let net = narrow();
    for precision in [Precision::F32, Precision::Bf16] {
        let mut exec = emulator::prepare(&net, 5, Mode::Infer, &options(precision)).expect("an executor");
        exec.load(Kind::Weights, &weights(&net)).unwrap();
        let bytes = Batch { pixels: bytes(&net, 5), ..batch(&net, 5) };
        let values = Pixels::F32(bytes.pixels.to_f32(net.input(), 5).into_owned());
        let expected = exec.forward(&Batch { pixels: values, ..batch(&net, 5) }).unwrap().to_vec();
        let found = exec.forward(&bytes).unwrap().to_vec();
        assert!(found == expected, "{precision}");
        let Pixels::Bytes(given) = &bytes.pixels else { unreachable!("they are bytes") };
        let outside = Look { place: [6, 0], ..given.looks[1] };
        let mut given = given.clone();
        given.looks[1] = outside;
        let error = exec.forward(&Batch { pixels: Pixels::Bytes(given), ..batch(&net, 5) }).unwrap_err().to_string();
        assert!(error.contains("image 1 has no means"), "{error}");
    }
}

#[test]
fn gradients_that_are_not_finite_in_f16_leave_the_weights_alone_and_are_an_error() {
    if !is_there() {
        return;
    }
    let net = narrow();
    let mut exec = train(&net, 4, Precision::F16);
    let mut weights = weights(&net);
    // Gradients of thousands of millions are infinite in f16, and so is what comes of them.
    weights.get_mut("fc4.weight").expect("a parameter").data.iter_mut().for_each(|w| *w *= 3e4);
    exec.load(Kind::Weights, &weights).unwrap();
    let hyper = Hyper { form: Form::RateInside, momentum: 0.9, params: vec![ParamHyper { rate: 0.1, decay: 0.0 }; 8] };
    exec.forward_backward(&batch(&net, 4), StepInfo::whole(1, 0, 4)).unwrap();
    exec.apply(&hyper).unwrap();
    let error = exec.apply(&hyper).unwrap_err().to_string();
    assert!(error.contains("not finite in f16"), "{error}");
    let kept = exec.save(Kind::Weights).unwrap();
    assert!(kept.iter().zip(weights.iter()).all(|((_, kept), (_, weights))| kept.data == weights.data));
}

#[test]
fn a_layer_can_be_kept_in_testing() {
    if !is_there() {
        return;
    }
    let net = narrow();
    let mut exec = emulator::prepare(&net, 3, Mode::Infer, &Options { keep: Some("relu2".into()), ..options(Precision::F32) })
        .expect("an executor");
    exec.load(Kind::Weights, &weights(&net)).unwrap();
    exec.forward(&batch(&net, 3)).unwrap();
    let kept = exec.activation("relu2").unwrap();
    assert_eq!(kept.shape, [3, 32, 3, 4]);
    assert!(kept.data.iter().all(|&x| x >= 0.0) && kept.data.iter().any(|&x| x > 0.0));
    let error = exec.activation("conv2").unwrap_err().to_string();
    assert!(error.contains("not kept"), "{error}");
    assert!(exec.plan().contains("forward_64x64") || exec.plan().contains("forward 64x64"), "{}", exec.plan());
}

#[test]
fn fused_layers_give_the_bits_of_layers_one_by_one() {
    if !is_there() {
        return;
    }
    let net = narrow();
    let (batch, weights) = (batch(&net, 5), weights(&net));
    let gradients = |inspect: bool| {
        let mut exec =
            emulator::prepare(&net, 5, Mode::Train, &Options { inspect, ..options(Precision::F32) }).expect("an executor");
        exec.load(Kind::Weights, &weights).unwrap();
        exec.forward_backward(&batch, StepInfo::whole(2, 3, 5)).unwrap();
        (exec.save(Kind::Gradients).unwrap(), exec.plan())
    };
    let ((fused, plan), (single, _)) = (gradients(false), gradients(true));
    for part in ["in conv1", "in pool1", "in fc4"] {
        assert!(plan.contains(part), "{part}:\n{plan}");
    }
    let same = |((_, a), (_, b)): &((&str, &net::Tensor), (&str, &net::Tensor))| a.data == b.data;
    let other: Vec<_> = fused
        .iter()
        .zip(single.iter())
        .filter(|pair| !same(pair))
        .map(|((name, a), (_, b))| (name, distance(&a.data, &b.data)))
        .collect();
    assert!(other.is_empty(), "{other:?}");
}

#[test]
fn sanitizers_find_nothing_and_change_nothing() {
    if !is_there() {
        return;
    }
    let net = narrow();
    let params = vec![ParamHyper { rate: 0.02, decay: 5e-4 }; net.params().len()];
    let hyper = Hyper { form: Form::RateInside, momentum: 0.9, params };
    // Bytes, whose crops differ; a batch that does not fill the executor; and another order of threads.
    let pixels = Batch { pixels: bytes(&net, 3), ..batch(&net, 3) };
    for precision in [Precision::Tf32, Precision::Bf16] {
        let other = Options { seed: 2, ..options(precision) };
        let sanitized = emulator::prepare_sanitized(&net, 4, Mode::Train, &other).expect("an executor");
        let trained = [train(&net, 4, precision), sanitized].map(|mut exec| {
            exec.load(Kind::Weights, &weights(&net)).unwrap();
            for step in 0..2 {
                exec.forward_backward(&pixels, StepInfo::whole(1, step, 3)).unwrap();
                exec.apply(&hyper).unwrap();
            }
            exec.save(Kind::Weights).unwrap()
        });
        assert!(trained[0].iter().zip(trained[1].iter()).all(|((_, a), (_, b))| a.data == b.data), "{precision}");
    }
}
