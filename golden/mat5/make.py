"""Small MAT files of level 5 as SciPy writes them, and what they hold.

`file/NAME` are a file's bytes. `synsets*.mat` are tables as `meta.mat` of ILSVRC has them, of three classes and two inner nodes
in an order that is neither that of their ids nor of their names: `id/NAME`, `children/NAME` are numbers, `wnid/NAME`, `words/NAME` UTF-8 lines.
`numbers.mat` has a variable of each numeric type, whose values are `numbers/VARIABLE` in f64, column by column. SciPy does not
write big-endian files: those are written here, and SciPy says that they hold the same.
"""

import io
import pathlib
import struct
import sys

import numpy as np
import scipy
from scipy.io import loadmat, savemat

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent))

import kept

SYNSETS = [
    (4, "n00015388", "animal, animate being", 2, [1, 5]),
    (2, "n04347754", "submarine, pigboat, sub, caf\u00e9", 0, []),
    (1, "n02084071", "dog, domestic dog, Canis familiaris", 0, []),
    (3, "n01440764", "tench, Tinca tinca", 0, []),
    (5, "n01471682", "vertebrate, craniate", 1, [3]),
]
tensors = {}


def saved(variables, **options):
    stream = io.BytesIO()
    savemat(stream, variables, **options)
    content = bytearray(stream.getvalue())
    # The header's text has the date.
    content[:116] = b"MATLAB 5.0 MAT-file, a golden".ljust(116)
    return bytes(content)


def lines(texts):
    return np.frombuffer("\n".join(texts).encode(), np.uint8)


def keep_synsets(name, content, year):
    read = loadmat(io.BytesIO(content), squeeze_me=True)["synsets"]
    tensors[f"file/{name}"] = np.frombuffer(content, np.uint8)
    tensors[f"id/{name}"] = np.array([int(s[f"ILSVRC{year}_ID"]) for s in read], np.float64)
    tensors[f"children/{name}"] = np.array([int(s["num_children"]) for s in read], np.float64)
    tensors[f"wnid/{name}"] = lines([str(s["WNID"]) for s in read])
    tensors[f"words/{name}"] = lines([str(s["words"]) for s in read])


def table(year):
    names = [f"ILSVRC{year}_ID", "WNID", "words", "gloss", "num_children", "children", "wordnet_height"]
    structs = np.zeros((len(SYNSETS), 1), [(name, object) for name in names])
    for row, (id, wnid, words, count, children) in zip(structs[:, 0], SYNSETS):
        row[names[0]], row["WNID"], row["words"], row["gloss"] = np.float64(id), wnid, words, f"what {wnid} means"
        row["num_children"], row["children"] = np.uint8(count), np.array([children], np.float64)
        row["wordnet_height"] = np.float64(count)
    return structs


keep_synsets("synsets-2012.mat", saved({"synsets": table(2012)}), 2012)
keep_synsets("synsets-2012-compressed.mat", saved({"before": 1.0, "synsets": table(2012)}, do_compression=True), 2012)
keep_synsets("synsets-2010.mat", saved({"synsets": table(2010), "after": np.eye(3)}), 2010)


def element(kind, content):
    """An element of a big-endian file."""
    if 0 < len(content) <= 4:
        return struct.pack(">HH", len(content), kind) + content.ljust(4, b"\0")
    return struct.pack(">II", kind, len(content)) + content.ljust(-(-len(content) // 8) * 8, b"\0")


def array(kind, dimensions, name, *parts):
    flags = element(6, struct.pack(">II", kind, 0))
    head = flags + element(5, struct.pack(f">{len(dimensions)}i", *dimensions)) + element(1, name)
    return element(14, head + b"".join(parts))


def big_endian():
    number = lambda n: array(6, (1, 1), b"", element(9, struct.pack(">d", n)))
    chars = lambda s: array(4, (1, len(s)), b"", element(17, s.encode("utf-16-be")))
    names = [b"ILSVRC2012_ID", b"WNID", b"words", b"num_children"]
    fields = element(5, struct.pack(">i", 32)) + element(1, b"".join(name.ljust(32, b"\0") for name in names))
    rows = [number(id) + chars(wnid) + chars(words) + number(count) for id, wnid, words, count, _ in SYNSETS]
    head = b"MATLAB 5.0 MAT-file, a golden".ljust(124) + struct.pack(">H", 0x0100) + b"MI"
    return head + array(2, (len(SYNSETS), 1), b"synsets", fields, *rows)


keep_synsets("synsets-2012-big-endian.mat", big_endian(), 2012)

numbers = {"cells": np.array([["text", 7.0], [np.array([1, 2]), ""]], object)}
for kind in "i1", "u1", "i2", "u2", "i4", "u4", "f4", "f8", "i8", "u8":
    limits = np.iinfo(kind) if kind[0] in "iu" else np.finfo(kind)
    numbers[kind] = np.array([[0, 1, 100], [limits.min, limits.max, 7]], kind)
    tensors[f"numbers/{kind}"] = numbers[kind].T.reshape(-1).astype(np.float64)
tensors["file/numbers.mat"] = np.frombuffer(saved(numbers), np.uint8)

kept.keep(__file__, tensors, {"numpy": np.__version__, "scipy": scipy.__version__})
