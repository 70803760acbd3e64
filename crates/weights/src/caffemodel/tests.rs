//! What a writer of its own says, our own files, and both damaged.

use net::Tensor;

use super::*;
use crate::mutated::mutated;
use crate::{Error, Mapped};

fn golden() -> Vec<(String, Vec<u8>, Vec<usize>)> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../golden/caffe-files/case.safetensors");
    let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let case = ::safetensors::SafeTensors::deserialize(&bytes).unwrap();
    case.iter().map(|(name, view)| (name.to_string(), view.data().to_vec(), view.shape().to_vec())).collect()
}

/// The files of the golden whose names end in `ending`.
fn files(ending: &str) -> Vec<(String, Vec<u8>)> {
    let found = golden().into_iter().filter_map(|(name, bytes, _)| Some((name.strip_prefix("file/")?.to_string(), bytes)));
    found.filter(|(name, _)| name.ends_with(ending)).collect()
}

fn floats(name: &str) -> Vec<f32> {
    let (_, bytes, _) = golden().into_iter().find(|(found, ..)| found == name).expect(name);
    bytes.as_chunks().0.iter().map(|&four| f32::from_le_bytes(four)).collect()
}

fn read_bytes(bytes: &[u8]) -> Result<Contents, Error> {
    read(&Mapped::of_bytes(bytes))
}

#[test]
fn every_generation_says_the_same() {
    let found = files(".caffemodel");
    assert_eq!(found.len(), 10);
    for (name, bytes) in found.iter().filter(|(name, _)| name.starts_with("caffe")) {
        assert!(recognises(bytes), "{name}");
        let contents = read_bytes(bytes).unwrap();
        let layer = |wanted: &str| contents.layers.iter().find(|layer| layer.name == wanted).expect(wanted);
        let net = name.split('-').next().unwrap();
        for weighted in ["conv1", "conv2", "fc3", "fc4"] {
            let blobs = &layer(weighted).blobs;
            for (blob, role) in blobs.iter().zip(["weight", "bias"]) {
                let golden = format!("{net}/{weighted}.{role}");
                assert_eq!(blob.data(), floats(&golden), "{name}: {golden}");
            }
            assert_eq!(blobs.len(), 2);
        }
        let kinds: Vec<&str> = ["conv1", "norm1", "pool1", "relu1", "fc3", "drop3"].map(|l| layer(l).kind.as_str()).to_vec();
        assert_eq!(kinds, ["Convolution", "LRN", "Pooling", "ReLU", "InnerProduct", "Dropout"], "{name}");
        let conv = |kernel, stride, pad, groups, outputs| {
            Settings::Convolution(Convolution { outputs, kernel, stride, pad, dilation: [1; 2], groups, bias: true })
        };
        assert_eq!(layer("conv1").settings, conv([5; 2], [2; 2], [0; 2], 1, 8), "{name}");
        assert_eq!(layer("conv2").settings, conv([3; 2], [1; 2], [1; 2], 2, 6), "{name}");
        assert_eq!(layer("norm2").settings, Settings::Lrn(Lrn { size: 3, alpha: 0.5, ..Lrn::default() }), "{name}");
        assert_eq!(layer("drop3").settings, Settings::Dropout(0.25), "{name}");
        let Settings::Pooling(pool) = &layer("pool1").settings else { panic!("{name}") };
        assert_eq!((pool.method, pool.kernel, pool.stride, pool.floor), (PoolMethod::Max, [3; 2], [2; 2], false), "{name}");
        assert_eq!(layer("conv2").bottoms, if net == "caffe" { ["pool1"] } else { ["norm1"] }, "{name}");
        match contents.inputs.first() {
            Some(input) => assert_eq!(*input, ("data".to_string(), vec![10, 3, 23, 23]), "{name}"),
            None if name.contains("train") => {
                assert_eq!(contents.layers[0].transform.crop, Some(23), "{name}");
                assert!(!contents.layers[0].is_there(true) && contents.layers[0].is_there(false), "{name}");
            }
            None => assert_eq!(contents.layers[0].settings, Settings::Input(vec![vec![10, 3, 23, 23]]), "{name}"),
        }
    }
}

#[test]
fn other_formats_are_not_taken_for_nets() {
    let others: [&[u8]; 9] = [
        b"",
        b"\x08\x08\x12\x07pytorch\x3a\x02\x0a\x00",
        b"\x12\x07pytorch\x08\x03",
        b"\x12\x04\x00\x00\x00\x00\x00\x00{\"a\":",
        b"\x80\x02}q\x01.",
        b"PK\x03\x04\x14\x00",
        b"\x89HDF\r\n\x1a\n",
        b"name: \"net\"\nlayer {\n}\n",
        b"\x08\x01\x10\x03\x18\x02\x20\x02\x2a\x00",
    ];
    assert!(others.iter().all(|bytes| !recognises(bytes)));
    assert!(files(".npy").iter().chain(&files(".binaryproto")).all(|(_, bytes)| !recognises(bytes)));
}

