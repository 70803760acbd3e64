"""Dropout in testing: PyTorch's, which is the identity, and the paper's, which multiplies by the probability of keeping.
In training: multiplication by our masks, which numpy computes from their address."""

import pathlib
import sys

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent))

import numpy as np
import torch
from torch import nn

import philox
from case import Case
from one_op import OneOp


RATE = 0.3


class Keep(nn.Module):
    """The paper's text; PyTorch has no such layer."""

    roundings = (2, 2)

    def forward(self, x):
        return x * (1 - RATE)


class Masked(nn.Module):
    """Zeroes what the mask of layer 0 in step 0 drops, of the image at each position, and multiplies the rest by `factor`."""

    roundings = (2, 2)

    def __init__(self, seed, factor):
        super().__init__()
        self.seed, self.factor = seed, factor

    def forward(self, x):
        bits = [philox.u32(x[0].numel(), self.seed, philox.DROPOUT, item=i) for i in range(len(x))]
        keeps = np.stack(bits) >= round(RATE * 2**32)
        return x * torch.from_numpy(keeps.reshape(x.shape)) * self.factor


case = Case(__file__, seed=110)
ops = OneOp(case)
train, test = (f'dropout = {{ rate = {RATE}, scaling = "{scaling}" }}' for scaling in ("train", "test"))
ops.add("train-scaled-in-testing", (3, 4, 5), train, nn.Dropout(RATE), passes=("test",))
ops.add("test-scaled-in-testing", (3, 4, 5), test, Keep(), passes=("test",))
ops.add("train-scaled-in-training", (3, 4, 5), train, Masked(case.seed, 1 / (1 - RATE)), n=3, passes=("train",))
ops.add("test-scaled-in-training", (3, 4, 5), test, Masked(case.seed, 1.0), n=3, passes=("train",))
case.write()
