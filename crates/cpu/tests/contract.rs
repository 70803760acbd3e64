//! What the engine refuses, keeps and prints.

use std::sync::Arc;

use cpu::{Convolution, Isa, Options};
use net::random::{Purpose, Stream};
use net::{Batch, Error, Executor, Hyper, Kind, Mode, Net, ParamSet, Precision, SharedTensor, StepInfo};

fn tiny() -> Net {
    Net::preset("tiny").unwrap()
}

fn batch(net: &Net, n: usize) -> Batch {
    let mut batch = Batch::with_capacity(n, net.input().len());
    batch.f32_mut().iter_mut().enumerate().for_each(|(i, x)| *x = (i % 13) as f32 * 0.1 - 0.6);
    batch.n = n;
    batch
}

fn message<T>(result: Result<T, Error>) -> String {
    result.err().expect("an error").to_string()
}

#[test]
fn preparation_is_refused_with_reasons() {
    let net = tiny();
    let prepare = |batch, options: &Options| message(cpu::prepare(&net, batch, Mode::Train, options));
    assert!(prepare(0, &Options::default()).contains("a batch of 0 images"));
    assert!(prepare(1 << 20, &Options::default()).contains("a batch of 1048576 images"));
    assert!(prepare(1, &Options { threads: Some(0), ..Options::default() }).contains("0 threads"));
    assert!(prepare(1, &Options { threads: Some(5000), ..Options::default() }).contains("5000 threads"));
    let unknown = prepare(1, &Options { keep: Some("fc9".into()), ..Options::default() });
    assert!(unknown.contains("no layer is called `fc9`; there are conv1, "), "{unknown}");
    for isa in Isa::ALL {
        let prepared = cpu::prepare(&net, 1, Mode::Infer, &Options { isa: Some(isa), ..Options::default() });
        assert_eq!(prepared.is_ok(), isa.available(), "{isa}");
    }
}

#[test]
fn too_much_memory_is_an_error() {
    let net = Net::preset("alexnet").unwrap().with_input(net::Shape { c: 3, h: 1 << 14, w: 1 << 14 }).unwrap();
    assert!(message(cpu::prepare(&net, 1 << 16, Mode::Train, &Options::default())).contains("no memory"));
}

#[test]
fn memory_is_known_before_it_is_taken() {
    let net = tiny();
    let bytes = |batch, mode| cpu::memory_bytes(&net, batch, mode, &Options::default());
    let params = 4 * net.parameter_count() as u64;
    assert!(bytes(2, Mode::Train).unwrap() > bytes(1, Mode::Train).unwrap());
    assert!(bytes(1, Mode::Train).unwrap() > 3 * params && bytes(1, Mode::Infer).unwrap() > params);
    assert!(bytes(2, Mode::Infer).unwrap() < bytes(2, Mode::Train).unwrap());
    assert!(message(bytes(0, Mode::Infer)).contains("a batch of 0 images"));
    let large = Net::preset("alexnet").unwrap().with_input(net::Shape { c: 3, h: 1 << 14, w: 1 << 14 }).unwrap();
    assert!(cpu::memory_bytes(&large, 1 << 16, Mode::Train, &Options::default()).unwrap() > 1 << 50);
}

#[test]
fn isa_names_read_as_they_print() {
    for isa in Isa::ALL {
        assert_eq!(isa.to_string().parse(), Ok(isa));
    }
    assert!("sse9".parse::<Isa>().unwrap_err().to_string().contains("portable"));
}

#[test]
fn bad_batches_are_refused_and_change_nothing() {
    let net = tiny();
    let mut exec = cpu::prepare(&net, 2, Mode::Train, &Options::default()).unwrap();
    exec.load(Kind::Weights, &net.initial_params(1)).unwrap();
    let info = StepInfo::whole(0, 0, 2);
    assert!(message(exec.forward(&batch(&net, 3))).contains("3 images given, 1 to 2"));
    let mut empty = batch(&net, 2);
    empty.n = 0;
    assert!(message(exec.forward(&empty)).contains("0 images"));
    let mut misshapen = Batch::with_capacity(2, 7);
    misshapen.n = 2;
    assert!(message(exec.forward(&misshapen)).contains("7 values an image"));
    let mut mislabelled = batch(&net, 2);
    mislabelled.labels[1] = 5;
    assert!(message(exec.forward_backward(&mislabelled, info)).contains("image 1 has label 5"));
    assert!(exec.forward(&mislabelled).is_ok(), "labels do not matter in testing");
    assert_eq!(exec.take_loss(true).unwrap(), None);
    assert!(message(exec.apply(&Hyper::default())).contains("rates of 0 parameters"));
    assert!(message(exec.load(Kind::Weights, &ParamSet::default())).contains("missing"));
}

