//! What other programs write: `golden/onnx-files`.

use std::fs;
use std::path::Path;

use data::{Channels, Mean, Std};
use net::Op;
use safetensors::SafeTensors;

use super::{distance, open, probabilities};

pub(crate) fn golden() -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../golden/onnx-files/case.safetensors");
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn f64s(case: &SafeTensors, name: &str) -> Vec<f64> {
    case.tensor(name).unwrap().data().as_chunks().0.iter().map(|&eight| f64::from_le_bytes(eight)).collect()
}

/// Names of the golden's files.
pub(crate) fn names(case: &SafeTensors) -> Vec<String> {
    let mut names: Vec<_> = case.names().iter().filter_map(|name| name.strip_prefix("file/")).map(str::to_string).collect();
    names.sort();
    names
}

/// Writes a file of the golden into `folder`, and the one beside it.
fn written(case: &SafeTensors, name: &str, folder: &Path) -> std::path::PathBuf {
    let path = folder.join(name);
    fs::write(&path, case.tensor(&format!("file/{name}")).unwrap().data()).unwrap();
    if let Ok(beside) = case.tensor(&format!("beside/{name}")) {
        fs::write(folder.join(format!("{name}.data")), beside.data()).unwrap();
    }
    path
}

#[test]
fn files_of_other_programs_say_what_their_programs_say() {
    let (bytes, folder) = (golden(), tempfile::tempdir().unwrap());
    let case = SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(names(&case).len(), 14);
    for name in names(&case) {
        let kind = name.split('-').next().unwrap();
        let mut model = open(&written(&case, &name, folder.path())).unwrap_or_else(|error| panic!("{name}: {error}"));
        let scale = f64s(&case, &format!("scale/{kind}"));
        let pixels = case.tensor(&format!("pixels/{kind}")).unwrap();
        let mut pixels: Vec<f32> = pixels.data().iter().map(|&byte| ((f64::from(byte) - scale[0]) * scale[1]) as f32).collect();
        prepare(&name, &mut model, &mut pixels);
        let (ours, theirs) = (probabilities(&model, &pixels), f64s(&case, &format!("probabilities/{name}")));
        let worst = distance(&ours, &theirs);
        assert!(worst < 1e-6, "{name}: {worst:e} from {theirs:?}: {ours:?}");
    }
}

/// What the file's own graph does to pixels is the preprocessing here.
fn prepare(name: &str, model: &mut zoo::Model, pixels: &mut [f32]) {
    let p = &model.card.preprocessing;
    let plane = model.net.input().plane();
    if name.contains("normalise") || name.contains("external") {
        let (Mean::Values(mean), Std::Values(std)) = (p.mean, p.std) else { panic!("{name}: {p:?}") };
        assert_eq!((mean, std, p.channels), ([123.675, 116.28, 103.53], [58.395, 57.12, 57.375], Channels::Rgb), "{name}");
        assert!(model.notes.iter().any(|note| note.contains("pixels, which it takes from 0 to 1")), "{:?}", model.notes);
        for (i, value) in pixels.iter_mut().enumerate() {
            let map = i / plane % 3;
            *value = (*value * 255.0 - mean[map]) / std[map];
        }
    }
    if name.contains("forms") {
        let expected = (Mean::Values([123.0, 117.0, 104.0]), Std::None, Channels::Bgr);
        assert_eq!((p.mean, p.std, p.channels), expected);
        for image in pixels.chunks_mut(3 * plane) {
            let rgb = image.to_vec();
            for (map, mean) in [104.0, 117.0, 123.0].into_iter().enumerate() {
                let from = &rgb[(2 - map) * plane..][..plane];
                image[map * plane..][..plane].iter_mut().zip(from).for_each(|(to, from)| *to = from - mean);
            }
        }
    }
}

