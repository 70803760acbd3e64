//! Layers' types and settings on the wire: which message stands in which field, and what its fields mean.

use super::{Convolution, InnerProduct, Lrn, PoolMethod, Pooling, Settings};
use crate::protobuf::{Fault, Message, Value, Writer};

/// Types of `V1LayerParameter` by number, in today's words.
const KINDS: &[(i64, &str)] = &[
    (1, "Accuracy"),
    (2, "BNLL"),
    (3, "Concat"),
    (4, "Convolution"),
    (5, "Data"),
    (6, "Dropout"),
    (7, "EuclideanLoss"),
    (8, "Flatten"),
    (9, "HDF5Data"),
    (10, "HDF5Output"),
    (11, "Im2col"),
    (12, "ImageData"),
    (13, "InfogainLoss"),
    (14, "InnerProduct"),
    (15, "LRN"),
    (16, "MultinomialLogisticLoss"),
    (17, "Pooling"),
    (18, "ReLU"),
    (19, "Sigmoid"),
    (20, "Softmax"),
    (21, "SoftmaxWithLoss"),
    (22, "Split"),
    (23, "TanH"),
    (24, "WindowData"),
    (25, "Eltwise"),
    (26, "Power"),
    (27, "SigmoidCrossEntropyLoss"),
    (28, "HingeLoss"),
    (29, "MemoryData"),
    (30, "ArgMax"),
    (31, "Threshold"),
    (32, "DummyData"),
    (33, "Slice"),
    (34, "MVN"),
    (35, "AbsVal"),
    (36, "Silence"),
    (37, "ContrastiveLoss"),
    (38, "Exp"),
    (39, "Deconvolution"),
];

/// Types of `V0LayerParameter`, in today's words. `padding` is no type of today's; it becomes its reader's padding.
const OLDEST_KINDS: &[(&str, &str)] = &[
    ("accuracy", "Accuracy"),
    ("bnll", "BNLL"),
    ("concat", "Concat"),
    ("conv", "Convolution"),
    ("data", "Data"),
    ("dropout", "Dropout"),
    ("euclidean_loss", "EuclideanLoss"),
    ("flatten", "Flatten"),
    ("hdf5_data", "HDF5Data"),
    ("hdf5_output", "HDF5Output"),
    ("images", "ImageData"),
    ("infogain_loss", "InfogainLoss"),
    ("innerproduct", "InnerProduct"),
    ("lrn", "LRN"),
    ("multinomial_logistic_loss", "MultinomialLogisticLoss"),
    ("pool", "Pooling"),
    ("relu", "ReLU"),
    ("sigmoid", "Sigmoid"),
    ("softmax", "Softmax"),
    ("softmax_loss", "SoftmaxWithLoss"),
    ("split", "Split"),
    ("tanh", "TanH"),
    ("window_data", "WindowData"),
];

/// Where a type's settings stand: the type, its field in `V1LayerParameter` and in `LayerParameter` (0 where it has none).
const FIELDS: &[(&str, u32, u32)] = &[
    ("Convolution", 10, 106),
    ("Pooling", 19, 121),
    ("LRN", 18, 118),
    ("InnerProduct", 17, 117),
    ("Dropout", 12, 108),
    ("ReLU", 30, 123),
    ("Power", 21, 122),
    ("Slice", 31, 126),
    ("Concat", 9, 104),
    ("Softmax", 39, 125),
    ("Input", 0, 143),
];

/// Fields in which layers that read data keep their transformation: `transform_param`, then older places. The number of
/// the layer's field in `V1LayerParameter` and in `LayerParameter`, and of crop, scale and mean file in there.
pub(super) const TRANSFORMS: &[(u32, u32, [u32; 3])] =
    &[(11, 107, [5, 2, 3]), (15, 115, [5, 2, 3]), (20, 129, [5, 2, 3]), (36, 100, [3, 1, 4])];

pub(super) fn kind_of_number(number: i64) -> String {
    match KINDS.iter().find(|(known, _)| *known == number) {
        Some((_, kind)) => (*kind).to_string(),
        None => format!("unknown type {number}"),
    }
}

