"""What torchvision's transforms.v2 make of small pictures, for `crates/data/src/augment`.

Where they draw random numbers they are given ours: uniforms, integers and normals of an address (philox.py) take the place of
PyTorch's generators, so that boxes, places and orders are compared and not their distributions.

`source/N` are pictures `[h, w, 3]`. What else there is says the section that makes it.
"""

import itertools
import pathlib
import sys
import unittest.mock
import zlib

import numpy as np
import PIL
import torch
import torchvision
from PIL import Image
from torchvision.transforms import v2

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent))

import kept
import philox

torch.set_num_threads(1)
AUGMENT, MIX = 8, 9  # philox.py's purposes go on in crates/net/src/random.rs
RESIZED_CROP, COLOUR_JITTER, RAND_AUGMENT, ERASING = range(4)  # what AUGMENT's numbers are for; the address's `layer`
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
        low, high = (low, high) if isinstance(high, int) else (0, low)
        return torch.tensor([low + (self.next() * (high - low) >> 32)])

    def permutation(self, n):
        """Its numbers follow those of four factors."""
        order = list(range(n))
        for i in reversed(range(1, n)):
            j = int(self.bits[n + i]) * (i + 1) >> 32
            order[i], order[j] = order[j], order[i]
        return order

    def __enter__(self):
        self.patches = [
            unittest.mock.patch.object(torch.Tensor, "uniform_", lambda t, low, high: self.uniform(t, low, high)),
            unittest.mock.patch.object(torch, "randint", self.below),
            unittest.mock.patch.object(torch, "rand", lambda _size: torch.tensor(self.next() / 2**32, dtype=torch.float64)),
            unittest.mock.patch.object(torch, "randperm", self.permutation),
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



def planes(picture):
    return torch.from_numpy(picture).permute(2, 0, 1).contiguous()


def interleaved(tensor):
    return tensor.permute(1, 2, 0).contiguous().numpy()


# Colours: `adjust/WHAT/FACTOR/N` `[h, w, 3]` of source N.
factors = [0.0, 0.37, 1.0, 1.1, 1.63, 5.5]
adjusted = {
    "brightness": (v2.functional.adjust_brightness, factors),
    "contrast": (v2.functional.adjust_contrast, factors),
    "saturation": (v2.functional.adjust_saturation, factors),
    "sharpness": (v2.functional.adjust_sharpness, factors),
    "hue": (v2.functional.adjust_hue, [-0.5, -0.31, 0.0, 0.05, 1 / 3]),
    "posterize": (v2.functional.posterize, range(9)),
    "solarize": (v2.functional.solarize, [0.0, 0.5, 127.5, 128.0, 254.0, 255.0]),
    "autocontrast": (lambda image, _: v2.functional.autocontrast(image), [0]),
    "equalize": (lambda image, _: v2.functional.equalize(image), [0]),
}
few = np.where(picture(26, 19, 35) > 99, 90, 70).astype(np.uint8)
few[:, :, 1] = 200
tensors["source/4"] = few
for name, (adjust, values) in adjusted.items():
    numbers_of = (0, 1, 2, 3, 4) if name in ("autocontrast", "equalize") else (0, 2, 3)
    for value, number in itertools.product(values, numbers_of):
        out = adjust(planes(tensors[f"source/{number}"]), value)
        tensors[f"adjust/{name}/{value!r}/{number}"] = interleaved(out)
# All colours that differ by multiples of 15, 18 to a row of the picture: what hue does to each.
levels = np.arange(0, 256, 15, dtype=np.uint8)
cube = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), -1).reshape(18, -1, 3)
tensors["source/5"] = cube
tensors["adjust/hue/0.23/5"] = interleaved(v2.functional.adjust_hue(planes(cube), 0.23))
tensors["adjust/saturation/1.7/5"] = interleaved(v2.functional.adjust_saturation(planes(cube), 1.7))

# Colour jitter: `jitter/BRIGHTNESS,CONTRAST,SATURATION,HUE/SEED,EPOCH,IMAGE/N` `[h, w, 3]`.
for seed, amounts in itertools.product((3, 4, 5, 6), ((0.4, 0.4, 0.4, 0.1), (1.5, 0.8, 2.0, 0.5))):
    for item, number in enumerate((0, 1, 3)):
        address = (seed, seed + 2, item)
        with Drawn(seed, AUGMENT, COLOUR_JITTER, *address[1:]):
            out = v2.ColorJitter(*amounts)(planes(tensors[f"source/{number}"]))
        text = ",".join(repr(amount) for amount in amounts)
        tensors[f"jitter/{text}/{','.join(map(str, address))}/{number}"] = interleaved(out)


# RandAugment's operations: `operation/OP/MAGNITUDE/SIGN/N` `[h, w, 3]` of source N; of a picture of 224 × 224 (see `wide`) the
# CRC-32 of every operation, magnitude and sign, `digest/OP` `[31, 2]`.
rand_augment = v2.RandAugment()


