"""What Pillow makes of resizing: `source/N` `[h, w, 3]` and `FILTER/N/WxH` `[H, W, 3]`."""

import pathlib
import sys

import numpy as np
import PIL
from PIL import Image

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent))

import kept

SOURCES = [(45, 31), (40, 64), (1, 1), (3, 50)]
TARGETS = [(32, 32), (45, 31), (20, 31), (45, 12), (17, 5), (60, 50), (1, 1), (7, 64)]
FILTERS = {
    "box": Image.Resampling.BOX,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}

draw = np.random.RandomState(12)
tensors = {}
for number, (width, height) in enumerate(SOURCES):
    # Black, white and anything between, so that filters with negative weights overshoot and are clipped.
    values = np.where(draw.rand(height, width, 3) < 0.5, draw.randint(0, 2, (height, width, 3)) * 255,
                      draw.randint(0, 256, (height, width, 3))).astype(np.uint8)  # fmt: skip
    tensors[f"source/{number}"] = values
    for name, method in FILTERS.items():
        for size in TARGETS:
            resized = np.asarray(Image.fromarray(values).resize(size, method))
            tensors[f"{name}/{number}/{size[0]}x{size[1]}"] = np.ascontiguousarray(resized)

kept.keep(__file__, tensors, {"numpy": np.__version__, "pillow": PIL.__version__, "seed": 12})
