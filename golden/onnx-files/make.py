"""Small ONNX files as onnx, torch and hands write them, and what they compute.

`file/NAME` are a file's bytes, `beside/NAME` those of `NAME.data` where its values lie there. It is given `(pixels - offset) *
factor`, `pixels/KIND` and `scale/KIND` being those of its name's first word. `probabilities/NAME` is what it says of them, in f64
where the net was computed in f64 and else as onnxruntime computes it. Every file that onnxruntime reads gives it the same.

bvlc-*    the ONNX model zoo's bvlcalexnet with few maps, in the forms that its conversion had from version 3 of the ops to 9
torch-*   a narrow AlexNet in torchvision's form, by PyTorch's exporter of traces (`trace`) and of programs (`program`)
forms-*   what else a chain may be written with
"""

import io
import pathlib
import sys
import tempfile
import warnings

import numpy as np
import onnx
import onnxruntime
import torch
import torch.nn.functional as F
from onnx import TensorProto, helper, numpy_helper

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent))

import kept

warnings.filterwarnings("ignore")
torch.set_num_threads(1)
tensors = {}


def values(seed, shape, scale=1.0):
    """Numbers that look random, from -scale to scale; with few bits, so that products are short."""
    count = int(np.prod(shape))
    mixed = (np.arange(1, count + 1, dtype=np.uint64) * np.uint64(2654435761) + np.uint64(40503 * seed)) % np.uint64(1 << 32)
    mixed = (mixed ^ (mixed >> np.uint64(15))) * np.uint64(2246822519) % np.uint64(1 << 32)
    return ((mixed >> np.uint64(16)).astype(np.float32) / np.float32(32768) - 1).reshape(shape) * np.float32(scale)


def pixels(kind, shape, offset, factor):
    """Keeps the input of all files of a kind."""
    bytes_ = ((values(97, shape) + 1) * 127.5).astype(np.uint8)
    tensors[f"pixels/{kind}"], tensors[f"scale/{kind}"] = bytes_, np.array([offset, factor], np.float64)
    return (bytes_.astype(np.float32) - np.float32(offset)) * np.float32(factor)


