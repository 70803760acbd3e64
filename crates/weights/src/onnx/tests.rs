use std::fs;
use std::path::Path;
use std::sync::Arc;

use net::SharedTensor;

use super::*;
use crate::mutated::mutated;
use crate::protobuf::Writer;
use crate::{Error, Mapped, Result};

fn floats(shape: &[usize], values: Vec<f32>) -> Tensor {
    Tensor::of_floats(&SharedTensor { shape: shape.to_vec(), values: Arc::new(values) })
}

fn sample() -> Model {
    let node = Node {
        name: "conv1".into(),
        op: "Conv".into(),
        inputs: vec!["x".into(), "w".into(), String::new()],
        outputs: vec!["y".into()],
        attributes: vec![
            ("pads".into(), Attribute::Ints(vec![0, 1, -1, 1 << 40])),
            ("alpha".into(), Attribute::Float(1e-4)),
            ("group".into(), Attribute::Int(2)),
            ("auto_pad".into(), Attribute::Text("VALID".into())),
            ("more".into(), Attribute::Floats(vec![0.5, -1.0])),
        ],
        ..Node::default()
    };
    let info = |name: &str, shape| ValueInfo { name: name.into(), element: Some(ElementType::F32), shape: Some(shape) };
    Model {
        ir_version: 8,
        opsets: vec![(String::new(), 17), ("com.example".into(), 1)],
        producer: "alexnet".into(),
        producer_version: "1".into(),
        doc: "what it is".into(),
        metadata: vec![("classes".into(), "a\nb".into())],
        graph: Graph {
            name: "g".into(),
            nodes: vec![node],
            initializers: vec![
                ("w".into(), floats(&[2, 3], vec![1.0, -2.5, f32::MIN_POSITIVE, -0.0, f32::INFINITY, f32::NAN])),
                ("shape".into(), Tensor::of_ints(vec![2], vec![-1, 9216])),
                ("scalar".into(), floats(&[], vec![0.5])),
                ("long.name".into(), floats(&[100, 3], (0..300).map(|i| i as f32).collect())),
            ],
            inputs: vec![info("x", vec![Dim::Named("N".into()), Dim::Size(3), Dim::Unknown])],
            outputs: vec![info("y", vec![])],
        },
    }
}

fn open(path: &Path) -> Result<Model> {
    read(&Arc::new(Mapped::open(path)?))
}

fn open_bytes(folder: &Path, bytes: &[u8]) -> Result<Model> {
    let path = folder.join("hostile.onnx");
    fs::write(&path, bytes).unwrap();
    open(&path)
}

/// Everything that a file says, as text; values as bits.
fn all(model: &Model) -> String {
    let values = |tensor: &Tensor| match tensor.element {
        ElementType::I64 => format!("{:?}", tensor.ints()),
        _ => format!("{:?}", tensor.floats().map(|t| t.data().iter().map(|v| v.to_bits()).collect::<Vec<_>>())),
    };
    let constants: Vec<_> = model.graph.initializers.iter().map(|(_, tensor)| values(tensor)).collect();
    format!("{model:?} {constants:?}")
}

#[test]
fn what_is_written_reads_back_bit_for_bit() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.onnx");
    write(&path, &sample()).unwrap();
    let bytes = fs::read(&path).unwrap();
    assert!(recognises(&bytes));
    let file = Arc::new(Mapped::open(&path).unwrap());
    let model = read(&file).unwrap();
    assert_eq!(all(&model), all(&sample()));
    assert_eq!((model.opset(), model.text("classes"), model.text("none")), (17, Some("a\nb"), None));
    // Values are not copied.
    for (name, tensor) in model.graph.initializers.iter().filter(|(_, tensor)| tensor.element == ElementType::F32) {
        let place = tensor.floats().unwrap().data().as_ptr().cast::<u8>();
        assert!(file.bytes().as_ptr_range().contains(&place), "{name}");
        assert!(tensor.same(tensor) && !tensor.same(&floats(&[1], vec![2.0])));
    }
    // What was read can be written, and is the same file.
    write(&path, &model).unwrap();
    assert_eq!(fs::read(&path).unwrap(), bytes);
}

