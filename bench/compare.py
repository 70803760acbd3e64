#!/usr/bin/env python3
"""Runs our engine and PyTorch in turns, prints medians, spread and ratio, and keeps a record.

    python bench/compare.py --python VENV/bin/python [--mode train] [--style plain] [--batch 128] [--rounds 5] [--no-record]

The machine's speed drifts, so only runs side by side count: the ratio is that of the medians over the rounds, and the
spread of the rounds' own ratios is printed beside it. CPU time, summed over threads, is kept too: it suffers less from what
else runs on the machine. A run that fails ends the comparison with an error.
"""
import argparse
import datetime
import json
import os
import platform
import re
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# Keeps the memory that PyTorch frees at the end of a step, on huge pages: worth half as much again in training.
TUNED_MALLOC = {
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": "100000000000",
    "MALLOC_TOP_PAD_": "1000000000",
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
}


def run(command, extra=None):
    """The JSON that a program prints as its last line."""
    done = subprocess.run(command, env={**os.environ, **(extra or {})}, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def cpu_name():
    try:
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.M)
    except OSError:
        found = None
    return found.group(1) if found else platform.processor() or platform.machine()


def git(*words):
    return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True).stdout.strip()


def our_program():
    """Builds our program and finds out where cargo has put it."""
    command = ["cargo", "build", "--release", "-p", "alexnet-cpu", "--example", "bench_step", "--message-format=json"]
    lines = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines()
    artifacts = [json.loads(line) for line in lines if line.startswith("{")]
    return next(a["executable"] for a in artifacts if a.get("executable") and a["target"]["name"] == "bench_step")


def summary(runs):
    ms = [run["ms"] for run in runs]
    median = statistics.median(ms)
    cpu_ms = [run["cpu_ms"] for run in runs if run["cpu_ms"] is not None]
    return {
        "ms_median": round(median, 2),
        "ms_min": min(ms),
        "ms_max": max(ms),
        "images_per_s": round(runs[0]["batch"] / median * 1e3, 2),
        "cpu_ms_median": statistics.median(cpu_ms) if cpu_ms else None,
    }


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--python", required=True, help="a Python that has torch")
    parser.add_argument("--mode", choices=["train", "forward"], default="train")
    parser.add_argument("--style", choices=["plain", "tuned"], default="plain")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--warmup", type=int, default=2)
    parser.add_argument("--iters", type=int, default=3)
    parser.add_argument("--no-record", action="store_true")
    args = parser.parse_args()
    same = ["--mode", args.mode, "--batch", args.batch, "--threads", args.threads, "--warmup", args.warmup, "--iters", args.iters]
    same = [str(word) for word in same]
    ours_command = [our_program(), "--net", "alexnet", *same]
    peer_command = [args.python, str(ROOT / "bench/peers/torch_alexnet.py"), "--style", args.style, *same]
    ours, peer = [], []
    for number in range(args.rounds):
        ours.append(run(ours_command))
        peer.append(run(peer_command, TUNED_MALLOC if args.style == "tuned" else None))
        print(f"round {number + 1}: {ours[-1]['ms']:.0f} ms and {peer[-1]['ms']:.0f} ms, load {os.getloadavg()[0]:.1f}", flush=True)
    ratios = [p["ms"] / o["ms"] for o, p in zip(ours, peer)]
    ours_all, peer_all = summary(ours), summary(peer)
    ratio = peer_all["ms_median"] / ours_all["ms_median"]
    for name, found in ((ours[0]["program"], ours_all), (peer[0]["program"], peer_all)):
        print(f"{name:24} {found['images_per_s']:8.2f} images/s  {found['ms_median']:8.1f} ms [{found['ms_min']:.1f}, {found['ms_max']:.1f}]"
              f"  CPU time {found['cpu_ms_median']} ms a step")
    print(f"ours is {ratio:.2f} times as fast (by round {min(ratios):.2f} to {max(ratios):.2f})")
    if args.no_record:
        return
    cpu = cpu_name()
    folder = ROOT / "bench/records" / f"{datetime.date.today()}-{re.sub('[^a-z0-9]+', '-', cpu.lower()).strip('-')}"
    folder.mkdir(parents=True, exist_ok=True)
    record = {
        "command": f"python bench/compare.py --mode {args.mode} --style {args.style} --batch {args.batch} --threads {args.threads} "
        f"--rounds {args.rounds} --warmup {args.warmup} --iters {args.iters}",
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "cpu": cpu,
        "cores": os.cpu_count(),
        "load_average": os.getloadavg(),
        "revision": git("rev-parse", "HEAD") + ("+changes" if git("status", "--porcelain", "crates/cpu", "crates/net") else ""),
        "ratio_of_medians": round(ratio, 3),
        "ratios_by_round": [round(r, 3) for r in ratios],
        "ours": ours_all,
        "peer": peer_all,
        "runs_ours": ours,
        "runs_peer": peer,
    }
    path = folder / f"compare-{args.mode}-{args.style}-b{args.batch}.json"
    path.write_text(json.dumps(record, indent=1) + "\n")
    print(f"record: {path.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