#[test]
fn rare_settings_are_read() {
    let (_, bytes) = files("odd.caffemodel").pop().unwrap();
    let contents = read_bytes(&bytes).unwrap();
    let settings = |index: usize| contents.layers[index].settings.clone();
    let conv = Convolution { outputs: 6, kernel: [3, 5], stride: [2, 1], pad: [1, 0], dilation: [1; 2], groups: 1, bias: false };
    assert_eq!(settings(0), Settings::Convolution(conv));
    assert_eq!(settings(2), Settings::Lrn(Lrn { size: 3, alpha: 2.0, beta: 0.6, k: 7.0, within: true }));
    let pool = Pooling { method: PoolMethod::Average, kernel: [2, 3], stride: [2; 2], pad: [0; 2], global: false, floor: false };
    assert_eq!(settings(3), Settings::Pooling(pool));
    assert_eq!(settings(5), Settings::InnerProduct(InnerProduct { outputs: 9, bias: true, axis: 1, transpose: true }));
    assert_eq!(contents.layers[0].blobs[0].shape, [6, 3, 3, 5]);
}

fn tensor(shape: &[usize], first: f32) -> SharedTensor {
    let count = shape.iter().product();
    SharedTensor { shape: shape.to_vec(), values: std::sync::Arc::new((0..count).map(|i| first + i as f32).collect::<Vec<_>>()) }
}

fn sample() -> Contents {
    let layer = |name: &str, kind: &str, settings| Layer {
        name: name.into(),
        kind: kind.into(),
        bottoms: vec!["a".into()],
        tops: vec!["b".into(), "é\"\\\n".into()],
        settings,
        ..Layer::default()
    };
    let conv = Convolution { outputs: 4, kernel: [3, 2], stride: [1, 2], pad: [2, 2], dilation: [1, 3], groups: 2, bias: false };
    let pool = Pooling { method: PoolMethod::Average, kernel: [2; 2], stride: [3, 1], pad: [0, 1], global: false, floor: true };
    let product = InnerProduct { outputs: 5, bias: false, axis: 2, transpose: true };
    let mut layers = vec![
        layer("conv", "Convolution", Settings::Convolution(conv)),
        layer("pool", "Pooling", Settings::Pooling(pool)),
        layer("lrn", "LRN", Settings::Lrn(Lrn { size: 3, alpha: 1e-4, beta: 0.5, k: 2.0, within: true })),
        layer("fc", "InnerProduct", Settings::InnerProduct(product)),
        layer("drop", "Dropout", Settings::Dropout(0.25)),
        layer("relu", "ReLU", Settings::Relu(0.5)),
        layer("power", "Power", Settings::Power { power: 2.0, scale: 0.5, shift: -1.0 }),
        layer("input", "Input", Settings::Input(vec![vec![1, 3, 5, 5], vec![7]])),
        layer("slice", "Slice", Settings::Slice(1, vec![2, 4])),
        layer("concat", "Concat", Settings::Concat(2)),
        layer("softmax", "Softmax", Settings::Softmax(-1)),
        layer("other", "Some\"thing", Settings::Unsaid),
    ];
    layers[0].blobs = vec![tensor(&[4, 1, 3, 2], -3.0), tensor(&[4], 0.5), tensor(&[0, 3], 0.0)];
    layers[1].include = vec![Rule { test: Some(true), min_level: Some(-1), max_level: Some(3), stages: true }, Rule::default()];
    layers[1].exclude = vec![Rule { test: Some(false), ..Rule::default() }];
    layers[2].transform =
        Transform { crop: Some(5), scale: Some(0.5), mean_file: Some("m".into()), mean_values: vec![1.0, 2.0, 3.0] };
    let inputs = vec![("x".to_string(), vec![1, 3, 5, 5])];
    let extras = vec![("e".to_string(), tensor(&[2, 2], 9.0))];
    Contents { name: "net".into(), inputs, layers, text: Some("{\"a\": 1}".into()), extras }
}

/// Everything of a net in a form that can be compared.
fn form(contents: &Contents) -> String {
    let values: Vec<_> = contents.layers.iter().flat_map(|layer| &layer.blobs).map(|blob| blob.data().to_vec()).collect();
    let extras: Vec<_> = contents.extras.iter().map(|(_, blob)| blob.data().to_vec()).collect();
    format!("{contents:?} {values:?} {extras:?}")
}

