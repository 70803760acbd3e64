"""Small files as PyTorch writes them, in all of its forms, and what is in them.

`file/NAME` are a file's bytes, `names/NAME` and `others/NAME` UTF-8 lines: its tensors of floats in order, and the tensors that are of
other types. `tensor/NAME/TENSOR` are values in f32. Storages of the form before archives are keyed by addresses, which are made the
same in every run. PyTorch does not write the oldest form, a tape archive, any more: it is written here, and PyTorch reads it.
"""

import argparse
import collections
import io
import pathlib
import pickle
import struct
import sys
import tarfile
import tempfile
import zipfile

import numpy as np
import torch

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent))

import kept

tensors = {}


def numbers(*shape, start=0.0, dtype=torch.float32):
    count = int(np.prod(shape, dtype=np.int64))
    values = (np.arange(count) % 23 - 11) * 0.375 + start + np.arange(count) * 2.0**-6
    return torch.tensor(values.reshape(shape), dtype=dtype)


def net():
    made = torch.nn.Sequential(collections.OrderedDict(conv1=torch.nn.Conv2d(2, 3, 2), relu=torch.nn.ReLU(), fc2=torch.nn.Linear(5, 4)))
    with torch.no_grad():
        for index, parameter in enumerate(made.parameters()):
            parameter.copy_(numbers(*parameter.shape, start=index + 0.1))
    return made


def archive(value):
    stream = io.BytesIO()
    torch.save(value, stream)
    return stream.getvalue()


class Stub:
    """Whatever a pickle names."""

    def __new__(cls, *_, **__):
        return super().__new__(cls)

    def __setstate__(self, _):
        pass


class Lenient(pickle.Unpickler):
    """Finds where a pickle ends, and which storages it names."""

    def __init__(self, stream):
        super().__init__(stream)
        self.storages = {}

    def find_class(self, module, name):
        return type(name, (Stub,), {"append": lambda *_: None, "__setitem__": lambda *_: None})

    def persistent_load(self, identification):
        if identification[0] == "storage":
            self.storages.setdefault(identification[2], identification[1].__name__)
            return Stub()
        # A module's class, its file, its source.
        return identification[1]


WIDTHS = {"HalfStorage": 2, "BFloat16Storage": 2, "FloatStorage": 4, "DoubleStorage": 8, "LongStorage": 8}


def sequence(value):
    """The form before archives, with keys that are not addresses."""
    stream = io.BytesIO()
    torch.save(value, stream, _use_new_zipfile_serialization=False)
    content = stream.getvalue()
    stream.seek(0)
    for _ in range(3):
        pickle.load(stream)
    begin = stream.tell()
    reader = Lenient(stream)
    reader.load()
    end = stream.tell()
    data = {}
    for key in pickle.load(stream):
        head = stream.read(8)
        data[key] = head + stream.read(struct.unpack("<q", head)[0] * WIDTHS[reader.storages[key]])
    assert not stream.read()
    made, keys = content[begin:end], []
    for index, key in enumerate(reader.storages):
        keys.append(f"{index:0{len(key)}}")
        made = made.replace(key.encode(), keys[-1].encode())
    ordered = sorted(zip(keys, [data[key] for key in reader.storages]))
    listed = pickle.dumps([key for key, _ in ordered], protocol=2)
    return content[:begin] + made + listed + b"".join(storage for _, storage in ordered)


def tape(state):
    """The form before PyTorch 0.1.10, of f32 tensors; the third is a view of a part of the second's storage."""
    storages, described = io.BytesIO(), io.BytesIO()
    pickle.dump(len(state), storages, protocol=2)
    pickle.dump(len(state), described, protocol=2)
    views = []
    for index, (name, tensor) in enumerate(state.items()):
        key, flat = 1000 + index, tensor.contiguous().reshape(-1)
        pickle.dump((key, "cpu", torch.FloatStorage), storages, protocol=2)
        storages.write(struct.pack("<q", flat.numel()) + flat.numpy().tobytes())
        whose = key
        if index == 2:
            # The first values of the one before.
            whose = 5000
            views.append((whose, 1000 + index - 1, 0, tensor.numel()))
        pickle.dump((2000 + index, whose, torch.FloatTensor), described, protocol=2)
        sizes, strides = tensor.shape, tensor.contiguous().stride()
        axes = len(sizes)
        described.write(struct.pack(f"<ii{axes}q{axes}qq", axes, 0, *sizes, *strides, 0))
    pickle.dump(views, storages, protocol=2)

    class Numbered(pickle.Pickler):
        def persistent_id(self, value):
            return str(value[1]) if isinstance(value, tuple) and value[:1] == ("tensor",) else None

    named = io.BytesIO()
    Numbered(named, protocol=2).dump(collections.OrderedDict((name, ("tensor", 2000 + i)) for i, name in enumerate(state)))
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:", format=tarfile.PAX_FORMAT) as tar:
        machine = pickle.dumps(dict(protocol_version=1000, little_endian=True, type_sizes=dict(short=2, int=4, long=4)), protocol=2)
        parts = dict(sys_info=machine, pickle=named.getvalue(), storages=storages.getvalue(), tensors=described.getvalue())
        for name, content in parts.items():
            header = tarfile.TarInfo(name)
            header.size = len(content)
            tar.addfile(header, io.BytesIO(content))
    return stream.getvalue()


