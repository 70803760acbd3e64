"""The networks that the yardsticks run, in PyTorch and as ONNX files."""
import sys

import torch
from torch import nn
from torch.nn import functional as F

from yardstick import CLASSES, SIDE

MAPS_SEEN, ALPHA, BETA, K = 5, 1e-4, 0.75, 2.0


class PlainNorm(nn.Module):
    """x · (K + ALPHA · Σ x²)^−BETA over five neighbouring maps; PyTorch divides alpha by their number."""

    def __init__(self):
        super().__init__()
        self.norm = nn.LocalResponseNorm(MAPS_SEEN, alpha=ALPHA * MAPS_SEEN, beta=BETA, k=K)

    def forward(self, x):
        return self.norm(x)


def norm_of_slices(x):
    """The same from shifted slices of the squares, which the compiler fuses into one loop. x: [n, c, h, w]."""
    maps, reach = x.shape[1], MAPS_SEEN // 2
    squares = F.pad(x.square(), (0, 0, 0, 0, reach, reach))
    total = sum(squares[:, shift : shift + maps] for shift in range(MAPS_SEEN))
    root = torch.rsqrt(K + ALPHA * total)
    return x * (root * torch.sqrt(root))


class SliceNorm(nn.Module):
    def __init__(self, compiled):
        super().__init__()
        self.norm = torch.compile(norm_of_slices, dynamic=False) if compiled else norm_of_slices

    def forward(self, x):
        return self.norm(x)


class OnnxNorm(nn.Module):
    """The same as ONNX's own operator, for which runtimes have a kernel; to be exported only. It divides alpha as PyTorch does."""

    def forward(self, x):
        return torch.onnx.ops.symbolic(
            "LRN", (x,), {"size": MAPS_SEEN, "alpha": ALPHA * MAPS_SEEN, "beta": BETA, "bias": K}, dtype=x.dtype, shape=x.shape
        )


def alexnet(norm):
    """The paper's text at 224 pixels. conv1 reads two pixels of zeros on every side, where our preset reads three to the right and
    below: as many windows and as much work, without a padded copy of the input."""

    def rectified(layer):
        return [layer, nn.ReLU(inplace=True)]

    return nn.Sequential(
        *rectified(nn.Conv2d(3, 96, 11, stride=4, padding=2)),
        norm(),
        nn.MaxPool2d(3, 2),
        *rectified(nn.Conv2d(96, 256, 5, padding=2, groups=2)),
        norm(),
        nn.MaxPool2d(3, 2),
        *rectified(nn.Conv2d(256, 384, 3, padding=1)),
        *rectified(nn.Conv2d(384, 384, 3, padding=1, groups=2)),
        *rectified(nn.Conv2d(384, 256, 3, padding=1, groups=2)),
        nn.MaxPool2d(3, 2),
        nn.Flatten(),
        *rectified(nn.Linear(9216, 4096)),
        nn.Dropout(0.5),
        *rectified(nn.Linear(4096, 4096)),
        nn.Dropout(0.5),
        nn.Linear(4096, CLASSES),
    )


def build(name, norm):
    """The net of that name; `norm` makes its normalisation layers, where it has any."""
    if name == "alexnet":
        return alexnet(norm)
    import torchvision

    return torchvision.models.alexnet()


def export(name, batch, path):
    """Writes the net for passes of `batch` images as an ONNX file with input `x` and output `y`."""
    model = build(name, OnnxNorm).eval()
    pixels = torch.zeros(batch, 3, SIDE, SIDE)
    torch.onnx.export(model, (pixels,), path, input_names=["x"], output_names=["y"], dynamo=True, verbose=False)


if __name__ == "__main__":
    # Weights are random, and the same every time.
    torch.manual_seed(0)
    export(sys.argv[1], int(sys.argv[2]), sys.argv[3])
