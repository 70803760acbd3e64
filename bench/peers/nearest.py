"""Our search of an index and others' in turns: `nearest.py INDEX TURNS PEER…` prints a record. Peers: numpy, torch, faiss.

INDEX is a table in half precision, as `cargo run --release -p alexnet-weights --example table` makes one. All find the six nearest
rows to a row, by squared distances in f32, on all cores. `first` is a query right after the file was mapped anew (it is in the
page cache), `again` one with the pages still mapped; FAISS keeps a copy in memory of its own and has no first query. A query of
FAISS uses one thread, so its rows lie in as many indices as there are cores, which are searched at the same time.
"""

import concurrent.futures
import datetime
import json
import os
import pathlib
import resource
import statistics
import subprocess
import sys
import time

import numpy

root = pathlib.Path(__file__).resolve().parents[2]
CORES = len(os.sched_getaffinity(0))
NEAREST = 6
# Rows that are widened at a time: their f32 values stay in the second-level cache.
BLOCK = 16


def rows_of(path):
    """The index's rows `[n, width]`, mapped."""
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        features = json.loads(file.read(length))["features"]
    assert features["dtype"] == "F16", features
    return numpy.memmap(path, dtype="<f2", mode="r", offset=8 + length + features["data_offsets"][0], shape=tuple(features["shape"]))


def halves(count):
    """The rows of each core."""
    ends = [count * core // CORES for core in range(CORES + 1)]
    return list(zip(ends, ends[1:]))


def by_numpy():
    def part(rows, query, begin, end, out):
        block = numpy.empty((BLOCK, rows.shape[1]), "f4")
        for start in range(begin, end, BLOCK):
            x = block[: min(BLOCK, end - start)]
            x[:] = rows[start : start + len(x)]
            x -= query
            numpy.einsum("ij,ij->i", x, x, out=out[start : start + len(x)])

    pool = concurrent.futures.ThreadPoolExecutor(CORES)

    def search(rows, query):
        out = numpy.empty(len(rows), "f4")
        for job in [pool.submit(part, rows, query, begin, end, out) for begin, end in halves(len(rows))]:
            job.result()
        near = numpy.argpartition(out, NEAREST)[:NEAREST]
        return near[numpy.argsort(out[near], kind="stable")]

    return search


def by_torch():
    import warnings

    import torch

    warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
    torch.set_num_threads(1)
    pool = concurrent.futures.ThreadPoolExecutor(CORES)

    def part(rows, query, begin, end, out):
        for start in range(begin, end, BLOCK):
            x = rows[start : min(start + BLOCK, end)].float()
            torch.sum(x.sub_(query).square_(), 1, out=out[start : start + len(x)])

    def search(rows, query):
        rows, query, out = torch.from_numpy(rows), torch.from_numpy(query), torch.empty(len(rows))
        for job in [pool.submit(part, rows, query, begin, end, out) for begin, end in halves(len(rows))]:
            job.result()
        return torch.topk(out, NEAREST, largest=False).indices.numpy()

    return search


def by_faiss(rows):
    import faiss

    indices = []
    for begin, end in halves(len(rows)):
        index = faiss.IndexScalarQuantizer(rows.shape[1], faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_L2)
        for start in range(begin, end, 1024):
            index.add(rows[start : min(start + 1024, end)].astype("f4"))
        indices.append((begin, index))
    faiss.omp_set_num_threads(1)
    pool = concurrent.futures.ThreadPoolExecutor(CORES)

    def search(_, query):
        jobs = [(begin, pool.submit(index.search, query[None], NEAREST)) for begin, index in indices]
        found = [(distance, begin + row) for begin, job in jobs for distance, row in zip(*(a[0] for a in job.result()))]
        return numpy.array([row for _, row in sorted(found)[:NEAREST]])

    return search


def peer(name, path, queries=3):
    """Milliseconds of the queries, in this process."""
    rows = rows_of(path)
    search = {"numpy": by_numpy, "torch": by_torch, "faiss": lambda: by_faiss(rows)}[name]()
    times = {"first_ms": [], "again_ms": []}
    for number in range(queries):
        rows = rows_of(path)
        row = number * 7919 % len(rows)
        query = rows[row].astype("f4")
        for kind in times:
            start = time.perf_counter()
            found = search(rows, query)
            times[kind].append((time.perf_counter() - start) * 1e3)
            assert found[0] == row, (found, row)
    if name == "faiss":
        times["first_ms"] = None
    print(json.dumps({kind: ms and statistics.median(ms) for kind, ms in times.items()}))


def output(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True, cwd=root).stdout


def cpu_seconds():
    """CPU time of the commands so far, all threads together: what the clock would show on an idle machine, times the cores."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def version(name):
    module = __import__(name)
    return f"{name} {module.__version__}"


def main(path, turns, peers):
    output("cargo", "build", "--release", "-p", "alexnet", "--bins", "--example", "nearest")
    shape, load = rows_of(path).shape, [os.getloadavg()]
    ours, command_ms, command_cpu_ms, theirs = [], [], [], {name: [] for name in peers}
    for _ in range(turns):
        ours.append(json.loads(output("target/release/examples/nearest", path, "3")))
        start, cpu_start = time.perf_counter(), cpu_seconds()
        output("target/release/alexnet", "similar", "0", path, "--top", str(NEAREST), "--json")
        command_ms.append((time.perf_counter() - start) * 1e3)
        command_cpu_ms.append((cpu_seconds() - cpu_start) * 1e3)
        for name in peers:
            theirs[name].append(json.loads(output(sys.executable, "-B", __file__, "--peer", name, path)))
        load.append(os.getloadavg())
    median = lambda values: round(statistics.median(values), 4)
    first, again = [[turn[kind] for turn in ours] for kind in ("search_ms", "search_again_ms")]
    record = {
        "command": f"bench/peers/nearest.py INDEX {turns} {' '.join(peers)}",
        "index": f"cargo run --release -p alexnet-weights --example table INDEX {shape[0]} {shape[1]} f16",
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "revision": output("git", "rev-parse", "HEAD").strip(),
        "versions": [version(name) for name in dict.fromkeys(["numpy", *peers])],
        "cores": CORES,
        "load_average": load,
        "rows": shape[0],
        "width": shape[1],
        "bytes": shape[0] * shape[1] * 2,
        "ours": {
            "first_ms": median(first),
            "again_ms": median(again),
            "whole_command_ms": median(command_ms),
            "whole_command_cpu_ms": median(command_cpu_ms),
            "open_ms": median(turn["open_ms"] for turn in ours),
            "floor_ms": median(turn["floor_ms"] for turn in ours),
            "first_ms_of_turns": first,
            "again_ms_of_turns": again,
            "floor_ms_of_turns": [turn["floor_ms"] for turn in ours],
        },
        "peers": {},
    }
    for name, runs in theirs.items():
        record["peers"][name] = {}
        for kind, own in (("first_ms", first), ("again_ms", again)):
            times = [run[kind] for run in runs]
            if None not in times:
                ratios = [round(their / our, 3) for their, our in zip(times, own)]
                record["peers"][name][kind] = {"median": median(times), "times_ours": median(ratios), "of_turns": ratios}
    print(json.dumps(record, indent=2))


if sys.argv[1] == "--peer":
    peer(*sys.argv[2:])
else:
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3:])
