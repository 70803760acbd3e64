#!/usr/bin/env python3
"""PyTorch on a GPU, as strong as it can be made: tries many ways of running a net and prints one JSON object with all and the best.

    python torch_alexnet_cuda.py [--net alexnet,torchvision] [--mode train,infer] [--batch 128,256,1024] [--precision bf16,f16,tf32,f32]
                                 [--variants NAME,…] [--seconds 2] [--budget 600] [--json FILE] [--device cuda:0|cpu]

Needs PyTorch, and cuda_nets.py beside it (which run by itself checks the nets, the normalisations and the update). Every variant
of a net runs in a process of its own, for all batches; one that fails or takes too long is reported and ends nothing else. What
does not fit into the budget (of seconds, for the whole run) is skipped and reported. The CPU is there to try the script, with tiny
batches and fewer variants.

train: forward, cross-entropy, backward and SGD with momentum and decay. infer: logits, under inference_mode, weights folded.
Pixels and labels are random and lie on the device already, in the type, padding and layout that the variant reads, at no charge.

bf16  training: `masters`: weights, activations and gradients are bf16, and an update in f32 (compiled, one pass) keeps f32 weights
      and momenta from which the bf16 weights are rounded; `autocast`: f32 weights, rounded by autocast in every step.
      Weights that exist in bf16 alone are not tried: small updates would be lost. infer: everything is bf16.
f16   training: autocast with a GradScaler. infer: everything is f16.
tf32  f32 whose products and convolutions may use TF32. f32: they may not.

What a variant switches: layout; norm, how the response normalisation is written (own: F.local_response_norm; slices: shifted
slices; bands: a 1 × 1 convolution with a band of ones; compiled: slices through torch.compile on their own); conv1 (direct, or
blocks: 4 × 4 pixels become 48 maps, and 11 × 11 of stride 4 becomes 3 × 3 of stride 1, with the same sums); compile, the mode of
torch.compile for the whole net; graph, one CUDA graph for the whole step; update (default, foreach or fused SGD, or masters);
search, cudnn.benchmark.
"""
import argparse
import gc
import itertools
import json
import math
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time

try:
    import torch
    from torch.nn import functional as F
except ImportError as error:
    sys.exit(f"nothing was measured: PyTorch cannot be imported by {sys.executable}: {error}")

from cuda_nets import CLASSES, MOMENTUM, PARAMETERS, RATE, SIDE, AlexNet, Masters

LAPS = 7
RESULT = "RESULT "

PLAIN = dict(layout="nchw", norm="own", conv1="direct", compile=None, graph=False, update="default", search=False)
TUNED = dict(layout="nhwc", norm="slices", conv1="direct", compile="default", graph=True, update="masters", search=True)
# In the order in which they are tried: when time is short, the first have the best prospects.
VARIANTS = {
    "compiled": TUNED,
    "compiled-blocks": TUNED | dict(conv1="blocks"),
    "plain": PLAIN,
    "compiled-autocast": TUNED | dict(update="fused"),
    "eager-compiled-norm": TUNED | dict(compile=None, norm="compiled"),
    "autotuned-blocks": TUNED | dict(conv1="blocks", compile="max-autotune-no-cudagraphs"),
    "autotuned": TUNED | dict(compile="max-autotune-no-cudagraphs"),
    "compiled-bands": TUNED | dict(norm="bands"),
    "eager-bands": TUNED | dict(compile=None, norm="bands"),
    "compiled-own-norm": TUNED | dict(norm="own"),
    "reduce-overhead": TUNED | dict(compile="reduce-overhead", graph=False),
    "compiled-nchw": TUNED | dict(layout="nchw"),
    "compiled-launched": TUNED | dict(graph=False),
    "eager-channels-last": TUNED | dict(compile=None, norm="own", graph=False, update="fused"),
    "eager-slices-foreach": TUNED | dict(compile=None, graph=False, update="foreach"),
    "max-autotune": TUNED | dict(compile="max-autotune", graph=False),
}
ON_CPU = ("compiled", "compiled-blocks", "plain", "eager-bands")
# Seconds without which a variant is not begun, until one of its kind has run.
LEAST = {None: 15, "default": 40, "reduce-overhead": 40, "max-autotune": 90, "max-autotune-no-cudagraphs": 90}


def optimiser_of(kind, groups):
    if kind == "masters":
        return Masters(groups)
    how = {"default": {}, "foreach": {"foreach": True}, "fused": {"fused": True}}[kind]
    groups = [{"params": parameters, "weight_decay": decay} for parameters, decay in groups]
    return torch.optim.SGD(groups, lr=RATE, momentum=MOMENTUM, **how)


