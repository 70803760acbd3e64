"""Our JPEG decoder and libjpeg-turbo in turns: `jpeg.py LIBJPEG TURNS ROUNDS FILE…` prints a record.

LIBJPEG is a libjpeg-turbo to link with, as the one that Pillow brings (`pillow.libs/libjpeg-*.so.62*`). Needs a C compiler
and jpeglib.h. On a busy machine the medians of rounds jump; the sum of each file's best round hardly does.
"""

import datetime
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

library, turns, rounds, files = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4:]
root = pathlib.Path(__file__).resolve().parents[2]
JOBS = {"whole": "1", "middle": "1", "half": "2", "quarter": "4", "eighth": "8"}


def output(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True, cwd=root).stdout


def speeds(line):
    """Images/s of the median round and of the best ones."""
    words = line.replace(",", "").split()
    return float(words[words.index("images/s") - 1]), float(words[-1])


output("cargo", "build", "--release", "-p", "alexnet-jpeg", "--example", "speed")
with tempfile.TemporaryDirectory() as folder:
    peer = f"{folder}/peer"
    source = root / "bench/peers/jpeg_libjpeg.c"
    output("cc", "-O2", source, "-o", peer, library, f"-Wl,-rpath,{pathlib.Path(library).resolve().parent}")
    ours, theirs = {job: [] for job in JOBS}, {scale: [] for scale in JOBS.values()}
    for _ in range(turns):
        for line in output("target/release/examples/speed", rounds, *files).splitlines():
            ours[line.split()[0]].append(speeds(line))
        for scale, runs in theirs.items():
            runs.append(speeds(output(peer, scale, rounds, *files)))

record = {
    "command": f"bench/peers/jpeg.py LIBJPEG {turns} {rounds} FILE…",
    "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
    "revision": output("git", "rev-parse", "HEAD").strip(),
    "library": pathlib.Path(library).name,
    "files": len(files),
    "bytes": sum(os.path.getsize(file) for file in files),
    "load_average": os.getloadavg(),
    "jobs": {},
}
for job, scale in JOBS.items():
    for number, name in enumerate(("median", "best")):
        pairs = [(a[number], b[number]) for a, b in zip(ours[job], theirs[scale])]
        record["jobs"][f"{job}, {name} rounds"] = {
            "ours_images_per_s": statistics.median(a for a, _ in pairs),
            "peer_images_per_s": statistics.median(b for _, b in pairs),
            "ratio_median": round(statistics.median(a / b for a, b in pairs), 3),
            "ratios": [round(a / b, 3) for a, b in pairs],
        }
print(json.dumps(record, indent=2, ensure_ascii=False))
