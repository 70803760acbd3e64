//! The AlexNets that exist, as data. Each states where it differs from the paper; sources are the papers and programs
//! named in the docs of the functions below.

use crate::{
    AvgPool, Conv, Dropout, DropoutScaling, Error, Init, Layer, Learn, Linear, Local, LrnAcross, LrnWithin, MaxPool, Net, Op,
    Padding, Pair, Result, Rounding, Shape, Ties,
};

/// A named network.
pub struct Preset {
    /// Its name on the command line.
    pub name: &'static str,
    /// One line: whose it is, and what sets it apart.
    pub summary: &'static str,
    build: fn() -> (Shape, Vec<Layer>),
}

/// Every preset, the default first.
pub const PRESETS: &[Preset] = &[
    Preset { name: "alexnet", summary: "the network of the 2012 paper as its text describes it", build: alexnet },
    Preset {
        name: "alexnet-2012",
        summary: "as really run in 2012 (#145): signed normalisation before ReLU, an extra same-map normalisation, std .03",
        build: alexnet_2012,
    },
    Preset {
        name: "alexnet-2012-1gpu",
        summary: "the one-GPU control of 2012 (145-half): one column, conv5 and the linear layers whole",
        build: alexnet_2012_1gpu,
    },
    Preset {
        name: "owt",
        summary: "cuda-convnet2's one-GPU net of \"One weird trick\": 64-192-384-256-256, no groups",
        build: owt,
    },
    Preset { name: "caffe", summary: "Caffe's bvlc_alexnet: 227 pixels, k = 1, normalisation across both groups", build: caffe },
    Preset { name: "caffenet", summary: "Caffe's reference net: pooling before normalisation", build: caffenet },
    Preset {
        name: "torchvision",
        summary: "torchvision's alexnet: owt without normalisation, symmetric padding, dropout before the linear layers",
        build: torchvision,
    },
    Preset {
        name: "onnx-bvlc",
        summary: "the ONNX model zoo's bvlcalexnet: no padding at conv1, 54-pixel maps",
        build: onnx_bvlc,
    },
    Preset {
        name: "d2l",
        summary: "Dive into Deep Learning's: grey input, ten classes, no groups, no normalisation",
        build: d2l,
    },
    Preset { name: "cifar-80sec", summary: "cuda-convnet's 80-second CIFAR-10 net (26 % error)", build: cifar_80sec },
    Preset { name: "cifar-19pct", summary: "cuda-convnet's 19 % CIFAR-10 net", build: cifar_19pct },
    Preset { name: "cifar-18pct", summary: "the 19 % net with same-map normalisation", build: cifar_18pct },
    Preset { name: "cifar-13pct", summary: "cuda-convnet's conv-local net, 24-pixel crops (13 % error)", build: cifar_13pct },
    Preset { name: "cifar-11pct", summary: "the conv-local net with normalisation across maps (11 % error)", build: cifar_11pct },
    Preset {
        name: "scenes",
        summary: "the paper's eight layers at a quarter of the maps, for the built-in scenes at 48 pixels (23-11-5-2)",
        build: scenes,
    },
    Preset { name: "tiny", summary: "every kind of layer in a net small enough for finite differences", build: tiny },
];

impl Net {
    /// The preset called `name`.
    ///
    /// # Errors
    /// Lists the presets when there is none of that name.
    pub fn preset(name: &str) -> Result<Net> {
        let preset = PRESETS.iter().find(|p| p.name == name).ok_or_else(|| Error::UnknownPreset {
            name: name.into(),
            known: PRESETS.iter().map(|p| p.name).collect::<Vec<_>>().join(", "),
        })?;
        let (input, layers) = (preset.build)();
        Net::new(preset.name, input, layers)
    }
}

fn input(c: usize, side: usize) -> Shape {
    Shape { c, h: side, w: side }
}

fn layer(name: &str, op: Op) -> Layer {
    Layer { name: name.into(), op }
}

fn relu(name: &str) -> Layer {
    layer(name, Op::Relu)
}

fn softmax() -> Layer {
    layer("prob", Op::Softmax)
}

fn gaussian(std: f64) -> Init {
    Init::Gaussian(std)
}

