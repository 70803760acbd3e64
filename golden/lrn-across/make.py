"""Response normalisation across maps: k, alpha divided by n or not, beta, windows clipped at the towers' ends."""

import pathlib
import sys

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent))

from case import Case
from layers import LrnAcross
from one_op import OneOp

NETS = {
    # name: (maps, n, k, alpha, beta, alpha_over_n, towers); pixels in ±limit
    "caffe": (8, 5, 1.0, 1e-4, 0.75, True, 1, 128.0),
    "krizhevsky-2012": (12, 5, 2.0, 1e-4, 0.75, True, 2, 128.0),
    "paper": (8, 5, 2.0, 1e-4, 0.75, False, 1, 128.0),
    "cifar-11pct": (12, 9, 1.0, 0.001, 0.75, True, 1, 64.0),
    "strong": (7, 3, 1.5, 0.8, 0.75, False, 1, 4.0),
    "strong-over-n": (7, 3, 1.5, 0.8, 0.75, True, 1, 4.0),
    "beta-half": (6, 5, 1.0, 2.0, 0.5, True, 1, 2.0),
    "beta-one": (6, 3, 0.5, 1.0, 1.0, False, 1, 2.0),
    "window-beyond-maps": (3, 9, 1.0, 1.0, 0.6, True, 1, 2.0),
    "window-of-one": (4, 1, 1.0, 1.0, 0.75, False, 1, 2.0),
    "three-towers": (9, 5, 1.0, 1.0, 0.75, True, 3, 2.0),
}

case = Case(__file__, seed=106)
ops = OneOp(case)
for name, (maps, n, k, alpha, beta, alpha_over_n, towers, limit) in NETS.items():
    toml = (
        f"lrn = {{ n = {n}, k = {k}, alpha = {alpha:f}, beta = {beta}, "
        f"alpha_over_n = {str(alpha_over_n).lower()}, towers = {towers} }}"
    )
    op = LrnAcross(n, k, alpha, beta, alpha_over_n, towers)
    ops.add(name, (maps, 4, 3), toml, op, step=limit / 256, limit=limit, parameters=1 / limit)
case.write()