def training(model, pixels, labels, job):
    """A function that does one step and returns the loss."""
    device, switches = pixels.device.type, job["switches"]
    half = {"bf16": torch.bfloat16, "f16": torch.float16}.get(job["precision"])
    autocast = half is not None and switches["update"] != "masters"
    scaler = torch.amp.GradScaler(device, enabled=job["precision"] == "f16")
    optimiser = optimiser_of(switches["update"], model.groups())

    def loss_of(pixels, labels):
        with torch.autocast(device, dtype=half, enabled=autocast):
            return F.cross_entropy(model(pixels).float(), labels)

    if switches["compile"]:
        loss_of = torch.compile(loss_of, mode=switches["compile"], dynamic=False)

    def step():
        optimiser.zero_grad()
        loss = loss_of(pixels, labels)
        scaler.scale(loss).backward()
        if scaler.is_enabled():
            scaler.step(optimiser)
            scaler.update()
        else:
            optimiser.step()
        return loss.detach()

    return step


def inference(model, pixels, job):
    """A function that does one pass and returns the logits."""
    mode = job["switches"]["compile"]
    if mode:
        torch._inductor.config.freezing = True
        model = torch.compile(model, mode=mode, dynamic=False)
    return torch.inference_mode()(lambda: model(pixels))


def as_graph(step):
    """The step as one CUDA graph. What is compiled, chosen and allocated at the first steps is, before it is recorded."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(4):
            step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        output = step()

    def replay():
        graph.replay()
        return output

    return replay


def step_of(job, batch):
    """A function that does one step of the job at this batch."""
    switches, train = job["switches"], job["mode"] == "train"
    torch.manual_seed(0)
    torch.backends.cudnn.benchmark = switches["search"]
    torch.backends.cudnn.allow_tf32 = job["precision"] != "f32"
    torch.set_float32_matmul_precision("highest" if job["precision"] == "f32" else "high")
    model = AlexNet(job["net"], switches["norm"], switches["conv1"]).to(job["device"])
    dtype = torch.float32
    if not train or switches["update"] == "masters":
        dtype = {"bf16": torch.bfloat16, "f16": torch.float16}.get(job["precision"], dtype)
    if not train:
        model.freeze()
    layout = torch.channels_last if switches["layout"] == "nhwc" else torch.contiguous_format
    model = model.to(dtype).to(memory_format=layout)
    pixels = torch.rand(batch, 3, SIDE, SIDE, device=job["device"]).mul_(2).sub_(1).to(dtype)
    pixels = model.pixels(pixels).contiguous(memory_format=layout)
    labels = torch.randint(0, CLASSES, (batch,), device=job["device"])
    step = training(model, pixels, labels, job) if train else inference(model, pixels, job)
    if switches["compile"] in ("reduce-overhead", "max-autotune"):
        inner = step

        def step():
            torch.compiler.cudagraph_mark_step_begin()
            return inner()

    return as_graph(step) if switches["graph"] else step


def lap(step, count, device):
    """Milliseconds of one of `count` steps: by events on the GPU, by the clock on the CPU."""
    if device == "cpu":
        start = time.perf_counter()
        for _ in range(count):
            step()
        return (time.perf_counter() - start) * 1e3 / count
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    begin.record()
    for _ in range(count):
        step()
    end.record()
    torch.cuda.synchronize()
    return begin.elapsed_time(end) / count


def timed(step, seconds, device):
    """Warms up, then times laps that together last about `seconds`."""
    start = time.perf_counter()
    lap(step, 3 if device != "cpu" else 1, device)
    first_steps = time.perf_counter() - start
    expected = lap(step, 2, device)
    if device != "cpu":
        lap(step, math.ceil(seconds * 1e3 / 4 / expected), device)
    count = math.ceil(seconds * 1e3 / LAPS / expected)
    ms = [lap(step, count, device) for _ in range(LAPS)]
    return {
        "ms": round(statistics.median(ms), 4),
        "ms_min": round(min(ms), 4),
        "ms_max": round(max(ms), 4),
        "laps": LAPS,
        "steps_a_lap": count,
        "first_steps_s": round(first_steps, 2),
    }


def measured(job, batch):
    """What one variant does at one batch."""
    begin = time.perf_counter()
    step = step_of(job, batch)
    prepared = time.perf_counter() - begin
    times = timed(step, job["seconds"], job["device"])
    output = step()
    if not torch.isfinite(output).all():
        raise ArithmeticError(f"{'the loss' if job['mode'] == 'train' else 'a logit'} is not finite")
    if job["mode"] == "train":
        times["loss"] = round(output.item(), 4)
    return {"images_per_s": round(batch / times["ms"] * 1e3, 1), **times, "prepared_s": round(prepared, 2)}


def machine(job):
    """Versions, the device, and what it can do at best: a large product in bf16, and a copy (bytes read and bytes written)."""
    cuda = job["device"] != "cpu"
    if cuda and not torch.cuda.is_available():
        return {"failed": f"PyTorch {torch.__version__} sees no CUDA device"}
    side, count = (8192, 1 << 30) if cuda else (256, 1 << 22)
    a, b = (torch.randn(side, side, device=job["device"], dtype=torch.bfloat16) for _ in range(2))
    out = torch.empty_like(a)
    product = timed(lambda: torch.matmul(a, b, out=out), job["seconds"], job["device"])
    source = torch.zeros(count, device=job["device"], dtype=torch.uint8)
    target = torch.empty_like(source)
    copy = timed(lambda: target.copy_(source), job["seconds"], job["device"])
    properties = torch.cuda.get_device_properties(job["device"]) if cuda else None
    return {
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version() if cuda else None,
        "gpu": properties and properties.name,
        "capability": properties and f"{properties.major}.{properties.minor}",
        "memory_bytes": properties and properties.total_memory,
        "ceilings": {
            "matmul": {"dtype": "bf16", "side": side, "tflop_per_s": round(2 * side**3 / product["ms"] / 1e9, 3), **product},
            "copy": {"bytes": count, "gb_per_s": round(2 * count / copy["ms"] / 1e6, 1), **copy},
        },
    }


def child(job):
    """Does a job and prints a result at a time. Ends itself when its time is up, should nobody be left to end it."""
    signal.alarm(math.ceil(job["limit_s"]) + 10)
    if job["device"] != "cpu" and torch.cuda.is_available():
        torch.cuda.set_device(job["device"])
    for batch in job["batches"]:
        try:
            result = machine(job) if job["mode"] == "machine" else measured(job, batch)
        except Exception as error:
            result = {"failed": f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else ''}"[:300]}
        print(RESULT + json.dumps({"batch": batch} | result), flush=True)
        gc.collect()
        torch.compiler.reset()
        if job["device"] != "cpu" and torch.cuda.is_available():
            torch.cuda.empty_cache()


def results_of(job):
    """Runs a child for the job, at most `limit_s` seconds; results by batch, with a reason where there is none."""
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        command = [sys.executable, "-B", os.path.abspath(__file__), "--job", json.dumps(job)]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=errors, start_new_session=True)
        try:
            status = process.wait(job["limit_s"])
            reason = f"ended with status {status}"
        except subprocess.TimeoutExpired:
            reason = f"took more than {job['limit_s']:.0f} s"
        finally:
            # The child leads a group of its own, in which are also the compilers that it started.
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            process.wait()
        output.seek(0)
        errors.seek(0)
        results = [json.loads(line[len(RESULT) :]) for line in output if line.startswith(RESULT)]
        complaints = [line.strip() for line in errors if line.strip()]
    if reason.startswith("ended") and complaints:
        reason += f": {complaints[-1][:300]}"
    found = {result.pop("batch"): result for result in results}
    return {batch: found.get(batch, {"failed": reason}) for batch in job["batches"]}


def variants_of(args, net, mode, precision):
    """Names and switches of the variants that differ for this net, mode, precision and device."""
    seen = []
    for name, switches in VARIANTS.items():
        switches = dict(switches)
        if args.device == "cpu":
            if name not in ON_CPU:
                continue
            switches.update(graph=False, search=False)
        if net == "torchvision":
            switches["norm"] = None
        if mode == "infer":
            switches["update"] = None
        elif switches["update"] == "masters" and precision != "bf16":
            switches["update"] = "fused"
        if (args.variants is None or name in args.variants) and switches not in seen:
            seen.append(switches)
            yield name, switches


def jobs_of(args):
    """Every job, so that the first variant of all comes before the second of any."""
    parts = list(itertools.product(args.precision, args.net, args.mode))
    lists = [[(part, *variant) for variant in variants_of(args, part[1], part[2], part[0])] for part in parts]
    for row in itertools.zip_longest(*lists):
        yield from filter(None, row)


def said(text):
    print(text, file=sys.stderr, flush=True)


def written(report, path):
    """So that what was measured stays when the run is cut short."""
    if path:
        with open(path + ".part", "w", encoding="utf-8") as file:
            json.dump(report, file, indent=1)
        os.replace(path + ".part", path)


def entered(row, name, switches, result, second):
    """Adds a variant's result to the row of its net, mode, precision and batch, and says it."""
    row["variants"].append({"name": name, **result, "switches": switches})
    speed = result.get("images_per_s")
    if speed and (row["best"] is None or speed > row["best"]["images_per_s"]):
        row["best"] = {"name": name, "images_per_s": speed, "ms": result["ms"]}
    if "skipped" not in result:
        outcome = f"{speed} images/s" if speed else f"failed: {result['failed']}"
        said(f"{second:6.0f} s  {row['net']} {row['mode']} {row['precision']} {row['batch']}  {name}: {outcome}")