/// Biases learn at `rate` times the weights' rate and do not decay.
fn bias(init: f64, rate: f64) -> Learn {
    Learn { init: Init::Constant(init), rate, decay: 0.0 }
}

fn weight(init: Init) -> Learn {
    Learn { init, rate: 1.0, decay: 1.0 }
}

/// A square stride-1 convolution padded to keep its size, or whatever `with` makes of it.
fn conv(name: &str, k: usize, side: usize, weight: Learn, bias: Learn, with: fn(&mut Conv)) -> Layer {
    let mut conv = Conv {
        k,
        kernel: Pair::square(side),
        stride: Pair::square(1),
        padding: Padding::all(side / 2),
        rounding: Rounding::Floor,
        groups: 1,
        weight,
        bias,
    };
    with(&mut conv);
    layer(name, Op::Conv(conv))
}

fn plain(_: &mut Conv) {}

fn two_groups(conv: &mut Conv) {
    conv.groups = 2;
}

/// conv1 of 2012 on 224 pixels: the last windows overhang by three pixels that read as zero.
fn first_2012(conv: &mut Conv) {
    conv.stride = Pair::square(4);
    conv.padding = Padding::end(3);
}

/// conv1 of Caffe on 227 pixels, and of ONNX on 224: no padding.
fn first_unpadded(conv: &mut Conv) {
    conv.stride = Pair::square(4);
    conv.padding = Padding::all(0);
}

fn linear(name: &str, k: usize, weight: Learn, bias: Learn) -> Layer {
    layer(name, Op::Linear(Linear { k, weight, bias }))
}

fn dropout(name: &str, scaling: DropoutScaling) -> Layer {
    layer(name, Op::Dropout(Dropout { rate: 0.5, scaling }))
}

/// The overlapping 3 × 3 pool of stride 2.
fn pool(name: &str, rounding: Rounding, ties: Ties) -> Layer {
    layer(
        name,
        Op::MaxPool(MaxPool { kernel: Pair::square(3), stride: Pair::square(2), padding: Padding::default(), rounding, ties }),
    )
}

fn average(name: &str) -> Layer {
    let (kernel, stride) = (Pair::square(3), Pair::square(2));
    layer(name, Op::AvgPool(AvgPool { kernel, stride, padding: Padding::default(), rounding: Rounding::Ceil }))
}

/// Normalisation over five maps with alpha 1e-4 and beta 3/4.
fn norm(name: &str, k: f64, alpha_over_n: bool, towers: usize) -> Layer {
    layer(name, Op::Lrn(LrnAcross { n: 5, k, alpha: 1e-4, beta: 0.75, alpha_over_n, towers }))
}

/// The paper's text: rectification after every layer, normalisation (alpha not divided) after it, all weights from
/// N(0, .01²), one learning rate for all.
fn alexnet() -> (Shape, Vec<Layer>) {
    let (w, zero, one) = (weight(gaussian(0.01)), bias(0.0, 1.0), bias(1.0, 1.0));
    let pool = |name| pool(name, Rounding::Floor, Ties::First);
    let layers = vec![
        conv("conv1", 96, 11, w, zero, first_2012),
        relu("relu1"),
        norm("norm1", 2.0, false, 1),
        pool("pool1"),
        conv("conv2", 256, 5, w, one, two_groups),
        relu("relu2"),
        norm("norm2", 2.0, false, 1),
        pool("pool2"),
        conv("conv3", 384, 3, w, zero, plain),
        relu("relu3"),
        conv("conv4", 384, 3, w, one, two_groups),
        relu("relu4"),
        conv("conv5", 256, 3, w, one, two_groups),
        relu("relu5"),
        pool("pool5"),
        linear("fc6", 4096, w, one),
        relu("relu6"),
        dropout("drop6", DropoutScaling::Test),
        linear("fc7", 4096, w, one),
        relu("relu7"),
        dropout("drop7", DropoutScaling::Test),
        linear("fc8", 1000, w, zero),
        softmax(),
    ];
    (input(3, 224), layers)
}

