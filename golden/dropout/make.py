"""Dropout in testing: PyTorch's, which is the identity, and the paper's, which multiplies by the probability of keeping."""

import pathlib
import sys

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent))

import torch
from torch import nn

from case import Case
from one_op import OneOp


class Keep(nn.Module):
    """The paper's text; PyTorch has no such layer."""

    def forward(self, x):
        return x * torch.tensor(1 - 0.3, dtype=torch.float64)


case = Case(__file__, seed=110)
ops = OneOp(case)
ops.add("scaled-in-training", (3, 4, 5), 'dropout = { rate = 0.3, scaling = "train" }', nn.Dropout(0.3), gradients=False)
ops.add("scaled-in-testing", (3, 4, 5), 'dropout = { rate = 0.3, scaling = "test" }', Keep(), gradients=False)
case.write()