pub(super) fn kind_of_oldest(kind: &str) -> String {
    OLDEST_KINDS.iter().find(|(known, _)| *known == kind).map_or(kind, |(_, today)| today).to_string()
}

/// The field of a type's settings in a layer of the newest generation, or of the one before.
pub(super) fn field_of(kind: &str, newest: bool) -> Option<u32> {
    let (_, before, now) = FIELDS.iter().find(|(known, ..)| *known == kind)?;
    Some(if newest { *now } else { *before }).filter(|field| *field > 0)
}

/// A size: not negative, and of 32 bits.
pub(super) fn size(value: Value<'_>) -> Result<usize, Fault> {
    let size = value.int().and_then(|value| u32::try_from(value).ok());
    size.map(|size| size as usize).ok_or(Fault("a size that is negative or above 2^32"))
}

fn float(value: Value<'_>) -> Result<f32, Fault> {
    value.float().ok_or(Fault("a value of another kind where a float is expected"))
}

fn int(value: Value<'_>) -> Result<i64, Fault> {
    value.int().ok_or(Fault("a value of another kind where an integer is expected"))
}

/// A pair that is given as one number, as two, or in fields of their own.
#[derive(Default)]
struct Pair {
    both: Vec<i64>,
    own: [Option<usize>; 2],
}

impl Pair {
    fn add(&mut self, value: Value<'_>) -> Result<(), Fault> {
        // A layer has two dimensions; whoever lists more is not allocated for.
        if let Value::Bytes(bytes) = value
            && bytes.len() > 64
        {
            return Err(Fault("more dimensions than an image has"));
        }
        value.ints(&mut self.both)
    }

    fn get(self, default: usize) -> Result<[usize; 2], Fault> {
        let both = match self.both[..] {
            [] => [default; 2],
            [one] => [size(Value::Varint(one as u64))?; 2],
            [h, w] => [size(Value::Varint(h as u64))?, size(Value::Varint(w as u64))?],
            _ => return Err(Fault("more dimensions than an image has")),
        };
        Ok([self.own[0].unwrap_or(both[0]), self.own[1].unwrap_or(both[1])])
    }
}

/// Settings of a layer of this type out of its message.
pub(super) fn read(kind: &str, message: Message<'_>) -> Result<Settings, Fault> {
    match kind {
        "Convolution" => convolution(message).map(Settings::Convolution),
        "Pooling" => pooling(message).map(Settings::Pooling),
        "LRN" => lrn(message).map(Settings::Lrn),
        "InnerProduct" => inner_product(message).map(Settings::InnerProduct),
        "Dropout" => message.last(1)?.map_or(Ok(0.5), float).map(Settings::Dropout),
        "ReLU" => message.last(1)?.map_or(Ok(0.0), float).map(Settings::Relu),
        "Power" => {
            let get = |number, default| message.last(number)?.map_or(Ok(default), float);
            Ok(Settings::Power { power: get(1, 1.0)?, scale: get(2, 1.0)?, shift: get(3, 0.0)? })
        }
        "Slice" => {
            let axis = message.last(3)?.or(message.last(1)?).map_or(Ok(1), int)?;
            Ok(Settings::Slice(axis, message.all(2).take(64).map(|value| size(value?)).collect::<Result<_, _>>()?))
        }
        "Concat" => message.last(2)?.or(message.last(1)?).map_or(Ok(1), int).map(Settings::Concat),
        "Softmax" => message.last(2)?.map_or(Ok(1), int).map(Settings::Softmax),
        "Input" => {
            let shapes = message.all(1).take(64).map(|shape| {
                let shape = shape?.message().ok_or(Fault("an input's shape that is none"))?;
                shape_of(shape)
            });
            shapes.collect::<Result<_, _>>().map(Settings::Input)
        }
        _ => Ok(Settings::Unsaid),
    }
}

/// A `BlobShape`: up to 32 sizes, as in Caffe.
pub(super) fn shape_of(message: Message<'_>) -> Result<Vec<usize>, Fault> {
    const TOO_MANY: Fault = Fault("a shape of more than 32 axes");
    let mut sizes = Vec::new();
    for value in message.all(1) {
        let value = value?;
        if value.bytes().is_some_and(|bytes| bytes.len() > 10 * 32) {
            return Err(TOO_MANY);
        }
        value.ints(&mut sizes)?;
        if sizes.len() > 32 {
            return Err(TOO_MANY);
        }
    }
    sizes.into_iter().map(|value| size(Value::Varint(value as u64))).collect()
}

