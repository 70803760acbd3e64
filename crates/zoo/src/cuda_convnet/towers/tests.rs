//! Towers that are one, held against towers that are two.

use std::collections::BTreeMap;
use std::sync::Arc;

use net::random::{Purpose, Stream};
use reference::Pass;
use safetensors::SafeTensors;
use weights::Mapped;
use weights::cuda_convnet::{self, Checkpoint, FilterInput};

use super::*;
use crate::identify;

fn golden<T>(read: impl FnOnce(&SafeTensors) -> T) -> T {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../golden/cuda-convnet/case.safetensors");
    let bytes = std::fs::read(path).unwrap_or_else(|e| panic!("{path}: {e}"));
    read(&SafeTensors::deserialize(&bytes).expect("a golden"))
}

fn checkpoint(name: &str) -> Checkpoint {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, golden(|case| case.tensor(&format!("file/{name}")).expect("kept").data().to_vec())).unwrap();
    cuda_convnet::read(&Mapped::open(&path).unwrap()).unwrap()
}

/// What the oracle makes of the golden's image.
fn probabilities(name: &str, merged: &Merged) -> Vec<f64> {
    let net = identify::by_ops(merged.input, merged.ops(), None).unwrap();
    let mut oracle = reference::prepare(&net, 1, net::Mode::Infer);
    let params = merged.params().unwrap();
    assert_eq!(params.len(), net.params().len());
    for (index, values) in params.iter().enumerate() {
        assert_eq!(values.len(), net.params()[index].len(), "{}", net.params()[index].name);
        oracle.weight_mut(index).iter_mut().zip(values).for_each(|(to, value)| *to = (*value).into());
    }
    let image = golden(|case| case.tensor(&format!("image/{name}")).expect("kept").data().to_vec());
    let pixels = image.as_chunks().0.iter().map(|four| f32::from_le_bytes(*four).into()).collect();
    oracle.run(pixels, Pass::Test);
    oracle.output_of(net.layers().len() - 1).to_vec()
}

/// The golden computes tower by tower in NumPy; sums here have another order, in f64.
#[test]
fn one_net_gives_what_its_towers_give() {
    for file in ["towers", "towers-inverted", "one-way", "one-way.gz", "cifar.zip", "cifar-local", "cifar-local.zip"] {
        let name = file.split('.').next().expect("a name");
        let checkpoint = checkpoint(file);
        let merged = merge(&checkpoint.layers).unwrap_or_else(|error| panic!("{file}: {error}"));
        let got = probabilities(name, &merged);
        let expected = golden(|case| case.tensor(&format!("probabilities/{name}")).expect("kept").data().to_vec());
        let expected: Vec<f64> = expected.as_chunks().0.iter().map(|eight| f64::from_le_bytes(*eight)).collect();
        assert_eq!(got.len(), expected.len());
        for (got, expected) in got.iter().zip(&expected) {
            assert!((got - expected).abs() < 1e-12, "{file}: {got} for {expected}");
        }
        assert_eq!(merged.most_towers(), if file.starts_with("towers") { 2 } else { 1 }, "{file}");
    }
}

/// A tower that reads the other one first, and one that does not: taken for each other, the probabilities are others.
#[test]
fn the_order_of_inputs_counts() {
    let mut checkpoint = checkpoint("towers");
    let before = probabilities("towers", &merge(&checkpoint.layers).unwrap());
    let layer = checkpoint.layers.iter_mut().find(|layer| layer.name == "fc2048bb").unwrap();
    assert_eq!(layer.inputs, ["hs1b", "hs1a"]);
    layer.inputs.reverse();
    let after = probabilities("towers", &merge(&checkpoint.layers).unwrap());
    assert!(before.iter().zip(&after).any(|(a, b)| (a - b).abs() > 1e-3), "{before:?} {after:?}");
    // Weights that move along with their inputs change nothing.
    let layer = checkpoint.layers.iter_mut().find(|layer| layer.name == "fc2048bb").unwrap();
    layer.weights.reverse();
    let moved = probabilities("towers", &merge(&checkpoint.layers).unwrap());
    assert!(before.iter().zip(&moved).all(|(a, b)| (a - b).abs() < 1e-12), "{before:?} {moved:?}");
}