#[test]
fn inference_learns_nothing() {
    let net = tiny();
    let mut exec = cpu::prepare(&net, 1, Mode::Infer, &Options::default()).unwrap();
    assert!(message(exec.save(Kind::Gradients)).contains("inference"));
    assert!(message(exec.forward_backward(&batch(&net, 1), StepInfo::whole(0, 0, 1))).contains("inference"));
    assert!(message(exec.input_gradient()).contains("prepare to train and inspect"));
    assert!(exec.save(Kind::Weights).is_ok());
}

#[test]
fn a_precision_that_cpus_lack_is_refused() {
    let options = |precision| Options { precision, ..Options::default() };
    for precision in [Precision::Tf32, Precision::F16] {
        let expected = format!("cpu engine: CPUs compute in f32 and bf16, not in {precision}");
        let refused = cpu::prepare(&tiny(), 1, Mode::Infer, &options(precision)).err().expect("it is refused");
        assert_eq!(refused.to_string(), expected);
        assert_eq!(cpu::memory_bytes(&tiny(), 1, Mode::Infer, &options(precision)).unwrap_err().to_string(), expected);
    }
}

fn shared(params: &ParamSet) -> Vec<(String, SharedTensor)> {
    let share = |tensor: &net::Tensor| SharedTensor { shape: tensor.shape.clone(), values: Arc::new(tensor.data.clone()) };
    params.iter().map(|(name, tensor)| (name.to_string(), share(tensor))).collect()
}

/// Every way through a linear layer, and every change between weights of its own and shared ones.
#[test]
fn shared_weights_are_weights() {
    let net = tiny();
    let (first, second) = (net.initial_params(1), net.initial_params(2));
    for (n, precision) in [1, 2, 40].into_iter().flat_map(|n| [(n, Precision::F32), (n, Precision::Bf16)]) {
        let batch = batch(&net, n);
        let options = Options { precision, ..Options::default() };
        let mut own = cpu::prepare(&net, n, Mode::Infer, &options).unwrap();
        let mut exec = cpu::prepare(&net, n, Mode::Infer, &options).unwrap();
        for params in [&first, &second] {
            own.load(Kind::Weights, params).unwrap();
            let expected = own.forward(&batch).unwrap();
            exec.load_shared(&shared(params)).unwrap();
            assert_eq!(exec.forward(&batch).unwrap(), expected, "{n} images, {precision}");
            assert_eq!(exec.forward(&batch).unwrap(), expected, "{n} images, {precision}, again");
            assert_eq!(exec.save(Kind::Weights).unwrap(), *params);
        }
        exec.load(Kind::Weights, &first).unwrap();
        own.load(Kind::Weights, &first).unwrap();
        assert_eq!(exec.forward(&batch).unwrap(), own.forward(&batch).unwrap());
        assert_eq!(exec.save(Kind::Weights).unwrap(), first);
    }
}

/// Linear layers alone share, and only where nothing is learned.
#[test]
fn what_is_not_read_in_place_is_let_go() {
    let net = tiny();
    let weights = shared(&net.initial_params(1));
    for (mode, expected) in [(Mode::Infer, vec!["fc4.weight", "fc5.weight"]), (Mode::Train, vec![])] {
        let mut exec = cpu::prepare(&net, 1, mode, &Options::default()).unwrap();
        exec.load_shared(&weights).unwrap();
        let held = weights.iter().filter(|(_, tensor)| Arc::strong_count(&tensor.values) > 1);
        assert_eq!(held.map(|(name, _)| name.as_str()).collect::<Vec<_>>(), expected, "{mode:?}");
        assert_eq!(exec.save(Kind::Weights).unwrap(), net.initial_params(1));
    }
}

#[test]
fn shared_weights_of_another_net_are_refused_and_change_nothing() {
    let net = tiny();
    let mut exec = cpu::prepare(&net, 1, Mode::Infer, &Options::default()).unwrap();
    let mut weights = shared(&net.initial_params(1));
    exec.load_shared(&weights).unwrap();
    weights[0].1.values = Arc::new(vec![0.0; 3]);
    assert!(message(exec.load_shared(&weights)).contains("given, net `tiny` needs"));
    weights.pop();
    weights.remove(0);
    assert!(message(exec.load_shared(&weights)).contains("missing"));
    assert_eq!(exec.save(Kind::Weights).unwrap(), net.initial_params(1));
}

#[test]
fn activations_are_kept_as_promised() {
    let net = tiny();
    let batch = batch(&net, 2);
    let mut plain = cpu::prepare(&net, 2, Mode::Train, &Options::default()).unwrap();
    let mut inspecting = cpu::prepare(&net, 2, Mode::Train, &Options { inspect: true, ..Options::default() }).unwrap();
    for exec in [&mut plain, &mut inspecting] {
        exec.load(Kind::Weights, &net.initial_params(1)).unwrap();
        assert!(message(exec.activation("relu2")).contains("no batch"));
        exec.forward_backward(&batch, StepInfo::whole(0, 0, 2)).unwrap();
        assert!(message(exec.activation("relu9")).contains("no layer"));
    }
    assert_eq!(plain.activation("relu2").unwrap(), inspecting.activation("relu2").unwrap());
    assert!(message(plain.activation("norm2")).contains("prepare to keep it"), "relu2 works in place");
    for (i, layer) in net.layers().iter().enumerate() {
        let (tensor, shape) = (inspecting.activation(&layer.name).unwrap(), net.output_of(i));
        assert_eq!(tensor.shape, [2, shape.c, shape.h, shape.w], "{}", layer.name);
    }
    assert_eq!(inspecting.input_gradient().unwrap().shape, [2, 3, 11, 10]);
    inspecting.forward(&batch).unwrap();
    assert!(message(inspecting.input_gradient()).contains("not backward"));
}

