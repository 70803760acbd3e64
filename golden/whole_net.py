"""Goldens of whole nets: one forward and backward pass, then ten steps of training, in f64.

Weights, pixels and labels are addressed random numbers, so none is kept. A case has nets `full` (the real size; for
engines, which are fast enough) and `small` (every width and the image cut down; for the oracle too). Of each net it keeps
`<net>/logits` and `<net>/nll` of the first pass, digests of its gradients, `<net>/losses` (the mean loss before each step)
and digests of momenta and of displacements (weights now less weights at first) after the last step.

`noise/…` has the greatest distance that f32 roundings may cause (see roundoff.py): of any logit; of any loss up to that step,
which is at most twice that of any logit; and the L2 distance of a tensor. Where an error switches a ReLU or a maximum, the
gradients below it jump: a net has up to millions of those, and its noise contains such jumps.
"""

import math

import numpy as np
import torch

import philox
from digest import digest
from roundoff import Arithmetic

STEPS = 10
DROP_AT, DROP = 5, 0.25  # the rate falls in between: only then do the two forms of the update differ
LABELS = 10  # labels are among so few, that ten steps have something to learn
F32 = torch.float32


class WholeNet:
    """One net of a case. `order` lists the model's parameters in our order; `init` is what our weights begin with."""

    def __init__(self, case, name, model, shape, init, pixel, rate, multipliers, momentum=0.9, decay=2.0**-11, n=2, draws=2):
        self.case, self.name, self.model, self.shape, self.n, self.draws = case, name, model.double(), shape, n, draws
        # As f32, like the numbers an engine is given.
        self.momentum, self.decay, self.rate = (float(np.float32(x)) for x in (momentum, decay, rate))
        self.pixel, self.multipliers = pixel, multipliers  # of rate and decay: those of weights, those of biases
        self.parameters = list(model.parameters())
        self.first = [self._initial(i, p, init) for i, p in enumerate(self.parameters)]
        case.facts[name] = {
            "shape": shape, "n": n, "steps": STEPS, "init": init, "pixel": pixel, "labels": LABELS,
            "rate": self.rate, "drop_at": DROP_AT, "drop": DROP, "momentum": self.momentum, "decay": self.decay,
        }  # fmt: skip

    def _initial(self, index, parameter, init):
        """Biases are PyTorch's own kind, ±1/√fan_in of their weight."""
        weight = self.parameters[index - index % 2]
        k, c, *window = weight.shape[2:] if weight.dim() == 6 else weight.shape
        fan_in, fan_out = c * math.prod(window), k * math.prod(window)
        kind = init if index % 2 == 0 else "fan_in"
        values = philox.initial(tuple(parameter.shape), index, self.case.seed, kind, fan_in, fan_out)
        return torch.from_numpy(values)

    def batch(self, step):
        """Pixels are bytes less 128, times `pixel`."""
        size = math.prod(self.shape)
        bits = [philox.u32(size, self.case.seed, philox.TEST, philox.PIXELS, step, i) for i in range(self.n)]
        x = ((np.stack(bits) >> 24).astype(np.float64) - 128.0) * self.pixel
        labels = philox.below(philox.u32(self.n, self.case.seed, philox.TEST, philox.LABELS, step), LABELS)
        return torch.from_numpy(x.reshape(self.n, *self.shape)), torch.from_numpy(labels)

    def run(self, draw=None, dtype=torch.float64):
        """Logits of every pass, losses of every image, and the tensors to digest: {name: (address, tensor)}."""
        for parameter, first in zip(self.parameters, self.first):
            parameter.data = first.to(dtype, copy=True)
        velocity = [torch.zeros_like(p) for p in self.parameters]
        digested, logits, nll = {}, [], []
        with Arithmetic(self.model, draw) as arithmetic:
            for step in range(STEPS):
                x, labels = self.batch(step)
                step_logits, step_nll, input_gradient = arithmetic.pass_(x.to(dtype), labels)
                logits.append(step_logits.double())
                nll.append(step_nll.double())
                if step == 0:
                    gradients = [p.grad for p in self.parameters] + [input_gradient]
                    digested |= {f"gradient/{i}": (i, g.clone()) for i, g in enumerate(gradients)}
                self.update(velocity, self.rate * (DROP if step >= DROP_AT else 1.0))
                if draw is not None:
                    self._store_as_f32(velocity)
        for i, (parameter, first, v) in enumerate(zip(self.parameters, self.first, velocity)):
            digested[f"displacement/{i}"] = (i, parameter.detach().double() - first.double())
            digested[f"momentum/{i}"] = (i, v.clone())
        return torch.stack(logits), torch.stack(nll), digested

    @torch.no_grad()
    def update(self, velocity, rate):
        """v ← m·v − ε·λ·w − ε·g; w ← w + v: rate and decay inside the velocity, the form of 2012."""
        for i, (w, v) in enumerate(zip(self.parameters, velocity)):
            rate_multiplier, decay_multiplier = self.multipliers[i % 2]
            epsilon, decay = rate * rate_multiplier, self.decay * decay_multiplier
            v.mul_(self.momentum).sub_(w, alpha=epsilon * decay).sub_(w.grad, alpha=epsilon)
            w.add_(v)

    @torch.no_grad()
    def _store_as_f32(self, velocity):
        """Twice the rounding, because every f32 engine rounds nearly alike, and none may be just outside."""
        for tensor in (*self.parameters, *velocity):
            tensor.copy_(2.0 * tensor.to(F32) - tensor)

    def keep(self):
        exact = logits, nll, digested = self.run()
        self.case.put(f"{self.name}/logits", logits[0])
        self.case.put(f"{self.name}/nll", nll[0])
        self.case.put(f"{self.name}/losses", nll.mean(1))
        for key, (address, value) in digested.items():
            self.case.put(f"{self.name}/{key}", digest(value, address, self.case.seed))
        noise = {}
        for draw in range(self.draws):
            for key, distance in self._distances(exact, self.run(draw)).items():
                noise[key] = np.maximum(noise.get(key, 0.0), distance)
        for key, value in noise.items():
            self.case.put(f"noise/{self.name}/{key}", value)
        self._tell(exact, noise)

    def _distances(self, exact, other):
        logits = (exact[0] - other[0]).abs().amax((1, 2)).numpy()
        found = {"logits": logits[0], "nll": 2 * logits[0], "losses": 2 * np.maximum.accumulate(logits)}
        return found | {key: (value - other[2][key][1]).norm().item() for key, (_, value) in exact[2].items()}

    def _tell(self, exact, noise):
        """PyTorch's own f32 must stay within what engines are granted."""
        self.model.float()
        own = self._distances(exact, self.run(dtype=F32))
        self.model.double()
        print(self.name, "losses", [round(x, 4) for x in exact[1].mean(1).tolist()])
        for key, distance in own.items():
            size = exact[2][key][1].norm().item() if key in exact[2] else exact[0].abs().max().item()
            print(f"  {key}: size {size:.3g}, noise {np.max(noise[key]) / size:.2g}, PyTorch f32 {np.max(distance) / size:.2g}")
            assert np.all(distance <= noise[key]), key