/// Layers in the words of layer definitions, `name type inputs key=value …`, with weights of the right shapes and no values.
/// `neuron=` is a layer of its own behind, which those behind read.
fn defined(text: &str) -> Vec<Layer> {
    let mut layers: Vec<Layer> = Vec::new();
    let mut maps: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let mut words = line.split_whitespace();
        let [name, kind, inputs] = [(); 3].map(|()| words.next().expect("name, type, inputs"));
        let given: BTreeMap<&str, &str> = words.map(|word| word.split_once('=').expect("key=value")).collect();
        let int = |key: &str, other: usize| given.get(key).map_or(other, |value| value.parse().unwrap());
        let float = |key: &str, other: f64| given.get(key).map_or(other, |value| value.parse().unwrap());
        let activated = |name: &str| {
            let neuron = format!("{name}_neuron");
            if maps.contains_key(&neuron) { neuron } else { name.to_string() }
        };
        let inputs: Vec<String> = if inputs == "-" { Vec::new() } else { inputs.split(',').map(activated).collect() };
        let read: Vec<(usize, usize)> = inputs.iter().map(|input| maps[input]).collect();
        let values = |(maps, side): (usize, usize)| maps * side * side;
        let matrix = |rows, columns| Arc::new(Tensor { shape: vec![rows, columns], data: Vec::new() });
        let (mut weights, mut size) = (Vec::new(), read.first().copied().unwrap_or((1, 1)));
        let op = match kind {
            "data" => {
                size = (int("maps", 1), int("side", 1));
                TheirOp::Data { index: Some(0) }
            }
            "conv" | "local" => {
                let (filter_size, stride, padding) = (int("size", 3), int("stride", 1), int("padding", 0));
                let modules_x = 1 + (2 * padding + size.1 - filter_size).div_ceil(stride);
                let input = |(channels, image_size)| FilterInput {
                    channels,
                    image_size,
                    filter_size,
                    padding,
                    stride,
                    groups: int("groups", 1),
                    rand_sparse: false,
                };
                let filters = int("filters", 1);
                let places = if kind == "local" { modules_x * modules_x } else { 1 };
                size = (filters, modules_x);
                let inputs: Vec<_> = read.iter().copied().map(input).collect();
                for input in &inputs {
                    weights.push(matrix(places * input.channels / input.groups * filter_size * filter_size, filters));
                }
                let filters = Filters { inputs, filters, modules_x, shared_biases: true };
                if kind == "local" { TheirOp::Local(filters) } else { TheirOp::Conv(filters) }
            }
            "fc" => {
                weights.extend(read.iter().map(|read| matrix(values(*read), int("outputs", 1))));
                size = (int("outputs", 1), 1);
                TheirOp::FullyConnected
            }
            "pool" => {
                let (channels, image_size) = size;
                size.1 = 1 + (image_size - int("size", 3)).div_ceil(int("stride", 2));
                TheirOp::Pool(Pool {
                    how: given["pool"].into(),
                    sum: false,
                    channels,
                    image_size,
                    size: int("size", 3),
                    stride: int("stride", 2),
                    start: 0,
                    outputs_x: size.1,
                })
            }
            "cmrnorm" | "rnorm" => {
                let n = int("n", 5);
                let (over, divisor) = if kind == "rnorm" { (NormOver::Places, n * n) } else { (NormOver::Maps, n) };
                TheirOp::Norm(Norm {
                    over,
                    channels: size.0,
                    size: n,
                    scale: float("scale", 0.0) / divisor as f64,
                    pow: 0.75,
                    min_div: float("minDiv", 1.0),
                    blocked: given.contains_key("blocked"),
                })
            }
            "hs" | "dropout2" => TheirOp::Dropout(cuda_convnet::Dropout { keep: 0.5, scales_tests: true }),
            "dropout" => TheirOp::Dropout(cuda_convnet::Dropout { keep: 0.5, scales_tests: false }),
            "pass" | "concat" => {
                size = (read.iter().map(|read| read.0).sum(), size.1);
                TheirOp::Concat
            }
            "softmax" => TheirOp::Softmax,
            kind if kind.starts_with("cost") => TheirOp::Cost,
            _ => TheirOp::Other,
        };
        let gpus = vec![int("gpu", 0) as i64];
        maps.insert(name.into(), size);
        let outputs = Some(values(size));
        let layer =
            Layer { name: name.into(), kind: kind.into(), inputs, outputs, gpus: gpus.clone(), op, weights, biases: None };
        layers.push(layer);
        if let Some(neuron) = given.get("neuron") {
            let own = format!("{name}_neuron");
            maps.insert(own.clone(), size);
            let op = TheirOp::Neuron { kind: neuron.to_string(), params: BTreeMap::new() };
            let (inputs, kind) = (vec![name.to_string()], "neuron".into());
            layers.push(Layer { name: own, kind, inputs, outputs, gpus, op, weights: Vec::new(), biases: None });
        }
    }
    layers
}