#[test]
fn what_is_written_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.caffemodel");
    write(&path, &sample()).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    assert!(recognises(&bytes));
    assert_eq!(form(&read_bytes(&bytes).unwrap()), form(&sample()));
    write(&path, &sample()).unwrap();
    assert_eq!(bytes, std::fs::read(&path).unwrap(), "the same content gives the same bytes");
}

#[test]
fn a_blob_that_lies_aligned_is_not_copied() {
    let folder = tempfile::tempdir().unwrap();
    let mut inside = 0;
    for length in 0..8 {
        let contents = Contents { name: "n".repeat(length), layers: sample().layers, ..Contents::default() };
        let path = folder.path().join(format!("{length}"));
        write(&path, &contents).unwrap();
        let file = std::sync::Arc::new(Mapped::open(&path).unwrap());
        let read = read(&file).unwrap();
        let blob = read.layers[0].blobs[0].data();
        assert_eq!(blob, tensor(&[4, 1, 3, 2], -3.0).data());
        inside += usize::from(file.bytes().as_ptr_range().contains(&blob.as_ptr().cast()));
    }
    assert_eq!(inside, 2, "two of eight lengths align");
}

#[test]
fn the_text_form_has_quotes_and_one_setting_a_line() {
    let text = prototxt(&sample(), &["two\nlines".into(), "a\tb".into()]);
    assert!(
        text.starts_with("# two\n# lines\n# a b\nname: \"net\"\ninput: \"x\"\ninput_shape { dim: 1 dim: 3 dim: 5 dim: 5 }\n")
    );
    assert!(text.contains("  top: \"é\\\"\\\\\\n\"\n"), "{text}");
    let conv = "  convolution_param {\n    num_output: 4\n    bias_term: false\n    kernel_h: 3\n    kernel_w: 2\n    stride_h: 1\n    \
                stride_w: 2\n    pad: 2\n    dilation: 1\n    dilation: 3\n    group: 2\n  }\n}\n";
    assert!(text.contains(conv), "{text}");
    assert!(text.contains(
        "lrn_param {\n    local_size: 3\n    alpha: 0.0001\n    beta: 0.5\n    k: 2\n    norm_region: WITHIN_CHANNEL\n"
    ));
    assert!(text.contains("round_mode: FLOOR") && text.contains("slice_point: 2\n    slice_point: 4\n"));
}

#[test]
fn means_are_read_and_written() {
    let folder = tempfile::tempdir().unwrap();
    let (_, bytes) = files("mean.binaryproto").pop().unwrap();
    let read_blob = |bytes: &[u8]| blob(&Mapped::of_bytes(bytes));
    let mean = read_blob(&bytes).unwrap();
    assert_eq!((&mean.shape[..], mean.data()), (&[1, 3, 8, 8][..], &floats("mean")[..]));
    let path = folder.path().join("again");
    let three = SharedTensor { shape: vec![3, 8, 8], ..mean.clone() };
    for tensor in [&mean, &three] {
        write_blob(&path, tensor).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), bytes);
    }
    for length in 1..bytes.len() {
        assert!(read_blob(&bytes[..length]).is_err(), "{length} of {}", bytes.len());
    }
}

#[test]
fn arrays_are_what_numpy_says() {
    let found = files(".npy");
    assert_eq!(found.len(), 17);
    for (name, bytes) in &found {
        let read = |bytes: &[u8]| crate::npy::read(&Mapped::of_bytes(bytes));
        let Tensor { shape, data } = read(bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        let kept = format!("npy/{}", name.strip_suffix(".npy").unwrap());
        let (_, _, expected) = golden().into_iter().find(|(found, ..)| *found == kept).unwrap();
        let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        assert_eq!((&shape, bits(&data)), (&expected, bits(&floats(&kept))), "{name}");
        for length in 1..bytes.len() {
            assert!(read(&bytes[..length]).is_err(), "{name}: {length} of {}", bytes.len());
        }
        assert!(read(&[&bytes[..], b"x"].concat()).is_err(), "{name}");
    }
}

#[test]
fn hostile_arrays_are_errors() {
    let huge = u64::MAX / 2;
    for (header, said) in [
        (format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({huge}, {huge})}}"), "does not fit"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000,)}".into(), "does not fit"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}".into(), "not made of sizes"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999999,)}".into(), "not made of sizes"),
        (format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({})}}", "1,".repeat(100)), "more than 64 axes"),
        ("{'descr': '<c8', 'fortran_order': False, 'shape': (1,)}".into(), "its elements are `<c8`"),
        ("{'descr': '|O', 'fortran_order': False, 'shape': (1,)}".into(), "its elements are `|O`"),
        ("{'descr': [('x', '<f4')], 'fortran_order': False, 'shape': (1,)}".into(), "records"),
        ("{'descr': '<f4', 'shape': (1,)}".into(), "no dictionary"),
        ("{'descr".into(), "no dictionary"),
        ("(".repeat(60_000), "no dictionary"),
    ] {
        let header: String = header;
        let length = (header.len() as u16).to_le_bytes();
        let bytes = [b"\x93NUMPY\x01\x00", &length[..], header.as_bytes(), &[0; 8]].concat();
        let error = crate::npy::read(&Mapped::of_bytes(&bytes)).unwrap_err().to_string();
        assert!(error.contains(said) && error.contains("is not a usable npy file"), "{error}");
    }
}

