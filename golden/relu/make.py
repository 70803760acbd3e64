"""Rectification; among the inputs are exact zeros, where the gradient is zero."""

import pathlib
import sys

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent))

from torch import nn

from case import Case
from one_op import OneOp

case = Case(__file__, seed=104)
ops = OneOp(case)
ops.add("values", (3, 5, 6), "relu = {}", nn.ReLU())
ops.add("many-zeros", (3, 5, 6), "relu = {}", nn.ReLU(), step=0.5)
case.write()
