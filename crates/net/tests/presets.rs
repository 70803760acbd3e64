//! Every preset against the published counts: parameters, multiply-adds, map sizes.

use net::{Net, Op, PRESETS, Shape};

fn preset(name: &str) -> Net {
    Net::preset(name).unwrap_or_else(|e| panic!("{name}: {e}"))
}

#[test]
fn parameter_counts() {
    for (name, count) in [
        ("alexnet", 60_965_224),
        ("alexnet-2012", 60_965_224),
        ("alexnet-2012-1gpu", 59_798_312),
        ("owt", 61_100_840),
        ("caffe", 60_965_224),
        ("caffenet", 60_965_224),
        ("torchvision", 61_100_840),
        ("onnx-bvlc", 60_965_224),
        ("d2l", 46_764_746),
        ("cifar-80sec", 145_578),
        ("cifar-19pct", 89_578),
        ("cifar-18pct", 89_578),
        ("cifar-13pct", 1_116_490),
        ("cifar-11pct", 2_112_970),
        ("scenes", 279_914),
    ] {
        assert_eq!(preset(name).parameter_count(), count, "{name}");
    }
    let colour_d2l = preset("d2l").with_input(Shape { c: 3, h: 224, w: 224 }).and_then(|net| net.with_classes(1000));
    assert_eq!(colour_d2l.map(|net| net.parameter_count()).ok(), Some(50_844_008));
}

#[test]
fn multiply_adds() {
    for (name, count) in [
        ("alexnet", 724_406_816),
        ("alexnet-2012", 724_406_816),
        ("owt", 714_188_480),
        ("caffe", 724_406_816),
        ("caffenet", 724_406_816),
        ("torchvision", 714_188_480),
        ("onnx-bvlc", 654_560_384),
    ] {
        assert_eq!(preset(name).multiply_adds(), count, "{name}");
    }
}

#[test]
fn per_layer_parameters() {
    let per_layer = |name| {
        let net = preset(name);
        net.params().chunks(2).map(|wb| wb[0].len() + wb[1].len()).collect::<Vec<_>>()
    };
    let grouped = [34_944, 307_456, 885_120, 663_936, 442_624, 37_752_832, 16_781_312, 4_097_000];
    let owt = [23_296, 307_392, 663_936, 884_992, 590_080, 37_752_832, 16_781_312, 4_097_000];
    for name in ["alexnet", "alexnet-2012", "caffe", "caffenet", "onnx-bvlc"] {
        assert_eq!(per_layer(name), grouped, "{name}");
    }
    for name in ["owt", "torchvision"] {
        assert_eq!(per_layer(name), owt, "{name}");
    }
}

/// Sides of conv1, pool1, pool2 and pool5.
#[test]
fn map_sizes() {
    for (name, sides) in [
        ("alexnet", [55, 27, 13, 6]),
        ("alexnet-2012", [55, 27, 13, 6]),
        ("alexnet-2012-1gpu", [55, 27, 13, 6]),
        ("owt", [55, 27, 13, 6]),
        ("caffe", [55, 27, 13, 6]),
        ("caffenet", [55, 27, 13, 6]),
        ("torchvision", [55, 27, 13, 6]),
        ("onnx-bvlc", [54, 26, 12, 6]),
        ("d2l", [54, 26, 12, 5]),
        ("scenes", [23, 11, 5, 2]),
    ] {
        let net = preset(name);
        let side = |layer: &str| net.layer_index(layer).map(|i| net.output_of(i).h);
        assert_eq!(["conv1", "pool1", "pool2", "pool5"].map(side), sides.map(Some), "{name}");
    }
    for name in ["cifar-80sec", "cifar-19pct", "cifar-18pct"] {
        let net = preset(name);
        let side = |layer: &str| net.layer_index(layer).map(|i| net.output_of(i).w);
        assert_eq!(["pool1", "pool2", "pool3"].map(side), [16, 8, 4].map(Some), "{name}");
    }
    for name in ["cifar-13pct", "cifar-11pct"] {
        let net = preset(name);
        let side = |layer: &str| net.layer_index(layer).map(|i| net.output_of(i).w);
        assert_eq!(["pool1", "pool2", "local4"].map(side), [12, 6, 6].map(Some), "{name}");
    }
}

#[test]
fn the_last_hidden_layer_is_what_the_last_linear_layer_reads() {
    let cases = [
        ("alexnet", "relu7", 4096),
        ("alexnet-2012", "relu7", 4096),
        ("torchvision", "relu7", 4096),
        ("cifar-18pct", "pool3", 1024),
    ];
    for (name, layer, values) in cases {
        let net = preset(name);
        let index = net.last_hidden().unwrap_or_else(|| panic!("{name} has one"));
        assert_eq!((net.layers()[index].name.as_str(), net.output_of(index).len()), (layer, values), "{name}");
    }
    let only = preset("tiny").layers().iter().rfind(|l| l.op == Op::Softmax).cloned();
    assert_eq!(Net::new("none", Shape { c: 3, h: 4, w: 4 }, only.into_iter().collect()).unwrap().last_hidden(), None);
}

#[test]
fn the_tiny_net_holds_every_kind_of_layer() {
    let net = preset("tiny");
    for kind in ["conv", "local", "relu", "tanh", "lrn", "lrn_within", "max_pool", "avg_pool", "dropout", "linear", "softmax"] {
        assert!(net.layers().iter().any(|l| l.op.kind() == kind), "{kind} is missing");
    }
    let scalings: Vec<_> =
        net.layers().iter().filter_map(|l| if let Op::Dropout(d) = &l.op { Some(d.scaling) } else { None }).collect();
    assert_eq!(scalings.len(), 2);
    assert_ne!(scalings[0], scalings[1]);
}

#[test]
fn every_preset_survives_its_text() {
    for preset in PRESETS {
        let net = Net::preset(preset.name).unwrap_or_else(|e| panic!("{}: {e}", preset.name));
        let text = net.to_toml();
        let back = Net::from_toml(&text).unwrap_or_else(|e| panic!("{}: {e}\n{text}", preset.name));
        assert_eq!(back, net, "{}", preset.name);
    }
}
