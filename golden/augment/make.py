"""What torchvision's transforms.v2 make of small pictures, for `crates/data/src/augment`.

Where they draw random numbers they are given ours: uniforms, integers and normals of an address (philox.py) take the place of
PyTorch's generators, so that boxes, places and orders are compared and not their distributions.

`source/N` are pictures `[h, w, 3]`. What else there is says the section that makes it.
"""

import itertools
import pathlib
import platform
import sys
import unittest.mock

import numpy as np
import PIL
import torch
import torchvision
from PIL import Image
from safetensors.numpy import save_file
from torchvision.transforms import v2

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent))

import philox

torch.set_num_threads(1)
AUGMENT = 8  # philox.py's purposes go on in crates/net/src/random.rs
RESIZED_CROP, = range(1)
tensors = {}


class Drawn:
    """While entered, PyTorch draws from one of our streams, element after element; `skip` begins anew at a block of four."""

    def __init__(self, *address):
        self.bits = philox.u32(4096, *address)
        self.at = 0

    def next(self):
        self.at += 1
        return int(self.bits[self.at - 1])

    def skip(self):
        self.at = -(-self.at // 4) * 4

    def uniform(self, tensor, low, high):
        low, high = float(low), float(high)
        return tensor.fill_(low + (high - low) * (self.next() / 2**32))

    def below(self, low, high=None, size=None):
        low, high = (0, low) if high is None else (low, high)
        return torch.tensor([low + (self.next() * (high - low) >> 32)])

    def __enter__(self):
        self.patches = [
            unittest.mock.patch.object(torch.Tensor, "uniform_", lambda t, low, high: self.uniform(t, low, high)),
            unittest.mock.patch.object(torch, "randint", self.below),
        ]
        for patch in self.patches:
            patch.start()
        return self

    def __exit__(self, *_):
        for patch in self.patches:
            patch.stop()


class Tries(Drawn):
    """Ten tries of four numbers each, the last two of which are drawn only where the box fits: a new block a try."""

    def uniform(self, tensor, low, high):
        self.calls = getattr(self, "calls", 0) + 1
        if self.calls % 2 == 1:
            self.skip()
        return super().uniform(tensor, low, high)


def picture(width, height, seed):
    """A slope and noise of many sizes, and both ends of the scale."""
    draw = np.random.RandomState(seed)
    y, x = np.mgrid[0:height, 0:width]
    slopes = np.stack([x * 255 / max(width - 1, 1), y * 255 / max(height - 1, 1), (x + 2 * y) % 256], -1)
    return np.clip(slopes + draw.randn(height, width, 3) * draw.choice([0, 5, 80], (height, width, 1)), 0, 255).astype(np.uint8)


SIZES = [(26, 19), (13, 31), (3, 2), (1, 1)]
for number, (width, height) in enumerate(SIZES):
    tensors[f"source/{number}"] = picture(width, height, 31 + number)

# Crops: `crop/SCALE,SCALE/RATIO,RATIO` [n, 9]: seed, epoch, image, width, height; x, y, width, height of the crop.
shapes = [(500, 375), (375, 500), (26, 19), (13, 31), (1, 1), (1000, 1), (1, 1000), (7, 2), (4000, 100), (100, 4000), (64, 64)]
ranges = [((0.08, 1.0), (3 / 4, 4 / 3)), ((0.5, 0.5), (1.0, 1.0)), ((0.9, 1.0), (0.1, 10.0)), ((0.0, 0.01), (2.0, 3.0))]
for scale, ratio in ranges:
    rows = []
    for item, (width, height) in enumerate(shapes * 6):
        seed, epoch = 5 + (item << 30), item % 7
        transform = v2.RandomResizedCrop(8, scale=scale, ratio=ratio)
        with Tries(seed, AUGMENT, RESIZED_CROP, epoch, item):
            box = transform.make_params([torch.zeros(3, height, width)])
        rows.append([seed, epoch, item, width, height, box["left"], box["top"], box["width"], box["height"]])
    numbers = lambda pair: ",".join(repr(float(x)) for x in pair)
    tensors[f"crop/{numbers(scale)}/{numbers(ratio)}"] = np.array(rows, np.int64)

# Resized crops, through Pillow: `resized/N/X,Y,WIDTH,HEIGHT` `[h, w, 3]` of source N.
for number, box in (0, (3, 2, 20, 9)), (0, (0, 0, 26, 19)), (0, (25, 18, 1, 1)), (1, (2, 1, 10, 30)), (1, (0, 0, 13, 4)):
    left, top, width, height = box
    image = Image.fromarray(tensors[f"source/{number}"])
    out = v2.functional.resized_crop(image, top, left, height, width, [12, 14], antialias=True)
    tensors[f"resized/{number}/{left},{top},{width},{height}"] = np.asarray(out).copy()

folder = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent)
folder.mkdir(parents=True, exist_ok=True)
save_file(tensors, folder / "case.safetensors")
versions = {
    "python": platform.python_version(),
    "torch": torch.__version__,
    "torchvision": torchvision.__version__,
    "numpy": np.__version__,
    "pillow": PIL.__version__,
    "seed": 31,
}
(folder / "versions.txt").write_text("".join(f"{k} {v}\n" for k, v in versions.items()))
print(f"{folder.name}: {len(tensors)} tensors, {(folder / 'case.safetensors').stat().st_size} bytes")
