#!/usr/bin/env python3
"""PyTorch: times training steps or forward passes, and prints one line of JSON.

    python torch_alexnet.py [--mode train|forward] [--style tuned|plain] [--net alexnet|torchvision] [--dtype f32|bf16]
                            [--batch 128] [--threads N] [--warmup 2] [--iters 5]

tuned: channels last, the normalisation compiled from shifted slices, fused SGD; for forward the whole network compiled with
its weights folded into it. The allocator is chosen by the environment, before the process starts; `cargo xtask bench` does it.
plain: what a user writes first: eager, NCHW, nn.LocalResponseNorm, SGD as it comes.
bf16: parameters, momenta and activations are bf16; the loss is computed in f32.

A training step is forward, backward and update on random pixels and labels that are in memory already, as in `alexnet bench`.
"""
import sys

import torch
from torch.nn import functional as F

import nets
import yardstick
from yardstick import CLASSES, SIDE


def step_of(args):
    """A function that does one step."""
    train, tuned = args.mode == "train", args.style == "tuned"
    dtype = torch.bfloat16 if args.dtype == "bf16" else torch.float32
    # A compiled network compiles the normalisation with the rest.
    model = nets.build(args.net, (lambda: nets.SliceNorm(compiled=train)) if tuned else nets.PlainNorm).train(train).to(dtype)
    pixels = torch.rand(args.batch, 3, SIDE, SIDE).mul_(2).sub_(1).to(dtype)
    labels = torch.randint(0, CLASSES, (args.batch,))
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
        loss = F.cross_entropy(model(pixels).float(), labels)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()

    return step


def main():
    args = yardstick.options(__doc__, ("train", "forward"), ("f32", "bf16"), ("tuned", "plain"))
    if (args.style, args.net, args.dtype) == ("plain", "alexnet", "bf16"):
        sys.exit("PyTorch's own response normalisation has no bf16 on the CPU")
    torch.manual_seed(0)
    torch.set_num_threads(args.threads)
    yardstick.report(f"torch {torch.__version__}", args, step_of(args))


if __name__ == "__main__":
    main()