def run(args):
    begin = time.monotonic()
    left = lambda: args.budget - (time.monotonic() - begin)
    job = {"mode": "machine", "device": args.device, "seconds": min(args.seconds, 1.0), "batches": [0], "limit_s": max(1.0, left())}
    report = {"program": "torch", "device": args.device, "budget_s": args.budget} | results_of(job)[0]
    if "failed" in report:
        sys.exit(f"nothing was measured: {report['failed']}")
    product, copy = report["ceilings"]["matmul"], report["ceilings"]["copy"]
    said(f"torch {report['torch']} on {report['gpu'] or 'the CPU'}: {product['tflop_per_s']} TFLOP/s, copies {copy['gb_per_s']} GB/s")
    rows = {
        key: dict(zip(("precision", "net", "mode", "batch"), key)) | {"variants": [], "best": None}
        for key in itertools.product(args.precision, args.net, args.mode, args.batch)
    }
    report["results"] = list(rows.values())
    taken, skipped = {}, 0
    for (precision, net, mode), name, switches in jobs_of(args):
        start, kind = time.monotonic(), switches["compile"]
        needed = taken.get(kind, LEAST[kind] if args.device != "cpu" else 1)
        if left() < needed:
            reason = f"{max(left(), 0):.0f} s were left of the budget, and it needs about {needed:.0f}"
            results = dict.fromkeys(args.batch, {"skipped": reason})
        else:
            job = {"net": net, "mode": mode, "precision": precision, "batches": args.batch, "switches": switches}
            # No variant may use up what the others need.
            limit = min(left(), max(args.budget / 4, 60.0))
            results = results_of(job | {"device": args.device, "seconds": args.seconds, "limit_s": limit})
            taken[kind] = min(taken.get(kind, math.inf), time.monotonic() - start)
        for batch, result in results.items():
            entered(rows[precision, net, mode, batch], name, switches, result, args.budget - left())
            skipped += "skipped" in result
        report["took_s"] = round(args.budget - left(), 1)
        written(report, args.json)
    if skipped:
        said(f"{skipped} measurements were skipped: they did not fit into {args.budget:.0f} s")
    print(json.dumps(report, indent=1))
    if not any(row["best"] for row in rows.values()):
        sys.exit("nothing was measured: every variant failed or was skipped")


