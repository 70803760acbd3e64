"""What the yardsticks' scripts have in common: options, the exported net, the clock, and the line of JSON."""
import argparse
import contextlib
import json
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

NETS = ("alexnet", "torchvision")
SIDE, CLASSES = 224, 1000


def options(description, modes=("forward",), dtypes=("f32",), styles=("tuned",), hints=()):
    """The options of the command line; the defaults are alexnet at batch 128 in f32, with every core that the process may use."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mode", choices=modes, default=modes[0])
    parser.add_argument("--style", choices=styles, default="tuned")
    if "plain" in styles:
        parser.add_argument("--plain", dest="style", action="store_const", const="plain", help="the same as --style plain")
    if hints:
        parser.add_argument("--hint", choices=hints, help="latency: all threads do one batch; throughput: each does its own")
    parser.add_argument("--net", choices=NETS, default=NETS[0])
    parser.add_argument("--dtype", choices=dtypes, default=dtypes[0])
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--warmup", type=int, default=2)
    parser.add_argument("--iters", type=int, default=5)
    args = parser.parse_args()
    if hints and args.hint is None:
        args.hint = "latency" if args.batch == 1 else "throughput"
    return args


@contextlib.contextmanager
def exported(net, batch):
    """The path of the net as an ONNX file. A process of its own makes it, so that PyTorch's memory is not counted as the runtime's."""
    script = Path(__file__).resolve().parent / "nets.py"
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "net.onnx")
        done = subprocess.run([sys.executable, "-B", script, net, str(batch), path], capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"the net could not be exported:\n{done.stderr}")
        yield path


def milliseconds(step, iters, batches=1):
    """How long a batch takes in each of `iters` steps of `batches` batches."""
    ms = []
    for _ in range(iters):
        start = time.perf_counter()
        step()
        ms.append((time.perf_counter() - start) * 1e3 / batches)
    return ms


def peak_bytes():
    """The most memory that this process has held."""
    try:
        return int(re.search(r"^VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text(), re.M).group(1)) * 1024
    except (OSError, AttributeError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def report(program, args, step, batches=1):
    """Warms up, times, and prints one line of JSON. A step does `batches` batches; all figures are for one."""
    milliseconds(step, args.warmup)
    cpu_begin = time.process_time()
    ms = milliseconds(step, args.iters, batches)
    cpu_ms = (time.process_time() - cpu_begin) * 1e3 / (args.iters * batches)
    median = statistics.median(ms)
    result = {
        "program": program,
        "net": args.net,
        "mode": args.mode,
        "style": args.style,
        "dtype": args.dtype,
        "batch": args.batch,
        "threads": args.threads,
        "iters": args.iters,
        "images_per_s": round(args.batch / median * 1e3, 2),
        "ms": round(median, 3),
        "ms_min": round(min(ms), 3),
        "ms_max": round(max(ms), 3),
        "cpu_ms": round(cpu_ms, 3),
        "peak_bytes": peak_bytes(),
        "hint": getattr(args, "hint", None),
        "batches_at_once": batches,
        "environment": {key: os.environ[key] for key in sorted(os.environ) if is_setting(key)},
    }
    print(json.dumps(result))


def is_setting(key):
    """Whether a variable of the environment changes the speed."""
    return key.startswith(("MALLOC_", "OMP_", "GOMP_", "KMP_")) or key in ("GLIBC_TUNABLES", "LD_PRELOAD")
