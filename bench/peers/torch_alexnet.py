#!/usr/bin/env python3
"""PyTorch on the preset `alexnet`: times training steps or forward passes, and prints one line of JSON.

    python torch_alexnet.py [--mode train|forward] [--style plain|tuned] [--batch 128] [--threads N] [--warmup 2] [--iters 5]

plain: what a user writes first: eager, NCHW, nn.LocalResponseNorm, SGD as it comes.
tuned: channels last, the normalisation compiled from shifted slices, fused SGD; for forward the whole network compiled with
its weights frozen. The allocator's settings must be in the environment before the process starts; compare.py sets them.

A training step is forward, backward and update on random pixels and labels that are already in memory, as in our bench_step.
"""
import argparse
import json
import os
import statistics
import time

import torch
from torch import nn
from torch.nn import functional as F

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
    root = torch.sqrt(K + ALPHA * total)
    return x / (root * torch.sqrt(root))


class SliceNorm(nn.Module):
    def __init__(self, compiled):
        super().__init__()
        self.norm = torch.compile(norm_of_slices, dynamic=False) if compiled else norm_of_slices

    def forward(self, x):
        return self.norm(x)


def alexnet(norm):
    """The paper's text at 224 pixels: conv1's last windows overhang by three pixels that read as zero."""

    def rectified(layer):
        return [layer, nn.ReLU(inplace=True)]

    return nn.Sequential(
        nn.ZeroPad2d((0, 3, 0, 3)),
        *rectified(nn.Conv2d(3, 96, 11, stride=4)),
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
        nn.Linear(4096, 1000),
    )


def work(mode, style, batch):
    """A function that does one step."""
    train, tuned = mode == "train", style == "tuned"
    model = alexnet((lambda: SliceNorm(train)) if tuned else PlainNorm).train(train)
    pixels, labels = torch.rand(batch, 3, 224, 224) * 2 - 1, torch.randint(0, 1000, (batch,))
    if tuned:
        model = model.to(memory_format=torch.channels_last)
        pixels = pixels.contiguous(memory_format=torch.channels_last)
    if not train:
        if tuned:
            torch._inductor.config.freezing = True
            model = torch.compile(model, dynamic=False)
        return torch.no_grad()(lambda: model(pixels))
    optimiser = torch.optim.SGD(model.parameters(), lr=1e-4, momentum=0.9, weight_decay=5e-4, fused=tuned or None)

    def step():
        optimiser.zero_grad(set_to_none=True)
        F.cross_entropy(model(pixels), labels).backward()
        optimiser.step()

    return step


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--mode", choices=["train", "forward"], default="train")
    parser.add_argument("--style", choices=["plain", "tuned"], default="plain")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--warmup", type=int, default=2)
    parser.add_argument("--iters", type=int, default=5)
    args = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(args.threads)
    step = work(args.mode, args.style, args.batch)
    for _ in range(args.warmup):
        step()
    ms, cpu_begin = [], time.process_time()
    for _ in range(args.iters):
        start = time.perf_counter()
        step()
        ms.append((time.perf_counter() - start) * 1e3)
    cpu_ms = (time.process_time() - cpu_begin) * 1e3 / args.iters
    median = statistics.median(ms)
    print(
        json.dumps(
            {
                "program": f"torch {torch.__version__} {args.style}",
                "net": "alexnet",
                "mode": args.mode,
                "dtype": "f32",
                "batch": args.batch,
                "threads": args.threads,
                "ms": round(median, 2),
                "ms_min": round(min(ms), 2),
                "ms_max": round(max(ms), 2),
                "images_per_s": round(args.batch / median * 1e3, 2),
                "cpu_ms": round(cpu_ms),
                "preload": os.environ.get("LD_PRELOAD", ""),
                "malloc": {key: value for key, value in os.environ.items() if key.startswith("MALLOC_") or key == "GLIBC_TUNABLES"},
            }
        )
    )


if __name__ == "__main__":
    main()
