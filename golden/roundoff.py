"""How far a correct f32 engine may be from the f64 result, by stochastic arithmetic.

A value that f32 obtains from K rounded operations differs from the exact one by about u·√K times the size of its partial
sums, u = 2⁻²⁴. (Roundings are nearly independent, with standard deviation below u/√3 of the partial sum; partial sums grow
like √j where the terms' signs are random and like j where they agree. Summed one after the other, K terms then give a
standard deviation of at most u·√(K/6) of the result, or of the tensor's RMS where the result cancels; any blocked sum has
less.) So a normal error of four times u·√(K/6)·(|y| + rms y) is added to the output of every layer, to every gradient that
a layer passes down and to every parameter's gradient, in the f64 net: the size of a four-sigma error everywhere at once. What
then becomes of it, through all layers, steps and switching kinks, is computed, not estimated. Parameters and momenta are
rounded to f32. The greatest distance from the exact result over several draws is kept as `noise`, and is what an f32
engine is granted. An f64 engine is granted the same, times the ratio of the two formats' roundoff, 2⁻²⁹.
"""

import math

import torch
from torch import nn

from layers import AvgPoolPadded, Local, LrnAcross, LrnWithin

U = 2.0**-24
SIGMAS = 4.0


def noisy(x, terms, draw):
    """x as f32 might have it after `terms` roundings."""
    size = x.detach().abs() + x.detach().square().mean().sqrt()
    return x + SIGMAS * U * math.sqrt(terms / 6) * size * torch.randn(x.shape, generator=draw, dtype=x.dtype)


def _terms(module):
    """Roundings in one output value and in one value of the gradient passed down, or None where f32 is exact."""
    if isinstance(module, (nn.Conv2d, nn.Linear)):
        weight = module.weight
        per_input = weight.shape[0] * weight[0, 0].numel() // getattr(module, "groups", 1)
        return weight[0].numel() + 1, per_input
    if isinstance(module, Local):
        _, _, k, c, r, s = module.weight.shape
        return c * r * s + 1, k * r * s
    if isinstance(module, LrnAcross):
        return 2 * module.n + 8, 4 * module.n + 16  # squares, sum, scale, add; a power may cost a few roundings
    if isinstance(module, LrnWithin):
        return 2 * module.n**2 + 8, 4 * module.n**2 + 16
    if isinstance(module, (nn.AvgPool2d, AvgPoolPadded)):
        return 16, 16
    if isinstance(module, nn.Tanh):
        return 8, 8
    return getattr(module, "roundings", None)  # of a module that a case makes for itself


class Arithmetic:
    """Runs a model exactly, or with the roundings of one `draw`."""

    def __init__(self, model, draw=None):
        self.model, self.draw, self.hooks = model, None, []
        if draw is None:
            return
        self.draw = torch.Generator().manual_seed(draw)
        for module in model.modules():
            if terms := _terms(module):
                self.hooks.append(module.register_forward_hook(self._forward(terms[0])))
                self.hooks.append(module.register_full_backward_hook(self._backward(terms[1])))

    def noisy(self, x, terms):
        """x, or x rounded where this arithmetic rounds."""
        return x if self.draw is None or x is None else noisy(x, terms, self.draw)

    def _forward(self, terms):
        def hook(module, _inputs, output):
            module.positions = output[0, 0].numel() if isinstance(module, nn.Conv2d) else 1
            return self.noisy(output, terms)

        return hook

    def _backward(self, terms):
        return lambda _module, inputs, _outputs: tuple(self.noisy(g, terms) for g in inputs)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for hook in self.hooks:
            hook.remove()

    def pass_(self, x, labels):
        """Logits, -ln p(label) of each image, and the gradient of the mean loss by the input; parameters hold theirs."""
        x = x.clone().requires_grad_()
        self.model.zero_grad(set_to_none=True)
        logits = self.model(x)
        nll = nn.functional.cross_entropy(logits, labels, reduction="none")
        logits.register_hook(lambda g: self.noisy(g, logits.shape[1]))
        nll = self.noisy(nll, 8)
        nll.mean().backward()
        if self.draw is not None:
            self._round_parameter_gradients(len(x))
        return logits.detach(), nll.detach(), x.grad

    def _round_parameter_gradients(self, n):
        for module in self.model.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear, Local)):
                for parameter in module.parameters():
                    parameter.grad = self.noisy(parameter.grad, n * module.positions)
