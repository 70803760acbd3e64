"""Small pictures, and files that Pillow makes of them."""

import io

import numpy as np
from PIL import Image


def scene(draw, width, height, channels):
    """Slopes, waves and a little noise, so that chroma, edges and both ends of the scale occur."""
    y, x = np.mgrid[0:height, 0:width]
    planes = [
        x * 280 / width - 12,
        y * 280 / height - 12,
        128 + 110 * np.sin(x / 3.1) * np.cos(y / 4.3),
        255 * ((x // 5 + y // 4) % 2),
    ]
    noise = draw.randn(height, width, channels) * 6
    return np.clip(np.stack(planes[:channels], -1) + noise, 0, 255).astype(np.uint8)


def saved(picture, format, **options):
    """The bytes of a file."""
    stream = io.BytesIO()
    picture.save(stream, format, **options)
    return stream.getvalue()


def oriented(value):
    """EXIF that says how the picture is to be turned, 1 to 8."""
    exif = Image.Exif()
    exif[0x0112] = value
    return exif.tobytes()
