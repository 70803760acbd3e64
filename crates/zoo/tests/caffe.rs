//! Caffe's files become nets that say what they said there, and go back.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use data::{Channels, Mean, Std};
use net::random::{Purpose, Stream};
use net::{Executor, Kind, Mode, Net, Op, ParamSet, Rounding, SharedTensor, Tensor};
use train::checkpoint::Checks;
use weights::caffemodel::{self, Contents, Layer, Settings};
use zoo::{Error, Given, Model};

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../golden/caffe-files/case.safetensors");

fn kept(name: &str) -> (Vec<usize>, Vec<u8>) {
    let bytes = fs::read(GOLDEN).unwrap_or_else(|error| panic!("{GOLDEN}: {error}"));
    let case = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let view = case.tensor(name).unwrap_or_else(|error| panic!("{name}: {error}"));
    (view.shape().to_vec(), view.data().to_vec())
}

fn file(folder: &Path, name: &str) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, kept(&format!("file/{name}")).1).unwrap();
    path
}

fn open(path: &Path, given: &Given) -> zoo::Result<Model> {
    zoo::open(path, given, Checks::All)
}

fn with_net(name: &str) -> Given {
    Given { net: Some(name.into()), ..Given::default() }
}

fn with_mean(text: impl Into<String>) -> Given {
    Given { mean: Some(text.into()), ..Given::default() }
}

/// Probabilities of a model in f64, of images as they come.
fn probabilities(model: &Model, pixels: Vec<f32>) -> Vec<f64> {
    let n = pixels.len() / model.net.input().len();
    let mut engine = reference::prepare(&model.net, n, Mode::Infer);
    let tensor = |shared: &SharedTensor| Tensor { shape: shared.shape.clone(), data: shared.data().to_vec() };
    let params = model.weights.iter().map(|(name, shared)| (name.clone(), tensor(shared))).collect();
    engine.load(Kind::Weights, &ParamSet::new(params)).unwrap();
    engine.run(pixels.into_iter().map(f64::from).collect(), reference::Pass::Test);
    engine.output_of(model.net.layers().len() - 1).to_vec()
}

#[test]
fn probabilities_are_those_of_an_independent_forward_pass() {
    let folder = tempfile::tempdir().unwrap();
    for (net, forms) in [
        ("caffe", &["caffe-train", "caffe-train-v1", "caffe-v0", "caffe-deploy"][..]),
        ("caffenet", &["caffenet-train", "caffenet-train-v1", "caffenet-v0", "caffenet-deploy", "caffenet-deploy-v1"]),
        ("odd", &["odd"]),
    ] {
        let pixels: Vec<f32> =
            kept(&format!("{net}/pixels")).1.as_chunks().0.iter().map(|&four| f32::from_le_bytes(four)).collect();
        let (_, expected) = kept(&format!("{net}/probabilities"));
        let expected: Vec<f64> = expected.as_chunks().0.iter().map(|&eight| f64::from_le_bytes(eight)).collect();
        for form in forms {
            let model = open(&file(folder.path(), &format!("{form}.caffemodel")), &Given::default()).unwrap();
            let found = probabilities(&model, pixels.clone());
            let distance = found.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            assert!(found.len() == expected.len() && distance < 1e-6, "{form}: {found:?}, expected {expected:?}");
            assert_eq!(model.net.name(), "imported");
            assert_eq!(model.card.preprocessing.channels, Channels::Bgr);
            assert_eq!(model.card.classes.len(), model.net.classes());
            assert_eq!(model.card.origin.as_ref().unwrap().format, "Caffe");
            let softmax_note = model.notes.iter().any(|note| note.contains("a softmax"));
            assert_eq!(softmax_note, form.contains("odd"), "{form}: {:?}", model.notes);
        }
    }
    let notes = open(&folder.path().join("caffe-train.caffemodel"), &Given::default()).unwrap().notes;
    assert!(notes.iter().any(|note| note.contains("data/mean.binaryproto")), "{notes:?}");
}