#[test]
fn cut_off_nets_are_errors_or_end_at_a_field() {
    for (name, bytes) in files(".caffemodel").iter().filter(|(name, _)| name.starts_with("caffenet")) {
        let whole = read_bytes(bytes).unwrap().layers.len();
        for length in (1..bytes.len()).step_by(7).chain(bytes.len() - 50..bytes.len()) {
            match read_bytes(&bytes[..length]) {
                Ok(contents) => assert!(contents.layers.len() < whole, "{name}: {length}"),
                Err(Error::Format { format: "Caffe", message, .. }) => assert!(!message.contains('\n'), "{message}"),
                Err(error) => panic!("{name}: {error}"),
            }
        }
    }
}

#[test]
fn claims_are_not_believed() {
    let layer = |content: &[u8]| {
        let mut out = crate::protobuf::Writer::new();
        out.blob(100, content);
        out.into_bytes()
    };
    let mut blob = crate::protobuf::Writer::new();
    let mut inner = crate::protobuf::Writer::new();
    inner.message(7, settings::write_shape(&[u32::MAX as usize, u32::MAX as usize, u32::MAX as usize])).floats(5, &[1.0]);
    blob.text(1, "conv1").message(7, inner);
    let mut many = crate::protobuf::Writer::new();
    many.text(1, "deep").message(7, {
        let mut inner = crate::protobuf::Writer::new();
        inner.message(7, settings::write_shape(&[1; 33]));
        inner
    });
    let negative = {
        let mut out = crate::protobuf::Writer::new();
        let mut conv = crate::protobuf::Writer::new();
        conv.int(1, -4);
        out.text(1, "conv1").text(2, "Convolution").message(106, conv);
        out
    };
    for (bytes, said) in [
        (
            layer(&blob.into_bytes()),
            "layer `conv1`: blob 0: its shape is [4294967295, 4294967295, 4294967295], but it has 1 values",
        ),
        (layer(&many.into_bytes()), "layer `deep`: blob 0: a shape of more than 32 axes"),
        (layer(&negative.into_bytes()), "layer `conv1`: a size that is negative or above 2^32"),
        (layer(&[]).repeat(MOST_ITEMS + 1), "it has more than 100000 layers, names and sizes"),
        (layer(&[0x1a, 0].repeat(MOST_ITEMS + 1)), "layer 0: it has more than 100000 layers, names and sizes"),
        (layer(&[0x3a, 0].repeat(MOST_ITEMS + 1)), "layer 0: blob"),
        (layer(&[0x0a, 2, 0xff, 0xff]), "layer 0: a name that is no text"),
    ] {
        let error = read_bytes(&bytes).unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
    }
}

/// 10,000 damaged files of each format: each reads, or says why not, and yields no more than its bytes can hold.
#[test]
fn damaged_files_never_panic() {
    let nets = files(".caffemodel");
    let mut readable = 0;
    for case in 0..10_000 {
        let bytes = mutated(&nets[case as usize % nets.len()].1, case);
        let _ = recognises(&bytes);
        if let Ok(contents) = read_bytes(&bytes) {
            let values: usize = contents.layers.iter().flat_map(|layer| &layer.blobs).map(|blob| blob.data().len()).sum();
            assert!(4 * values <= bytes.len(), "{values} values of {} bytes", bytes.len());
            readable += 1;
        }
    }
    assert!((1000..9000).contains(&readable), "{readable}");
    let (arrays, (_, mean)) = (files(".npy"), files(".binaryproto").pop().unwrap());
    for case in 0..10_000 {
        let bytes = mutated(&arrays[case as usize % arrays.len()].1, case);
        if let Ok(array) = crate::npy::read(&Mapped::of_bytes(&bytes)) {
            assert!(array.data.len() <= bytes.len());
        }
        let bytes = mutated(&mean, case);
        if let Ok(blob) = blob(&Mapped::of_bytes(&bytes)) {
            assert!(4 * blob.data().len() <= bytes.len());
        }
    }
}