def keep(name, content, given, expected, beside=None):
    """Keeps a file, and sees that onnxruntime agrees where it reads it."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / name
        path.write_bytes(content)
        if beside is not None:
            pathlib.Path(f"{path}.data").write_bytes(beside)
        model = onnx.load(path)
        onnx.checker.check_model(str(path))
        opset = model.opset_import[0].version
        if opset >= 7:
            options = onnxruntime.SessionOptions()
            options.log_severity_level = 3
            session = onnxruntime.InferenceSession(str(path), options)
            first = model.graph.input[0].name
            batch = model.graph.input[0].type.tensor_type.shape.dim[0].dim_value or len(given)
            parts = [session.run(None, {first: part})[0] for part in np.split(given, len(given) // batch)]
            out = np.concatenate(parts).astype(np.float64)
            if abs(out.sum(axis=1) - 1).max() > 1e-4:
                out = np.exp(out - out.max(axis=1, keepdims=True))
                out /= out.sum(axis=1, keepdims=True)
            expected = out if expected is None else expected
            assert abs(out - expected).max() < 1e-6, (name, abs(out - expected).max())
    tensors[f"file/{name}"] = np.frombuffer(content, np.uint8)
    if beside is not None:
        tensors[f"beside/{name}"] = np.frombuffer(beside, np.uint8)
    tensors[f"probabilities/{name}"] = np.ascontiguousarray(expected)


def constant(name, array, raw=True):
    if raw:
        return numpy_helper.from_array(array, name)
    kind = TensorProto.FLOAT if array.dtype == np.float32 else TensorProto.INT64
    return helper.make_tensor(name, kind, array.shape, array.ravel().tolist())


def graph_bytes(name, nodes, constants, shape, classes, opset, ir, inputs=(), producer="hands"):
    value = helper.make_tensor_value_info
    inputs = [value(inputs[0] if inputs else "data", TensorProto.FLOAT, shape)] + [
        value(c.name, c.data_type, list(c.dims)) for c in constants if inputs
    ]
    outputs = [value(nodes[-1].output[0], TensorProto.FLOAT, [shape[0], classes])]
    graph = helper.make_graph(nodes, name, inputs, outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=ir, producer_name=producer)
    return model.SerializeToString()


# bvlcalexnet: maps of 23, 11, 5 and 2 pixels for 54, 26, 12 and 6.
BVLC = {
    "conv1": ((4, 3, 11, 11), 0.02),
    "conv2": ((8, 2, 5, 5), 0.2),
    "conv3": ((8, 8, 3, 3), 0.2),
    "conv4": ((8, 4, 3, 3), 0.3),
    "conv5": ((8, 4, 3, 3), 0.3),
    "fc6": ((12, 32), 0.3),
    "fc7": ((12, 12), 0.4),
    "fc8": ((5, 12), 0.5),
}


def bvlc(opset):
    constants, nodes, before = [], [], "data_0"
    old = opset < 7

    def node(op, *others, outputs=1, **attributes):
        nonlocal before
        names = [f"{op.lower()}_{len(nodes)}_{i}" for i in range(outputs)]
        nodes.append(helper.make_node(op, [before, *others], names, **attributes))
        before = names[0]

    for index, (name, (shape, scale)) in enumerate(BVLC.items()):
        # Two layers of typed values: writers have both forms.
        constants.append(constant(f"{name}_w_0", values(index, shape, scale), raw=index % 3 != 0))
        constants.append(constant(f"{name}_b_0", values(index + 50, shape[:1], 0.3), raw=index % 3 != 0))
        names = (f"{name}_w_0", f"{name}_b_0")
        if name.startswith("conv"):
            pad, stride = {11: (0, 4), 5: (2, 1), 3: (1, 1)}[shape[2]]
            groups = {"group": 2} if name in ("conv2", "conv4", "conv5") else {}
            node("Conv", *names, kernel_shape=shape[2:], pads=[pad] * 4, strides=[stride] * 2, **groups)
            node("Relu")
            if name in ("conv1", "conv2"):
                node("LRN", size=5, alpha=1e-4, beta=0.75, bias=1.0)
            if name in ("conv1", "conv2", "conv5"):
                end = 1 if name == "conv5" else 0
                node("MaxPool", kernel_shape=[3, 3], pads=[0, 0, end, end], strides=[2, 2])
            continue
        if name == "fc6" and opset < 5:
            node("Reshape", shape=[1, 32])
        elif name == "fc6":
            constants.append(constant("OC2_DUMMY_1", np.array([1, 32])))
            node("Reshape", "OC2_DUMMY_1")
        node("Gemm", *names, transB=1, **({"broadcast": 1} if old else {}))
        if name != "fc8":
            node("Relu")
            node("Dropout", outputs=2, ratio=0.5, **({"is_test": 1} if old else {}))
    node("Softmax")
    return graph_bytes("bvlc", nodes, constants, [1, 3, 99, 99], 5, opset, 3, inputs=("data_0",), producer="onnx-caffe2")


def bvlc_in_f64(x):
    x = torch.tensor(x).double()
    for index, (name, (shape, scale)) in enumerate(BVLC.items()):
        w = torch.tensor(values(index, shape, scale)).double()
        b = torch.tensor(values(index + 50, shape[:1], 0.3)).double()
        if name.startswith("fc"):
            x = F.linear(x.flatten(1), w, b)
            x = x.relu() if name != "fc8" else x
            continue
        pad, stride = {11: (0, 4), 5: (2, 1), 3: (1, 1)}[shape[2]]
        x = F.conv2d(x, w, b, stride, pad, groups=2 if name in ("conv2", "conv4", "conv5") else 1).relu()
        if name in ("conv1", "conv2"):
            x = F.local_response_norm(x, 5, np.float64(np.float32(1e-4)), 0.75, 1.0)
        if name == "conv5":
            x = F.pad(x, (0, 1, 0, 1), value=-np.inf)
        if name in ("conv1", "conv2", "conv5"):
            x = F.max_pool2d(x, 3, 2)
    return x.softmax(1).numpy()


given = pixels("bvlc", (2, 3, 99, 99), 128, 1)
for opset in 3, 6, 7, 8, 9:
    keep(f"bvlc-{opset}", bvlc(opset), given, bvlc_in_f64(given))


class Narrow(torch.nn.Module):
    """torchvision's alexnet with few maps: 23, 11, 5 and 2 pixels for 55, 27, 13 and 6."""

    def __init__(self, end="logits", reshape="flatten", ceil=False, normalise=False):
        super().__init__()
        conv, relu, pool = torch.nn.Conv2d, torch.nn.ReLU, lambda: torch.nn.MaxPool2d(3, 2, ceil_mode=ceil)
        self.features = torch.nn.Sequential(
            conv(3, 4, 11, 4, 2), relu(), pool(),
            conv(4, 6, 5, padding=2), relu(), pool(),
            conv(6, 8, 3, padding=1), relu(), conv(8, 6, 3, padding=1), relu(), conv(6, 6, 3, padding=1), relu(), pool(),
        )  # fmt: skip
        self.avgpool = torch.nn.AdaptiveAvgPool2d((2, 2))
        linear, drop = torch.nn.Linear, torch.nn.Dropout
        self.classifier = torch.nn.Sequential(drop(), linear(24, 12), relu(), drop(), linear(12, 12), relu(), linear(12, 5))
        self.end, self.reshape, self.normalise = end, reshape, normalise
        with torch.no_grad():
            for index, parameter in enumerate(self.parameters()):
                fan_in = np.prod(parameter.shape[1:]) if parameter.dim() > 1 else 20
                parameter.copy_(torch.tensor(values(200 + index, parameter.shape, 2 / np.sqrt(fan_in))))
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406]).reshape(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor([0.229, 0.224, 0.225]).reshape(1, 3, 1, 1))

    def forward(self, x):
        if self.normalise:
            x = (x - self.mean) / self.std
        x = self.avgpool(self.features(x))
        x = torch.flatten(x, 1) if self.reshape == "flatten" else x.view(x.size(0), 24)
        x = self.classifier(x)
        return {"logits": x, "softmax": x.softmax(1), "log": x.log_softmax(1)}[self.end] if self.end != "logits" else x