#[test]
fn buckets_come_last_layer_first_and_cover_every_gradient() {
    let net = tiny();
    let mut exec = cpu::prepare(&net, 2, Mode::Train, &Options::default()).unwrap();
    exec.load(Kind::Weights, &net.initial_params(1)).unwrap();
    exec.forward_backward(&batch(&net, 2), StepInfo::whole(0, 0, 2)).unwrap();
    let (mut count, mut first_len) = (0, 0);
    exec.each_bucket(&mut |bucket| {
        assert_eq!(bucket.index, count);
        let net::BucketValues::Host(values) = bucket.values else { unreachable!() };
        first_len = if count == 0 { values.len() } else { first_len };
        values.fill(count as f32);
        count += 1;
        Ok(())
    })
    .unwrap();
    assert_eq!((count, first_len), (5, 7 * 5 + 5));
    let gradients = exec.save(Kind::Gradients).unwrap();
    for (name, value) in [("fc5", 0.0), ("fc4", 1.0), ("local3", 2.0), ("conv2", 3.0), ("conv1", 4.0)] {
        for part in ["weight", "bias"] {
            let tensor = gradients.get(&format!("{name}.{part}")).unwrap();
            assert!(tensor.data.iter().all(|&x| x == value), "{name}.{part}");
        }
    }
}

#[test]
fn the_plan_names_every_layer_and_why() {
    let net = Net::preset("alexnet").unwrap();
    let exec = cpu::prepare(&net, 1, Mode::Train, &Options { threads: Some(2), ..Options::default() }).unwrap();
    let plan = exec.plan();
    for layer in net.layers() {
        assert!(plan.lines().any(|line| line.starts_with(&layer.name)), "{}\n{plan}", layer.name);
    }
    assert!(plan.contains("2 threads") && plan.contains("MiB") && plan.contains("winograd F(4×4, 5×5)"), "{plan}");
    // Forward and weight gradient of every layer, and the data gradient of all but the first.
    let whole = 2.0 * net.multiply_adds() as f64 / 1e6;
    let total: f64 = plan.lines().last().unwrap().split_whitespace().last().unwrap().parse().unwrap();
    let products = 3.0 * whole - 2.0 * net.multiply_adds_of(0) as f64 / 1e6;
    assert!(total > products && total < 1.02 * products, "{total} and {products}");
}

#[test]
fn convolutions_can_be_computed_either_way() {
    let net = Net::preset("cifar-80sec").unwrap();
    let mut params = ParamSet::zeros(&net);
    for (index, info) in net.params().iter().enumerate() {
        let stream = Stream::new(7, Purpose::Test, index as u32, 0, 0);
        let scale = (2.0 / info.fan_in as f64).sqrt();
        params
            .get_mut(&info.name)
            .unwrap()
            .data
            .iter_mut()
            .enumerate()
            .for_each(|(e, w)| *w = (scale * stream.normal(e as u32)) as f32);
    }
    let mut images = batch(&net, 3);
    let noise = Stream::new(8, Purpose::Test, 0, 0, 0);
    images.f32_mut().iter_mut().enumerate().for_each(|(e, x)| *x = noise.normal(e as u32) as f32);
    let probabilities = |convolutions| {
        let options = Options { threads: Some(2), convolutions, ..Options::default() };
        let mut exec = cpu::prepare(&net, 3, Mode::Infer, &options).unwrap();
        exec.load(Kind::Weights, &params).unwrap();
        let all = exec.choices();
        let tiled = all.iter().filter(|choice| choice.picked == Convolution::Tiles).count();
        assert_eq!(exec.plan().matches("winograd F(").count(), tiled);
        assert!(all.iter().all(|choice| choice.picked == Convolution::Product || choice.tiles_cost.is_some()));
        (tiled, exec.forward(&images).unwrap().to_vec())
    };
    let ((by_count, picked), (with, tiles), (without, products)) =
        (probabilities(None), probabilities(Some(Convolution::Tiles)), probabilities(Some(Convolution::Product)));
    assert!(by_count > 0 && by_count <= with && without == 0, "{by_count}, {with} and {without} convolutions by tiles");
    assert!(picked == tiles || by_count < with);
    let worst = tiles.iter().zip(&products).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(worst > 0.0 && worst < 1e-5, "{worst:e} between the two");
}
