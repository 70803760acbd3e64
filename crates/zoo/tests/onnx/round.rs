//! Our own files, there and back.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use net::{Net, PRESETS};
use weights::Mapped;
use weights::onnx;
use zoo::{Model, OnnxOptions, write_onnx};

use super::{made, open, probabilities, runtime::prepared};

/// Writes a model and reads it again.
fn back(model: &Model, path: &Path, preprocessing: bool) -> Model {
    write_onnx(model, path, &OnnxOptions { preprocessing }).unwrap();
    open(path).unwrap()
}

fn assert_same(a: &Model, b: &Model, what: &str) {
    assert_eq!(a.net, b.net, "{what}");
    assert_eq!(a.card, b.card, "{what}");
    assert_eq!(a.statistics, b.statistics, "{what}");
    assert_eq!(a.weights.len(), b.weights.len(), "{what}");
    for ((name, a), (other, b)) in a.weights.iter().zip(&b.weights) {
        assert_eq!((name, &a.shape), (other, &b.shape), "{what}");
        let same = a.data().iter().zip(b.data()).all(|(a, b)| a.to_bits() == b.to_bits());
        assert!(a.data().len() == b.data().len() && same, "{what}: {name}");
    }
}

/// Every kind of layer, every preprocessing: the same model, bit for bit, and the same file from it again.
#[test]
fn every_preset_comes_back_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (folder.path().join("a.onnx"), folder.path().join("b.onnx"));
    for preset in PRESETS.iter().filter(|preset| preset.name != "tiny") {
        let model = made::cut(preset.name);
        for preprocessing in [false, true] {
            let read = back(&model, &first, preprocessing);
            assert_same(&model, &read, preset.name);
            assert!(read.notes.is_empty(), "{:?}", read.notes);
            write_onnx(&read, &second, &OnnxOptions { preprocessing }).unwrap();
            assert!(fs::read(&first).unwrap() == fs::read(&second).unwrap(), "{}: the same content, the same bytes", preset.name);
        }
    }
    // Asymmetric everything; a net that no recipe prepares images for.
    let tiny = made::of(Net::preset("tiny").unwrap(), "scenes");
    assert_same(&tiny, &back(&tiny, &first, false), "tiny");
}

/// At full size, and where the weights lie: 240 megabytes are not copied.
#[test]
fn a_whole_net_comes_back_in_place() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("caffe.onnx");
    let model = made::preset("caffe");
    let read = back(&model, &path, false);
    assert_same(&model, &read, "caffe");
    let file = Arc::new(Mapped::open(&path).unwrap());
    let whole = onnx::read(&file).unwrap();
    for (name, tensor) in whole.graph.initializers.iter().filter(|(name, _)| name.ends_with(".weight")) {
        let place = tensor.floats().unwrap().data().as_ptr().cast::<u8>();
        assert!(file.bytes().as_ptr_range().contains(&place), "{name}");
    }
}

/// A file without its card, as other programs would have written it.
fn without_card(path: &Path) {
    let mut file = onnx::read(&Arc::new(Mapped::open(path).unwrap())).unwrap();
    file.metadata.clear();
    onnx::write(path, &file).unwrap();
}

#[test]
fn graphs_alone_say_which_preset_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.onnx");
    for name in ["scenes", "cifar-19pct", "cifar-80sec"] {
        let model = made::preset(name);
        write_onnx(&model, &path, &OnnxOptions { preprocessing: false }).unwrap();
        without_card(&path);
        let read = open(&path).unwrap();
        assert_eq!(read.net, model.net, "{name}");
        assert!(read.card.origin.is_some());
        assert!(read.weights.iter().zip(&model.weights).all(|((a, x), (b, y))| a == b && x.data() == y.data()), "{name}");
    }
    for (name, node) in [("alexnet-2012-1gpu", "cnorm2"), ("cifar-18pct", "norm1"), ("cifar-13pct", "local3")] {
        write_onnx(&made::cut(name), &path, &OnnxOptions::default()).unwrap();
        without_card(&path);
        let error = open(&path).unwrap_err().to_string();
        assert!(error.contains(&format!("node `{node}/")), "{name}: {error}");
    }
}

