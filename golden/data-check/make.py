"""Image files of the kinds that a check tells apart, and what Pillow says of each.

`file/NAME` are a file's bytes; `says/NAME` is Pillow's verdict as text: `FORMAT MODE ORIENTATION whole` or `… broken`. Some
names are those of ILSVRC2012's odd training images; the content is drawn here. Where Pillow and libjpeg tell CMYK from YCCK
no difference is in the mode, so the transform that was written stands there instead.
"""

import io
import pathlib
import sys

import numpy as np
import PIL
from PIL import Image, features

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent))

import kept
from pictures import oriented, saved

WIDTH, HEIGHT = 48, 40
tensors = {}
draw = np.random.RandomState(23)


def scene(channels):
    """Slopes, waves and a little noise."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    phase = draw.rand() * 6
    planes = [x * 255 / WIDTH, y * 255 / HEIGHT, 128 + 110 * np.sin(x / 4 + phase), 128 + 90 * np.cos(y / 3 + phase)]
    noise = draw.randn(HEIGHT, WIDTH, channels) * 4
    return np.clip(np.stack(planes[:channels], -1) + noise, 0, 255).astype(np.uint8)


def rgb():
    return Image.fromarray(scene(3))


def cmyk():
    return Image.fromarray(scene(4), "CMYK")


def keep(name, content, mode=None):
    picture = Image.open(io.BytesIO(content))
    said = [picture.format, mode or picture.mode]
    try:
        picture.load()
        said += [str(picture.getexif().get(0x0112, 1)), "whole"]
    except OSError:
        said += ["1", "broken"]
    tensors[f"file/{name}"] = np.frombuffer(content, np.uint8)
    tensors[f"says/{name}"] = np.frombuffer(" ".join(said).encode(), np.uint8)


def as_ycck(content):
    """The same numbers, said to be YCCK: the transform is the last byte of the Adobe marker."""
    at = content.index(b"Adobe")
    return content[: at + 11] + b"\2" + content[at + 12 :]


# ILSVRC2012's odd ones, by name.
keep("n02105855_2933.JPEG", saved(rgb(), "PNG"))
keep("n01739381_1309.JPEG", saved(cmyk(), "JPEG", quality=80))
keep("n07583066_647.JPEG", as_ycck(saved(cmyk(), "JPEG", quality=80)), "YCCK")

# The same kinds under other names.
keep("cmyk.jpg", saved(cmyk(), "JPEG", quality=80))
keep("cmyk-progressive.jpg", saved(cmyk(), "JPEG", quality=80, progressive=True))
keep("png.jpg", saved(rgb(), "PNG"))
keep("webp.png", saved(rgb(), "WEBP", quality=80))
keep("jpeg.bmp", saved(rgb(), "JPEG", quality=80))

# Nothing to be said about these.
keep("plain.jpg", saved(rgb(), "JPEG", quality=80))
keep("progressive.jpeg", saved(rgb(), "JPEG", quality=80, progressive=True))
keep("plain.png", saved(rgb(), "PNG"))
keep("palette.png", saved(rgb().quantize(64), "PNG"))
keep("plain.webp", saved(rgb(), "WEBP", quality=80))
keep("plain.bmp", saved(rgb(), "BMP"))

# Grey, by the header and by the pixels alone.
keep("grey.jpg", saved(rgb().convert("L"), "JPEG", quality=80))
keep("grey-progressive.jpg", saved(rgb().convert("L"), "JPEG", quality=80, progressive=True))
keep("grey.png", saved(rgb().convert("L"), "PNG"))
keep("grey-alpha.png", saved(rgb().convert("LA"), "PNG"))
keep("grey-as-rgb.png", saved(rgb().convert("L").convert("RGB"), "PNG"))

# Turned by a note.
for value in 3, 6, 8:
    keep(f"orientation-{value}.jpg", saved(rgb(), "JPEG", quality=80, exif=oriented(value)))
keep("orientation-6.png", saved(rgb(), "PNG", exif=oriented(6)))
keep("orientation-5.webp", saved(rgb(), "WEBP", quality=80, exif=oriented(5)))

# Cut off.
for name, content in [
    ("cut-off.jpg", saved(rgb(), "JPEG", quality=80)),
    ("cut-off-progressive.jpg", saved(rgb(), "JPEG", quality=80, progressive=True)),
    ("cut-off.png", saved(rgb(), "PNG")),
    ("cut-off.bmp", saved(rgb(), "BMP")),
]:
    keep(name, content[: len(content) * 2 // 3])

versions = {
    "numpy": np.__version__,
    "pillow": PIL.__version__,
    "libjpeg-turbo": features.version_feature("libjpeg_turbo"),
    "libwebp": features.version_module("webp"),
    "zlib": features.version_codec("zlib"),
    "seed": 23,
}
kept.keep(__file__, tensors, versions)
