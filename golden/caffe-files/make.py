"""Small files as Caffe writes them, and what their nets say.

`file/NAME` are a file's bytes, put together field by field from the definitions of the wire format and of `caffe.proto`:
neither Caffe nor a library of protocol buffers is used. Three nets come in several generations of the format:
`caffe` (normalisation, then pooling), `caffenet` (pooling, then normalisation) and `odd` (what is rarely used: average
pooling, normalisation within a map, no biases, oblong windows, a transposed matrix, tanh). `NET/LAYER.weight` and
`NET/LAYER.bias` are their parameters in f32, `NET/pixels` two images in the channels' order of the file, and
`NET/probabilities` what a forward pass in f64 makes of them. `mean.binaryproto` is a mean image whose values are `mean`;
`batches.meta` is cuda-convnet's dictionary with a mean image, red first, of the values `batches.meta/data_mean`;
`KIND.npy` are arrays that NumPy wrote, whose values are `npy/KIND` in f32.
"""

import io
import pathlib
import pickle
import struct
import sys

import numpy as np

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent))

import kept
import philox

tensors = {}


def file(name, content):
    tensors[f"file/{name}"] = np.frombuffer(content, np.uint8)


# The wire format.


def varint(n):
    n &= (1 << 64) - 1
    out = b""
    while n >= 128:
        out, n = out + bytes([n & 127 | 128]), n >> 7
    return out + bytes([n])


def whole(number, value):
    return varint(number << 3) + varint(value)


def real(number, value):
    return varint(number << 3 | 5) + struct.pack("<f", value)


def blob_of(number, content):
    content = content.encode() if isinstance(content, str) else content
    return varint(number << 3 | 2) + varint(len(content)) + content


# Blobs in every form.


def blob_new(values):
    return blob_of(7, blob_of(1, b"".join(map(varint, values.shape)))) + blob_of(5, values.astype("<f4").tobytes())


def blob_legacy(values):
    shape = (1,) * (4 - values.ndim) + values.shape
    sizes = b"".join(whole(i + 1, size) for i, size in enumerate(shape))
    return sizes + blob_of(5, values.astype("<f4").tobytes())


def blob_unpacked(values):
    return b"".join(whole(i + 1, n) for i, n in enumerate((1,) * (4 - values.ndim) + values.shape)) + b"".join(
        real(5, value) for value in values.reshape(-1)
    )


def blob_double(values):
    sizes = b"".join(whole(1, n) for n in values.shape)  # not packed
    return blob_of(7, sizes) + blob_of(8, values.astype("<f8").tobytes())


# Nets: (kind, name, settings, parameters' shapes).

NETS = {
    "caffe": ["norm", "pool"],
    "caffenet": ["pool", "norm"],
}


def chain(order):
    block = lambda i: [(kind, f"{kind}{i}") for kind in order]
    return [("conv", "conv1"), ("relu", "relu1"), *block(1), ("conv", "conv2"), ("relu", "relu2"), *block(2),
            ("fc", "fc3"), ("relu", "relu3"), ("drop", "drop3"), ("fc", "fc4"), ("softmax", "prob")]  # fmt: skip


SHAPES = {"conv1": (8, 3, 5, 5), "conv2": (6, 4, 3, 3), "fc3": (10, 24), "fc4": (7, 10)}
CONV = {"conv1": dict(k=8, r=5, stride=2, pad=0, group=1), "conv2": dict(k=6, r=3, stride=1, pad=1, group=2)}
LRN = dict(size=3, alpha=0.5, beta=0.75, k=1.0)


def numbers(shape, net, item, scale):
    n = int(np.prod(shape))
    bits = philox.u32(n, 2014, philox.TEST, layer=philox.PARAMETERS, time=net, item=item)
    return ((bits.astype(np.float64) / 2**32 - 0.5) * scale).astype(np.float32).reshape(shape)


