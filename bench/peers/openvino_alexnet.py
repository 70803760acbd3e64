#!/usr/bin/env python3
"""OpenVINO: times forward passes, and prints one line of JSON.

    python openvino_alexnet.py [--net alexnet|torchvision] [--dtype f32|bf16] [--hint latency|throughput] [--batch 128]
                               [--threads N] [--warmup 2] [--iters 5]

latency: one request with all threads. throughput: as many requests as OpenVINO advises, each with a batch of its own and some
of the threads; a batch's time is then that of the group over its number. The default is latency for one image, else throughput.
"""
import numpy
import openvino

import yardstick
from yardstick import SIDE


def step_of(path, args):
    """A function that does one step, and how many batches it does."""
    core = openvino.Core()
    settings = {
        "PERFORMANCE_HINT": args.hint.upper(),
        # Where the processor has bf16, OpenVINO takes it unless told not to.
        "INFERENCE_PRECISION_HINT": args.dtype,
        "INFERENCE_NUM_THREADS": args.threads,
    }
    compiled = core.compile_model(core.read_model(path), "CPU", settings)
    batches = 1 if args.hint == "latency" else compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS")
    shape = (args.batch, 3, SIDE, SIDE)
    pixels = [numpy.random.default_rng(seed).uniform(-1, 1, shape).astype(numpy.float32) for seed in range(batches)]
    requests = [compiled.create_infer_request() for _ in pixels]
    for request, array in zip(requests, pixels):
        request.set_input_tensor(openvino.Tensor(array, shared_memory=True))

    def step():
        for request in requests:
            request.start_async()
        for request in requests:
            request.wait()

    # A shared tensor does not keep its array alive.
    step.pixels = pixels
    return step, batches


def main():
    args = yardstick.options(__doc__, dtypes=("f32", "bf16"), hints=("latency", "throughput"))
    with yardstick.exported(args.net, args.batch) as path:
        step, batches = step_of(path, args)
        yardstick.report(f"openvino {openvino.__version__.split('-')[0]}", args, step, batches)


if __name__ == "__main__":
    main()