def without_places(content, folder):
    """Clears what says where on this machine a node came from."""
    model = onnx.load_from_string(content)
    for entry in [model, model.graph, *model.graph.node, *model.graph.value_info, *model.graph.input, *model.graph.output]:
        entry.ClearField("metadata_props")
        entry.ClearField("doc_string")
    for node in model.graph.node:
        node.name = node.name or node.output[0]
    model.producer_version = ""
    content = model.SerializeToString()
    assert str(folder).encode() not in content and b"/site-packages/" not in content
    return content


TORCH_PIXELS = pixels("torch", (2, 3, 95, 95), 128, 1 / 64)


def exported(name, opset, program, dynamic=True, external=False, **form):
    net = Narrow(**form).eval()
    x = TORCH_PIXELS
    shapes = {}
    if dynamic and program:
        shapes = {"dynamic_shapes": ({0: torch.export.Dim("batch")},)}
    elif dynamic:
        shapes = {"dynamic_axes": {"input": {0: "batch"}, "output": {0: "batch"}}}
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / f"{name}"
        given = torch.tensor(x if dynamic else x[:1])
        if program:
            shapes["external_data"] = external
        torch.onnx.export(
            net, (given,), path, opset_version=opset, dynamo=program, input_names=["input"], output_names=["output"],
            verbose=False, **shapes,
        )  # fmt: skip
        content = without_places(path.read_bytes(), folder) if not external else None
        beside = None
        if external:
            model = onnx.load(path)
            onnx.save_model(model, path, save_as_external_data=True, location=f"{name}.data", size_threshold=100)
            content = onnx.load(path, load_external_data=False).SerializeToString()
            content = without_places(content, folder)
            beside = pathlib.Path(f"{path}.data").read_bytes()
    with torch.no_grad():
        out = net.double()(torch.tensor(x).double())
    expected = {"logits": out.softmax(1), "softmax": out, "log": out.exp()}[form.get("end", "logits")]
    keep(name, content, x, expected.numpy(), beside)