/// The net of 2012 (layers-145.cfg), with its dropout.
fn two_towers(dropout: &str) -> String {
    let mut text = "data data - maps=3 side=224\nlabels data -\n".to_string();
    let per_tower = [
        "conv1# conv data filters=48 size=11 stride=4",
        "rnorm1# cmrnorm conv1# scale=0.0001 minDiv=2",
        "pool1# pool rnorm1# pool=max neuron=relu",
        "conv2# conv pool1# filters=128 size=5 padding=2 neuron=relu",
        "rnorm2# cmrnorm conv2# scale=0.0001 minDiv=2",
        "cnorm2# rnorm rnorm2# scale=0.001",
        "pool2# pool cnorm2# pool=max",
        "conv3# conv pool2a,pool2b filters=192 padding=1 neuron=relu",
        "conv4# conv conv3# filters=192 padding=1 neuron=relu",
        "conv5# conv conv4# filters=128 padding=1",
        "pool3# pool conv5# pool=max neuron=relu",
        "fc2048# fc pool3a,pool3b outputs=2048 neuron=relu",
        "hs1# DROPOUT fc2048#",
        "fc2048b# fc hs1#,hs1@ outputs=2048 neuron=relu",
        "hs2# DROPOUT fc2048b#",
    ];
    for line in per_tower {
        for (tower, other, gpu) in [("a", "b", 0), ("b", "a", 1)] {
            text += &format!("{} gpu={gpu}\n", line.replace('#', tower).replace('@', other).replace("DROPOUT", dropout));
        }
    }
    text + "fc1000 fc hs2a,hs2b outputs=1000\nprobs softmax fc1000\nlogprob cost.logreg labels,probs\n"
}

/// cuda-convnet2's layers-imagenet-1gpu.cfg, its fully connected layers over `gpus`.
fn one_way(gpus: usize) -> String {
    let mut text = "
        data data - maps=3 side=224
        labvec data -
        conv1 conv data filters=64 size=11 stride=4
        rnorm1 cmrnorm conv1 scale=0.0001 minDiv=2
        pool1 pool rnorm1 pool=max neuron=relu
        conv2 conv pool1 filters=192 size=5 padding=2 neuron=relu
        rnorm2 cmrnorm conv2 scale=0.0001 minDiv=2
        pool2 pool rnorm2 pool=max
        conv3 conv pool2 filters=384 padding=1 neuron=relu
        conv4 conv conv3 filters=256 padding=1 neuron=relu
        conv5 conv conv4 filters=256 padding=1
        pool3 pool conv5 pool=max neuron=relu\n"
        .to_string();
    let mut read = vec!["pool3".to_string(); gpus];
    for layer in ["fc", "fcb"] {
        let names: Vec<String> = (0..gpus).map(|gpu| format!("{layer}_drop{gpu}")).collect();
        for gpu in 0..gpus {
            text += &format!("{layer}{gpu} fc {} outputs={} neuron=relu gpu={gpu}\n", read[gpu], 4096 / gpus);
            text += &format!("{} dropout2 {layer}{gpu} gpu={gpu}\n", names[gpu]);
        }
        read = (0..gpus).map(|gpu| format!("{layer}_pass{gpu}")).collect();
        for pass in &read {
            text += &format!("{pass} pass {}\n", names.join(","));
        }
    }
    text + &format!("fc1000 fc {} outputs=1000\nprobs softmax fc1000\nlogprob cost.logreg labvec,probs\n", read[0])
}

/// CIFAR-10's nets without local layers: layers-80sec, -19pct and -18pct.cfg.
fn cifar(norms: bool, hidden: bool) -> String {
    let norm = |number: usize, read: &str| match norms {
        true => (format!("rnorm{number} rnorm {read} n=3 scale=0.00005\n"), format!("rnorm{number}")),
        false => (String::new(), read.to_string()),
    };
    let (norm1, pool1) = norm(1, "pool1");
    let (norm2, pool2) = norm(2, "pool2");
    let (fc, top) = if hidden { ("fc64 fc pool3 outputs=64 neuron=relu\n", "fc64") } else { ("", "pool3") };
    format!(
        "data data - maps=3 side=32
        conv1 conv data filters=32 size=5 padding=2
        pool1 pool conv1 pool=max neuron=relu
        {norm1}
        conv2 conv {pool1} filters=32 size=5 padding=2 neuron=relu
        pool2 pool conv2 pool=avg
        {norm2}
        conv3 conv {pool2} filters=64 size=5 padding=2 neuron=relu
        pool3 pool conv3 pool=avg
        {fc}fc10 fc {top} outputs=10
        probs softmax fc10"
    )
}

