"""What a golden keeps of a tensor of millions of elements.

266 numbers: the L2 norm, the sum, eight inner products with addressed random ±1 vectors, and 256 elements at addressed
positions. A wrong element shifts every inner product by its error; two tensors at distance d have inner products at
distance above 6d with a probability of 2·exp(-18) (Hoeffding), so these hold the whole tensor, not a sample of it.
"""

import numpy as np

import philox

SIGNS, SAMPLES = 8, 256
_CHUNK = 1 << 20


def digest(values, index, seed):
    """Of the tensor at address `index`, f64."""
    values = np.ascontiguousarray(values, np.float64).reshape(-1)
    # Byte b of the stream has the signs of element b: bit j set means -1 in vector j.
    octets = philox.u32(-(-values.size // 4), seed, philox.TEST, philox.SIGNS, item=index).astype("<u4").view(np.uint8)
    products = np.zeros(SIGNS)
    for begin in range(0, values.size, _CHUNK):
        part = values[begin : begin + _CHUNK]
        signs = octets[begin : begin + part.size]
        total = part.sum()
        products += [total - 2 * part[(signs >> j & 1).astype(bool)].sum() for j in range(SIGNS)]
    positions = philox.below(philox.u32(SAMPLES, seed, philox.TEST, philox.SAMPLES, item=index), values.size)
    return np.concatenate([[np.linalg.norm(values), values.sum()], products, values[positions]])
