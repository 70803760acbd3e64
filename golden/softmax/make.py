"""Softmax with cross-entropy: ordinary logits, equal ones, and logits so far apart that their exponentials leave f32's
range, where the loss is a difference of logits and still finite; and images that are mixtures of two classes."""

import pathlib
import sys

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent))

from case import Case
from one_op import OneOp

case = Case(__file__, seed=111)
ops = OneOp(case)
ops.add("ordinary", (6, 1, 1), "", None, n=6)
ops.add("equal", (6, 1, 1), "", None, n=3, parameters=0.0)
ops.add("confident", (6, 1, 1), "", None, n=6, limit=16.0)
ops.add("far-apart", (6, 1, 1), "", None, n=6, limit=512.0)
ops.add("mixed", (6, 1, 1), "", None, n=6, mixed=True)
ops.add("mixed-far-apart", (6, 1, 1), "", None, n=6, limit=512.0, mixed=True)
case.write()
