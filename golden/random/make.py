"""Addressed random numbers, computed by numpy: words at several addresses, normals, and uniform initial values."""

import pathlib
import sys

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent))

import numpy as np

import philox
from case import Case

SEED = 0xFEDC_BA98_7654_3210
ADDRESSES = [  # seed, purpose, layer, time, item
    (0, philox.TEST, 0, 0, 0),
    (1, philox.TEST, 1, 2, 3),
    (SEED, philox.TEST, 0xFFFFFF, 0xFFFFFFFF, 0x80000001),
    (2**64 - 1, philox.INITIALISE, 0, 0, 15),
]

case = Case(__file__, seed=7)
words = np.stack([philox.u32(18, *address) for address in ADDRESSES])
case.facts["addresses"] = [[str(x) for x in address] for address in ADDRESSES]
case.put("words", words.astype(np.int64))
case.put("normals", np.stack([philox.normals(w) for w in words]))
case.put("below", np.stack([philox.below(w, 1000) for w in words]))
case.put("fan_in", philox.initial((3, 7), 5, case.seed, "fan_in", 363, 7744))
case.put("xavier", philox.initial((3, 7), 5, case.seed, "xavier", 363, 7744))
case.write()