/// layers-conv-local-13pct and -11pct.cfg.
fn cifar_local(norms: bool) -> String {
    let local = if norms { 64 } else { 32 };
    let [first, second] = match norms {
        true => [
            "pool1 pool conv1 pool=max\nrnorm1 cmrnorm pool1 n=9 scale=0.001",
            "rnorm2 cmrnorm conv2 n=9 scale=0.001\npool2 pool rnorm2 pool=max",
        ],
        false => ["rnorm1 pool conv1 pool=max", "pool2 pool conv2 pool=max"],
    };
    format!(
        "data data - maps=3 side=24
        conv1 conv data filters=64 size=5 padding=2 neuron=relu
        {first}
        conv2 conv rnorm1 filters=64 size=5 padding=2 neuron=relu
        {second}
        local3 local pool2 filters={local} padding=1 neuron=relu
        local4 local local3 filters=32 padding=1 neuron=relu
        fc10 fc local4 outputs=10
        probs softmax fc10"
    )
}

fn identified(text: &str) -> Result<Net> {
    let layers = defined(text);
    let merged = merge(&layers)?;
    identify::by_ops(merged.input, merged.ops(), None).map_err(|error| error.to_string())
}

#[test]
fn the_programs_nets_are_known() {
    for (text, expected) in [
        (two_towers("hs"), "alexnet-2012"),
        (one_way(1), "owt"),
        (one_way(4), "owt"),
        (cifar(false, true), "cifar-80sec"),
        (cifar(false, false), "cifar-19pct"),
        (cifar(true, false), "cifar-18pct"),
        (cifar_local(false), "cifar-13pct"),
        (cifar_local(true), "cifar-11pct"),
    ] {
        assert_eq!(identified(&text).map(|net| net.name().to_string()), Ok(expected.to_string()));
    }
    // Its dropout is another, so its tests are.
    let inverted = identified(&two_towers("dropout")).unwrap();
    assert_eq!((inverted.name(), inverted.parameter_count()), ("imported", 60_965_224));
}

#[test]
fn what_is_no_chain_says_where() {
    let two = two_towers("hs");
    for (text, expected) in [
        (String::new(), "it has 0 softmax layers, expected 1"),
        (
            two.replace("conv4b conv conv3b", "conv4b conv conv3a,conv3b"),
            "layer `conv4a`: it reads some of the towers, not one or all",
        ),
        (two.replace("cnorm2b rnorm", "cnorm2b cmrnorm"), "layer `cnorm2a`: `cnorm2b` reads the same, and is of another type"),
        (
            two.replace("rnorm1b cmrnorm conv1b scale=0.0001", "rnorm1b cmrnorm conv1b scale=0.1"),
            "`rnorm1b` does not do the same",
        ),
        (two.replace("size=5 padding=2 neuron=relu gpu=1", "size=3 padding=1 neuron=relu gpu=1"), "its filters are not those of"),
        (two.replace("minDiv=2 gpu", "minDiv=2 blocked=1 gpu"), "normalises blocks of maps"),
        (two.replace("pool=max", "pool=rand"), "layer `pool1a`: a pool of `rand` is not known"),
        (two.replace("neuron=relu", "neuron=logistic"), "the function `logistic` {} is not known"),
        (two.replace("rnorm rnorm2", "blur rnorm2"), "layers of type `blur` are not known here"),
        (cifar(false, false).replace("conv3 conv pool2", "conv3 conv pool2,pool1"), "which are not side by side"),
        (cifar(false, false).replace("fc10 fc pool3", "both concat pool3,pool2\nfc10 fc both"), "which are not side by side"),
        (cifar_local(false).replace("local4 local", "local4 nailbed"), "layers of type `nailbed` are not known here"),
    ] {
        let error = identified(&text).map(|net| net.name().to_string()).expect_err(expected);
        assert!(error.contains(expected) && error.lines().count() == 1, "{error}, expected {expected}");
    }
}

