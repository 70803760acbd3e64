"""torchvision's own model (`full`), dropout off, from PyTorch's kind of initial values; and the same layers cut down."""

import pathlib
import sys

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent))

import torchvision
from torch import nn

from case import Case
from whole_net import WholeNet


def small():
    return nn.Sequential(
        nn.Conv2d(3, 8, 11, stride=4, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2),
        nn.Conv2d(8, 24, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2),
        nn.Conv2d(24, 48, 3, padding=1), nn.ReLU(),
        nn.Conv2d(48, 32, 3, padding=1), nn.ReLU(),
        nn.Conv2d(32, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(3, 2),
        nn.Flatten(),
        nn.Linear(32 * 2 * 2, 64), nn.ReLU(),
        nn.Linear(64, 64), nn.ReLU(),
        nn.Linear(64, 20),
    )  # fmt: skip


def full():
    model = torchvision.models.alexnet(dropout=0.0)
    for module in model.modules():
        if isinstance(module, nn.ReLU):
            module.inplace = False  # only because hooks need the values
    return model


case = Case(__file__, seed=2016)
same = dict(init="fan_in", pixel=2.0**-6, multipliers=((1, 1), (1, 1)))
WholeNet(case, "small", small(), (3, 99, 99), rate=2.0**-3, **same, n=3, draws=4).keep()
WholeNet(case, "full", full(), (3, 224, 224), rate=2.0**-6, **same).keep()
case.write()
