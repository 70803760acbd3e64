"""Small nets in the words of cuda-convnet's layer definitions, and what they make of an image, layer by layer.

A definition is `name: (type, inputs, parameters)`. `forward` goes through the layers as they are defined: towers are two
towers, and nothing is merged.
"""

from math import ceil

import numpy as np


def conv(inputs, channels, filters, size, padding=0, stride=1, **more):
    return ("conv", inputs, dict(channels=channels, filters=filters, filterSize=size, padding=padding, stride=stride, **more))


def tower_pair(both):
    """The net of 2012 at a small size: 32x32 images, two towers that meet in the third and in the fully-connected layers.
    `hs` is the dropout: that of the original, or that of cuda-convnet2's version."""
    hs = dict(hs={"keep": 0.5}, dropout={"keep": 0.5})[both]
    a, b = "a", "b"
    net = {"data": ("data", [], dict(dataIdx=0)), "labels": ("data", [], dict(dataIdx=1))}
    other = {a: b, b: a}
    per_tower = [
        ("conv1", lambda t: conv(["data"], 3, 4, 5, stride=2)),
        ("rnorm1", lambda t: ("cmrnorm", ["conv1" + t], dict(channels=4, size=3, scale=0.3, pow=0.75, minDiv=2.0))),
        ("pool1", lambda t: ("pool", ["rnorm1" + t], dict(pool="max", channels=4, sizeX=3, stride=2, neuron="relu"))),
        ("conv2", lambda t: conv(["pool1" + t], 4, 6, 5, padding=2, neuron="relu")),
        ("rnorm2", lambda t: ("cmrnorm", ["conv2" + t], dict(channels=6, size=5, scale=0.2, pow=0.75, minDiv=2.0))),
        ("cnorm2", lambda t: ("rnorm", ["rnorm2" + t], dict(channels=6, size=3, scale=0.9, pow=0.75))),
        ("pool2", lambda t: ("pool", ["cnorm2" + t], dict(pool="max", channels=6, sizeX=3, stride=2))),
        ("conv3", lambda t: conv(["pool2a", "pool2b"], 6, 5, 3, padding=1, neuron="relu")),
        ("conv4", lambda t: conv(["conv3" + t], 5, 5, 3, padding=1, neuron="relu")),
        ("conv5", lambda t: conv(["conv4" + t], 5, 4, 3, padding=1)),
        ("pool3", lambda t: ("pool", ["conv5" + t], dict(pool="max", channels=4, sizeX=2, stride=1, neuron="relu"))),
        ("fc2048", lambda t: ("fc", ["pool3a", "pool3b"], dict(outputs=6, neuron="relu"))),
        ("hs1", lambda t: (both, ["fc2048" + t], hs)),
        ("fc2048b", lambda t: ("fc", ["hs1" + t, "hs1" + other[t]], dict(outputs=6, neuron="relu"))),
        ("hs2", lambda t: (both, ["fc2048b" + t], hs)),
    ]
    for name, layer in per_tower:
        for tower, gpu in ((a, 0), (b, 1)):
            kind, inputs, parameters = layer(tower)
            net[name + tower] = (kind, inputs, dict(parameters, gpu=gpu))
    net["fc1000"] = ("fc", ["hs2a", "hs2b"], dict(outputs=5, gpu=0))
    net["probs"] = ("softmax", ["fc1000"], {})
    net["logprob"] = ("cost.logreg", ["labels", "probs"], {})
    return net