/// Presets of which only a few weights' values matter here, at full size: the shapes and numbers of their graphs.
#[test]
fn full_graphs_say_which_preset_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.onnx");
    for name in ["alexnet", "owt", "caffe", "caffenet", "torchvision", "onnx-bvlc", "d2l"] {
        let mut model = made::cut("scenes");
        let net = Net::preset(name).unwrap();
        // One page of zeros stands for every weight.
        let zeros = net.params().iter().map(|param| param.len()).max().unwrap();
        let zeros: Arc<Vec<f32>> = Arc::new(vec![0.0; zeros]);
        struct Front(Arc<Vec<f32>>, usize);
        impl AsRef<[f32]> for Front {
            fn as_ref(&self) -> &[f32] {
                &self.0[..self.1]
            }
        }
        let weight = |param: &net::ParamInfo| {
            let values = Arc::new(Front(Arc::clone(&zeros), param.len()));
            (param.name.clone(), net::SharedTensor { shape: param.shape.clone(), values })
        };
        (model.weights, model.net) = (net.params().iter().map(weight).collect(), net);
        write_onnx(&model, &path, &OnnxOptions::default()).unwrap();
        without_card(&path);
        assert_eq!(open(&path).unwrap().net, model.net, "{name}");
    }
}

/// What a graph does to bytes before its first layer is read as the net's preprocessing: a mean colour, a mean image, deviations,
/// colours in the opposite order.
#[test]
fn pixels_that_a_graph_prepares_are_prepared_here() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.onnx");
    for name in ["torchvision", "caffe", "alexnet", "scenes"] {
        let model = made::cut(name);
        write_onnx(&model, &path, &OnnxOptions { preprocessing: true }).unwrap();
        without_card(&path);
        let read = open(&path).unwrap();
        let bytes = made::numbers(21, 2 * model.net.input().len(), 128.0).iter().map(|x| (x + 128.0) as u8).collect::<Vec<_>>();
        assert_eq!(prepared(&model, &bytes), prepared(&read, &bytes), "{name}: {:?}", read.notes);
        assert_eq!(read.card.preprocessing.channels, model.card.preprocessing.channels, "{name}");
        let pixels = prepared(&model, &bytes);
        assert_eq!(probabilities(&model, &pixels), probabilities(&read, &pixels), "{name}");
        assert!(read.notes.iter().any(|note| note.contains("normalises its pixels, which it takes from 0 to 255")));
    }
}

#[test]
fn a_changed_graph_counts_more_than_its_card() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.onnx");
    write_onnx(&made::preset("scenes"), &path, &OnnxOptions::default()).unwrap();
    let mut file = onnx::read(&Arc::new(Mapped::open(&path).unwrap())).unwrap();
    let relu = file.graph.nodes.iter_mut().find(|node| node.op == "Relu").unwrap();
    relu.op = "Tanh".into();
    onnx::write(&path, &file).unwrap();
    let read = open(&path).unwrap();
    assert_eq!(read.net.name(), "imported");
    assert!(read.notes[0].contains("another program has changed its graph since"), "{:?}", read.notes);
    assert_eq!(read.card.classes[3], "class 3");
    // A card that is none is an error.
    file.metadata = vec![("alexnet".into(), "{".into())];
    onnx::write(&path, &file).unwrap();
    let error = open(&path).unwrap_err().to_string();
    assert!(error.contains("x.onnx` is not a usable ONNX file: its card"), "{error}");
}

#[test]
fn what_a_file_takes_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.onnx");
    let model = made::cut("torchvision");
    let notes = write_onnx(&model, &path, &OnnxOptions { preprocessing: false }).unwrap().join("\n");
    assert!(notes.contains("f32 of red, green, blue, [N, 3, 224, 224]") && notes.contains("divided by 58.395"), "{notes}");
    assert!(write_onnx(&model, &path, &OnnxOptions { preprocessing: true }).unwrap().is_empty());
    let file = onnx::read(&Arc::new(Mapped::open(&path).unwrap())).unwrap();
    assert!(file.doc.contains("the input is bytes of red, green and blue, [N, 3, 224, 224]"), "{}", file.doc);
    assert_eq!(file.text("classes").unwrap().lines().nth(1), Some("class 1\tclass 1, in words: é"));
    assert_eq!((file.ir_version, file.opset()), (8, 17));
    let mut model = made::cut("caffe");
    let notes = write_onnx(&model, &path, &OnnxOptions { preprocessing: true }).unwrap().join("\n");
    assert!(notes.contains("central crop of the mean image"), "{notes}");
    let mut layers = model.net.layers().to_vec();
    for layer in &mut layers {
        if let net::Op::Conv(conv) = &mut layer.op {
            (conv.k, conv.groups) = (130, 1);
        }
        if let net::Op::Lrn(lrn) = &mut layer.op {
            lrn.towers = 65;
        }
    }
    let towers = made::of(Net::new("towers", model.net.input(), layers).unwrap(), "caffe");
    let error = write_onnx(&towers, &path, &OnnxOptions::default()).unwrap_err().to_string();
    assert_eq!(error, "ONNX cannot hold this net: layer `norm1` normalises in more than 64 towers");
    model.statistics = Default::default();
    let error = write_onnx(&model, &path, &OnnxOptions { preprocessing: true }).unwrap_err().to_string();
    assert_eq!(error, "ONNX cannot hold this net: its mean image is not known");
}