fn convolution(message: Message<'_>) -> Result<Convolution, Fault> {
    let (mut outputs, mut groups, mut bias) = (0, 1, true);
    let [mut pad, mut kernel, mut stride, mut dilation] = [(); 4].map(|()| Pair::default());
    for field in message.fields() {
        let (number, value) = field?;
        match number {
            1 => outputs = size(value)?,
            2 => bias = int(value)? != 0,
            3 => pad.add(value)?,
            4 => kernel.add(value)?,
            5 => groups = size(value)?,
            6 => stride.add(value)?,
            9 => pad.own[0] = Some(size(value)?),
            10 => pad.own[1] = Some(size(value)?),
            11 => kernel.own[0] = Some(size(value)?),
            12 => kernel.own[1] = Some(size(value)?),
            13 => stride.own[0] = Some(size(value)?),
            14 => stride.own[1] = Some(size(value)?),
            18 => dilation.add(value)?,
            _ => {}
        }
    }
    let (kernel, stride, pad, dilation) = (kernel.get(0)?, stride.get(1)?, pad.get(0)?, dilation.get(1)?);
    Ok(Convolution { outputs, kernel, stride, pad, dilation, groups, bias })
}

fn pooling(message: Message<'_>) -> Result<Pooling, Fault> {
    let (mut method, mut global, mut floor) = (PoolMethod::Max, false, false);
    let [mut pad, mut kernel, mut stride] = [(); 3].map(|()| Pair::default());
    for field in message.fields() {
        let (number, value) = field?;
        match number {
            1 => {
                method = match int(value)? {
                    0 => PoolMethod::Max,
                    1 => PoolMethod::Average,
                    2 => PoolMethod::Stochastic,
                    _ => return Err(Fault("an unknown way of pooling")),
                }
            }
            2 => kernel.add(value)?,
            3 => stride.add(value)?,
            4 => pad.add(value)?,
            5 => kernel.own[0] = Some(size(value)?),
            6 => kernel.own[1] = Some(size(value)?),
            7 => stride.own[0] = Some(size(value)?),
            8 => stride.own[1] = Some(size(value)?),
            9 => pad.own[0] = Some(size(value)?),
            10 => pad.own[1] = Some(size(value)?),
            12 => global = int(value)? != 0,
            13 => floor = int(value)? == 1,
            _ => {}
        }
    }
    Ok(Pooling { method, kernel: kernel.get(0)?, stride: stride.get(1)?, pad: pad.get(0)?, global, floor })
}

fn lrn(message: Message<'_>) -> Result<Lrn, Fault> {
    let mut lrn = Lrn::default();
    for field in message.fields() {
        let (number, value) = field?;
        match number {
            1 => lrn.size = size(value)?,
            2 => lrn.alpha = float(value)?,
            3 => lrn.beta = float(value)?,
            4 => lrn.within = int(value)? == 1,
            5 => lrn.k = float(value)?,
            _ => {}
        }
    }
    Ok(lrn)
}

fn inner_product(message: Message<'_>) -> Result<InnerProduct, Fault> {
    let mut product = InnerProduct { outputs: 0, bias: true, axis: 1, transpose: false };
    for field in message.fields() {
        let (number, value) = field?;
        match number {
            1 => product.outputs = size(value)?,
            2 => product.bias = int(value)? != 0,
            5 => product.axis = int(value)?,
            6 => product.transpose = int(value)? != 0,
            _ => {}
        }
    }
    Ok(product)
}