#[test]
fn what_a_file_does_not_say_is_said() {
    let (bytes, folder) = (golden(), tempfile::tempdir().unwrap());
    let case = SafeTensors::deserialize(&bytes).unwrap();
    let notes = |name: &str| open(&written(&case, name, folder.path())).unwrap().notes.join("\n");
    let logits = notes("torch-trace-9");
    assert!(logits.contains("ends before the softmax, which is added"), "{logits}");
    assert!(logits.contains("assumed as for `torchvision`") && logits.contains("they are numbered"), "{logits}");
    let log = notes("torch-trace-17-ceil-log");
    assert!(log.contains("gives logarithms of probabilities") && !log.contains("softmax, which is added"), "{log}");
    let model = open(&written(&case, "bvlc-3", folder.path())).unwrap();
    assert_eq!(model.card.origin.as_ref().unwrap().format, "ONNX");
    assert!(model.net.layers().iter().any(|layer| matches!(layer.op, Op::Dropout(_))));
    // Without its values a file says which are missing.
    let path = written(&case, "torch-program-18-external", folder.path());
    fs::remove_file(folder.path().join("torch-program-18-external.data")).unwrap();
    let error = open(&path).unwrap_err().to_string();
    assert!(error.contains("cannot read") && error.contains("torch-program-18-external.data"), "{error}");
}

/// A graph of one op between input and softmax.
fn one_op(op: &str, inputs: &[&str], attributes: &[(&str, weights::onnx::Attribute)]) -> weights::onnx::Model {
    use weights::onnx::{Dim, Graph, Model, Node, Tensor, ValueInfo};
    let floats = |shape: &[usize]| {
        let values: std::sync::Arc<dyn AsRef<[f32]> + Send + Sync> = std::sync::Arc::new(vec![0.5f32; shape.iter().product()]);
        Tensor::of_floats(&net::SharedTensor { shape: shape.to_vec(), values })
    };
    let node = |op: &str, inputs: &[&str], output: &str, attributes: &[(&str, weights::onnx::Attribute)]| Node {
        name: format!("the {op}"),
        op: op.into(),
        inputs: inputs.iter().map(|name| name.to_string()).collect(),
        outputs: vec![output.into()],
        attributes: attributes.iter().map(|(name, value)| (name.to_string(), value.clone())).collect(),
        ..Node::default()
    };
    let shape = |dims: &[usize]| Some(dims.iter().map(|&dim| Dim::Size(dim)).collect());
    let value = |name: &str, shape| ValueInfo { name: name.into(), element: None, shape };
    Model {
        ir_version: 8,
        opsets: vec![(String::new(), 17)],
        graph: Graph {
            nodes: vec![
                node(op, inputs, "y", attributes),
                node("Flatten", &["y"], "row", &[]),
                node("Gemm", &["row", "w"], "logits", &[]),
            ],
            initializers: vec![
                ("w".into(), floats(&[48, 3])),
                ("k".into(), floats(&[3, 3, 3, 3])),
                ("three".into(), floats(&[3])),
                ("image".into(), floats(&[3, 4, 4])),
                ("big".into(), Tensor::of_ints(vec![4], vec![1, -1, 7, 7])),
                ("nothing".into(), floats(&[1 << 40, 0])),
            ],
            inputs: vec![value("x", shape(&[1, 3, 4, 4]))],
            outputs: vec![value("logits", None)],
            ..Graph::default()
        },
        ..Model::default()
    }
}

/// 0, 1, 2, …
fn ramp(count: usize) -> net::SharedTensor {
    net::SharedTensor { shape: vec![count], values: std::sync::Arc::new((0..count).map(|i| i as f32).collect::<Vec<f32>>()) }
}

