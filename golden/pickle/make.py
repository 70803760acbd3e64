"""What Python's own `pickle` and NumPy write, in every protocol, and what it is.

`file/NAME/PROTOCOL` are the bytes of a pickle, `text/NAME` says in UTF-8 what it holds: integers in decimal, floats as the bits of
their f64, strings as their UTF-8 and bytes in hexadecimal, arrays with the bits of their elements in f64, objects with their
state, `^N` for a value that is the one N levels above it.
"""

import collections
import pathlib
import pickle
import struct
import sys

import numpy as np

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent))

import kept


class Plain:
    """An object with attributes, as protocols 0 and 1 rebuild it and as later ones make it anew."""


class Named:
    """An object made with arguments by name."""

    def __new__(cls, *, size):
        made = super().__new__(cls)
        made.size = size
        return made

    def __getnewargs_ex__(self):
        return (), {"size": self.size}


class Items(list):
    """A list of a class of its own, with attributes."""


for cls in (Plain, Named, Items):
    cls.__module__ = "zoo"
    setattr(sys.modules.setdefault("zoo", type(sys)("zoo")), cls.__name__, cls)


# The first protocol with an instruction for such objects.
FIRST = {"filled": 2, "named": 4}


def bits(number):
    return struct.pack(">d", number).hex()


def text(value, above=()):
    for distance, other in enumerate(reversed(above)):
        if other is value and isinstance(value, (list, tuple, dict, Plain)):
            return f"^{distance + 1}"
    inside = (*above, value)
    many = lambda values: ",".join(text(v, inside) for v in values)
    keyed = lambda pairs: ",".join(f"{text(k, inside)}:{text(v, inside)}" for k, v in pairs)
    match value:
        case None | True | False:
            return str(value)
        case np.ndarray() if value.dtype.kind in "biuf":
            shape = "x".join(map(str, value.shape))
            numbers = " ".join(bits(float(v)) for v in value.ravel("C"))
            return f"array {value.dtype.kind}{value.dtype.itemsize} {shape} {numbers}"
        case np.generic() if value.dtype.kind in "biu":
            return str(int(value))
        case np.generic():
            return bits(float(value))
        case int():
            if -(2**63) <= value < 2**63:
                return str(value)
            return "long " + value.to_bytes((value + (value < 0)).bit_length() // 8 + 1, "little", signed=True).hex()
        case float():
            return bits(value)
        case str():
            return f"s{value.encode().hex()}"
        case bytes() | bytearray():
            return f"b{value.hex()}"
        case Items():
            return f"object zoo.Items[{many(value)}]{{{keyed(vars(value).items())}}}"
        case list():
            return f"[{many(value)}]"
        case tuple():
            return f"({many(value)})"
        case set() | frozenset():
            return f"set({many(sorted(value))})"
        case dict():
            return f"{{{keyed(value.items())}}}"
        case Plain() | Named():
            return f"object zoo.{type(value).__name__}{{{keyed(vars(value).items())}}}"
        case type():
            return f"name {value.__module__}.{value.__qualname__}"


def values():
    yield "plain", [None, True, False, 0, -1, 255, 256, 65535, 65536, -(2**31), 2**31, 2**63 - 1, -(2**63)]
    yield "long", [2**63, -(2**63) - 1, 10**30, -(10**30), -(2**71), 2**2040, -(2**2047)]
    yield "float", [0.0, -0.0, 1.5, -1e300, 5e-324, 0.1, float("inf"), float("-inf"), float("nan")]
    yield "text", ["", "plain", "back\\slash \\u0041", "line\nend\r\0\x1a", "caf\u00e9", "\u6f22", "\U0001f600\\", "'\"", "x" * 300]
    yield "bytes", [b"", b"plain", bytes(range(256)), b"y" * 300, bytearray(b""), bytearray(b"\x80array")]
    yield "nested", ((), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4), [], [[]], {}, {"a": {"b": [1, (2, {})]}}, set(), {3, 1, 2}, frozenset({5}))
    yield "many", [list(range(1003)), {i: None for i in range(1003)}]
    recursive = [1]
    recursive.append(recursive)
    pair = ([],)
    pair[0].append(pair)
    keyed = {}
    keyed["self"] = keyed
    yield "recursive", [recursive, pair, keyed]
    shared = ["shared"]
    yield "shared", [shared, shared, (shared, "shared")]
    yield "ordered", collections.OrderedDict([("z", 1), ("a", [2]), ("m", collections.OrderedDict())])
    yield "counted", collections.defaultdict(list, {"a": [1]})
    plain, named, items = Plain(), Named(size=3), Items([1, 2])
    plain.name, plain.itself, items.note = "n", plain, "attribute"
    yield "objects", [plain, Plain, collections.OrderedDict]
    yield "filled", [items]
    yield "named", [named]
    kinds = ["?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8"]
    yield "arrays", [np.array([[0, 1, 2], [100, 50, 7]]).astype(order + kind) for order in "<>" for kind in kinds]
    deep = np.arange(2 * 3 * 1 * 4, dtype=np.float32).reshape(2, 3, 1, 4) - 7.25
    matrix = np.asfortranarray(deep[0, :, 0].astype(">f8"))
    yield "orders", [np.asfortranarray(deep), deep[:, ::2], matrix, deep[0, 0, 0], np.float32([[]]), np.zeros((0, 3))]
    yield "extremes", [np.array([65504, -6e-8, 6.1e-5, np.inf, -0.0], np.float16), np.array([-128, 127], np.int8), np.array(2**64 - 1, np.uint64)]
    yield "scalars", [np.float32(0.1), np.float64(-2.5), np.int64(-7), np.uint8(200), np.bool_(True), np.float16(0.5), np.dtype(">i2").type(5)]


tensors = {}
for name, value in values():
    tensors[f"text/{name}"] = np.frombuffer(text(value).encode(), np.uint8)
    for protocol in range(FIRST.get(name, 0), 6):
        tensors[f"file/{name}/{protocol}"] = np.frombuffer(pickle.dumps(value, protocol), np.uint8)
kept.keep(__file__, tensors, {"numpy": np.__version__})
