"""The 2012 network as the paper's text has it, dropout off: ReLU, then normalisation with k = 2 and alpha not divided."""

import pathlib
import sys

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent))

from torch import nn

from case import Case
from layers import Conv, LrnAcross
from whole_net import WholeNet


def alexnet(narrow, hidden, side, classes):
    """Convolutions have 1/`narrow` of their maps; the pooled image before the linear layers has sides of `side`."""
    k1, k2, k3, k4, k5 = (k // narrow for k in (96, 256, 384, 384, 256))
    norm = lambda: LrnAcross(n=5, k=2.0, alpha=1e-4, beta=0.75, alpha_over_n=False)
    return nn.Sequential(
        Conv(3, k1, (11, 11), (4, 4), (0, 0, 3, 3)), nn.ReLU(), norm(), nn.MaxPool2d(3, 2),
        nn.Conv2d(k1, k2, 5, padding=2, groups=2), nn.ReLU(), norm(), nn.MaxPool2d(3, 2),
        nn.Conv2d(k2, k3, 3, padding=1), nn.ReLU(),
        nn.Conv2d(k3, k4, 3, padding=1, groups=2), nn.ReLU(),
        nn.Conv2d(k4, k5, 3, padding=1, groups=2), nn.ReLU(), nn.MaxPool2d(3, 2),
        nn.Flatten(),
        nn.Linear(k5 * side * side, hidden), nn.ReLU(),
        nn.Linear(hidden, hidden), nn.ReLU(),
        nn.Linear(hidden, classes),
    )  # fmt: skip


case = Case(__file__, seed=2012)
same = dict(init="xavier", pixel=1.0, multipliers=((1, 1), (1, 0)))
WholeNet(case, "small", alexnet(8, 64, 2, 20), (3, 99, 99), rate=2.0**-10, **same, n=3, draws=4).keep()
WholeNet(case, "full", alexnet(1, 4096, 6, 1000), (3, 224, 224), rate=2.0**-14, **same).keep()
case.write()
