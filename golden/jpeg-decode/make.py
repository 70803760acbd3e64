"""Small JPEGs of every form that is read, and the pixels that libjpeg-turbo makes of them at every scale.

`file/NAME` are a file's bytes, `rgb/NAME/S` its pixels at 1/S, `[h, w, 3]`. Pillow writes files of the forms that it can
write; those of other sampling factors and scans are written here, from random coefficients.
"""

import io
import pathlib
import sys

import numpy as np
import PIL
from PIL import Image, features

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent))

import kept
from pictures import saved, scene

tensors = {}
draw = np.random.RandomState(12)


def keep(name, content, scales=(1, 2, 4, 8)):
    tensors[f"file/{name}"] = np.frombuffer(bytes(content), np.uint8)
    for scale in scales:
        picture = Image.open(io.BytesIO(content))
        width, height = picture.size
        if min(width, height) < scale:
            continue  # Pillow would scale less, to keep a pixel.
        picture.draft(picture.mode, (width // scale, height // scale))
        assert picture.size == (-(-width // scale), -(-height // scale))
        tensors[f"rgb/{name}/{scale}"] = np.ascontiguousarray(np.asarray(picture.convert("RGB")))


class Bits:
    """Compressed data, with 0xff stuffed."""

    def __init__(self):
        self.text = []

    def code(self, value, bits):
        if bits:
            self.text.append(format(value, f"0{bits}b"))

    def value(self, value, size):
        self.code(value if value > 0 else value + (1 << size) - 1, size)

    def content(self):
        text = "".join(self.text)
        text += "1" * (-len(text) % 8)
        data = int(text, 2).to_bytes(len(text) // 8, "big") if text else b""
        return data.replace(b"\xff", b"\xff\0")


def segment(code, content):
    return bytes([0xFF, code]) + (len(content) + 2).to_bytes(2, "big") + bytes(content)


SIZES = list(range(12))
PAIRS = [0x00, 0xF0] + [run << 4 | size for run in range(16) for size in range(1, 11)]
LONG = PAIRS[:3] + PAIRS[100:103] + PAIRS[3:100] + PAIRS[103:]


def tables(long_codes):
    """Codes of 4 and 8 bits; or of 2, 9 and 13 bits, which no short lookup holds."""
    counts = [0] * 16
    if long_codes:
        counts[1], counts[8], counts[12] = 3, 3, len(PAIRS) - 6
    else:
        counts[7] = len(PAIRS)
    symbols = LONG if long_codes else PAIRS
    codes, code, position = {}, 0, 0
    for length, count in enumerate(counts, 1):
        for symbol in symbols[position : position + count]:
            codes[symbol] = (code, length)
            code += 1
        position += count
        code <<= 1
    segments = segment(0xC4, [0x00] + [0, 0, 0, 12] + [0] * 12 + SIZES) + segment(0xC4, [0x10] + counts + symbols)
    return segments, codes


def size_of(value):
    return int(abs(value)).bit_length()


def put_block(bits, block, before, codes):
    size = size_of(block[0] - before)
    bits.code(size, 4)
    bits.value(block[0] - before, size)
    run = 0
    last = max(np.flatnonzero(block), default=0)
    for value in block[1 : last + 1]:
        if value == 0:
            run += 1
            continue
        while run > 15:
            bits.code(*codes[0xF0])
            run -= 16
        bits.code(*codes[run << 4 | size_of(value)])
        bits.value(value, size_of(value))
        run = 0
    if last < 63:
        bits.code(*codes[0x00])


def assembled(width, height, factors, scans=None, restarts=0, long_codes=False, wide=False, names=None, flat=False):
    """A sequential file of random coefficients; `scans` are lists of components, all of them at once by default."""
    count = len(factors)
    names = names or list(range(1, count + 1))
    most_h, most_v = max(h for h, _ in factors), max(v for _, v in factors)
    across, down = -(-width // (8 * most_h)), -(-height // (8 * most_v))
    blocks = {}
    for c, (h, v) in enumerate(factors):
        shape = (down * v, across * h)
        values = np.zeros(shape + (64,), int)
        values[..., 0] = draw.randint(-60, 60, shape)
        if not flat:
            amounts = draw.randint(0, 12, shape)
            for place in np.ndindex(shape):
                for _ in range(amounts[place]):
                    k = int(63 * draw.rand() ** 2) + 1
                    values[place + (min(k, 63),)] = draw.randint(-20, 21)
        blocks[c] = values
    steps = np.concatenate([[10], draw.randint(1, 12, 63)])
    table = np.array(steps, ">u2").tobytes() if wide else bytes(steps.tolist())
    out = b"\xff\xd8" + segment(0xDB, bytes([0x10 if wide else 0]) + table)
    frame = [8, height >> 8, height & 255, width >> 8, width & 255, count]
    for name, (h, v) in zip(names, factors):
        frame += [name, h << 4 | v, 0]
    # Wide steps are for extended frames alone.
    out += segment(0xC1 if wide else 0xC0, frame)
    segments, codes = tables(long_codes)
    out += segments
    if restarts:
        out += segment(0xDD, [restarts >> 8, restarts & 255])
    for scan in scans or [range(count)]:
        scan = list(scan)
        out += segment(0xDA, [len(scan)] + [b for c in scan for b in (names[c], 0)] + [0, 63, 0])
        units = []
        if len(scan) == 1:
            h, v = factors[scan[0]]
            wide_blocks, high_blocks = -(-width * h // (8 * most_h)), -(-height * v // (8 * most_v))
            units = [[(scan[0], y, x)] for y in range(high_blocks) for x in range(wide_blocks)]
        else:
            for y in range(down):
                for x in range(across):
                    inside = lambda c: [(c, y * factors[c][1] + j, x * factors[c][0] + i) for j in range(factors[c][1]) for i in range(factors[c][0])]
                    units.append([place for c in scan for place in inside(c)])
        bits, before = Bits(), dict.fromkeys(scan, 0)
        for number, unit in enumerate(units):
            if restarts and number and number % restarts == 0:
                out += bits.content() + bytes([0xFF, 0xD0 + (number // restarts - 1) % 8])
                bits, before = Bits(), dict.fromkeys(scan, 0)
            for c, y, x in unit:
                put_block(bits, blocks[c][y, x], before[c], codes)
                before[c] = blocks[c][y, x][0]
        out += bits.content()
    return out + b"\xff\xd9"


# What Pillow writes: samplings, qualities, scans, colours, sizes.
rgb, cmyk = Image.fromarray(scene(draw, 37, 53, 3)), Image.fromarray(scene(draw, 21, 19, 4), "CMYK")
wide = Image.fromarray(scene(draw, 45, 18, 3))
for number, sampling in enumerate(("444", "422", "420")):
    keep(f"{sampling}", saved(rgb, "JPEG", quality=85, subsampling=number))
    keep(f"{sampling}-progressive", saved(wide, "JPEG", quality=85, subsampling=number, progressive=True))
    keep(f"{sampling}-restarts", saved(wide, "JPEG", quality=60, subsampling=number, restart_marker_blocks=1))
keep("quality-100", saved(wide, "JPEG", quality=100, subsampling=0))
keep("quality-5", saved(wide, "JPEG", quality=5, subsampling=2))
keep("optimised", saved(wide, "JPEG", quality=75, optimize=True))
keep("progressive-restarts", saved(wide, "JPEG", quality=75, progressive=True, restart_marker_rows=1))
keep("grey", saved(rgb.convert("L"), "JPEG", quality=90))
keep("grey-progressive", saved(wide.convert("L"), "JPEG", quality=90, progressive=True))
keep("rgb", saved(wide, "JPEG", quality=90, keep_rgb=True))
adobe = saved(cmyk, "JPEG", quality=90)
at = adobe.index(b"Adobe")
keep("cmyk", adobe)
keep("cmyk-progressive", saved(cmyk, "JPEG", quality=90, progressive=True))
# The same numbers, said to be YCCK: the transform is the marker's last byte.
keep("ycck", adobe[: at + 11] + b"\2" + adobe[at + 12 :])
for width, height in (1, 1), (3, 2), (4, 5), (5, 9), (17, 1), (1, 17), (33, 15):
    picture = rgb.crop((2, 2, 2 + width, 2 + height))
    for number, sampling in (1, "422"), (2, "420"):
        keep(f"{width}x{height}-{sampling}", saved(picture, "JPEG", quality=90, subsampling=number))

# What Pillow does not write.
luma = lambda *factor: [factor, (1, 1), (1, 1)]
keep("440", assembled(37, 53, luma(1, 2)))
keep("440-narrow", assembled(2, 21, luma(1, 2)))
keep("411", assembled(37, 21, luma(4, 1)))
keep("410", assembled(37, 21, luma(4, 2)))
keep("414", assembled(19, 37, luma(1, 4)))
keep("3x1", assembled(29, 11, luma(3, 1)))
keep("chroma-2x1", assembled(37, 21, [(2, 2), (2, 1), (1, 2)]))
keep("chroma-more", assembled(21, 21, [(1, 1), (2, 2), (1, 1)]))
keep("422-of-2", assembled(35, 21, [(2, 2), (1, 2), (1, 2)]))
keep("444-of-2", assembled(35, 21, [(2, 1), (2, 1), (2, 1)]))
keep("grey-of-2", assembled(21, 37, [(2, 2)]))
keep("grey-of-2-restarts", assembled(21, 37, [(4, 3)], restarts=5))
keep("420-restarts", assembled(37, 53, luma(2, 2), restarts=2))
keep("long-codes", assembled(37, 21, luma(2, 2), long_codes=True))
keep("wide-steps", assembled(37, 21, luma(2, 1), wide=True))
keep("scans-apart", assembled(37, 21, luma(2, 2), scans=[[0], [1], [2]]))
keep("scans-apart-restarts", assembled(37, 21, luma(2, 2), scans=[[0], [2, 1]], restarts=3))
keep("named-rgb", assembled(21, 11, [(1, 1)] * 3, names=list(b"RGB")))
keep("inks-of-2", assembled(21, 19, [(2, 2), (1, 1), (1, 1), (2, 2)]))
keep("flat", assembled(37, 21, luma(2, 2), flat=True))

versions = {
    "numpy": np.__version__,
    "pillow": PIL.__version__,
    "libjpeg-turbo": features.version_feature("libjpeg_turbo"),
    "seed": 12,
}
kept.keep(__file__, tensors, versions)