/// A model of this net with parameters by chance and a mean image.
fn model_of(net: &Net, channels: Channels, mean: Mean) -> Model {
    let mut weights = Vec::new();
    for (index, param) in net.params().iter().enumerate() {
        let draw = Stream::new(11, Purpose::Initialise, index as u32, 0, 0);
        let scale = 2.0 / (param.fan_in as f64).sqrt();
        // Millions of them: a few hundred by chance, in an order that does not repeat soon.
        let some: Vec<f32> = (0..509).map(|i| ((draw.uniform(i) - 0.5) * scale) as f32).collect();
        let values: Vec<f32> = (0..param.len()).map(|i| some[i * i % 509] + i as f32 * 1e-12).collect();
        weights.push((param.name.clone(), SharedTensor { shape: param.shape.clone(), values: Arc::new(values) }));
    }
    let recipe = train::Recipe::builtin(train::recipe_for(net.name())).unwrap();
    let preprocessing = data::Preprocessing { channels, mean, colour_noise: None, ..recipe.preprocessing };
    let mut statistics = data::Statistics::made_up(&preprocessing);
    statistics.mean_image.iter_mut().enumerate().for_each(|(i, value)| *value += (i % 977) as f32 / 8.0);
    statistics.mean = (0..statistics.mean.len()).map(|c| 100.0 + c as f32).collect();
    let card = zoo::Card {
        format: 1,
        version: "0".into(),
        revision: "é\"\n".into(),
        net: net.to_toml(),
        variant: net::Variant::of(net),
        preprocessing,
        classes: (0..net.classes()).map(|class| format!("class {class}")).collect(),
        words: Vec::new(),
        dataset: None,
        initialised_from: None,
        trained: Some(zoo::Trained { steps: 7, seed: 1, recipe: String::new() }),
        metrics: None,
        origin: None,
    };
    Model { path: "none".into(), net: net.clone(), weights, statistics, card, notes: Vec::new(), checkpoint: None }
}

fn bits(model: &Model) -> Vec<(&str, &[usize], Vec<u32>)> {
    model
        .weights
        .iter()
        .map(|(name, tensor)| (name.as_str(), &tensor.shape[..], tensor.data().iter().map(|v| v.to_bits()).collect()))
        .collect()
}

/// A preset with fewer maps and small linear layers, but its own geometry.
fn small(name: &str) -> Net {
    let net = Net::preset(name).unwrap();
    let mut layers = net.layers().to_vec();
    for layer in &mut layers {
        match &mut layer.op {
            Op::Conv(conv) => conv.k /= 16,
            Op::Linear(linear) => linear.k = linear.k.min(20),
            _ => {}
        }
    }
    Net::new(name, net.input(), layers).unwrap()
}

/// The nets of our presets that Caffe can express, and a few that it can by rewriting only.
fn expressible() -> Vec<Net> {
    ["alexnet", "alexnet-2012", "alexnet-2012-1gpu", "owt", "caffe", "caffenet", "torchvision", "onnx-bvlc", "d2l"]
        .iter()
        .map(|name| small(name))
        .chain(["cifar-80sec", "cifar-19pct", "cifar-18pct"].iter().map(|name| Net::preset(name).unwrap()))
        .collect()
}

#[test]
fn what_goes_out_comes_back_bit_for_bit() {
    let folder = tempfile::tempdir().unwrap();
    for net in expressible() {
        let channels = match (net.input().c, net.name()) {
            (1, _) => Channels::Grey,
            (_, "caffe" | "caffenet" | "onnx-bvlc") => Channels::Bgr,
            _ => Channels::Rgb,
        };
        let model = model_of(&net, channels, Mean::Image);
        let path = folder.path().join(format!("{}.caffemodel", net.name()));
        let notes = zoo::write_caffe(&model, &path).unwrap_or_else(|error| panic!("{}: {error}", net.name()));
        assert_eq!(notes.iter().any(|note| note.contains("blue, green, red, the order")), channels == Channels::Rgb, "{notes:?}");
        let back = open(&path, &Given::default()).unwrap();
        assert_eq!((&back.net, &back.card, &back.statistics), (&model.net, &model.card, &model.statistics), "{}", net.name());
        assert_eq!(bits(&back), bits(&model), "{}", net.name());
        let other = if net.name() == "caffe" { "owt" } else { "caffe" };
        let error = open(&path, &with_net(other)).unwrap_err().to_string();
        assert!(error.contains(&format!("are those of `{}`, not of `{other}`", net.name())), "{error}");
        assert!(open(&path, &with_net(net.name())).is_ok());
        let first = fs::read(&path).unwrap();
        zoo::write_caffe(&back, &path).unwrap();
        assert!(first == fs::read(&path).unwrap(), "{}: the same model gives the same bytes", net.name());
    }
}