/// A tower that reads only itself where the other reads both has weights of 0 for the other.
#[test]
fn fully_connected_layers_need_not_read_all() {
    let mut checkpoint = checkpoint("towers");
    let layer = checkpoint.layers.iter_mut().find(|layer| layer.name == "fc2048bb").unwrap();
    layer.inputs.pop();
    layer.weights.pop();
    let merged = merge(&checkpoint.layers).unwrap();
    let params = merged.params().unwrap();
    // fc7 `[12, 12]`: of the second tower's six outputs, the first six inputs.
    let fc7 = &params[12];
    assert_eq!(fc7.len(), 144);
    for output in 0..12 {
        let zeros = fc7[output * 12..output * 12 + 6].iter().filter(|value| **value == 0.0).count();
        assert_eq!(zeros, if output < 6 { 0 } else { 6 });
    }
}

/// A matrix that many layers share, or zeros for what many layers do not read, are no more than a few times what is there.
#[test]
fn weights_are_not_many_times_the_files() {
    let chain: String = (1..100).map(|i| format!("f{i} fc f{} outputs=64\n", i - 1)).collect();
    let text = format!("data data - maps=1 side=4\nc conv data filters=1\nf0 fc c outputs=64\n{chain}probs softmax f99");
    let mut layers = defined(&text);
    let shared = Arc::new(Tensor { shape: vec![64, 64], data: vec![0.0; 64 * 64] });
    for layer in layers.iter_mut().filter(|layer| !layer.weights.is_empty()) {
        if layer.weights[0].shape == [64, 64] {
            layer.weights[0] = Arc::clone(&shared);
        } else {
            let shape = layer.weights[0].shape.clone();
            layer.weights[0] = Arc::new(Tensor { data: vec![0.0; shape.iter().product()], shape });
        }
        let biases = if layer.kind == "conv" { 1 } else { 64 };
        layer.biases = Some(Arc::new(Tensor { shape: vec![1, biases], data: vec![0.0; biases] }));
    }
    let error = merge(&layers).unwrap().params().unwrap_err();
    assert_eq!(error, "its layers would have 405769 weights, of which the file holds 4361");
}

/// Ten thousand checkpoints whose numbers and names are others than they should be: an error, or a net, and never a panic.
#[test]
fn contradictions_are_errors() {
    let sound: Vec<Checkpoint> = ["towers", "cifar-local", "one-way"].map(checkpoint).into();
    let mut merged = 0;
    for item in 0..10_000 {
        let random = Stream::new(4, Purpose::Test, 0, 0, item);
        let mut layers = sound[item as usize % 3].layers.clone();
        for change in 0..1 + random.below(0, 3) {
            let at = |element: u32, n: usize| random.below(1 + 8 * change + element, n as u32) as usize;
            let number = [0, 1, 2, 3, 5, 7, 64, 1 << 20][at(0, 8)];
            let (one, other) = (at(1, layers.len()), at(2, layers.len()));
            let name = layers[other].name.clone();
            let weights = layers[other].weights.clone();
            let layer = &mut layers[one];
            match (at(3, 6), &mut layer.op) {
                (0, TheirOp::Conv(filters) | TheirOp::Local(filters)) => match at(4, 8) {
                    0 => filters.filters = number,
                    1 => filters.modules_x = number,
                    2 => filters.inputs[0].channels = number,
                    3 => filters.inputs[0].filter_size = number,
                    4 => filters.inputs[0].groups = number,
                    5 => filters.inputs[0].stride = number,
                    6 => filters.inputs[0].padding = number,
                    _ => filters.inputs[0].image_size = number,
                },
                (0, TheirOp::Pool(pool)) => match at(4, 3) {
                    0 => pool.size = number,
                    1 => pool.stride = number,
                    _ => pool.start = -(number as i64),
                },
                (0, TheirOp::Norm(norm)) => norm.size = number,
                (0, TheirOp::Dropout(dropout)) => dropout.keep = number as f64 / 4.0,
                // Layers stand behind their inputs.
                (1, _) if other < one && !layer.inputs.is_empty() => layer.inputs[0] = name,
                (2, _) if other < one => layer.inputs.push(name),
                (3, _) => layer.outputs = Some(number),
                (4, _) => layer.weights = weights,
                _ => layer.biases = None,
            }
        }
        if let Ok(net) = merge(&layers) {
            merged += i32::from(net.params().is_ok());
        }
    }
    assert!((100..9000).contains(&merged), "{merged} of 10000 are nets");
}
