"""Small pictures in every format and form that is read, and what Pillow makes of them.

`file/NAME` are a file's bytes, `rgb/NAME` the upright picture `[h, w, 3]`; `stored/NAME` the picture as stored, for the files
that state an orientation. 16-bit grey is the one exception to Pillow's `convert("RGB")`, which clips it at 255: here its high
byte is kept, as Pillow itself does for 16-bit colours.
"""

import io
import pathlib
import struct
import sys
import zlib

import numpy as np
import PIL
from PIL import Image, ImageOps, features

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent))

import kept
from pictures import oriented, saved, scene

WIDTH, HEIGHT = 37, 29
tensors = {}
draw = np.random.RandomState(11)


def keep(name, content, rgb=None):
    content = bytes(content)
    picture = Image.open(io.BytesIO(content))
    picture.load()
    upright = ImageOps.exif_transpose(picture)
    expected = np.asarray(upright.convert("RGB")) if rgb is None else rgb
    tensors[f"file/{name}"] = np.frombuffer(content, np.uint8)
    tensors[f"rgb/{name}"] = np.ascontiguousarray(expected)
    if upright.size != picture.size or picture.getexif().get(0x0112, 1) != 1:
        tensors[f"stored/{name}"] = np.ascontiguousarray(np.asarray(picture.convert("RGB")))


def png(width, height, depth, colour, rows):
    """A PNG of forms that Pillow reads but does not write."""
    chunk = lambda kind, data: struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + row for row in rows))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def bmp(width, height, bits, compression, pixels, masks=b"", palette=b""):
    """A bitmap of forms that Pillow reads but does not write; a negative height is stored from the top."""
    at = 54 + len(masks) + len(palette)
    info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, compression, len(pixels), 0, 0, len(palette) // 4, 0)
    return b"BM" + struct.pack("<IHHI", at + len(pixels), 0, 0, at) + info + masks + palette + pixels


rgb, rgba = Image.fromarray(scene(draw, WIDTH, HEIGHT, 3)), Image.fromarray(scene(draw, WIDTH, HEIGHT, 4), "RGBA")
cmyk = Image.fromarray(scene(draw, WIDTH, HEIGHT, 4), "CMYK")
grey = rgb.convert("L")

# JPEG: samplings, scans, colour spaces.
keep("grey.jpg", saved(grey, "JPEG", quality=90))
for name, sampling in ("444", 0), ("422", 1), ("420", 2):
    keep(f"rgb-{name}.jpg", saved(rgb, "JPEG", quality=90, subsampling=sampling))
    keep(f"progressive-{name}.jpg", saved(rgb, "JPEG", quality=90, subsampling=sampling, progressive=True))
keep("progressive-grey.jpg", saved(grey, "JPEG", quality=90, progressive=True))
keep("restarts.jpg", saved(rgb, "JPEG", quality=75, restart_marker_blocks=2))
keep("not-ycc.jpg", saved(rgb, "JPEG", quality=90, keep_rgb=True))
keep("one-pixel.jpg", saved(rgb.crop((3, 3, 4, 4)), "JPEG"))
adobe_cmyk = saved(cmyk, "JPEG", quality=90)
at = adobe_cmyk.index(b"Adobe")
keep("cmyk-adobe.jpg", adobe_cmyk)
keep("cmyk-progressive.jpg", saved(cmyk, "JPEG", quality=90, progressive=True))
keep("cmyk-no-marker.jpg", adobe_cmyk[: at - 4] + adobe_cmyk[at + 12 :])
# The same numbers, said to be YCCK: the transform is the marker's last byte.
keep("ycck-adobe.jpg", adobe_cmyk[: at + 11] + b"\2" + adobe_cmyk[at + 12 :])
small = rgb.resize((13, 9))
for value in range(1, 9):
    keep(f"orientation-{value}.jpg", saved(small, "JPEG", quality=95, subsampling=0, exif=oriented(value)))