#[test]
fn what_is_no_alexnet_is_refused_by_node_and_op() {
    use weights::onnx::Attribute::{Float, Int, Ints, Text};
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.onnx");
    let said = |model: &weights::onnx::Model| {
        weights::onnx::write(&path, model).unwrap();
        open(&path).map(|model| model.net.to_toml()).unwrap_err().to_string()
    };
    let cases = [
        (one_op("BatchNormalization", &["x", "three", "three", "three", "three"], &[]), "is no part of an AlexNet"),
        (one_op("Sigmoid", &["x"], &[]), "node `the Sigmoid` (Sigmoid) is no op of an AlexNet"),
        (one_op("Conv", &["x", "k"], &[("dilations", Ints(vec![2, 2]))]), "has gaps in its windows"),
        (one_op("Conv", &["x", "k"], &[("group", Int(2))]), "(Conv) does not fit: "),
        (one_op("Conv", &["x", "k"], &[("group", Int(-1))]), "has a negative `group`"),
        (one_op("Conv", &["x", "k"], &[("strides", Ints(vec![0, 1]))]), "has a kernel or stride of 0"),
        (one_op("Conv", &["x", "k"], &[("pads", Ints(vec![-1, 0, 0, 0]))]), "has a `pads` that is not 4 numbers of at least 0"),
        (one_op("Conv", &["x", "k"], &[("pads", Ints(vec![i64::MAX; 4]))]), "does not fit"),
        (one_op("Conv", &["x", "k"], &[("kernel_shape", Ints(vec![5, 5]))]), "has a `kernel_shape` that is not its weights'"),
        (one_op("Conv", &["x", "none"], &[]), "reads `none`, which nothing before it gives"),
        (one_op("Conv", &["x", "k"], &[("auto_pad", Text("SOME".into()))]), "has an `auto_pad` of `SOME`"),
        (one_op("MaxPool", &["x"], &[]), "has no `kernel_shape`"),
        (one_op("MaxPool", &["x"], &[("kernel_shape", Ints(vec![9, 9]))]), "(MaxPool) does not fit: "),
        (one_op("LRN", &["x"], &[("size", Int(4))]), "a normalisation window of 4 is not odd"),
        (one_op("LRN", &["x"], &[("size", Int(5)), ("bias", Float(f32::NAN))]), "normalisation needs k > 0"),
        (one_op("Reshape", &["x", "big"], &[]), "neither a row for each image nor what it was"),
        (one_op("Flatten", &["x"], &[("axis", Int(2))]), "flattens from axis 2, which mixes images"),
        (one_op("Gemm", &["x", "w"], &[]), "reads maps of 3×4×4, where one row for each image is expected"),
        (one_op("Add", &["x", "x"], &[]), "read only as a constant"),
        (one_op("Mul", &["x", "image"], &[]), "more than one value for each map"),
        (one_op("Softmax", &["x"], &[]), "(Softmax) is along axis -1, not over all values of an image"),
        (one_op("Dropout", &["x", "three"], &[]), "has no single rate"),
        (
            one_op(
                "AveragePool",
                &["x"],
                &[("kernel_shape", Ints(vec![3; 2])), ("pads", Ints(vec![1; 4])), ("count_include_pad", Int(1))],
            ),
            "counts its padding",
        ),
    ];
    for (model, expected) in cases {
        let said = said(&model);
        assert!(said.contains(expected) && said.contains("x.onnx` holds no AlexNet that is known"), "{expected}: {said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
    let relu = one_op("Relu", &["x"], &[]);
    let mut other = relu.clone();
    other.graph.inputs.push(weights::onnx::ValueInfo { name: "x2".into(), ..Default::default() });
    assert!(said(&other).contains("its graph has 2 inputs instead of one: `x`, `x2`"));
    let mut other = relu.clone();
    other.graph.outputs[0].name = "nowhere".into();
    assert!(said(&other).contains("no node gives its output `nowhere`"));
    let mut other = relu.clone();
    other.graph.nodes[0].domain = "com.example".into();
    assert!(said(&other).contains("is of another set of ops, `com.example`"));
    let mut other = relu.clone();
    other.graph.inputs[0].shape = Some(vec![weights::onnx::Dim::Unknown; 4]);
    assert!(said(&other).contains("has maps, rows or columns without a fixed number"));
    let mut other = relu.clone();
    let sides = |dims: [usize; 4]| Some(dims.map(weights::onnx::Dim::Size).to_vec());
    other.graph.inputs[0].shape = sides([1, 1 << 40, 1, 1]);
    assert!(said(&other).contains("has 1099511627776 maps, where images have 1 or 3"));
    other.graph.inputs[0].shape = sides([1, 3, 1 << 62, 1 << 62]);
    assert!(said(&other).contains("of which at most 65536 a side are read"));
    // A factor for all of 12 milliard values is one number.
    other.graph.inputs[0].shape = sides([1, 3, 1 << 16, 1 << 16]);
    other.graph.initializers.push((
        "half".into(),
        weights::onnx::Tensor::of_floats(&net::SharedTensor { shape: vec![], values: std::sync::Arc::new(vec![0.5f32]) }),
    ));
    (other.graph.nodes[1].op, other.graph.nodes[1].inputs) = ("Mul".into(), vec!["y".into(), "half".into()]);
    assert!(said(&other).contains("reads maps of 3×65536×65536, where one row for each image is expected"));
    // Weights that many layers share, and lengths that many nodes pass on.
    let mut other = relu.clone();
    let matrix = weights::onnx::Tensor::of_floats(&net::SharedTensor { shape: vec![48, 48], ..ramp(48 * 48) });
    other.graph.initializers.push(("square".into(), matrix));
    for place in 0..20 {
        let mut gemm = relu.graph.nodes[2].clone();
        gemm.name = format!("g{place}");
        gemm.inputs = vec![if place == 0 { "row".into() } else { format!("g{}", place - 1) }, "square".into()];
        gemm.outputs = vec![gemm.name.clone()];
        other.graph.nodes.insert(2 + place, gemm);
    }
    other.graph.nodes[22].inputs[0] = "g19".into();
    assert!(said(&other).contains("(Gemm) shares its weights with too many others"));
    let mut other = one_op("Reshape", &["x", "lengths"], &[]);
    let constant = weights::onnx::Node {
        name: "the Constant".into(),
        op: "Constant".into(),
        outputs: vec!["lengths".into()],
        attributes: vec![("value_ints".into(), Ints(vec![1; 65]))],
        ..Default::default()
    };
    other.graph.nodes.insert(0, constant);
    assert!(said(&other).contains("node `the Constant` (Constant) has more than 64 lengths"));
    // A value for each pixel of a flattened convolution is no bias.
    let mut other = one_op("Conv", &["x", "k"], &[("pads", weights::onnx::Attribute::Ints(vec![1; 4]))]);
    let mut add = other.graph.nodes[1].clone();
    (add.name, add.op, add.outputs[0]) = ("the Add".into(), "Add".into(), "sum".into());
    add.inputs = vec!["row".into(), "pixels".into()];
    other.graph.nodes.insert(2, add);
    other.graph.nodes[3].inputs[0] = "sum".into();
    other.graph.initializers.push(("pixels".into(), weights::onnx::Tensor::of_floats(&ramp(48))));
    assert!(said(&other).contains("node `the Add` (Add) adds 48 values to a layer whose bias has 3"));
    // A matrix without elements claims rows for which nothing is allocated.
    let mut other = relu.clone();
    other.graph.nodes[2].inputs[1] = "nothing".into();
    assert!(said(&other).contains("(Gemm) does not fit"));
    // Two ways from one value.
    let mut other = relu.clone();
    other.graph.nodes[1].inputs[0] = "x".into();
    other.graph.nodes[2].inputs[0] = "y".into();
    assert!(!said(&other).is_empty());
    weights::onnx::write(&path, &relu).unwrap();
    let given = zoo::Given { net: Some("caffe".into()), ..Default::default() };
    let error = zoo::open(&path, &given, train::checkpoint::Checks::All).unwrap_err().to_string();
    assert!(error.contains("--preset: the graph of") && error.contains("computes `imported`, not `caffe`"), "{error}");
}
