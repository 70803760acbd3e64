"""Convolution: windows, strides, padding on any side, overhang, groups, odd sizes."""

import pathlib
import sys

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent))

from case import Case
from layers import Conv
from one_op import LEARN, OneOp

NETS = {
    # name: (shape, k, kernel, stride, padding [top, left, bottom, right], groups, ceil)
    "plain": ((3, 6, 5), 4, (3, 3), (1, 1), (0, 0, 0, 0), 1, False),
    "one-by-one": ((5, 4, 3), 3, (1, 1), (1, 1), (0, 0, 0, 0), 1, False),
    "whole-image": ((3, 4, 5), 2, (4, 5), (1, 1), (0, 0, 0, 0), 1, False),
    "same-5x5": ((2, 7, 6), 3, (5, 5), (1, 1), (2, 2, 2, 2), 1, False),
    "oblong-strided": ((3, 9, 8), 4, (2, 3), (3, 2), (1, 0, 0, 2), 1, False),
    "end-padded-first-layer": ((3, 16, 16), 4, (11, 11), (4, 4), (0, 0, 3, 3), 1, False),
    "stride-beyond-kernel": ((2, 8, 9), 3, (2, 2), (3, 3), (0, 0, 0, 0), 1, False),
    "more-padding-than-kernel": ((2, 3, 3), 2, (2, 2), (1, 1), (3, 0, 2, 4), 1, False),
    "two-groups": ((4, 5, 5), 6, (3, 3), (1, 1), (1, 1, 1, 1), 2, False),
    "three-groups-strided": ((6, 7, 5), 3, (3, 2), (2, 1), (1, 1, 0, 0), 3, False),
    "depthwise": ((4, 5, 4), 8, (3, 3), (1, 1), (1, 1, 1, 1), 4, False),
    "ceil-overhang": ((3, 8, 9), 4, (3, 4), (2, 3), (0, 0, 0, 0), 1, True),
    "ceil-overhang-padded-groups": ((4, 7, 8), 4, (4, 3), (3, 2), (1, 0, 0, 1), 2, True),
}

case = Case(__file__, seed=101)
ops = OneOp(case)
for name, (shape, k, kernel, stride, padding, groups, ceil) in NETS.items():
    toml = (
        f"conv = {{ k = {k}, kernel = {list(kernel)}, stride = {list(stride)}, padding = {list(padding)}, "
        f'rounding = "{"ceil" if ceil else "floor"}", groups = {groups}, {LEARN} }}'
    )
    ops.add(name, shape, toml, Conv(shape[0], k, kernel, stride, padding, groups, ceil))
ops.add("one-image", (3, 6, 5), f"conv = {{ k = 2, kernel = 3, {LEARN} }}", Conv(3, 2, 3), n=1)
case.write()