/// The layers that are written, read as another's file would be: without our card.
#[test]
fn what_goes_out_says_the_same_to_others() {
    let folder = tempfile::tempdir().unwrap();
    // Towers are slices, and those are no chain.
    for net in expressible().into_iter().filter(|net| net.name() != "alexnet-2012") {
        let channels = if net.input().c == 1 { Channels::Grey } else { Channels::Bgr };
        let model = model_of(&net, channels, Mean::None);
        let path = folder.path().join("x.caffemodel");
        zoo::write_caffe(&model, &path).unwrap();
        let mut contents = caffemodel::read(&Arc::new(weights::Mapped::open(&path).unwrap())).unwrap();
        contents.text = None;
        caffemodel::write(&path, &contents).unwrap();
        let found = open(&path, &Given::default()).unwrap();
        assert_eq!(found.net.input(), net.input());
        let draw = Stream::new(3, Purpose::Crop, 0, 0, 0);
        let pixels: Vec<f32> = (0..net.input().len()).map(|i| draw.uniform(i as u32) as f32 * 200.0 - 100.0).collect();
        let (a, b) = (probabilities(&model, pixels.clone()), probabilities(&found, pixels));
        let distance = a.iter().zip(&b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        // Caffe's numbers are f32: where a factor is one, its roundoff is seen.
        let exact = ["caffe", "caffenet", "torchvision", "onnx-bvlc", "d2l"].contains(&net.name());
        assert!(distance < if exact { 1e-12 } else { 1e-7 }, "{}: {distance}", net.name());
    }
}

/// A whole preset as another's file, 240 MB: without our card, and without an input's shape.
fn whole_preset(name: &str, path: &Path) -> (Model, Contents) {
    let model = model_of(&Net::preset(name).unwrap(), Channels::Bgr, Mean::None);
    zoo::write_caffe(&model, path).unwrap();
    let mut contents = caffemodel::read(&Arc::new(weights::Mapped::open(path).unwrap())).unwrap();
    contents.text = None;
    let tops = vec!["data".into(), "label".into()];
    contents.layers[0] = Layer { name: "data".into(), kind: "Data".into(), tops, ..Layer::default() };
    (model, contents)
}

#[test]
fn a_whole_preset_is_known_by_its_layers() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.caffemodel");
    let (model, contents) = whole_preset("caffe", &path);
    caffemodel::write(&path, &contents).unwrap();
    // The linear layers say which side fits.
    let found = open(&path, &Given::default()).unwrap();
    assert!(found.net == model.net && bits(&found) == bits(&model));
    assert_eq!((found.card.variant.preset.as_str(), found.card.preprocessing.channels), ("caffe", Channels::Bgr));
    let error = open(&path, &with_net("caffenet")).unwrap_err().to_string();
    assert!(error.contains("are those of `caffe`, not of `caffenet`"), "{error}");
}

/// Where there is nothing but blobs, only the layers' order or the user tells.
#[test]
fn a_whole_preset_is_known_by_its_shapes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.caffemodel");
    let (model, mut contents) = whole_preset("caffenet", &path);
    strip(&mut contents, true);
    caffemodel::write(&path, &contents).unwrap();
    assert_eq!(open(&path, &Given::default()).unwrap().net, model.net);
    strip(&mut contents, false);
    caffemodel::write(&path, &contents).unwrap();
    let error = open(&path, &Given::default()).unwrap_err();
    assert!(matches!(&error, Error::Ambiguous { candidates, .. } if candidates == "`caffe` or `caffenet`"), "{error}");
    let found = open(&path, &with_net("caffenet")).unwrap();
    assert!(found.net == model.net && bits(&found) == bits(&model));
}

