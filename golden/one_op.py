"""Goldens of single ops. Engines run whole nets, so the op stands in `[op, linear, softmax]`, or is one of the last two.

For each net `v` a case keeps `v/input` and `v/labels` (where images are mixtures also `v/second` and `v/shares`), `v/param/*` (f32), and in f64 what PyTorch says in double precision:
`v/activation/*`, of a training pass `v/nll` and `v/gradient/*`, of a testing pass `v/probabilities`. Of each there is
`noise/v/…`, the greatest distance of any element under f32 roundings (see roundoff.py). Where a net has no `nll`, its
activations are of the testing pass.
"""

import numpy as np
import torch
from torch import nn

import philox
from roundoff import Arithmetic

CLASSES = 3
DRAWS = 8
LEARN = 'weight = { init = "fan_in" }, bias = { init = "fan_in" }'


class OneOp:
    def __init__(self, case):
        self.case, self.index = case, 0
        case.facts["nets"] = {}

    def bits(self, n, purpose):
        """Random numbers that no other net of this case uses."""
        return philox.u32(n, self.case.seed, philox.TEST, purpose, self.index)

    def add(self, name, shape, toml, op, n=2, step=1 / 256, limit=1.0, parameters=0.5, passes=("train", "test"), mixed=False):
        """One net: `toml` and `op` are the same layer, for us and for PyTorch, on `n` images of `shape` = (c, h, w). Pixels
        are multiples of `step` in ±`limit`, parameters uniform in ±`parameters`. An `op` of None is the linear layer itself. Each
        image is `mixed` of two classes, the labels then being probabilities as PyTorch takes them."""
        self.index += 1
        with torch.random.fork_rng():
            layers = [] if op is None else [("op", op.double())]
            width = np.prod(shape) if op is None else op(torch.zeros(1, *shape, dtype=torch.float64)).numel()
            layers += [("flatten", nn.Flatten()), ("fc", nn.Linear(int(width), CLASSES).double())]
        model = nn.Sequential()
        for key, layer in layers:
            model.add_module(key, layer)
        model.eval()  # PyTorch's dropout draws no masks that we could know
        self._fill(model, parameters)
        x, labels = self._batch(n, shape, step, limit)
        self.case.put(f"{name}/labels", labels)
        if mixed:
            labels = self._mix(name, labels)
        self.case.facts["nets"][name] = self._net_text(name, shape, toml, op)
        self._keep(name, model, x, labels, passes)

    def _fill(self, model, parameters):
        for i, parameter in enumerate(model.parameters()):
            bits = philox.u32(parameter.numel(), self.case.seed, philox.TEST, philox.PARAMETERS, self.index, i)
            values = philox.uniform(bits, parameters).reshape(tuple(parameter.shape))
            parameter.data = torch.from_numpy(values).double()

    def _batch(self, n, shape, step, limit):
        steps = int(round(limit / step))
        pixels = philox.below(self.bits(n * int(np.prod(shape)), philox.PIXELS), 2 * steps + 1) - steps
        labels = philox.below(self.bits(n, philox.LABELS), CLASSES)
        return torch.from_numpy(pixels.reshape(n, *shape) * step), torch.from_numpy(labels)

    def _mix(self, name, labels):
        """Each image shows its label by an f32 share in [0, 1), and a second one by the rest."""
        second = torch.from_numpy(philox.below(self.bits(len(labels), philox.SAMPLES), CLASSES))
        shares = torch.from_numpy((self.bits(len(labels), philox.SIGNS) >> 8).astype(np.float32) / 2**24)
        self.case.put(f"{name}/second", second)
        self.case.put(f"{name}/shares", shares)
        first, rest = (nn.functional.one_hot(which, CLASSES).double() for which in (labels, second))
        return shares.double()[:, None] * first + (1 - shares.double())[:, None] * rest

    def _net_text(self, name, shape, toml, op):
        c, h, w = shape
        text = f'name = "{name}"\ninput = {{ c = {c}, h = {h}, w = {w} }}\n'
        if op is not None:
            text += f'\n[[layer]]\nname = "op"\n{toml}\n'
        text += f'\n[[layer]]\nname = "fc"\nlinear = {{ k = {CLASSES}, {LEARN} }}\n'
        return text + '\n[[layer]]\nname = "prob"\nsoftmax = {}\n'

    def _keep(self, name, model, x, labels, passes):
        self.case.put(f"{name}/input", x.float())
        for key, parameter in model.named_parameters():
            self.case.put(f"{name}/param/{key}", parameter.float())
        exact = self._run(model, x, labels, passes)
        for key, value in exact.items():
            self.case.put(f"{name}/{key}", value)
        draws = [self._run(model, x, labels, passes, draw) for draw in range(DRAWS)]
        for key, value in exact.items():
            noise = max((d[key] - value).abs().max().item() for d in draws)
            self.case.put(f"noise/{name}/{key}", noise)

    def _run(self, model, x, labels, passes, draw=None):
        with Arithmetic(model, draw) as arithmetic:
            outputs = {}
            keep = {k: m.register_forward_hook(lambda _m, _i, out, k=k: outputs.__setitem__(k, out.detach()))
                    for k, m in model.named_children() if k != "flatten"}
            logits, nll, input_gradient = arithmetic.pass_(x, labels)
            for hook in keep.values():
                hook.remove()
            found = {f"activation/{k}": v for k, v in outputs.items()}
            if "test" in passes:
                found |= {"probabilities": arithmetic.noisy(logits.softmax(1), CLASSES + 8)}
            if "train" in passes:
                found |= {"nll": nll, "gradient/input": input_gradient}
                found |= {f"gradient/{k}": p.grad.clone() for k, p in model.named_parameters()}
        return found
