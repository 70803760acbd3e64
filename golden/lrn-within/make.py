"""Response normalisation within a map, windows clipped to the image: by average pooling of the squares with divisor 1."""

import pathlib
import sys

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent))

from case import Case
from layers import LrnWithin
from one_op import OneOp

NETS = {
    # name: (n, k, alpha, beta, alpha_over_n); pixels in ±limit
    "krizhevsky-2012": (5, 1.0, 0.001, 0.75, True, 128.0),
    "cifar-18pct": (3, 1.0, 5e-5, 0.75, True, 128.0),
    "strong": (3, 1.5, 0.4, 0.6, False, 2.0),
    "window-beyond-image": (9, 1.0, 0.5, 0.75, True, 4.0),
}

case = Case(__file__, seed=107)
ops = OneOp(case)
for name, (n, k, alpha, beta, alpha_over_n, limit) in NETS.items():
    toml = f"lrn_within = {{ n = {n}, k = {k}, alpha = {alpha:f}, beta = {beta}, alpha_over_n = {str(alpha_over_n).lower()} }}"
    op = LrnWithin(n, k, alpha, beta, alpha_over_n)
    ops.add(name, (3, 6, 5), toml, op, step=limit / 256, limit=limit, parameters=1 / limit)
case.write()