/// Takes away what layers say, and, unless `all`, the layers without weights.
fn strip(contents: &mut Contents, all: bool) {
    contents.layers.retain(|layer| all || !layer.blobs.is_empty());
    for layer in &mut contents.layers {
        layer.settings = Settings::Unsaid;
        (layer.bottoms, layer.tops) = (Vec::new(), Vec::new());
    }
}

/// A damaged or strange net, as the golden's, after `change`.
fn changed(folder: &Path, change: impl FnOnce(&mut Vec<Layer>)) -> zoo::Result<Model> {
    let path = file(folder, "caffe-train.caffemodel");
    let mut contents = caffemodel::read(&Arc::new(weights::Mapped::open(&path).unwrap())).unwrap();
    change(&mut contents.layers);
    let path = folder.join("changed.caffemodel");
    caffemodel::write(&path, &contents).unwrap();
    open(&path, &Given::default())
}

fn layer<'a>(layers: &'a mut [Layer], name: &str) -> &'a mut Layer {
    layers.iter_mut().find(|layer| layer.name == name).unwrap()
}

#[test]
fn nets_that_are_no_chain_of_known_layers_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    type Change = fn(&mut Vec<Layer>);
    let cases: [(Change, &str); 14] = [
        (
            |layers| {
                let norm = layer(layers, "norm1");
                (norm.name, norm.kind) = ("two\nlines".into(), "Batch\u{1b}[2JNorm".into());
            },
            "layer `two\\nlines`: the type `Batch\\u{1b}[2JNorm` is not known",
        ),
        (|layers| layer(layers, "norm1").kind = "BatchNorm".into(), "layer `norm1`: the type `BatchNorm` is not known"),
        (|layers| layer(layers, "relu1").settings = Settings::Relu(0.1), "layer `relu1`: its slope below 0 is 0.1"),
        (|layers| layer(layers, "conv2").bottoms = vec!["relu1".into()], "layer `conv2` has weights, but is not on the chain"),
        (|layers| layer(layers, "conv2").bottoms.push("label_0".into()), "layer `conv2` (Convolution) reads 2 blobs and makes 1"),
        (|layers| layer(layers, "fc4").bottoms = vec!["pool2".into()], "`fc3` and `fc4` read the same blob"),
        (
            |layers| {
                let blob = &mut layer(layers, "fc3").blobs[0];
                *blob = SharedTensor { shape: vec![24, 10], ..blob.clone() };
            },
            "layer `fc3`: its weights have shape [24, 10], expected [10, 24]",
        ),
        (
            |layers| layer(layers, "data").transform.crop = Some(31),
            "layer `fc3`: its weights have shape [10, 24], expected [10, ",
        ),
        (|layers| drop(layer(layers, "fc4").blobs.pop()), "layer `fc4`: it has 1 blobs of weights and biases, expected 2"),
        (|layers| layers.iter_mut().for_each(|layer| layer.blobs.clear()), "it has layers, but no weights"),
        (
            |layers| {
                let Settings::Pooling(pool) = &mut layer(layers, "pool1").settings else { panic!() };
                pool.method = caffemodel::PoolMethod::Stochastic;
            },
            "layer `pool1`: it pools by chance",
        ),
        (
            |layers| {
                let Settings::Convolution(conv) = &mut layer(layers, "conv1").settings else { panic!() };
                conv.stride = [0; 2];
            },
            "layer `conv1`: vertically, kernel and stride are at least 1",
        ),
        (
            |layers| {
                let Settings::Lrn(lrn) = &mut layer(layers, "norm1").settings else { panic!() };
                lrn.size = 4;
            },
            "layer `norm1`: a normalisation window of 4 is not odd",
        ),
        (
            |layers| {
                layer(layers, "data").transform.crop = None;
            },
            "it says no input shape, and its layers fit images neither of [227, 224] pixels",
        ),
    ];
    for (change, said) in cases {
        match changed(folder.path(), change) {
            Ok(model) => panic!("{said}: {:?}", model.net.layers()),
            Err(error) => assert!(error.to_string().contains(said), "{said}: {error}"),
        }
    }
}