/// The maps and linear layers of a column as run in 2012, up to conv1's normalisation before rectification.
struct Column {
    maps: [usize; 5],
    split: fn(&mut Conv),
    towers: usize,
    within: bool,
    ties: Ties,
    scaling: DropoutScaling,
    last_bias: f64,
}

/// cuda-convnet's imagenet nets (layers-145.cfg, layers-145-half.cfg, layers-imagenet-1gpu.cfg): std .03 in conv3 to
/// conv5, biases at twice the rate and without decay, alpha divided by n, k = 2.
fn column(column: &Column) -> (Shape, Vec<Layer>) {
    let [k1, k2, k3, k4, k5] = column.maps;
    let (w, w3, zero, one) = (weight(gaussian(0.01)), weight(gaussian(0.03)), bias(0.0, 2.0), bias(1.0, 2.0));
    let norm = |name| norm(name, 2.0, true, column.towers);
    let pool = |name| pool(name, Rounding::Ceil, column.ties);
    let within = LrnWithin { n: 5, k: 1.0, alpha: 0.001, beta: 0.75, alpha_over_n: true };
    let mut layers = vec![
        conv("conv1", k1, 11, w, zero, first_2012),
        norm("norm1"),
        pool("pool1"),
        relu("relu1"),
        conv("conv2", k2, 5, w, one, column.split),
        relu("relu2"),
        norm("norm2"),
    ];
    if column.within {
        layers.push(layer("cnorm2", Op::LrnWithin(within)));
    }
    layers.extend([
        pool("pool2"),
        conv("conv3", k3, 3, w3, zero, plain),
        relu("relu3"),
        conv("conv4", k4, 3, w3, one, column.split),
        relu("relu4"),
        conv("conv5", k5, 3, w3, one, column.split),
        pool("pool5"),
        relu("relu5"),
        linear("fc6", 4096, w, one),
        relu("relu6"),
        dropout("drop6", column.scaling),
        linear("fc7", 4096, w, one),
        relu("relu7"),
        dropout("drop7", column.scaling),
        linear("fc8", 1000, w, bias(column.last_bias, 2.0)),
        softmax(),
    ]);
    (input(3, 224), layers)
}

fn alexnet_2012() -> (Shape, Vec<Layer>) {
    column(&Column {
        maps: [96, 256, 384, 384, 256],
        split: two_groups,
        towers: 2,
        within: true,
        ties: Ties::All,
        scaling: DropoutScaling::Test,
        last_bias: 0.0,
    })
}

fn alexnet_2012_1gpu() -> (Shape, Vec<Layer>) {
    column(&Column {
        maps: [48, 128, 192, 192, 256],
        split: plain,
        towers: 1,
        within: true,
        ties: Ties::All,
        scaling: DropoutScaling::Test,
        last_bias: 0.0,
    })
}

/// fc8's bias of −7 is left from the net's 1000-logistic-units form; under softmax it changes nothing.
fn owt() -> (Shape, Vec<Layer>) {
    column(&Column {
        maps: [64, 192, 384, 256, 256],
        split: plain,
        towers: 1,
        within: false,
        ties: Ties::All,
        scaling: DropoutScaling::Test,
        last_bias: -7.0,
    })
}

/// Caffe's models/bvlc_alexnet and models/bvlc_reference_caffenet (train_val.prototxt), and the ONNX conversion of the first.
struct CaffeNet {
    input: usize,
    pool_before_norm: bool,
    rounding: Rounding,
    pool5_padding: Padding,
    hidden_bias: f64,
}

