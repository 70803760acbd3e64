"""Pickles of protocol 2 as Python 2 writes them: its strings are bytes, its classes without a base have instructions of their
own, and NumPy's modules have their old names."""

import struct

import numpy as np


class Instance:
    """An object of a class that is not here."""

    def __init__(self, module, name, attributes):
        self.module, self.name, self.attributes = module, name, attributes


class Call:
    """A call of a function that is not here, whose result has a state."""

    def __init__(self, function, arguments, state=None):
        self.function, self.arguments, self.state = function, arguments, state


class Name(str):
    """`module name`, of a class or function."""


def array(value):
    kind = value.dtype.kind + str(value.dtype.itemsize)
    order = "|" if value.dtype.itemsize == 1 else "<"
    dtype = Call(Name("numpy dtype"), (kind, 0, 1), (3, order, None, None, None, -1, -1, 0))
    fortran = bool(value.flags.f_contiguous and not value.flags.c_contiguous)
    state = (1, value.shape, dtype, fortran, value.tobytes("F" if fortran else "C"))
    return Call(Name("numpy.core.multiarray _reconstruct"), (Name("numpy ndarray"), (0,), b"b"), state)


def dumps(value):
    out, memo, keep = bytearray(b"\x80\x02"), {}, []

    def remember(what):
        # What is kept alive keeps its identity.
        keep.append(what)
        memo[id(what)] = number = len(memo)
        out.extend(b"q" + bytes([number]) if number < 256 else b"r" + struct.pack("<I", number))

    def save_string(data):
        if len(data) < 256:
            out.extend(b"U" + bytes([len(data)]) + data)
        else:
            out.extend(b"T" + struct.pack("<i", len(data)) + data)

    def save(what):
        if not isinstance(what, (bool, int, float, type(None))) and id(what) in memo:
            number = memo[id(what)]
            out.extend(b"h" + bytes([number]) if number < 256 else b"j" + struct.pack("<I", number))
            return
        match what:
            case None:
                out.extend(b"N")
            case bool():
                out.extend(b"\x88" if what else b"\x89")
            case np.float32():
                save(Call(Name("numpy.core.multiarray scalar"), (array(np.zeros(1, np.float32)).state[2], what.tobytes())))
            case int() if 0 <= what < 256:
                out.extend(b"K" + bytes([what]))
            case int():
                out.extend(b"J" + struct.pack("<i", what))
            case float():
                out.extend(b"G" + struct.pack(">d", what))
            case Name():
                out.extend(b"c" + what.replace(" ", "\n").encode() + b"\n")
                remember(what)
            case str():
                save_string(what.encode("latin1"))
                remember(what)
            case bytes():
                save_string(what)
                remember(what)
            case tuple():
                if len(what) > 3:
                    out.extend(b"(")
                for item in what:
                    save(item)
                out.extend({0: b")", 1: b"\x85", 2: b"\x86", 3: b"\x87"}.get(len(what), b"t"))
                if what:
                    remember(what)
            case list():
                out.extend(b"]")
                remember(what)
                out.extend(b"(")
                for item in what:
                    save(item)
                out.extend(b"e")
            case dict():
                out.extend(b"}")
                remember(what)
                out.extend(b"(")
                for key, item in what.items():
                    save(key)
                    save(item)
                out.extend(b"u")
            case np.ndarray():
                call = array(what)
                save(call.function)
                save(call.arguments)
                out.extend(b"R")
                remember(what)
                save(call.state)
                out.extend(b"b")
            case Call():
                save(what.function)
                save(what.arguments)
                out.extend(b"R")
                remember(what)
                if what.state is not None:
                    save(what.state)
                    out.extend(b"b")
            case Instance():
                out.extend(b"(c" + f"{what.module}\n{what.name}\no".encode())
                remember(what)
                save(what.attributes)
                out.extend(b"b")
            case _:
                raise TypeError(type(what))

    save(value)
    return bytes(out + b".")