stdout, sys.stdout = sys.stdout, io.StringIO()  # the exporters talk
exported("torch-trace-9", 9, False)
exported("torch-trace-11-view", 11, False, reshape="view")
exported("torch-trace-13-fixed-softmax", 13, False, dynamic=False, end="softmax")
exported("torch-trace-17-ceil-log", 17, False, ceil=True, end="log")
exported("torch-trace-21-normalise", 21, False, normalise=True)
exported("torch-program-18", 18, True)
exported("torch-program-21-fixed-view", 21, True, dynamic=False, reshape="view")
exported("torch-program-18-external", 18, True, external=True, reshape="view", normalise=True, end="softmax")
sys.stdout = stdout


def forms():
    """Padding of its own, padding by name, lengths computed, matrices of both orders, factors."""
    node, f32 = helper.make_node, np.float32
    constants = [
        constant("w1", values(300, (4, 3, 5, 4), 0.2)),
        constant("b1", values(301, (4, 1, 1), 0.3)),
        constant("pads", np.array([0, 0, 1, 2, 0, 0, 0, 1])),
        constant("w2", values(302, (6, 2, 3, 3), 0.3).astype(np.float16)),
        constant("w3", values(303, (54, 10), 0.3)),
        constant("b3", values(304, (1, 10), 0.3)),
        constant("w4", values(305, (10, 5), 0.4)),
        constant("b4", np.array([0.25], f32)),
        constant("zero", np.array(0)),
        constant("axis", np.array([0])),
        constant("rest", np.array([-1])),
        constant("half", np.array(0.5, f32)),
        constant("mean", np.array([104.0, 117.0, 123.0], f32).reshape(3, 1, 1)),
        constant("order", np.array([2, 1, 0])),
    ]
    nodes = [
        node("Gather", ["data", "order"], ["bgr"], axis=1),
        node("Sub", ["bgr", "mean"], ["centred"]),
        node("Pad", ["centred", "pads"], ["padded"], mode="constant"),
        node("Conv", ["padded", "w1"], ["c1"], strides=[2, 1], auto_pad="VALID"),
        node("Add", ["b1", "c1"], ["s1"]),
        node("Tanh", ["s1"], ["t1"]),
        node("MaxPool", ["t1"], ["p1"], kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1),
        node("Cast", ["w2"], ["w2.f32"], to=1),
        node("Conv", ["p1", "w2.f32"], ["c2"], strides=[2, 2], auto_pad="SAME_UPPER", group=2),
        node("AveragePool", ["c2"], ["p2"], kernel_shape=[3, 2], pads=[1, 0, 1, 1], strides=[1, 2]),
        node("Relu", ["p2"], ["r2"]),
        node("Shape", ["r2"], ["shape"]),
        node("Gather", ["shape", "zero"], ["n"], axis=0),
        node("Unsqueeze", ["n", "axis"], ["n1"]),
        node("Concat", ["n1", "rest"], ["target"], axis=0),
        node("Reshape", ["r2", "target"], ["row"]),
        node("MatMul", ["row", "w3"], ["m3"]),
        node("Add", ["m3", "b3"], ["s3"]),
        node("Relu", ["s3"], ["r3"]),
        node("Mul", ["r3", "half"], ["kept"]),
        node("Identity", ["kept"], ["same"]),
        node("Transpose", ["w4"], ["w4.t"], perm=[1, 0]),
        node("Gemm", ["same", "w4.t", "b4"], ["logits"], transB=1, alpha=0.5, beta=2.0),
        node("LogSoftmax", ["logits"], ["log"], axis=-1),
    ]
    return graph_bytes("forms", nodes, constants, ["batch", 3, 22, 18], 5, 14, 7)


keep("forms-14", forms(), pixels("forms", (3, 3, 22, 18), 0, 1), None)

kept.keep(__file__, tensors, {
    "torch": torch.__version__, "numpy": np.__version__, "onnx": onnx.__version__, "onnxruntime": onnxruntime.__version__,
})  # fmt: skip