def cifar(local):
    """A net for 16x16 images as those for CIFAR-10 are: with layers of filters of their own in each place, or without."""
    net = {
        "data": ("data", [], dict(dataIdx=0)),
        "labels": ("data", [], dict(dataIdx=1)),
        "conv1": conv(["data"], 3, 4, 5, padding=2),
        "pool1": ("pool", ["conv1"], dict(pool="max", channels=4, sizeX=3, stride=2, neuron="relu")),
        "rnorm1": ("rnorm", ["pool1"], dict(channels=4, size=3, scale=0.5, pow=0.75)),
        "conv2": conv(["rnorm1"], 4, 4, 5, padding=2, groups=2, neuron="relu"),
        "pool2": ("pool", ["conv2"], dict(pool="avg", channels=4, sizeX=3, stride=2)),
    }
    top = "pool2"
    if local:
        _, inputs, parameters = conv(["pool2"], 4, 3, 3, padding=1, neuron="relu")
        net["local3"] = ("local", inputs, parameters)
        top = "local3"
    net["fc10"] = ("fc", [top], dict(outputs=4))
    net["probs"] = ("softmax", ["fc10"], {})
    net["logprob"] = ("cost.logreg", ["labels", "probs"], dict(topk=2))
    return net


def one_way():
    """A net in the manner of cuda-convnet2's for one processor, with its dropout, and a neuron with parameters."""
    return {
        "data": ("data", [], dict(dataIdx=0)),
        "labvec": ("data", [], dict(dataIdx=1)),
        "conv1": conv(["data"], 3, 4, 5, stride=2),
        "rnorm1": ("cmrnorm", ["conv1"], dict(channels=4, size=3, scale=0.3, pow=0.75, minDiv=2.0)),
        "pool1": ("pool", ["rnorm1"], dict(pool="max", channels=4, sizeX=3, stride=2, neuron="relu")),
        "fc4a": ("fc", ["pool1"], dict(outputs=8, neuron="relu")),
        "dropout1": ("dropout2", ["fc4a"], dict(keep=0.5)),
        "fc4b": ("fc", ["dropout1"], dict(outputs=8, neuron="tanh")),
        "dropout2": ("dropout2", ["fc4b"], dict(keep=0.5)),
        "fc1000": ("fc", ["dropout2"], dict(outputs=5)),
        "probs": ("softmax", ["fc1000"], {}),
        "logprob": ("cost.logreg", ["labvec", "probs"], dict(topk=2)),
    }


def values(shape, seed, scale):
    """Numbers that a formula gives, of both signs, each its own."""
    places = np.arange(np.prod(shape), dtype=np.float64) + 1
    return (scale * np.sin(places * (12.9898 + seed) + seed)).astype(np.float32).reshape(shape)


def shapes(net, image):
    """`(channels, size)` of every layer's output; `(values, 0)` where there are no maps."""
    out = {}
    for name, (kind, inputs, p) in net.items():
        first = out[inputs[0]] if inputs else None
        match kind:
            case "data":
                out[name] = (3, image) if p["dataIdx"] == 0 else (1, 0)
            case "conv" | "local":
                out[name] = (p["filters"], 1 + ceil((2 * p["padding"] + first[1] - p["filterSize"]) / p["stride"]))
            case "pool":
                out[name] = (first[0], 1 + ceil((first[1] - p["sizeX"]) / p["stride"]))
            case "fc":
                out[name] = (p["outputs"], 0)
            case _:
                out[name] = first
    return out


def count(shape):
    return shape[0] * max(shape[1], 1) ** 2


def matrices(net, image):
    """The weights of each layer, a matrix for each input, and its biases, in the layouts of the program."""
    made = {}
    sizes = shapes(net, image)
    for place, (name, (kind, inputs, p)) in enumerate(net.items()):
        if kind == "fc":
            rows = [count(sizes[source]) for source in inputs]
            weights = [np.asfortranarray(values((r, p["outputs"]), place + i / 7, 2 / r**0.5)) for i, r in enumerate(rows)]
            made[name] = weights, values((1, p["outputs"]), place + 0.5, 0.3)
        elif kind in ("conv", "local"):
            rows = p["channels"] // p.get("groups", 1) * p["filterSize"] ** 2
            modules = sizes[name][1] ** 2
            places = modules if kind == "local" else 1
            weights = [values((places * rows, p["filters"]), place + i / 7, 2 / rows**0.5) for i in range(len(inputs))]
            made[name] = weights, values((places * p["filters"], 1), place + 0.5, 0.3)
    return made