#[test]
fn constants_of_every_type_and_form_are_read() {
    let tensor = |element: i64, count: i64, fill: &dyn Fn(&mut Writer) -> &mut Writer| {
        let mut message = Writer::new();
        message.ints(1, &[count]).int(2, element).text(8, "t");
        fill(&mut message);
        let (mut graph, mut model) = (Writer::new(), Writer::new());
        graph.message(5, message);
        model.int(1, 8).message(7, graph);
        model.into_bytes()
    };
    let folder = tempfile::tempdir().unwrap();
    let read = |bytes: Vec<u8>| open_bytes(folder.path(), &bytes).map(|model| model.graph.initializers[0].1.clone());
    let float_forms = [
        tensor(1, 2, &|w| w.floats(4, &[1.5, -2.0])),
        tensor(1, 2, &|w| w.float(4, 1.5).float(4, -2.0)),
        tensor(1, 2, &|w| w.blob(9, &[1.5f32, -2.0].map(f32::to_le_bytes).concat())),
        tensor(11, 2, &|w| w.blob(9, &[1.5f64, -2.0].map(f64::to_le_bytes).concat())),
        tensor(11, 2, &|w| w.blob(10, &[1.5f64, -2.0].map(f64::to_le_bytes).concat())),
        tensor(10, 2, &|w| w.blob(9, &[0x00, 0x3e, 0x00, 0xc0])),
        tensor(10, 2, &|w| w.ints(5, &[0x3e00, 0xc000])),
        tensor(16, 2, &|w| w.blob(9, &[0xc0, 0x3f, 0x00, 0xc0])),
        tensor(16, 2, &|w| w.ints(5, &[0x3fc0, 0xc000])),
    ];
    for bytes in float_forms {
        let found = read(bytes).unwrap();
        assert_eq!(found.floats().unwrap().data(), [1.5, -2.0], "{}", found.element);
        assert!(found.ints().unwrap_err().to_string().contains("stands where integer numbers are expected"));
    }
    let int_forms = [
        tensor(7, 2, &|w| w.ints(7, &[5, -1])),
        tensor(7, 2, &|w| w.blob(9, &[5i64, -1].map(i64::to_le_bytes).concat())),
        tensor(6, 2, &|w| w.ints(5, &[5, -1])),
        tensor(6, 2, &|w| w.blob(9, &[5i32, -1].map(i32::to_le_bytes).concat())),
        tensor(3, 2, &|w| w.blob(9, &[5, 0xff])),
    ];
    for bytes in int_forms {
        let found = read(bytes).unwrap();
        assert_eq!(found.ints().unwrap(), [5, -1], "{}", found.element);
        assert!(found.floats().unwrap_err().to_string().contains("stands where floating numbers are expected"));
    }
    let few = read(tensor(1, 3, &|w| w.floats(4, &[1.0, 2.0]))).unwrap().floats().unwrap_err();
    assert!(few.to_string().contains("a tensor of shape [3] holds 2 values"), "{few}");
    let said = |bytes| read(bytes).unwrap_err().to_string();
    let short = said(tensor(1, 2, &|w| w.blob(9, &[0; 7])));
    assert!(short.contains("the constant `t` of float and shape [2] has 7 bytes"), "{short}");
    assert!(said(tensor(1, -2, &|w| w)).contains("the constant `t` has the shape [-2]"));
    let huge = said(tensor(1, 1 << 62, &|w| w.int(1, 1 << 62).floats(4, &[1.0])));
    assert!(huge.contains("which nothing holds"), "{huge}");
    let many = said(tensor(1, 1 << 50, &|w| w.blob(9, &[0; 4])));
    assert!(many.contains("has 4 bytes"), "{many}");
}

/// A model with one constant in another file.
fn external(entries: &[(&str, &str)]) -> Vec<u8> {
    externals(entries, 1)
}

/// A model with `count` constants in one place of another file.
fn externals(entries: &[(&str, &str)], count: usize) -> Vec<u8> {
    let mut message = Writer::new();
    message.ints(1, &[3]).int(2, 1).text(8, "t").int(14, 1);
    for (key, value) in entries {
        let mut entry = Writer::new();
        entry.text(1, key).text(2, value);
        message.message(13, entry);
    }
    let (mut graph, mut model) = (Writer::new(), Writer::new());
    for _ in 0..count {
        graph.message(5, message.clone());
    }
    model.int(1, 8).message(7, graph);
    model.into_bytes()
}

