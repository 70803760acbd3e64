"""Caffe's bvlc_alexnet, dropout off: 227 pixels, pooling rounds up, k = 1, alpha divided; biases learn twice as fast."""

import pathlib
import sys

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent))

from torch import nn

from case import Case
from whole_net import WholeNet


def caffe(narrow, hidden, side, classes):
    """Convolutions have 1/`narrow` of their maps; the pooled image before the linear layers has sides of `side`."""
    k1, k2, k3, k4, k5 = (k // narrow for k in (96, 256, 384, 384, 256))
    norm = lambda: nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=1.0)
    pool = lambda: nn.MaxPool2d(3, 2, ceil_mode=True)
    return nn.Sequential(
        nn.Conv2d(3, k1, 11, stride=4), nn.ReLU(), norm(), pool(),
        nn.Conv2d(k1, k2, 5, padding=2, groups=2), nn.ReLU(), norm(), pool(),
        nn.Conv2d(k2, k3, 3, padding=1), nn.ReLU(),
        nn.Conv2d(k3, k4, 3, padding=1, groups=2), nn.ReLU(),
        nn.Conv2d(k4, k5, 3, padding=1, groups=2), nn.ReLU(), pool(),
        nn.Flatten(),
        nn.Linear(k5 * side * side, hidden), nn.ReLU(),
        nn.Linear(hidden, hidden), nn.ReLU(),
        nn.Linear(hidden, classes),
    )  # fmt: skip


case = Case(__file__, seed=2014)
same = dict(init="xavier", pixel=1.0, multipliers=((1, 1), (2, 0)))
# 95 pixels: 22 after conv1, where rounding up matters.
WholeNet(case, "small", caffe(8, 64, 2, 20), (3, 95, 95), rate=2.0**-10, **same, n=3, draws=4).keep()
WholeNet(case, "full", caffe(1, 4096, 6, 1000), (3, 227, 227), rate=2.0**-15, **same).keep()
case.write()