def windows(maps, size, stride, padding, places):
    """`[places, places, channels, size, size]` of maps between zeros."""
    channels, image, _ = maps.shape
    reach = max(padding + image, stride * (places - 1) + size)
    padded = np.zeros((channels, reach + size, reach + size))
    padded[:, padding : padding + image, padding : padding + image] = maps
    cut = lambda y, x: padded[:, y * stride : y * stride + size, x * stride : x * stride + size]
    return np.array([[cut(y, x) for x in range(places)] for y in range(places)])


def filtered(maps, kind, weights, biases, p, places):
    groups, size = p.get("groups", 1), p["filterSize"]
    seen = windows(maps, size, p["stride"], p["padding"], places)
    each, filters = maps.shape[0] // groups, p["filters"] // groups
    out = np.zeros((p["filters"], places, places))
    for group in range(groups):
        own = seen[:, :, group * each : (group + 1) * each].reshape(places, places, -1)
        columns = slice(group * filters, (group + 1) * filters)
        if kind == "conv":
            out[columns] = np.einsum("yxi,if->fyx", own, weights[:, columns])
        else:
            matrix = weights.reshape(places, places, -1, p["filters"])[..., columns]
            out[columns] = np.einsum("yxi,yxif->fyx", own, matrix)
    return out


def summed(squares, size):
    """Sums of `size` neighbours along the first axis, as many as there are."""
    n = len(squares)
    return np.array([squares[max(0, i - size // 2) : min(n, i - size // 2 + size)].sum(0) for i in range(n)])


def pooled(maps, p, places):
    out = np.zeros((maps.shape[0], places, places))
    for y in range(places):
        for x in range(places):
            own = maps[:, y * p["stride"] :, x * p["stride"] :][:, : p["sizeX"], : p["sizeX"]]
            out[:, y, x] = own.max((1, 2)) if p["pool"] == "max" else own.mean((1, 2))
    return out


def neuron(kind, x):
    return {"relu": lambda: np.maximum(x, 0), "tanh": lambda: 1.0 * np.tanh(1.0 * x)}[kind]()


def forward(net, image, made, pixels):
    """Probabilities of the classes for an image `[3, y, x]`, in f64."""
    sizes, out = shapes(net, image), {}
    for name, (kind, inputs, p) in net.items():
        sources = [out[source] for source in inputs]
        channels, places = sizes[name]
        match kind:
            case "data":
                out[name] = pixels
            case "conv" | "local":
                weights, biases = made[name]
                biases = biases.astype(np.float64)
                x = sum(filtered(s, kind, w.astype(np.float64), biases, p, places) for s, w in zip(sources, weights))
                if kind == "conv":
                    out[name] = x + biases.reshape(-1, 1, 1)
                else:
                    # Places of a filter lie side by side.
                    out[name] = x + biases.reshape(channels, places, places)
            case "fc":
                weights, biases = made[name]
                out[name] = sum(s.reshape(-1) @ w.astype(np.float64) for s, w in zip(sources, weights)) + biases[0]
            case "pool":
                out[name] = pooled(sources[0], p, places)
            case "cmrnorm":
                total = summed(sources[0] ** 2, p["size"])
                out[name] = sources[0] * (p.get("minDiv", 1.0) + p["scale"] / p["size"] * total) ** -p["pow"]
            case "rnorm":
                squares = sources[0] ** 2
                total = summed(summed(squares.transpose(1, 2, 0), p["size"]).transpose(1, 0, 2), p["size"]).transpose(2, 1, 0)
                out[name] = sources[0] * (1 + p["scale"] / p["size"] ** 2 * total) ** -p["pow"]
            case "hs" | "dropout2":
                out[name] = sources[0] * p["keep"]
            case "dropout":
                out[name] = sources[0]
            case "softmax":
                e = np.exp(sources[0] - sources[0].max())
                return e / e.sum()
        if "neuron" in p:
            out[name] = neuron(p["neuron"], out[name])
