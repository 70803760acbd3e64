"""Checkpoints as cuda-convnet, cuda-convnet2 and the program of 2012 write them, of small nets, written from the definition of the
format, and read back by Python's own `pickle`.

`file/NAME` are a checkpoint's bytes. `text/NAME` are its layers in UTF-8, a line each in their order. `weights/NET/LAYER/INPUT`
and `biases/NET/LAYER` are matrices, rows outermost. `image/NET` `[3, y, x]` is an image without its mean, `probabilities/NET` what
the net makes of it: tower by tower where there are two.
"""

import gzip
import io
import pathlib
import pickle
import sys
import warnings
import zipfile
import zlib

import numpy as np

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent))
sys.path.append(str(pathlib.Path(__file__).resolve().parent))

import kept
import nets
import python2
from python2 import Instance


def with_neurons(net):
    """Activations as layers of their own, at the end, as the programs that keep layers in a dictionary cut them off; those
    behind read the new layer."""
    names = {name: f"{name}_neuron" for name, (_, _, p) in net.items() if "neuron" in p}
    behind = {name: (kind, [names.get(i, i) for i in inputs], dict(p)) for name, (kind, inputs, p) in net.items()}
    cut = {name: ("neuron", [source], dict(neuron=net[source][2]["neuron"])) for source, name in names.items()}
    return behind, cut