fn caffe_family(form: &CaffeNet) -> (Shape, Vec<Layer>) {
    let (w, w6, zero, hidden) = (weight(gaussian(0.01)), weight(gaussian(0.005)), bias(0.0, 2.0), bias(form.hidden_bias, 2.0));
    let pool = |name| pool(name, form.rounding, Ties::First);
    let norm = |name| norm(name, 1.0, true, 1);
    let pool_and_norm = |pool_name, norm_name| {
        if form.pool_before_norm { [pool(pool_name), norm(norm_name)] } else { [norm(norm_name), pool(pool_name)] }
    };
    let mut pool5 = pool("pool5");
    if let Op::MaxPool(op) = &mut pool5.op {
        op.padding = form.pool5_padding;
    }
    let mut layers = vec![conv("conv1", 96, 11, w, zero, first_unpadded), relu("relu1")];
    layers.extend(pool_and_norm("pool1", "norm1"));
    layers.extend([conv("conv2", 256, 5, w, hidden, two_groups), relu("relu2")]);
    layers.extend(pool_and_norm("pool2", "norm2"));
    layers.extend([
        conv("conv3", 384, 3, w, zero, plain),
        relu("relu3"),
        conv("conv4", 384, 3, w, hidden, two_groups),
        relu("relu4"),
        conv("conv5", 256, 3, w, hidden, two_groups),
        relu("relu5"),
        pool5,
        linear("fc6", 4096, w6, hidden),
        relu("relu6"),
        dropout("drop6", DropoutScaling::Train),
        linear("fc7", 4096, w6, hidden),
        relu("relu7"),
        dropout("drop7", DropoutScaling::Train),
        linear("fc8", 1000, w, zero),
        softmax(),
    ]);
    (input(3, form.input), layers)
}

fn caffe() -> (Shape, Vec<Layer>) {
    let form = CaffeNet {
        input: 227,
        pool_before_norm: false,
        rounding: Rounding::Ceil,
        pool5_padding: Padding::default(),
        hidden_bias: 0.1,
    };
    caffe_family(&form)
}

fn caffenet() -> (Shape, Vec<Layer>) {
    let form = CaffeNet {
        input: 227,
        pool_before_norm: true,
        rounding: Rounding::Ceil,
        pool5_padding: Padding::default(),
        hidden_bias: 1.0,
    };
    caffe_family(&form)
}

fn onnx_bvlc() -> (Shape, Vec<Layer>) {
    let form = CaffeNet {
        input: 224,
        pool_before_norm: false,
        rounding: Rounding::Floor,
        pool5_padding: Padding::end(1),
        hidden_bias: 0.1,
    };
    caffe_family(&form)
}

/// torchvision/models/alexnet.py: PyTorch's own initialisation, one rate and decay for weights and biases.
fn torchvision() -> (Shape, Vec<Layer>) {
    let p = weight(Init::FanIn);
    let pool = |name| pool(name, Rounding::Floor, Ties::First);
    let layers = vec![
        conv("conv1", 64, 11, p, p, |conv| {
            conv.stride = Pair::square(4);
            conv.padding = Padding::all(2);
        }),
        relu("relu1"),
        pool("pool1"),
        conv("conv2", 192, 5, p, p, plain),
        relu("relu2"),
        pool("pool2"),
        conv("conv3", 384, 3, p, p, plain),
        relu("relu3"),
        conv("conv4", 256, 3, p, p, plain),
        relu("relu4"),
        conv("conv5", 256, 3, p, p, plain),
        relu("relu5"),
        pool("pool5"),
        dropout("drop6", DropoutScaling::Train),
        linear("fc6", 4096, p, p),
        relu("relu6"),
        dropout("drop7", DropoutScaling::Train),
        linear("fc7", 4096, p, p),
        relu("relu7"),
        linear("fc8", 1000, p, p),
        softmax(),
    ];
    (input(3, 224), layers)
}

/// Dive into Deep Learning, chapter "Deep Convolutional Neural Networks", PyTorch tab.
fn d2l() -> (Shape, Vec<Layer>) {
    let (w, b) = (weight(Init::Xavier), Learn { init: Init::FanIn, rate: 1.0, decay: 1.0 });
    let pool = |name| pool(name, Rounding::Floor, Ties::First);
    let layers = vec![
        conv("conv1", 96, 11, w, b, |conv| {
            conv.stride = Pair::square(4);
            conv.padding = Padding::all(1);
        }),
        relu("relu1"),
        pool("pool1"),
        conv("conv2", 256, 5, w, b, plain),
        relu("relu2"),
        pool("pool2"),
        conv("conv3", 384, 3, w, b, plain),
        relu("relu3"),
        conv("conv4", 384, 3, w, b, plain),
        relu("relu4"),
        conv("conv5", 256, 3, w, b, plain),
        relu("relu5"),
        pool("pool5"),
        linear("fc6", 4096, w, b),
        relu("relu6"),
        dropout("drop6", DropoutScaling::Train),
        linear("fc7", 4096, w, b),
        relu("relu7"),
        dropout("drop7", DropoutScaling::Train),
        linear("fc8", 10, w, b),
        softmax(),
    ];
    (input(1, 224), layers)
}