def operate(name, magnitude, sign, tensor):
    height, width = tensor.shape[-2:]
    magnitudes, signed = rand_augment._AUGMENTATION_SPACE[name]
    values = magnitudes(31, height, width)
    value = 0.0 if values is None else float(values[magnitude]) * (sign if signed else 1)
    return rand_augment._apply_image_or_video_transform(tensor, name, value, rand_augment.interpolation, rand_augment._fill)


x, y, c = np.meshgrid(np.arange(224), np.arange(224), np.arange(3))
wide = ((x * x * (c + 1) + 3 * y * y + 7 * x * y) // 64 % 256).astype(np.uint8)
for name in rand_augment._AUGMENTATION_SPACE:
    for magnitude, sign, number in ((9, 1, 0), (30, -1, 1), (30, 1, 2), (5, -1, 3)):
        out = operate(name, magnitude, sign, planes(tensors[f"source/{number}"]))
        tensors[f"operation/{name}/{magnitude}/{sign}/{number}"] = interleaved(out)
    crc = lambda magnitude, sign: zlib.crc32(interleaved(operate(name, magnitude, sign, planes(wide))).tobytes())
    tensors[f"digest/{name}"] = np.array([[crc(magnitude, sign) for sign in (1, -1)] for magnitude in range(31)], np.int64)


class Choices(Drawn):
    """An operation and its sign from the first two of four."""

    def below(self, *arguments, **named):
        self.skip()
        return super().below(*arguments, **named)


# RandAugment: `rand/OPS,MAGNITUDE/SEED,EPOCH,IMAGE/N` `[h, w, 3]`.
for ops, magnitude in (2, 9), (1, 30), (5, 14):
    for item in range(8):
        with Choices(77, AUGMENT, RAND_AUGMENT, 3, item):
            out = v2.RandAugment(ops, magnitude)(planes(tensors["source/0"]))
        tensors[f"rand/{ops},{magnitude}/77,3,{item}/0"] = interleaved(out)

# Erasing: `erasing/PROBABILITY/SCALE,SCALE/RATIO,RATIO` [n, 9]: seed, epoch, image, width, height; x, y, width, height of what is
# erased, or -1 four times.
settings = [
    (1.0, (0.02, 0.33), (0.3, 3.3)),
    (0.5, (0.02, 0.33), (0.3, 3.3)),
    (1.0, (0.0, 0.0001), (1.0, 1.0)),
    (1.0, (0.8, 1.0), (0.5, 2.0)),
]
for probability, scale, ratio in settings:
    rows = []
    for item, (width, height) in enumerate([(224, 224), (48, 48), (30, 7), (2, 2), (1, 1), (40, 1)] * 8):
        seed, epoch = 8 + (item << 31), item % 5
        transform = v2.RandomErasing(probability, scale, ratio)
        with Tries(seed, AUGMENT, ERASING, epoch, item):
            untouched = torch.rand(1) >= transform.p
            box = transform.make_params([torch.zeros(3, height, width)])
        erased = [box["j"], box["i"], box["w"], box["h"]]
        rows.append([seed, epoch, item, width, height] + ([-1] * 4 if untouched or box["v"] is None else erased))
    tensors[f"erasing/{probability}/{numbers(scale)}/{numbers(ratio)}"] = np.array(rows, np.int64)

# Mixtures of a batch `mix/values` `[n, c, h, w]` f32 of `mix/labels` `[n]`: `mixup/LAMBDA/values`, and `mixup/LAMBDA/labels`
# `[n, classes]`, the classes' shares, f32; `cutmix/LAMBDA/SEED,EPOCH,BATCH/…` with the rectangle's middle at that address.
CLASSES = 5
values = torch.from_numpy(philox.uniform(philox.u32(4 * 3 * 9 * 7, 31, philox.TEST), 60.0).reshape(4, 3, 9, 7))
labels = torch.tensor([3, 0, 4, 3])
tensors["mix/values"], tensors["mix/labels"] = values.numpy(), labels.numpy()


def mix(transform, share, name):
    transform._dist = unittest.mock.Mock(sample=lambda _: torch.tensor([share], dtype=torch.float64))
    mixed, shares = transform(values, labels)
    tensors[f"{name}/values"], tensors[f"{name}/labels"] = mixed.numpy(), shares.numpy()


for share in 0.0, 0.25, 0.7, 0.999, 1.0:
    mix(v2.MixUp(num_classes=CLASSES), share, f"mixup/{share}")
    for batch in range(3):
        drawn = Drawn(6, MIX, 0, 2, batch)
        drawn.next()  # the choice between the two
        with drawn:
            mix(v2.CutMix(num_classes=CLASSES), share, f"cutmix/{share}/6,2,{batch}")

versions = {
    "torch": torch.__version__,
    "torchvision": torchvision.__version__,
    "numpy": np.__version__,
    "pillow": PIL.__version__,
    "seed": 31,
}
kept.keep(__file__, tensors, versions)