#[test]
fn values_beside_the_model_are_read_and_no_others() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("models");
    fs::create_dir_all(folder.join("sub")).unwrap();
    let data = [0.0f32, 1.5, -2.0, 3.0].map(f32::to_le_bytes).concat();
    for place in [folder.join("x.onnx.data"), root.path().join("secret"), folder.join("sub/data")] {
        fs::write(place, &data).unwrap();
    }
    let read = |entries: &[(&str, &str)]| open_bytes(&folder, &external(entries));
    for entries in [
        &[("location", "x.onnx.data"), ("offset", "4"), ("length", "12")][..],
        &[("location", "x.onnx.data"), ("offset", "4")],
        &[("checksum", "ignored"), ("length", "12"), ("offset", "4"), ("location", "x.onnx.data")],
    ] {
        assert_eq!(read(entries).unwrap().graph.initializers[0].1.floats().unwrap().data(), [1.5, -2.0, 3.0]);
    }
    assert_eq!(read(&[("location", "x.onnx.data")]).unwrap().graph.initializers[0].1.floats().unwrap().data(), [0.0, 1.5, -2.0]);
    let absolute = root.path().join("secret");
    let absolute = absolute.to_str().unwrap();
    for name in ["../secret", "sub/data", absolute, "", ".", "..", "./x.onnx.data", "sub\\data", "x.onnx.data/", "a\0b"] {
        let said = read(&[("location", name)]).unwrap_err().to_string();
        assert!(said.contains("is no plain name of a file"), "{name}: {said}");
    }
    for (entries, expected) in [
        (&[("offset", "4")][..], "the constant `t` is in another file, which is not named"),
        (&[("location", "x.onnx.data"), ("offset", "5")], "lies in"),
        (&[("location", "x.onnx.data"), ("offset", "18446744073709551615"), ("length", "12")], "but that has 16 bytes"),
        (&[("location", "x.onnx.data"), ("offset", "-4")], "lies at `offset` = `-4`, which is no number of bytes"),
        (&[("location", "x.onnx.data"), ("length", "8")], "has 8 bytes"),
        (&[("location", "sub")], "which is no file"),
    ] {
        let said = read(entries).unwrap_err().to_string();
        assert!(said.contains(expected) && said.contains("hostile.onnx` is not a usable ONNX file"), "{said}");
    }
    // 12 of its 16 bytes, five times and once more.
    let many = |count| open_bytes(&folder, &externals(&[("location", "x.onnx.data")], count));
    assert_eq!(many(5).unwrap().graph.initializers.len(), 5);
    assert!(many(6).unwrap_err().to_string().contains("x.onnx.data`, whose bytes others use more than 4 times"));
    assert!(matches!(read(&[("location", "none")]), Err(Error::Io { action: "read", .. })));
}

/// Links lead to values only where a cache would have put them.
#[cfg(unix)]
#[test]
fn links_out_of_the_folder_are_refused_but_for_those_beside_the_linked_model() {
    let root = tempfile::tempdir().unwrap();
    let (folder, blobs) = (root.path().join("snapshot"), root.path().join("blobs"));
    fs::create_dir_all(&folder).unwrap();
    fs::create_dir_all(&blobs).unwrap();
    let data = [0.0f32, 1.5, -2.0].map(f32::to_le_bytes).concat();
    fs::write(blobs.join("2b"), &data).unwrap();
    std::os::unix::fs::symlink(blobs.join("2b"), folder.join("data")).unwrap();
    let said = open_bytes(&folder, &external(&[("location", "data")])).unwrap_err().to_string();
    assert!(said.contains("which is a link out of the model's folder"), "{said}");
    fs::write(blobs.join("1a"), external(&[("location", "data")])).unwrap();
    std::os::unix::fs::symlink(blobs.join("1a"), folder.join("model.onnx")).unwrap();
    let model = open(&folder.join("model.onnx")).unwrap();
    assert_eq!(model.graph.initializers[0].1.floats().unwrap().data(), [0.0, 1.5, -2.0]);
}