def main():
    def listed(known=None, of=str):
        def read(text):
            values = [of(value) for value in text.split(",")]
            if known and not set(values) <= set(known):
                raise argparse.ArgumentTypeError(f"{text} is not made of {', '.join(known)}")
            return list(dict.fromkeys(values))

        return read

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--net", type=listed(PARAMETERS), default=list(PARAMETERS))
    parser.add_argument("--mode", type=listed(("train", "infer")), default=["train", "infer"])
    parser.add_argument("--batch", type=listed(of=int), default=[128, 256, 1024])
    parser.add_argument("--precision", type=listed(("bf16", "f16", "tf32", "f32")), default=["bf16"])
    parser.add_argument("--variants", type=listed(VARIANTS), help=f"only these of {', '.join(VARIANTS)}")
    parser.add_argument("--seconds", type=float, default=2.0, help="how long each is timed")
    parser.add_argument("--budget", type=float, default=600.0, help="seconds for the whole run")
    parser.add_argument("--json", help="also written here, after every variant")
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--job", type=json.loads, help=argparse.SUPPRESS)
    args = parser.parse_args()
    args.device = "cuda:0" if args.device == "cuda" else args.device
    # An end from outside ends the child too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))
    if args.job:
        child(args.job)
    else:
        run(args)


if __name__ == "__main__":
    main()