/// The settings in a layer of the first generation (`V0LayerParameter`), whose fields are shared by all types.
pub(super) fn read_oldest(kind: &str, message: Message<'_>) -> Result<Settings, Fault> {
    let whole = |number, default| message.last(number)?.map_or(Ok(default), size);
    let real = |number, default| message.last(number)?.map_or(Ok(default), float);
    Ok(match kind {
        "Convolution" => Settings::Convolution(Convolution {
            outputs: whole(3, 0)?,
            kernel: [whole(8, 0)?; 2],
            stride: [whole(10, 1)?; 2],
            pad: [whole(7, 0)?; 2],
            dilation: [1; 2],
            groups: whole(9, 1)?,
            bias: whole(4, 1)? != 0,
        }),
        "Pooling" => Settings::Pooling(Pooling {
            method: match whole(11, 0)? {
                0 => PoolMethod::Max,
                1 => PoolMethod::Average,
                _ => PoolMethod::Stochastic,
            },
            kernel: [whole(8, 0)?; 2],
            stride: [whole(10, 1)?; 2],
            pad: [whole(7, 0)?; 2],
            global: false,
            floor: false,
        }),
        "LRN" => Settings::Lrn(Lrn {
            size: whole(13, 5)?,
            alpha: real(14, 1.0)?,
            beta: real(15, 0.75)?,
            k: real(22, 1.0)?,
            within: false,
        }),
        "InnerProduct" => {
            Settings::InnerProduct(InnerProduct { outputs: whole(3, 0)?, bias: whole(4, 1)? != 0, axis: 1, transpose: false })
        }
        "Dropout" => Settings::Dropout(real(12, 0.5)?),
        _ => Settings::Unsaid,
    })
}

/// A pair in one field where both are equal, else in two.
fn pair(out: &mut Writer, [h, w]: [usize; 2], both: u32, own: [u32; 2], default: usize) {
    match (h == w, h == default) {
        (true, true) => {}
        (true, false) => {
            out.int(both, h as i64);
        }
        _ => {
            out.int(own[0], h as i64).int(own[1], w as i64);
        }
    }
}

/// Settings as the message of the newest generation.
pub(super) fn write(settings: &Settings) -> Option<Writer> {
    let mut out = Writer::new();
    match settings {
        Settings::Unsaid => return None,
        Settings::Convolution(conv) => {
            out.int(1, conv.outputs as i64);
            if !conv.bias {
                out.int(2, 0);
            }
            pair(&mut out, conv.pad, 3, [9, 10], 0);
            pair(&mut out, conv.kernel, 4, [11, 12], 0);
            if conv.groups != 1 {
                out.int(5, conv.groups as i64);
            }
            pair(&mut out, conv.stride, 6, [13, 14], 1);
            if conv.dilation != [1; 2] {
                out.int(18, conv.dilation[0] as i64).int(18, conv.dilation[1] as i64);
            }
        }
        Settings::Pooling(pool) => write_pooling(&mut out, pool),
        Settings::Lrn(lrn) => {
            out.int(1, lrn.size as i64).float(2, lrn.alpha).float(3, lrn.beta).int(4, i64::from(lrn.within)).float(5, lrn.k);
        }
        Settings::InnerProduct(product) => {
            out.int(1, product.outputs as i64).int(2, i64::from(product.bias)).int(5, product.axis);
            out.int(6, i64::from(product.transpose));
        }
        Settings::Dropout(number) | Settings::Relu(number) => {
            out.float(1, *number);
        }
        Settings::Power { power, scale, shift } => {
            out.float(1, *power).float(2, *scale).float(3, *shift);
        }
        Settings::Input(shapes) => {
            for shape in shapes {
                out.message(1, write_shape(shape));
            }
        }
        Settings::Slice(axis, points) => {
            for &point in points {
                out.int(2, point as i64);
            }
            out.int(3, *axis);
        }
        Settings::Concat(axis) | Settings::Softmax(axis) => {
            out.int(2, *axis);
        }
    }
    Some(out)
}

fn write_pooling(out: &mut Writer, pool: &Pooling) {
    out.int(1, pool.method as i64);
    pair(out, pool.kernel, 2, [5, 6], 0);
    pair(out, pool.stride, 3, [7, 8], 1);
    pair(out, pool.pad, 4, [9, 10], 0);
    if pool.global {
        out.int(12, 1);
    }
    if pool.floor {
        out.int(13, 1);
    }
}

/// A `BlobShape`.
pub(super) fn write_shape(shape: &[usize]) -> Writer {
    let mut out = Writer::new();
    out.ints(1, &shape.iter().map(|&size| size as i64).collect::<Vec<_>>());
    out
}
