"""Hyperbolic tangent, in its linear part and in saturation (at ±30 it is ±1 in double precision too)."""

import pathlib
import sys

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent))

from torch import nn

from case import Case
from one_op import OneOp

case = Case(__file__, seed=105)
ops = OneOp(case)
ops.add("small", (3, 5, 6), "tanh = {}", nn.Tanh(), step=2**-20, limit=2**-9)
ops.add("values", (3, 5, 6), "tanh = {}", nn.Tanh(), limit=2.0)
ops.add("saturated", (3, 5, 6), "tanh = {}", nn.Tanh(), limit=30.0)
case.write()