def lines(texts):
    return np.frombuffer("\n".join(texts).encode() + b"\n", np.uint8)


def keep(name, content, state, others=()):
    """`state` is what the file's state dict holds, floats of any type."""
    tensors[f"file/{name}"] = np.frombuffer(content, np.uint8)
    tensors[f"names/{name}"], tensors[f"others/{name}"] = lines(state), lines(others)
    for key, tensor in state.items():
        # Of their own: the format refuses what shares memory.
        tensors[f"tensor/{name}/{key}"] = tensor.detach().to(torch.float32).numpy().copy()


state = net().state_dict()
keep("archive", archive(state), state)
keep("sequence", sequence(state), state)
for kind in torch.float16, torch.bfloat16, torch.float64:
    cast = {name: tensor.to(kind) for name, tensor in state.items()}
    word = str(kind).split(".")[1]
    keep(f"archive-{word}", archive(cast), cast)
    keep(f"sequence-{word}", sequence(cast), cast)

whole = numbers(5, 4)
odd = {
    "transposed": whole.t(),
    "column": whole[:, 1],
    "part": whole[1:4, 1:3],
    "all": whole,
    "scalar": torch.tensor(2.5),
    "count": torch.tensor(7),
    "nothing": torch.zeros(0, 3),
    "parameter": torch.nn.Parameter(numbers(3)),
    "last": numbers(2, 3, 4, dtype=torch.float16).permute(2, 0, 1),
}
floats = {name: tensor for name, tensor in odd.items() if name != "count"}
keep("archive-odd", archive(odd), floats, ["count Long"])
keep("sequence-odd", sequence(odd), floats, ["count Long"])
strange = {**state, "sparse": torch.eye(2).to_sparse(), "bits": torch.ones(3, dtype=torch.uint16)}
keep("archive-strange", archive(strange), state, ["sparse _rebuild_sparse_tensor", "bits uint16"])

model = torch.nn.DataParallel(net())
optimiser = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
for parameter in model.parameters():
    parameter.grad = torch.ones_like(parameter)
optimiser.step()
checkpoint = {
    "epoch": 3,
    "arch": "alexnet",
    "args": argparse.Namespace(lr=0.1, data=pathlib.PurePosixPath("/data")),
    "best_acc1": torch.tensor(56.5),
    "score": np.float64(0.25),
    "optimizer": optimiser.state_dict(),
    "state_dict": model.state_dict(),
}
keep("archive-checkpoint", archive(checkpoint), model.state_dict())
keep("sequence-checkpoint", sequence(checkpoint), model.state_dict())
averaged = {name: tensor + 1 for name, tensor in state.items()}
keep("archive-two", archive({"ema": averaged, "model": state}), state)
keep("archive-module", archive(net()), state)
keep("sequence-module", sequence(net()), state)
keep("archive-module-in", archive([{"network": torch.nn.Sequential(net(), torch.nn.BatchNorm1d(2))}]),
     {**{f"0.{name}": tensor for name, tensor in state.items()}, "1.weight": torch.ones(2), "1.bias": torch.zeros(2),
      "1.running_mean": torch.zeros(2), "1.running_var": torch.ones(2)}, ["1.num_batches_tracked Long"])

oldest = collections.OrderedDict(first=numbers(2, 3), second=numbers(4, 2, start=1.0), third=numbers(3, start=1.0))
with tempfile.TemporaryDirectory() as folder:
    path = pathlib.Path(folder) / "oldest"
    path.write_bytes(tape(oldest))
    read = torch.load(path, weights_only=False)
    assert list(read) == list(oldest) and all(torch.equal(read[name], oldest[name]) for name in oldest)
keep("tape", tape(oldest), oldest)

packed = io.BytesIO()
with zipfile.ZipFile(io.BytesIO(archive(state))) as records, zipfile.ZipFile(packed, "w") as again:
    for name in records.namelist():
        again.writestr(zipfile.ZipInfo(name), records.read(name))
keep("archive-packed-anew", packed.getvalue(), state)

for name in [name.removeprefix("file/") for name in tensors if name.startswith("file/")]:
    read = torch.load(io.BytesIO(tensors[f"file/{name}"].tobytes()), weights_only=False) if name != "tape" else None
    if isinstance(read, dict) and list(read) == list(state):
        assert all(torch.allclose(read[key].float(), state[key], rtol=0.01) for key in state), name

kept.keep(__file__, tensors, {"torch": torch.__version__, "numpy": np.__version__})