def layer_dictionary(style, place, name, kind, inputs, p, net, sizes, made):
    """A layer's dictionary; `style` is `cc1`, `src` or `cc2`."""
    dic = dict(name=name, type=kind, outputs=nets.count(sizes[name]), usesActs=True, usesInputs=True, forceOwnActs=False)
    dic |= dict(gradConsumer=name in made, actsTarget=-1, actsGradTarget=-1, requiresParams=name in made)
    if style == "cc2":
        dic["id"] = place
    if inputs:
        dic["numInputs"] = [nets.count(sizes[i]) for i in inputs]
    if style != "cc1":
        gpu = p.get("gpu", -1 if kind == "data" else 0)
        dic |= {"gpu": gpu} if style == "src" else {"gpu": [gpu], "gpus": str(gpu), "numReplicas": 1}
    first = sizes[inputs[0]] if inputs else None
    match kind:
        case "data":
            dic["dataIdx"] = p["dataIdx"]
        case "conv" | "local":
            each = [sizes[i] for i in inputs]
            n = len(inputs)
            dic |= dict(channels=[c for c, _ in each], padding=[-p["padding"]] * n, stride=[p["stride"]] * n)
            dic |= dict(filterSize=[p["filterSize"]] * n, groups=[p.get("groups", 1)] * n, filters=p["filters"])
            dic |= dict(imgSize=[s for _, s in each], imgPixels=[s * s for _, s in each], filterPixels=[p["filterSize"] ** 2] * n)
            dic |= dict(filterChannels=[c // p.get("groups", 1) for c, _ in each], modulesX=sizes[name][1])
            dic |= dict(modules=sizes[name][1] ** 2, initW=[0.01] * n, weightSource=[""] * n)
            if style != "cc2":
                dic |= dict(randSparse=[False] * n, partialSum=1)
            if kind == "conv":
                dic["sharedBiases"] = True
        case "pool":
            dic |= dict(pool=p["pool"], channels=first[0], sizeX=p["sizeX"], stride=p["stride"], start=0)
            dic |= dict(imgSize=first[1], imgPixels=first[1] ** 2, outputsX=sizes[name][1])
            if style == "cc2" and p["pool"] == "avg":
                dic["sum"] = False
        case "cmrnorm" | "rnorm":
            divisor = p["size"] if kind == "cmrnorm" else p["size"] ** 2
            dic |= dict(size=p["size"], channels=first[0], imgSize=first[1], blocked=False)
            dic |= dict(scale=p["scale"] / divisor, pow=p["pow"])
            if style == "cc2" or (style == "src" and kind == "cmrnorm"):
                dic["minDiv"] = p.get("minDiv", 1.0)
        case "hs" | "dropout" | "dropout2":
            dic |= dict(enable=True, keep=p["keep"])
        case "neuron":
            params = dict(a=1.0, b=1.0) if p["neuron"] == "tanh" else {}
            dic["neuron"] = dict(type=p["neuron"], params=params, usesActs=True, usesInputs=False)
            dic["src_layer"] = inputs[0]
        case "cost.logreg":
            dic["coeff"] = 1.0
            if style == "cc2":
                dic |= dict(children=[], aggregated=False, topk=p.get("topk", 1))
                dic["outputFilter"] = "lambda costs,num_cases: [c/num_cases for c in costs]"
    if "neuron" in p and kind != "neuron":
        dic["neuron"] = p["neuron"]
    if name in made:
        weights, biases = made[name]
        dic |= dict(weights=weights, weightsInc=[np.zeros_like(w) for w in weights])
        dic |= dict(biases=biases, biasesInc=np.zeros_like(biases), epsB=0.02, wc=[0.0005] * len(weights))
    return dic


def checkpoint(style, net, image, made):
    """What a program saves, and its layers' lines."""
    behind, cut = with_neurons(net)
    # cuda-convnet puts an activation behind its layer, the others put all behind everything.
    if style == "cc1":
        order = {}
        for name, layer in behind.items():
            order[name] = layer
            order |= {n: l for n, l in cut.items() if l[1] == [name]}
    else:
        order = behind | cut
    sizes = nets.shapes(net, image)
    sizes |= {name: sizes[inputs[0]] for name, (_, inputs, _) in cut.items()}
    layers = {
        name: layer_dictionary(style, place, name, kind, inputs, p, net, sizes, made)
        for place, (name, (kind, inputs, p)) in enumerate(order.items())
    }
    for name, (_, inputs, _) in order.items():
        if inputs:
            layers[name]["inputLayers"] = [layers[i] for i in inputs]
            layers[name]["inputs"] = [list(order).index(i) for i in inputs] if style == "cc1" else list(inputs)
    names = list(order)
    if style == "cc1":
        layers = list(layers.values())
    else:
        # A dictionary of Python 2 has no order of its own.
        layers = {name: layers[name] for name in sorted(layers, key=lambda name: zlib.crc32(name.encode()))}
    # cuda-convnet2 saves sums, the others what they have printed.
    factor = 1000.0 if style == "cc2" else 1.0
    tests = [({"logprob": [1.75 / t * factor, 0.5 / t * factor]}, 1000) for t in (1, 2)]
    module = "python_util.options" if style == "cc2" else "options"
    options = {"minibatch_size": 128, "test_only": False, "max_test_err": 0.25, "layer_def": "layers.cfg", "load_file": None}
    options = {n: Instance(module, "Option", dict(name=n, letter="x", value=v, value_given=True)) for n, v in options.items()}
    op = Instance(module, "OptionsParser", {"options": options})
    state = dict(layers=layers, epoch=12, batchnum=3, train_outputs=[({"logprob": [2.0, 0.75]}, 1000)], test_outputs=tests)
    return {"op": op, "model_state": state}, lines(style, order, names, sizes)


def lines(style, order, names, sizes):
    if style != "cc1":
        names = ready_first(order, names if style == "cc2" else sorted(names))
    text = []
    for name in names:
        kind, inputs, p = order[name]
        size = sizes[inputs[0]] if inputs else None
        words = [name, kind, ",".join(inputs), str(nets.count(sizes[name]))]
        match kind:
            case "data":
                words.append(f"index {p['dataIdx']}")
            case "conv" | "local":
                for i in inputs:
                    words.append(f"{sizes[i][0]}x{sizes[i][1]}:{p['filterSize']}/{p['stride']}+{p['padding']}g{p.get('groups', 1)}")
                words.append(f"filters {p['filters']} places {sizes[name][1]}")
            case "pool":
                words.append(f"{p['pool']} {size[0]}x{size[1]}:{p['sizeX']}/{p['stride']} places {sizes[name][1]}")
            case "cmrnorm" | "rnorm":
                scale = p["scale"] / (p["size"] if kind == "cmrnorm" else p["size"] ** 2)
                words.append(f"{size[0]} {p['size']} {scale!r} {p['pow']!r} {p.get('minDiv', 1.0)!r}")
            case "hs" | "dropout2":
                words.append(f"keep {p['keep']!r} tests scaled")
            case "dropout":
                words.append(f"keep {p['keep']!r}")
            case "neuron":
                words.append(p["neuron"] + (" a=1.0 b=1.0" if p["neuron"] == "tanh" else ""))
        text.append(" ".join(words))
    return "\n".join(text)


def ready_first(order, names):
    """The names, each behind its inputs, else in the order given."""
    done = []
    while len(done) < len(names):
        done.append(next(n for n in names if n not in done and all(i in done for i in order[n][1])))
    return done


class Reader(pickle.Unpickler):
    """Python's own reader, with stand-ins for the programs' classes."""

    def find_class(self, module, name):
        if "options" in module:
            return type(name, (), {})
        return super().find_class(module, name)


def same(ours, theirs, seen):
    if id(ours) in seen:
        return
    seen.add(id(ours))
    match ours:
        case dict():
            assert list(ours) == list(theirs)
            [same(ours[k], theirs[k], seen) for k in ours]
        case list() | tuple():
            assert len(ours) == len(theirs)
            [same(a, b, seen) for a, b in zip(ours, theirs)]
        case Instance():
            assert type(theirs).__name__ == ours.name
            same(ours.attributes, vars(theirs), seen)
        case np.ndarray():
            assert theirs.dtype == ours.dtype and (theirs == ours).all() and theirs.flags.f_contiguous == ours.flags.f_contiguous
        case _:
            assert type(ours) is type(theirs) and ours == theirs


def zipped(data, method):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        archive.writestr(zipfile.ZipInfo("data"), data, method)
    return stream.getvalue()


tensors = {}


def keep_net(name, net, image):
    made = nets.matrices(net, image)
    for layer, (weights, biases) in made.items():
        for i, matrix in enumerate(weights):
            tensors[f"weights/{name}/{layer}/{i}"] = np.ascontiguousarray(matrix)
        tensors[f"biases/{name}/{layer}"] = biases
    pixels = nets.values((3, image, image), 0.25, 1.5)
    tensors[f"image/{name}"] = pixels
    tensors[f"probabilities/{name}"] = nets.forward(net, image, made, pixels.astype(np.float64))
    assert 0.01 < tensors[f"probabilities/{name}"].min() and tensors[f"probabilities/{name}"].max() < 0.9
    return made


def keep_file(name, style, net, image, made, wrap=lambda data: data):
    value, text = checkpoint(style, net, image, made)
    data = python2.dumps(value)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        same(value, Reader(io.BytesIO(data), encoding="latin1").load(), set())
    tensors[f"file/{name}"] = np.frombuffer(wrap(data), np.uint8)
    tensors[f"text/{name}"] = np.frombuffer(text.encode(), np.uint8)


towers = nets.tower_pair("hs")
made = keep_net("towers", towers, 32)
keep_file("towers", "src", towers, 32, made)
inverted = nets.tower_pair("dropout")
keep_file("towers-inverted", "cc2", inverted, 32, keep_net("towers-inverted", inverted, 32))
one_way = nets.one_way()
made = keep_net("one-way", one_way, 32)
keep_file("one-way", "cc2", one_way, 32, made)
keep_file("one-way.gz", "cc2", one_way, 32, made, lambda data: gzip.compress(data, mtime=0))
shared = nets.cifar(local=False)
keep_file("cifar.zip", "cc1", shared, 16, keep_net("cifar", shared, 16), lambda data: zipped(data, zipfile.ZIP_DEFLATED))
local = nets.cifar(local=True)
made = keep_net("cifar-local", local, 16)
keep_file("cifar-local", "cc1", local, 16, made)
keep_file("cifar-local.zip", "cc1", local, 16, made, lambda data: zipped(data, zipfile.ZIP_STORED))
kept.keep(__file__, tensors, {"numpy": np.__version__, "zlib": zlib.ZLIB_RUNTIME_VERSION})
