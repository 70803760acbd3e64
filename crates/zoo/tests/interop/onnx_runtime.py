"""What onnxruntime says of our files, and PyTorch's own files for us.

onnx_runtime.py run FOLDER     for each NAME.onnx: checks it, gives it NAME.input (bytes or f32), writes NAME.output
onnx_runtime.py export FOLDER  torchvision's alexnet with weights of seed 0 by both exporters; `input`, and `output`: its probabilities
"""

import contextlib
import io
import pathlib
import sys
import warnings


def run(folder):
    import numpy as np
    import onnx
    import onnxruntime

    for path in sorted(folder.glob("*.onnx")):
        onnx.checker.check_model(str(path), full_check=True)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 2  # warnings are faults of ours
        session = onnxruntime.InferenceSession(str(path), options)
        (given,) = session.get_inputs()
        (wanted,) = session.get_outputs()
        assert given.shape[0] == wanted.shape[0] == "N", (given.shape, wanted.shape)
        kind = {"tensor(uint8)": np.uint8, "tensor(float)": np.float32}[given.type]
        values = np.fromfile(path.with_suffix(".input"), kind).reshape(-1, *given.shape[1:])
        out = session.run(None, {given.name: values})[0]
        assert out.shape == (len(values), wanted.shape[1]), out.shape
        classes = session.get_modelmeta().custom_metadata_map["classes"].split("\n")
        assert len(classes) == out.shape[1], len(classes)
        out.astype(np.float32).tofile(path.with_suffix(".output"))


def export(folder):
    import torch
    import torchvision

    warnings.filterwarnings("ignore")
    torch.manual_seed(0)
    net = torchvision.models.alexnet().eval()
    x = torch.randn(2, 3, 224, 224)
    with torch.no_grad():
        # Fresh weights tell classes apart by a hair only.
        net.classifier[6].weight *= 2000
        out = net.double()(x.double()).softmax(1)
    net = net.float()
    x.numpy().tofile(folder / "input")
    out.float().numpy().tofile(folder / "output")
    for opset in 9, 11, 13, 17, 21:
        axes = {"input": {0: "N"}, "output": {0: "N"}} if opset != 13 else None
        torch.onnx.export(
            net, (x,), folder / f"trace-{opset}.onnx", opset_version=opset, dynamo=False,
            input_names=["input"], output_names=["output"], dynamic_axes=axes,
        )  # fmt: skip
    for opset in 18, 21:
        torch.onnx.export(
            net, (x,), folder / f"program-{opset}.onnx", opset_version=opset, dynamo=True, verbose=False,
            dynamic_shapes=({0: torch.export.Dim("N")},) if opset == 21 else None,
        )  # fmt: skip
    torch.onnx.export(net, (x,), folder / "program-whole.onnx", dynamo=True, verbose=False, external_data=False)


with contextlib.redirect_stdout(io.StringIO()):  # the exporters talk
    {"run": run, "export": export}[sys.argv[1]](pathlib.Path(sys.argv[2]))
