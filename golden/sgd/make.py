"""The update with the rate outside the velocity, by torch.optim.SGD itself, on a small net of smooth layers."""

import pathlib
import sys

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent))

import torch
from torch import nn

from case import Case
from layers import Local, LrnAcross
from whole_net import WholeNet


class BySgd(WholeNet):
    @torch.no_grad()
    def update(self, velocity, rate):
        """v ← m·v + g + λ·w; w ← w − ε·v. The optimiser is new in each step, and given back its momenta."""
        (weight_rate, weight_decay), (bias_rate, bias_decay) = self.multipliers
        groups = [
            {"params": self.parameters[0::2], "lr": rate * weight_rate, "weight_decay": self.decay * weight_decay},
            {"params": self.parameters[1::2], "lr": rate * bias_rate, "weight_decay": self.decay * bias_decay},
        ]
        optimiser = torch.optim.SGD(groups, momentum=self.momentum)
        for parameter, v in zip(self.parameters, velocity):
            optimiser.state[parameter]["momentum_buffer"] = v  # updated in place
        optimiser.step()


net = nn.Sequential(
    nn.Conv2d(3, 8, 5, padding=2), nn.Tanh(), LrnAcross(5, 1.0, 0.5, 0.75),
    nn.AvgPool2d(3, 2, ceil_mode=True, count_include_pad=False),
    Local(8, 6, 6, 6, (3, 3), padding=(1, 1, 1, 1)), nn.Tanh(),
    nn.Flatten(), nn.Linear(216, 20),
)  # fmt: skip
case = Case(__file__, seed=1998)
BySgd(
    case, "small", net, (3, 12, 12), init="xavier", pixel=2.0**-7, rate=2.0**-4, multipliers=((1, 1), (2, 0)), decay=2.0**-5,
    n=4, draws=4,
).keep()  # fmt: skip
case.facts["small"]["net"] = """name = "sgd"
input = { c = 3, h = 12, w = 12 }

[[layer]]
name = "conv1"
conv = { k = 8, kernel = 5, padding = 2, weight = { init = "xavier" }, bias = { init = "fan_in", rate = 2, decay = 0 } }

[[layer]]
name = "tanh1"
tanh = {}

[[layer]]
name = "norm1"
lrn = { n = 5, k = 1, alpha = 0.5, beta = 0.75, alpha_over_n = true }

[[layer]]
name = "pool1"
avg_pool = { kernel = 3, stride = 2, rounding = "ceil" }

[[layer]]
name = "local2"
local = { k = 6, kernel = 3, padding = 1, weight = { init = "xavier" }, bias = { init = "fan_in", rate = 2, decay = 0 } }

[[layer]]
name = "tanh2"
tanh = {}

[[layer]]
name = "fc3"
linear = { k = 20, weight = { init = "xavier" }, bias = { init = "fan_in", rate = 2, decay = 0 } }

[[layer]]
name = "prob"
softmax = {}
"""
case.write()
