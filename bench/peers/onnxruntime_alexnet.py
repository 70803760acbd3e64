#!/usr/bin/env python3
"""ONNX Runtime on its own CPU kernels: times forward passes in f32, and prints one line of JSON.

    python onnxruntime_alexnet.py [--net alexnet|torchvision] [--hint latency|throughput] [--batch 128] [--threads N]
                                  [--warmup 2] [--iters 5]

latency: one pass with all threads. throughput: as many passes at once as there are threads, each with a batch of its own and
one thread; a batch's time is then that of the group over its number. The default is latency for one image, else throughput.
Its kernels have no bf16.
"""
from concurrent.futures import ThreadPoolExecutor

import numpy
import onnxruntime

import yardstick
from yardstick import CLASSES, SIDE


def binding(session, args, seed):
    """Pixels and logits of one batch, at fixed places in memory, so that nothing is copied in a pass; and what keeps them alive."""
    pixels = numpy.random.default_rng(seed).uniform(-1, 1, (args.batch, 3, SIDE, SIDE)).astype(numpy.float32)
    logits = numpy.zeros((args.batch, CLASSES), numpy.float32)
    values = [onnxruntime.OrtValue.ortvalue_from_numpy(array) for array in (pixels, logits)]
    bound = session.io_binding()
    bound.bind_ortvalue_input("x", values[0])
    bound.bind_ortvalue_output("y", values[1])
    return bound, values


def step_of(path, args):
    """A function that does one step, and how many batches it does."""
    batches = 1 if args.hint == "latency" else args.threads
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = args.threads // batches
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    bound = [binding(session, args, seed) for seed in range(batches)]
    if batches == 1:
        return lambda: session.run_with_iobinding(bound[0][0]), batches
    pool = ThreadPoolExecutor(batches)
    return lambda: list(pool.map(lambda pair: session.run_with_iobinding(pair[0]), bound)), batches


def main():
    args = yardstick.options(__doc__, hints=("latency", "throughput"))
    with yardstick.exported(args.net, args.batch) as path:
        step, batches = step_of(path, args)
        yardstick.report(f"onnxruntime {onnxruntime.__version__}", args, step, batches)


if __name__ == "__main__":
    main()