#[test]
fn hostile_models_are_errors_of_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let model = |fill: &dyn Fn(&mut Writer) -> &mut Writer| {
        let mut graph = Writer::new();
        fill(&mut graph);
        let mut model = Writer::new();
        model.int(1, 8).message(7, graph);
        model.into_bytes()
    };
    let node = |fill: &dyn Fn(&mut Writer) -> &mut Writer| {
        let mut node = Writer::new();
        fill(&mut node);
        node
    };
    let cases: [(Vec<u8>, &str); 8] = [
        (vec![], "it has 0 graphs instead of one"),
        ([model(&|w| w), model(&|w| w)].concat(), "it has 2 graphs instead of one"),
        (model(&|g| (0..70_000).fold(g, |g, _| g.blob(1, &[]))), "more than 65536 nodes"),
        (model(&|g| g.message(1, node(&|n| (0..70_000).fold(n, |n, _| n.text(1, ""))))), "more than 65536 nodes"),
        (model(&|g| g.message(5, node(&|t| t.ints(1, &vec![1; 5000])))), "a setting of more than 4096 numbers"),
        (model(&|g| g.message(5, node(&|t| t.ints(1, &[1; 17])))), "has the shape [1, 1"),
        (model(&|g| g.message(1, node(&|n| n.blob(4, &[0xff])))), "something else where a text is expected"),
        (model(&|g| g.int(15, 1).int(5, 1)), "sparse constants"),
    ];
    for (bytes, expected) in cases {
        let said = open_bytes(folder.path(), &bytes).unwrap_err().to_string();
        assert!(said.contains(expected), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
}

#[test]
fn formats_are_told_apart_by_their_first_bytes() {
    let model = |fill: &dyn Fn(&mut Writer) -> &mut Writer| {
        let mut writer = Writer::new();
        fill(&mut writer);
        writer.into_bytes()
    };
    assert!(recognises(&model(&|w| w.int(1, 3).text(2, "onnx-caffe2"))));
    assert!(recognises(&model(&|w| w.int(1, 10).blob(7, &[0xff; 9]))));
    // A SavedModel's second field is a message; Caffe's first is the net's name; a pickle, a zip, text.
    for other in
        [&[0x08, 0x01, 0x12, 0x20, 0x0a, 0x05][..], b"\x0a\x07AlexNet", b"\x80\x02}q\x00", b"PK\x03\x04", b"name: \"x\"", b""]
    {
        assert!(!recognises(other), "{other:?}");
    }
}

#[test]
fn every_truncation_is_an_error_or_a_shorter_model() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.onnx");
    write(&path, &sample()).unwrap();
    let bytes = fs::read(&path).unwrap();
    for length in 0..bytes.len() {
        // The graph comes last, so that no shorter file has a whole one.
        assert!(matches!(open_bytes(folder.path(), &bytes[..length]), Err(Error::Format { .. })), "{length}");
    }
}

#[test]
fn ten_thousand_damaged_files_give_a_model_or_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.onnx");
    write(&path, &sample()).unwrap();
    let bytes = fs::read(&path).unwrap();
    let mut whole = 0;
    for case in 0..10_000 {
        if let Ok(model) = read(&Mapped::of_bytes(&mutated(&bytes, case))) {
            whole += 1;
            let values = |(_, tensor): &(String, Tensor)| (tensor.floats().is_ok(), tensor.ints().is_ok());
            let _: Vec<_> = model.graph.initializers.iter().map(values).collect();
        }
    }
    assert!((1000..9000).contains(&whole), "{whole} of 10,000 were read");
}

#[test]
fn what_cannot_be_written_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.onnx");
    let mut model = sample();
    model.graph.nodes[0].attributes.push(("value".into(), Attribute::Other));
    let source = |error| match error {
        Error::Io { source, .. } => source.to_string(),
        other => other.to_string(),
    };
    assert!(source(write(&path, &model).unwrap_err()).contains("the setting `value` of node `conv1` cannot be written"));
    let mut model = sample();
    model.graph.initializers[0].1.element = ElementType::F16;
    assert!(source(write(&path, &model).unwrap_err()).contains("the constant `w` of float16 cannot be written"));
    assert!(!path.exists());
}