/// A card that needs a mean image is not believed without one.
#[test]
fn statistics_that_are_gone_are_missed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("own.caffemodel");
    zoo::write_caffe(&model_of(&small("caffe"), Channels::Bgr, Mean::Image), &path).unwrap();
    assert!(open(&path, &Given::default()).is_ok());
    let mut contents = caffemodel::read(&Arc::new(weights::Mapped::open(&path).unwrap())).unwrap();
    contents.extras.clear();
    let path = folder.path().join("changed.caffemodel");
    caffemodel::write(&path, &contents).unwrap();
    let error = open(&path, &Given::default()).unwrap_err().to_string();
    assert!(error.contains("needs statistics of its training images, which are missing"), "{error}");
    assert!(open(&path, &with_mean("1,2,3")).is_ok());
}

/// Sizes whose product is 2^64, which is 0 where it is not looked at.
#[test]
fn an_input_of_any_size_is_what_it_says() {
    let folder = tempfile::tempdir().unwrap();
    let error = changed(folder.path(), |layers| {
        let data = layer(layers, "data");
        (data.kind, data.settings) = ("Input".into(), Settings::Input(vec![vec![1, 1 << 22, 1 << 21, 1 << 21]]));
        (data.include, data.transform.crop) = (Vec::new(), None);
    });
    let error = error.unwrap_err().to_string();
    assert!(error.contains("has more than 2^40 values"), "{error}");
}

#[test]
fn what_data_layers_say_becomes_preprocessing() {
    let folder = tempfile::tempdir().unwrap();
    let model = changed(folder.path(), |layers| {
        let transform = &mut layer(layers, "data").transform;
        (transform.scale, transform.mean_values) = (Some(0.5), vec![1.0, 2.0, 3.0]);
    });
    let preprocessing = model.unwrap().card.preprocessing;
    assert_eq!((preprocessing.std, preprocessing.mean), (Std::Values([2.0; 3]), Mean::Values([3.0, 2.0, 1.0])));
}

#[test]
fn nets_that_caffe_does_not_have_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.caffemodel");
    let said = |net: &Net| {
        let error = zoo::write_caffe(&model_of(net, Channels::Rgb, Mean::None), &path).unwrap_err();
        assert!(matches!(error, Error::Inexpressible { format: "Caffe", .. }) && !path.exists());
        error.to_string()
    };
    let net = Net::preset("cifar-13pct").unwrap();
    assert!(said(&net).contains("`local3` has weights of its own at every position"), "{}", said(&net));
    let pooled = |change: fn(&mut Op)| {
        let net = small("caffe");
        let mut layers = net.layers().to_vec();
        change(&mut layers[3].op);
        Net::new("x", net.input(), layers).unwrap()
    };
    let average = pooled(|op| {
        let Op::MaxPool(pool) = op.clone() else { panic!() };
        let (kernel, stride, rounding) = (pool.kernel, pool.stride, Rounding::Floor);
        *op = Op::AvgPool(net::AvgPool { kernel, stride, padding: net::Padding::all(1), rounding });
    });
    assert!(said(&average).contains("`pool1` takes means of what is inside the image"));
    let aside = pooled(|op| {
        let Op::MaxPool(pool) = op else { panic!() };
        (pool.stride, pool.padding) = (net::Pair::square(1), net::Padding { top: 2, ..net::Padding::default() });
    });
    assert!(said(&aside).contains("`pool1` has 55 × 53 windows; Caffe"), "{}", said(&aside));
}