def parameters(net, index, shapes, biasless=()):
    params = {}
    for item, (layer, shape) in enumerate(shapes.items()):
        params[layer] = [numbers(shape, index, 2 * item, 4 / np.sqrt(np.prod(shape[1:])))]
        outputs = shape[1] if layer == "turned" else shape[0]
        if layer not in biasless:
            params[layer].append(numbers((outputs,), index, 2 * item + 1, 1.0))
        for values, role in zip(params[layer], ("weight", "bias")):
            tensors[f"{net}/{layer}.{role}"] = values
    return params


# The forward pass.


def windows(x, r, s, stride, pad, value, ceil):
    """x [n, c, h, w] -> [n, c, p, q, r, s], and the number of pixels in each window that are in the padded image."""
    n, c, h, w = x.shape
    count = lambda size, k, step, p: (-(-(size + 2 * p - k) // step) if ceil else (size + 2 * p - k) // step) + 1
    p, q = count(h, r, stride[0], pad[0]), count(w, s, stride[1], pad[1])
    big = np.full((n, c, h + 2 * pad[0] + r + stride[0], w + 2 * pad[1] + s + stride[1]), value)
    big[:, :, pad[0] : pad[0] + h, pad[1] : pad[1] + w] = x
    out = np.empty((n, c, p, q, r, s))
    area = np.empty((p, q))
    for i in range(p):
        for j in range(q):
            y, z = i * stride[0], j * stride[1]
            out[:, :, i, j] = big[:, :, y : y + r, z : z + s]
            area[i, j] = (min(y + r, h + 2 * pad[0]) - y) * (min(z + s, w + 2 * pad[1]) - z)
    return out, area


def conv(x, weight, bias, stride, pad, group):
    weight = weight.astype(np.float64)
    k, c = weight.shape[0] // group, weight.shape[1]
    parts = []
    for g in range(group):
        seen, _ = windows(x[:, g * c : (g + 1) * c], *weight.shape[2:], stride, pad, 0.0, False)
        parts.append(np.einsum("ncpqrs,kcrs->nkpq", seen, weight[g * k : (g + 1) * k]))
    return np.concatenate(parts, 1) + bias.astype(np.float64)[:, None, None]


def max_pool(x, r, stride):
    return windows(x, r, r, (stride, stride), (0, 0), -np.inf, True)[0].max((4, 5))


def lrn(x, size, alpha, beta, k):
    half = size // 2
    sums = np.stack([(x[:, max(0, i - half) : i + half + 1] ** 2).sum(1) for i in range(x.shape[1])], 1)
    return x * (k + alpha / size * sums) ** -beta


def softmax(x):
    e = np.exp(x - x.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def forward(order, params, x):
    for kind, name in chain(order):
        if kind == "conv":
            c = CONV[name]
            x = conv(x, *params[name], (c["stride"],) * 2, (c["pad"],) * 2, c["group"])
        elif kind == "relu":
            x = np.maximum(x, 0)
        elif kind == "norm":
            x = lrn(x, **LRN)
        elif kind == "pool":
            x = max_pool(x, 3, 2)
        elif kind == "fc":
            weight, bias = params[name]
            x = x.reshape(len(x), -1) @ weight.T.astype(np.float64) + bias.astype(np.float64)
        elif kind == "softmax":
            x = softmax(x)
    return x


# Layers: the newest generation, the one before, and the first.


def settings(kind, name):
    if kind == "conv":
        c = CONV[name]
        pad = whole(3, c["pad"]) if c["pad"] else b""
        group = whole(5, c["group"]) if c["group"] > 1 else b""
        filler = blob_of(7, blob_of(1, "gaussian") + real(6, 0.01))
        return whole(1, c["k"]) + pad + whole(4, c["r"]) + group + whole(6, c["stride"]) + filler
    if kind == "pool":
        return whole(1, 0) + whole(2, 3) + whole(3, 2)
    if kind == "norm":
        return whole(1, LRN["size"]) + real(2, LRN["alpha"]) + real(3, LRN["beta"])
    if kind == "fc":
        return whole(1, SHAPES[name][0])
    if kind == "drop":
        return real(1, 0.25)
    return b""


# kind -> type's name, field of its settings; type's number and field before; type's first name.
TYPES = {
    "conv": ("Convolution", 106, 4, 10, "conv"),
    "relu": ("ReLU", 123, 18, 30, "relu"),
    "norm": ("LRN", 118, 15, 18, "lrn"),
    "pool": ("Pooling", 121, 17, 19, "pool"),
    "fc": ("InnerProduct", 117, 14, 17, "innerproduct"),
    "drop": ("Dropout", 108, 6, 12, "dropout"),
    "softmax": ("Softmax", 125, 20, 39, "softmax"),
}


def wired(order, loss):
    """(kind, name, bottom, top), with ReLU and dropout in place; the softmax is left out for training."""
    blob = "data"
    for kind, name in chain(order):
        if kind == "softmax" and loss:
            continue
        top = blob if kind in ("relu", "drop") else name
        yield kind, name, blob, top
        blob = top


def newest(order, params, blob, head, tail, loss):
    out = head
    for kind, name, bottom, top in wired(order, loss):
        blobs = b"".join(blob_of(7, blob(values)) for values in params.get(name, []))
        own = settings(kind, name)
        own = blob_of(TYPES[kind][1], own) if own else b""
        layer = blob_of(1, name) + blob_of(2, TYPES[kind][0]) + blob_of(3, bottom) + blob_of(4, top)
        rates = blob_of(6, real(3, 1.0)) if blobs else b""
        out += blob_of(100, layer + rates + blobs + whole(10, 0) + own)
    return out + tail


def before(order, params, blob, head, tail, loss):
    out = head
    for kind, name, bottom, top in wired(order, loss):
        blobs = b"".join(blob_of(6, blob(values)) for values in params.get(name, []))
        own = settings(kind, name)
        own = blob_of(TYPES[kind][3], own) if own else b""
        layer = blob_of(2, bottom) + blob_of(3, top) + blob_of(4, name) + whole(5, TYPES[kind][2])
        rates = real(7, 1.0) + real(8, 1.0) if blobs else b""
        out += blob_of(2, layer + blobs + rates + own)
    return out + tail


def first(order, params, head):
    out = head
    for kind, name, bottom, top in wired(order, False):
        own = b""
        if kind == "conv":
            c = CONV[name]
            own = whole(3, c["k"]) + whole(8, c["r"]) + whole(9, c["group"]) + whole(10, c["stride"])
            if c["pad"]:
                pad = blob_of(1, blob_of(1, "pad") + blob_of(2, "padding") + whole(7, c["pad"]))
                out += blob_of(2, pad + blob_of(2, bottom) + blob_of(3, "padded"))
                bottom = "padded"
        elif kind == "pool":
            own = whole(8, 3) + whole(10, 2) + whole(11, 0)
        elif kind == "norm":
            own = whole(13, LRN["size"]) + real(14, LRN["alpha"]) + real(15, LRN["beta"])
        elif kind == "fc":
            own = whole(3, SHAPES[name][0])
        elif kind == "drop":
            own = real(12, 0.25)
        blobs = b"".join(blob_of(50, blob_legacy(values)) for values in params.get(name, []))
        layer = blob_of(1, name) + blob_of(2, TYPES[kind][4]) + own + blobs
        out += blob_of(2, blob_of(1, layer) + blob_of(2, bottom) + blob_of(3, top))
    return out


def train_newest(order, params):
    """As a training net's snapshot: data for training, the scores split between loss and accuracy."""
    only_in = lambda test: blob_of(8, whole(1, test))
    transform = blob_of(100, whole(2, 1) + whole(3, 23) + blob_of(4, "data/mean.binaryproto"))
    data = blob_of(1, "data") + blob_of(2, "Data") + blob_of(4, "data") + blob_of(4, "label")
    head = blob_of(1, "Tiny") + blob_of(100, data + only_in(0) + transform)
    split = lambda blob, tops: blob_of(
        100,
        blob_of(1, f"{blob}_split") + blob_of(2, "Split") + blob_of(3, blob) + b"".join(blob_of(4, top) for top in tops),
    )
    loss = blob_of(1, "loss") + blob_of(2, "SoftmaxWithLoss") + blob_of(3, "fc4_0") + blob_of(3, "label_0") + blob_of(4, "loss")
    accuracy = blob_of(1, "accuracy") + blob_of(2, "Accuracy") + blob_of(3, "fc4_1") + blob_of(3, "label_1") + blob_of(4, "a")
    tail = split("fc4", ["fc4_0", "fc4_1"]) + blob_of(100, accuracy) + blob_of(100, loss + real(5, 1.0))
    return newest(order, params, blob_new, head + split("label", ["label_0", "label_1"]), tail, True)


def train_before(order, params):
    """Data for training and for testing, each with its crop where older files have it."""
    data = lambda phase, crop: blob_of(3, "data") + blob_of(3, "label") + blob_of(4, "data") + whole(5, 5) + blob_of(
        32, whole(1, phase)
    ) + crop
    train = data(0, blob_of(11, whole(5, 23) + blob_of(3, "mean")))
    test = data(1, blob_of(36, whole(3, 23) + blob_of(4, "mean")))
    loss = blob_of(2, "fc4") + blob_of(2, "label") + blob_of(4, "loss") + whole(5, 21) + blob_of(32, whole(1, 0))
    accuracy = blob_of(2, "fc4") + blob_of(2, "label") + blob_of(3, "a") + blob_of(4, "accuracy") + whole(5, 1)
    tail = blob_of(2, loss) + blob_of(2, accuracy + blob_of(32, whole(1, 1)))
    return before(order, params, blob_legacy, blob_of(1, "Tiny") + blob_of(2, train) + blob_of(2, test), tail, True)


INPUT = blob_of(1, "Tiny") + blob_of(3, "data") + b"".join(whole(4, size) for size in (10, 3, 23, 23))
INPUT_SHAPE = blob_of(1, "Tiny") + blob_of(3, "data") + blob_of(8, blob_of(1, b"".join(map(varint, (10, 3, 23, 23)))))
INPUT_LAYER = blob_of(1, "Tiny") + blob_of(
    100,
    blob_of(1, "data") + blob_of(2, "Input") + blob_of(4, "data")
    + blob_of(143, blob_of(1, blob_of(1, b"".join(map(varint, (10, 3, 23, 23)))))),
)  # fmt: skip

for index, (net, order) in enumerate(NETS.items()):
    params = parameters(net, index, SHAPES)
    pixels = numbers((2, 3, 23, 23), index, 100, 4.0)
    tensors[f"{net}/pixels"] = pixels
    tensors[f"{net}/probabilities"] = forward(order, params, pixels.astype(np.float64))
    file(f"{net}-train.caffemodel", train_newest(order, params))
    file(f"{net}-train-v1.caffemodel", train_before(order, params))
    file(f"{net}-v0.caffemodel", first(order, params, INPUT))
    if net == "caffe":
        file(f"{net}-deploy.caffemodel", newest(order, params, blob_unpacked, INPUT_LAYER, b"", False))
    else:
        file(f"{net}-deploy.caffemodel", newest(order, params, blob_double, INPUT_SHAPE, b"", False))
        file(f"{net}-deploy-v1.caffemodel", before(order, params, blob_unpacked, INPUT, b"", False))


# What is rarely used.

ODD = {"wide": (6, 3, 3, 5), "turned": (72, 9), "last": (5, 9)}
odd = parameters("odd", 9, ODD, biasless=("wide",))
layer = lambda name, kind, bottom, top, *rest: blob_of(
    100, blob_of(1, name) + blob_of(2, kind) + blob_of(3, bottom) + blob_of(4, top) + b"".join(rest)
)
blobs = lambda name: b"".join(blob_of(7, blob_new(values)) for values in odd[name])
own_sizes = whole(11, 3) + whole(12, 5) + whole(9, 1) + whole(10, 0) + whole(13, 2) + whole(14, 1)
file(
    "odd.caffemodel",
    blob_of(1, "Odd") + blob_of(3, "x") + blob_of(8, blob_of(1, b"".join(map(varint, (1, 3, 9, 12)))))
    + layer("wide", "Convolution", "x", "a", blobs("wide"), blob_of(106, whole(1, 6) + whole(2, 0) + own_sizes))
    + layer("tanh", "TanH", "a", "b")
    + layer("norm", "LRN", "b", "c", blob_of(118, whole(1, 3) + real(2, 2.0) + real(3, 0.6) + whole(4, 1) + real(5, 7.0)))
    + layer("mean", "Pooling", "c", "d", blob_of(121, whole(1, 1) + whole(5, 2) + whole(6, 3) + whole(3, 2)))
    + layer("flat", "Flatten", "d", "e")
    + layer("turned", "InnerProduct", "e", "f", blobs("turned"), blob_of(117, whole(1, 9) + whole(6, 1)))
    + layer("relu", "ReLU", "f", "g", blob_of(123, real(1, 0.0)))
    + layer("last", "InnerProduct", "g", "h", blobs("last"), blob_of(117, whole(1, 5))),
)  # fmt: skip
pixels = numbers((2, 3, 9, 12), 9, 100, 4.0)
x = np.tanh(conv(pixels.astype(np.float64), odd["wide"][0], np.zeros(6), (2, 1), (1, 0), 1))
mean, _ = windows(x**2, 3, 3, (1, 1), (1, 1), 0.0, False)
x = x * (1.0 + np.float64(np.float32(2.0)) * mean.sum((4, 5)) / 9) ** -np.float64("0.6")
seen, area = windows(x, 2, 3, (2, 2), (0, 0), 0.0, True)
x = (seen.sum((4, 5)) / area).reshape(2, -1)
x = np.maximum(x @ odd["turned"][0].astype(np.float64) + odd["turned"][1].astype(np.float64), 0)
tensors["odd/pixels"] = pixels
tensors["odd/probabilities"] = softmax(x @ odd["last"][0].T.astype(np.float64) + odd["last"][1].astype(np.float64))

# Means and arrays.

mean = numbers((3, 8, 8), 8, 0, 100.0) + np.float32(120)
tensors["mean"] = mean
file("mean.binaryproto", blob_legacy(mean))
column = numbers((192, 1), 7, 0, 100.0) + np.float32(120)
tensors["batches.meta/data_mean"] = column
file("batches.meta", pickle.dumps({"data_mean": column, "num_vis": 192, "label_names": ["a", "b"]}, protocol=2))


def npy(name, values, version):
    stream = io.BytesIO()
    np.lib.format.write_array(stream, values, version=version)
    file(f"{name}.npy", stream.getvalue())
    with np.errstate(over="ignore"):
        tensors[f"npy/{name}"] = np.array(values, np.float32, order="C")


cube = np.arange(24, dtype=np.float64).reshape(2, 3, 4) * 1.37 - 11
npy("f8", cube, (1, 0))
npy("f8-fortran", np.asfortranarray(cube), (2, 0))
npy("f4-big-endian", cube.astype(">f4"), (3, 0))
npy("f8-big-endian-fortran", np.asfortranarray(cube.astype(">f8")), (1, 0))
npy("f2", np.array([0.0, -0.0, 1.0, -2.5, 65504, 6e-8, 6.1e-5, np.inf, -np.inf], np.float16), (1, 0))
for kind in "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8":
    limits = np.iinfo(kind)
    npy(kind, np.array([[0, 1, 100], [limits.min, limits.max, 7]], kind), (1, 0))
npy("i2-big-endian", np.array([-2, 300], ">i2"), (1, 0))
npy("scalar", np.float32(2.5).reshape(()), (1, 0))
npy("empty", np.zeros((3, 0, 2), np.float32), (1, 0))
npy("truth", np.array([True, False]), (1, 0))

kept.keep(__file__, tensors, {"numpy": np.__version__})
