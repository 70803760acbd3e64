"""Average pooling: every window is divided by the pixels it really covers."""

import pathlib
import sys

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent))

from torch import nn

from case import Case
from layers import AvgPoolPadded
from one_op import OneOp

NETS = {
    # name: (shape, kernel, stride, padding, ceil): one padding is PyTorch's own, four are [top, left, bottom, right]
    "overlapping": ((3, 7, 9), (3, 3), (2, 2), 0, False),
    "ceil-clips-a-window": ((2, 8, 6), (3, 3), (2, 2), 0, True),
    "oblong": ((2, 8, 7), (3, 2), (1, 3), 0, True),
    "padded": ((2, 7, 6), (3, 3), (2, 2), 1, False),
    "padded-ceil": ((2, 6, 8), (3, 3), (2, 2), 1, True),
    "last-window-would-begin-outside": ((2, 5, 5), (2, 2), (3, 3), 1, True),
    "padded-on-each-side": ((2, 6, 7), (3, 4), (2, 2), (2, 1, 0, 3), False),
    "global": ((3, 4, 5), (4, 5), (1, 1), 0, False),
}

case = Case(__file__, seed=109)
ops = OneOp(case)
for name, (shape, kernel, stride, padding, ceil) in NETS.items():
    sides = list(padding) if isinstance(padding, tuple) else padding
    toml = (
        f"avg_pool = {{ kernel = {list(kernel)}, stride = {list(stride)}, padding = {sides}, "
        f'rounding = "{"ceil" if ceil else "floor"}" }}'
    )
    if isinstance(padding, tuple):
        op = AvgPoolPadded(kernel, stride, padding, ceil)
    else:
        op = nn.AvgPool2d(kernel, stride, padding, ceil_mode=ceil, count_include_pad=False)
    ops.add(name, shape, toml, op)
case.write()
