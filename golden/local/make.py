"""Locally connected layers, by unfolding the image and one product for every position."""

import pathlib
import sys

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent))

from case import Case
from layers import Local
from one_op import LEARN, OneOp

NETS = {
    # name: (shape, k, kernel, stride, padding [top, left, bottom, right])
    "plain": ((2, 5, 4), 3, (3, 3), (1, 1), (0, 0, 0, 0)),
    "same-3x3": ((2, 4, 4), 2, (3, 3), (1, 1), (1, 1, 1, 1)),
    "oblong-strided": ((2, 7, 6), 2, (2, 3), (3, 2), (1, 0, 0, 2)),
    "one-by-one": ((3, 3, 2), 2, (1, 1), (1, 1), (0, 0, 0, 0)),
}

case = Case(__file__, seed=102)
ops = OneOp(case)
for name, (shape, k, kernel, stride, padding) in NETS.items():
    toml = f"local = {{ k = {k}, kernel = {list(kernel)}, stride = {list(stride)}, padding = {list(padding)}, {LEARN} }}"
    ops.add(name, shape, toml, Local(*shape, k, kernel, stride, padding))
case.write()