#[test]
fn means_of_every_kind_are_subtracted_in_our_order() {
    let folder = tempfile::tempdir().unwrap();
    let net = file(folder.path(), "caffe-train.caffemodel");
    let mean = file(folder.path(), "mean.binaryproto");
    let (_, bytes) = kept("mean");
    let values: Vec<f32> = bytes.as_chunks().0.iter().map(|&four| f32::from_le_bytes(four)).collect();
    let opened = |text: &str| open(&net, &with_mean(text)).map(|model| (model.card.preprocessing, model.statistics, model.notes));
    // Blue is the last of ours.
    let of_plane = |c: usize| values[64 * c..][..64].iter().sum::<f32>() / 64.0;
    let (preprocessing, statistics, notes) = opened(mean.to_str().unwrap()).unwrap();
    assert_eq!(preprocessing.mean, Mean::Channels);
    for (ours, theirs) in [(0, 2), (1, 1), (2, 0)] {
        assert!((statistics.mean[ours] - of_plane(theirs)).abs() < 1e-3);
    }
    assert!(notes.iter().any(|note| note.contains("has 8 pixels a side, not 23")), "{notes:?}");
    let pipeline = data::Pipeline::new(preprocessing, statistics, net::Shape { c: 3, h: 23, w: 23 });
    assert!(pipeline.is_ok(), "{pipeline:?}");

    let (preprocessing, _, _) = opened(" 1, 2.5,3").unwrap();
    assert_eq!(preprocessing.mean, Mean::Values([1.0, 2.5, 3.0]));

    for side in [23usize, 30] {
        for pixels_last in [false, true] {
            let path = folder.path().join("mean.npy");
            let value = |c: usize, y: usize, x: usize| (c * 10_000 + y * 100 + x) as f32;
            let mut array = Vec::new();
            for i in 0..3 * side * side {
                let (c, y, x) = match pixels_last {
                    false => (i / side / side, i / side % side, i % side),
                    true => (i % 3, i / 3 / side, i / 3 % side),
                };
                array.push(value(c, y, x));
            }
            let shape = if pixels_last { format!("({side}, {side}, 3)") } else { format!("(3, {side}, {side})") };
            let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}\n");
            let mut bytes = [b"\x93NUMPY\x01\x00", &(header.len() as u16).to_le_bytes()[..], header.as_bytes()].concat();
            bytes.extend(array.iter().flat_map(|value| value.to_le_bytes()));
            fs::write(&path, bytes).unwrap();
            let (preprocessing, statistics, notes) = opened(path.to_str().unwrap()).unwrap();
            assert_eq!((preprocessing.mean, statistics.side), (Mean::ImageAtCrop, 23));
            assert_eq!(statistics.mean_image.len(), 3 * 23 * 23);
            let start = (side - 23) / 2;
            for (c, y, x) in [(0, 0, 0), (2, 22, 5), (1, 7, 22)] {
                assert_eq!(statistics.mean_image[(c * 23 + y) * 23 + x], value(2 - c, y + start, x + start));
            }
            assert_eq!(notes.iter().any(|note| note.contains("its central 23 are taken")), side == 30, "{notes:?}");
        }
    }
    let meta = file(folder.path(), "batches.meta");
    let (_, statistics, notes) = opened(meta.to_str().unwrap()).unwrap();
    let (_, bytes) = kept("batches.meta/data_mean");
    let red: Vec<f32> = bytes.as_chunks().0.iter().take(64).map(|&four| f32::from_le_bytes(four)).collect();
    assert!((statistics.mean[0] - red.iter().sum::<f32>() / 64.0).abs() < 1e-3);
    assert!(notes.iter().any(|note| note.contains("has 8 pixels a side, not 23")), "{notes:?}");
    let error = |text: &str| opened(text).unwrap_err().to_string();
    fs::write(&meta, b"\x80\x02}.").unwrap();
    assert!(error(meta.to_str().unwrap()).contains("it has no `data_mean`"));
    assert!(error("nowhere").contains("`nowhere` is neither a file nor three numbers R,G,B"));
    assert!(error("1,2").contains("neither a file nor three numbers"));
    let grey = folder.path().join("grey");
    let blob = SharedTensor { shape: vec![1, 1, 23, 23], values: Arc::new(vec![1.0; 529]) };
    caffemodel::write_blob(&grey, &blob).unwrap();
    assert!(error(grey.to_str().unwrap()).contains("is of 1 channels, the net sees 3"));
    let oblong = SharedTensor { shape: vec![1, 3, 20, 23], values: Arc::new(vec![1.0; 1380]) };
    caffemodel::write_blob(&grey, &oblong).unwrap();
    assert!(error(grey.to_str().unwrap()).contains("20 × 23 pixels, which is no square"));
}

