"""The project's addressed random numbers in numpy: Philox 4x32-10 under `(seed, purpose, layer, time, item, element)`.

Written from the paper (Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", 2011), so that a golden
need not store what both sides can compute: weights, pixels, labels, sample positions and signs are integers, or one
exactly rounded product of them, and therefore equal bit for bit in every language.
"""

import numpy as np

INITIALISE, DROPOUT, TEST = 1, 2, 255  # purposes
PIXELS, LABELS, SIGNS, SAMPLES, PARAMETERS = range(5)  # what TEST numbers are for; the address's `layer`

_CHUNK = 1 << 16  # blocks at a time, so that the working set stays in the cache


def _philox(counter, key):
    """Ten rounds on four uint64 arrays that hold 32-bit words."""
    mask = np.uint64(0xFFFFFFFF)
    shift = np.uint64(32)
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(10):
        left, right = c0 * np.uint64(0xD2511F53), c2 * np.uint64(0xCD9E8D57)
        c0, c1, c2, c3 = (right >> shift) ^ c1 ^ np.uint64(k0), right & mask, (left >> shift) ^ c3 ^ np.uint64(k1), left & mask
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return c0, c1, c2, c3


def u32(n, seed, purpose, layer=0, time=0, item=0):
    """Elements 0 to n - 1 of the stream at this address, uint32."""
    blocks = -(-n // 4)
    out = np.empty((blocks, 4), np.uint32)
    tag = purpose << 24 | (layer & 0xFFFFFF)
    for begin in range(0, blocks, _CHUNK):
        end = min(begin + _CHUNK, blocks)
        counter = [np.arange(begin, end, dtype=np.uint64)] + [np.full(end - begin, x, np.uint64) for x in (time, item, tag)]
        for word, values in enumerate(_philox(counter, (seed & 0xFFFFFFFF, seed >> 32))):
            out[begin:end, word] = values
    return out.reshape(-1)[:n]


def below(bits, n):
    """Uniform among 0..n, by multiplication."""
    return (bits.astype(np.uint64) * np.uint64(n) >> np.uint64(32)).astype(np.int64)


def uniform(bits, bound):
    """Uniform in ±bound, f32: the one rounding that is not exact is IEEE's, so every language agrees."""
    return ((2.0 * bits.astype(np.float64) / 4294967296.0 - 1.0) * bound).astype(np.float32)


def normals(bits):
    """Standard normals, f64, by Box and Muller's transform of pairs of 32-bit numbers."""
    a, b = bits[0::2] / 4294967296.0, bits[1::2] / 4294967296.0
    radius = np.sqrt(-2.0 * np.log(1.0 - a))
    return np.stack([radius * np.cos(2 * np.pi * b), radius * np.sin(2 * np.pi * b)], axis=1).reshape(-1)


def initial(shape, index, seed, init, fan_in, fan_out):
    """Initial values of parameter `index` of a net, f32: `fan_in` is ±1/√fan_in, `xavier` ±√(6 / (fan_in + fan_out))."""
    bound = {"fan_in": 1.0 / np.sqrt(fan_in), "xavier": np.sqrt(6.0 / (fan_in + fan_out))}[init]
    return uniform(u32(int(np.prod(shape)), seed, INITIALISE, item=index), bound).reshape(shape)


def _known_answers():
    """Of the Random123 distribution."""
    for counter, key, answer in (
        ((0,) * 4, (0,) * 2, (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xA4093822, 0x299F31D0),
            (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
        ),
    ):
        words = _philox([np.array([c], np.uint64) for c in counter], key)
        assert tuple(int(w[0]) for w in words) == answer, f"{counter} {key}"


_known_answers()