# PNG: colour types, depths, transparency.
palette = rgb.quantize(200)
keep("rgb.png", saved(rgb, "PNG"))
keep("rgba.png", saved(rgba, "PNG"))
keep("grey.png", saved(grey, "PNG"))
keep("grey-alpha.png", saved(Image.merge("LA", (grey, rgba.getchannel("A"))), "PNG"))
keep("one-bit.png", saved(grey.convert("1"), "PNG"))
keep("palette.png", saved(palette, "PNG"))
keep("palette-transparent.png", saved(palette, "PNG", transparency=bytes(range(0, 200))))
for bits in 1, 2, 4:
    keep(f"palette-{bits}.png", saved(rgb.quantize(2**bits), "PNG", bits=bits))
keep("grey-transparent.png", saved(grey, "PNG", transparency=100))
keep("rgb-transparent.png", saved(rgb, "PNG", transparency=rgb.getpixel((5, 5))))
keep("orientation-6.png", saved(small, "PNG", exif=oriented(6)))
wide = draw.randint(0, 65536, (HEIGHT, WIDTH, 4)).astype(np.uint16)
for name, colour, channels in ("rgb-16.png", 2, 3), ("rgba-16.png", 6, 4), ("grey-alpha-16.png", 4, 2):
    keep(name, png(WIDTH, HEIGHT, 16, colour, [row[:, :channels].astype(">u2").tobytes() for row in wide]))
high = (wide[:, :, :1] >> 8).astype(np.uint8).repeat(3, axis=2)
keep("grey-16.png", png(WIDTH, HEIGHT, 16, 0, [row[:, 0].astype(">u2").tobytes() for row in wide]), high)
for depth in 2, 4:
    packed = [draw.randint(0, 256, -(-WIDTH * depth // 8)).astype(np.uint8).tobytes() for _ in range(HEIGHT)]
    keep(f"grey-{depth}.png", png(WIDTH, HEIGHT, depth, 0, packed))

# WebP.
keep("lossy.webp", saved(rgb, "WEBP", quality=85))
keep("lossy-alpha.webp", saved(rgba, "WEBP", quality=85, exact=True))
keep("lossless.webp", saved(rgb, "WEBP", lossless=True))
keep("lossless-alpha.webp", saved(rgba, "WEBP", lossless=True, exact=True))
keep("animated.webp", saved(rgb, "WEBP", lossless=True, save_all=True, append_images=[ImageOps.invert(rgb)], duration=100))
keep("orientation-6.webp", saved(small, "WEBP", lossless=True, exif=oriented(6)))

# BMP.
keep("rgb.bmp", saved(rgb, "BMP"))
keep("rgba.bmp", saved(rgba, "BMP"))
keep("grey.bmp", saved(grey, "BMP"))
keep("palette.bmp", saved(palette, "BMP"))
keep("one-bit.bmp", saved(grey.convert("1"), "BMP"))
noise = lambda n: draw.randint(0, 256, n).astype(np.uint8).tobytes()
keep("top-down.bmp", bmp(7, -5, 24, 0, noise(24 * 5)))
keep("555.bmp", bmp(8, 5, 16, 0, noise(16 * 5)))
keep("565.bmp", bmp(8, 5, 16, 3, noise(16 * 5), masks=struct.pack("<III", 0xF800, 0x07E0, 0x001F)))
keep("masks-32.bmp", bmp(7, 5, 32, 3, noise(28 * 5), masks=struct.pack("<III", 0xFF0000, 0xFF00, 0xFF)))
keep("palette-4.bmp", bmp(9, 5, 4, 0, noise(8 * 5), palette=noise(64)))
runs = bytes([3, 200, 0, 4, 1, 2, 3, 4, 0, 0, 5, 9, 0, 3, 7, 8, 9, 0, 0, 0, 0, 2, 1, 1, 2, 50, 0, 0, 8, 7, 0, 1])
keep("runs-8.bmp", bmp(8, 5, 8, 1, runs, palette=noise(1024)))
halves = bytes([5, 0x1C, 0, 4, 0x12, 0x34, 0, 0, 0, 5, 0x78, 0x9A, 0xB0, 0, 0, 0, 9, 0xE5, 0, 1])
keep("runs-4.bmp", bmp(9, 3, 4, 2, halves, palette=noise(64)))

versions = {
    "numpy": np.__version__,
    "pillow": PIL.__version__,
    "libjpeg-turbo": features.version_feature("libjpeg_turbo"),
    "libwebp": features.version_module("webp"),
    "zlib": features.version_codec("zlib"),
    "seed": 11,
}
kept.keep(__file__, tensors, versions)