/// A weight of the CIFAR nets, with its decay relative to the recipe's .004.
fn decaying(std: f64, decay: f64) -> Learn {
    Learn { init: gaussian(std), rate: 1.0, decay }
}

fn ceil_pool(name: &str) -> Layer {
    pool(name, Rounding::Ceil, Ties::All)
}

/// The three convolutions that cuda-convnet's 80sec, 19pct and 18pct nets share.
fn cifar_convolutions(normalised: bool) -> Vec<Layer> {
    let b = bias(0.0, 2.0);
    let within = |name| layer(name, Op::LrnWithin(LrnWithin { n: 3, k: 1.0, alpha: 5e-5, beta: 0.75, alpha_over_n: true }));
    let mut layers = vec![conv("conv1", 32, 5, decaying(0.0001, 1.0), b, plain), ceil_pool("pool1"), relu("relu1")];
    layers.extend(normalised.then(|| within("norm1")));
    layers.extend([conv("conv2", 32, 5, decaying(0.01, 1.0), b, plain), relu("relu2"), average("pool2")]);
    layers.extend(normalised.then(|| within("norm2")));
    layers.extend([conv("conv3", 64, 5, decaying(0.01, 1.0), b, plain), relu("relu3"), average("pool3")]);
    layers
}

fn cifar_80sec() -> (Shape, Vec<Layer>) {
    let mut layers = cifar_convolutions(false);
    layers.extend([
        linear("fc64", 64, decaying(0.1, 7.5), bias(0.0, 2.0)),
        relu("relu4"),
        linear("fc10", 10, decaying(0.1, 7.5), bias(0.0, 2.0)),
        softmax(),
    ]);
    (input(3, 32), layers)
}

fn cifar_19pct() -> (Shape, Vec<Layer>) {
    let mut layers = cifar_convolutions(false);
    layers.extend([linear("fc10", 10, decaying(0.01, 750.0), bias(0.0, 2.0)), softmax()]);
    (input(3, 32), layers)
}

fn cifar_18pct() -> (Shape, Vec<Layer>) {
    let mut layers = cifar_convolutions(true);
    layers.extend([linear("fc10", 10, decaying(0.01, 250.0), bias(0.0, 2.0)), softmax()]);
    (input(3, 32), layers)
}

fn local(name: &str, k: usize) -> Layer {
    let (kernel, stride) = (Pair::square(3), Pair::square(1));
    layer(
        name,
        Op::Local(Local { k, kernel, stride, padding: Padding::all(1), weight: decaying(0.04, 1.0), bias: bias(0.0, 2.0) }),
    )
}

fn cifar_13pct() -> (Shape, Vec<Layer>) {
    let b = bias(0.0, 2.0);
    let layers = vec![
        conv("conv1", 64, 5, decaying(0.0001, 0.0), b, plain),
        relu("relu1"),
        ceil_pool("pool1"),
        conv("conv2", 64, 5, decaying(0.01, 0.0), b, plain),
        relu("relu2"),
        ceil_pool("pool2"),
        local("local3", 32),
        relu("relu3"),
        local("local4", 32),
        relu("relu4"),
        linear("fc10", 10, decaying(0.01, 1.0), b),
        softmax(),
    ];
    (input(3, 24), layers)
}

fn cifar_11pct() -> (Shape, Vec<Layer>) {
    let b = bias(0.0, 2.0);
    let across = |name| layer(name, Op::Lrn(LrnAcross { n: 9, k: 1.0, alpha: 0.001, beta: 0.75, alpha_over_n: true, towers: 1 }));
    let layers = vec![
        conv("conv1", 64, 5, decaying(0.0001, 0.0), b, plain),
        relu("relu1"),
        ceil_pool("pool1"),
        across("norm1"),
        conv("conv2", 64, 5, decaying(0.01, 0.0), b, plain),
        relu("relu2"),
        across("norm2"),
        ceil_pool("pool2"),
        local("local3", 64),
        relu("relu3"),
        local("local4", 32),
        relu("relu4"),
        linear("fc10", 10, decaying(0.01, 2.5), b),
        softmax(),
    ];
    (input(3, 24), layers)
}