/// A mean image of the net's own size is seen by every crop; our own statistics are taken as they are.
#[test]
fn means_of_our_own_and_of_the_nets_size() {
    let folder = tempfile::tempdir().unwrap();
    let net = small("caffe");
    let path = folder.path().join("x.caffemodel");
    let model = model_of(&net, Channels::Bgr, Mean::ImageAtCrop);
    zoo::write_caffe(&model, &path).unwrap();
    let own = folder.path().join("x.mean.binaryproto");
    let mut contents = caffemodel::read(&Arc::new(weights::Mapped::open(&path).unwrap())).unwrap();
    (contents.text, contents.extras) = (None, Vec::new());
    caffemodel::write(&path, &contents).unwrap();
    let found = open(&path, &with_mean(own.to_str().unwrap())).unwrap();
    assert_eq!(found.card.preprocessing.mean, Mean::ImageAtCrop);
    assert_eq!(found.statistics.mean_image, model.statistics.mean_image);
    assert_eq!(found.card.classes[19], "19");

    let statistics = folder.path().join("statistics.safetensors");
    let tensors = model.statistics.to_tensors();
    weights::safetensors::write(&statistics, &weights::safetensors::of_list(&tensors), &Default::default()).unwrap();
    let found = open(&path, &with_mean(statistics.to_str().unwrap())).unwrap();
    assert_eq!(found.statistics, model.statistics);

    let crop =
        SharedTensor { shape: vec![3, 227, 227], values: Arc::new((0..3 * 227 * 227).map(|i| i as f32).collect::<Vec<_>>()) };
    caffemodel::write_blob(&own, &crop).unwrap();
    let found = open(&path, &with_mean(own.to_str().unwrap())).unwrap();
    assert_eq!((found.card.preprocessing.mean, found.statistics.side), (Mean::Image, 256));
    let pipeline = data::Pipeline::new(found.card.preprocessing, found.statistics, net.input()).unwrap();
    let image = data::Image { width: 256, height: 256, rgb: vec![0; 3 * 256 * 256] };
    let mut seen = vec![0.0; net.input().len()];
    pipeline.test_views(&image, data::Views::Centre, &mut seen).unwrap();
    assert!(seen.iter().enumerate().all(|(i, &value)| value == -(i as f32)));
}

/// Damaged nets are read, or refused with the file's name; the format's own tests have more of them.
#[test]
fn damaged_nets_never_panic() {
    let folder = tempfile::tempdir().unwrap();
    let names = ["caffe-train", "caffe-train-v1", "caffenet-v0", "odd", "caffenet-deploy"];
    let files: Vec<Vec<u8>> = names.iter().map(|name| kept(&format!("file/{name}.caffemodel")).1).collect();
    let path = folder.path().join("x.caffemodel");
    let draw = Stream::new(6, Purpose::Crop, 0, 0, 0);
    let mut element = 0;
    let mut below = |n: usize| {
        element += 1;
        draw.below(element, n as u32) as usize
    };
    let mut readable = 0;
    for round in 0..2500 {
        let mut bytes = files[round % files.len()].clone();
        // Most bytes are weights; the layers' words are between them, and most at the front.
        for _ in 0..1 + below(3) {
            let front = below(2) == 0;
            let at = below(if front { 300 } else { bytes.len() });
            match below(3) {
                0 => bytes[at] ^= 1 << below(8),
                1 => bytes[at] = below(256) as u8,
                _ => drop(bytes.remove(at)),
            }
        }
        // A fresh file each time: a mapped one must not be written into.
        fs::remove_file(&path).ok();
        fs::write(&path, bytes).unwrap();
        match open(&path, &Given::default()) {
            Ok(model) => {
                readable += 1;
                net::check_shared(&model.net, &model.weights).unwrap();
            }
            Err(error) => assert!(error.to_string().contains("x.caffemodel") || matches!(error, Error::Net(_)), "{error}"),
        }
    }
    assert!((100..2400).contains(&readable), "{readable}");
}

#[test]
fn labels_are_sorted() {
    // Caffe's lists are: `n01440764 tench, Tinca tinca` is its label 0.
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("synset_words.txt");
    let words: Vec<String> = (0..7).map(|i| format!("n0144076{i} word {i}\n")).collect();
    fs::write(&list, words.concat()).unwrap();
    let given = Given { classes: Some(list), ..Given::default() };
    let model = open(&file(folder.path(), "caffenet-deploy.caffemodel"), &given).unwrap();
    assert_eq!((model.card.classes[3].as_str(), model.card.words[3].as_str()), ("n01440763", "word 3"));
}
