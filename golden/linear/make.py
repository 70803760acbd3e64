"""Linear layers: on an image flattened as (c, h, w), on a vector, and two in a row."""

import pathlib
import sys

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent))

from torch import nn

from case import Case
from one_op import LEARN, OneOp

case = Case(__file__, seed=103)
ops = OneOp(case)


class Flat(nn.Linear):
    """A linear layer that flattens its image, and gives a 1 × 1 image of k maps."""

    def forward(self, x):
        return super().forward(x.flatten(1))[:, :, None, None]


ops.add("of-an-image", (3, 4, 5), "", None)
ops.add("of-a-vector", (17, 1, 1), "", None)
ops.add("two", (3, 4, 5), f"linear = {{ k = 7, {LEARN} }}", Flat(60, 7))
ops.add("two-one-image", (19, 1, 1), f"linear = {{ k = 33, {LEARN} }}", Flat(19, 33), n=1)
ops.add("two-five-images", (64, 1, 1), f"linear = {{ k = 16, {LEARN} }}", Flat(64, 16), n=5)
case.write()