/// The paper's network in miniature: conv1 to conv5 with a quarter of its maps (24-64-96-96-64), two groups where it has
/// two, normalisation and overlapping pooling where it has them, and maps of 23, 11, 5 and 2 pixels for 55, 27, 13 and 6.
/// Weights begin wider than .01, near √(2 / fan-in), because there are few steps in which to grow.
fn scenes() -> (Shape, Vec<Layer>) {
    let (first, w, last) = (weight(gaussian(0.01)), weight(gaussian(0.05)), weight(gaussian(0.01)));
    let (zero, tenth) = (bias(0.0, 2.0), bias(0.1, 2.0));
    let pool = |name| pool(name, Rounding::Floor, Ties::First);
    let layers = vec![
        conv("conv1", 24, 5, first, zero, |conv| {
            conv.stride = Pair::square(2);
            conv.padding = Padding::all(1);
        }),
        relu("relu1"),
        norm("norm1", 2.0, false, 1),
        pool("pool1"),
        conv("conv2", 64, 5, w, tenth, two_groups),
        relu("relu2"),
        norm("norm2", 2.0, false, 1),
        pool("pool2"),
        conv("conv3", 96, 3, w, zero, plain),
        relu("relu3"),
        conv("conv4", 96, 3, w, tenth, two_groups),
        relu("relu4"),
        conv("conv5", 64, 3, w, tenth, two_groups),
        relu("relu5"),
        pool("pool5"),
        linear("fc6", 256, w, tenth),
        relu("relu6"),
        dropout("drop6", DropoutScaling::Train),
        linear("fc7", 256, w, tenth),
        relu("relu7"),
        dropout("drop7", DropoutScaling::Train),
        linear("fc8", 10, last, zero),
        softmax(),
    ];
    (input(3, 48), layers)
}

/// One of everything, asymmetric wherever it may be: 3 × 11 × 10 pixels, five classes.
fn tiny() -> (Shape, Vec<Layer>) {
    let (w, b) = (weight(gaussian(0.3)), Learn { init: gaussian(0.2), rate: 2.0, decay: 0.0 });
    let layers = vec![
        conv("conv1", 8, 3, w, b, |conv| {
            conv.kernel = Pair { r: 3, s: 4 };
            conv.stride = Pair { r: 2, s: 1 };
            conv.padding = Padding { top: 0, left: 1, bottom: 2, right: 3 };
            conv.rounding = Rounding::Ceil;
        }),
        layer("tanh1", Op::Tanh),
        layer("norm1", Op::Lrn(LrnAcross { n: 3, k: 1.5, alpha: 0.3, beta: 0.75, alpha_over_n: false, towers: 2 })),
        layer(
            "pool1",
            Op::AvgPool(AvgPool {
                kernel: Pair { r: 3, s: 2 },
                stride: Pair::square(2),
                padding: Padding { top: 1, left: 0, bottom: 0, right: 1 },
                rounding: Rounding::Ceil,
            }),
        ),
        conv("conv2", 6, 3, w, b, two_groups),
        layer("norm2", Op::LrnWithin(LrnWithin { n: 3, k: 1.0, alpha: 0.5, beta: 0.6, alpha_over_n: true })),
        relu("relu2"),
        pool("pool2", Rounding::Ceil, Ties::First),
        layer(
            "local3",
            Op::Local(Local {
                k: 4,
                kernel: Pair::square(2),
                stride: Pair::square(1),
                padding: Padding::end(1),
                weight: w,
                bias: b,
            }),
        ),
        dropout("drop3", DropoutScaling::Train),
        linear("fc4", 7, w, b),
        layer("tanh4", Op::Tanh),
        dropout("drop4", DropoutScaling::Test),
        linear("fc5", 5, w, b),
        softmax(),
    ];
    (Shape { c: 3, h: 11, w: 10 }, layers)
}
