"""Fine-tuning beside training from scratch: a net that knows eight of CIFAR-10's classes learns the other two.

    alexnet train --data OUT/eight --net cifar-80sec --run OUT/base      (this script does so where it is not there)
    python bench/fine_tuning.py CIFAR OUT --alexnet target/release/alexnet

CIFAR is a folder with train/<class>/* and test/<class>/*. Data sets of links are made in OUT: `eight` without the two classes
(--two), and for each size and seed `two-SIZE-SEED` with that many training images of each of the two, chosen by the seed, and
all of their test images. Every way takes the same steps by the same recipe, `fine-tune` but for the size of its images and
evaluation at the end alone:

    scratch   begins with initial values
    tuned     begins with the eight classes' net; the last layer is new
    frozen    the same, and only the last layer learns

Prints a line of JSON for each run, then a table of top-1 errors in percent: mean and sample standard deviation over the seeds.
"""
import argparse
import json
import os
import random
import statistics
import subprocess
from pathlib import Path

WAYS = ["scratch", "tuned", "frozen"]


def options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cifar", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--alexnet", type=Path, default=Path("target/release/alexnet"))
    parser.add_argument("--net", default="cifar-80sec")
    parser.add_argument("--two", default="cat,dog", help="the classes that are kept from the first training")
    parser.add_argument("--plan", default="50:20,200:20,1000:20,5000:5", help="images a class and epochs")
    parser.add_argument("--seeds", default="1,2,3")
    parser.add_argument("--ways", default=",".join(WAYS))
    parser.add_argument("--rate", help="of the schedule, instead of the recipe's")
    parser.add_argument("--head-rate", help="as the program's option")
    parser.add_argument("--freeze", default="..fc64", help="what stays in the way `frozen`")
    o = parser.parse_args()
    o.alexnet = o.alexnet.resolve()
    return o


def link(target, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.is_symlink():
        path.symlink_to(os.path.abspath(target))


def eight(o):
    folder = o.out / "eight"
    for source, split in [("train", "train"), ("test", "val")]:
        for cls in sorted(os.listdir(o.cifar / source)):
            if cls not in o.two.split(","):
                link(o.cifar / source / cls, folder / split / cls)
    return folder


def two(o, size, seed):
    folder = o.out / f"two-{size}-{seed}"
    for cls in o.two.split(","):
        link(o.cifar / "test" / cls, folder / "val" / cls)
        names = sorted(os.listdir(o.cifar / "train" / cls))
        for name in random.Random(f"{seed} {cls}").sample(names, size):
            link(o.cifar / "train" / cls / name, folder / "train" / cls / name)
    return folder


def recipe(o):
    """The recipe `fine-tune` for the net's images, evaluating and keeping at the end alone."""
    text = subprocess.run([o.alexnet, "recipe", "fine-tune"], check=True, capture_output=True, text=True).stdout
    own = subprocess.run([o.alexnet, "recipe", o.net], check=True, capture_output=True, text=True).stdout
    stored = next(line for line in own.splitlines() if line.startswith("stored = "))
    text = text.replace("stored = 256", stored).replace("every_epochs = 1", "every_epochs = 0")
    path = o.out / "recipe.toml"
    path.write_text(text)
    return path


def train(o, way, size, seed, epochs, recipe):
    run = o.out / f"run-{way}-{size}-{seed}"
    subprocess.run(["rm", "-rf", run], check=True)
    args = [o.alexnet, "train", "--quiet", "--data", two(o, size, seed), "--recipe", recipe, "--run", run]
    args += ["--epochs", str(epochs), "--seed", str(seed)]
    args += ["--net", o.net] if way == "scratch" else ["--init", o.out / "base"]
    args += ["--freeze", o.freeze] if way == "frozen" else []
    args += ["--rate", o.rate] if o.rate else []
    args += ["--head-rate", o.head_rate] if o.head_rate and way != "scratch" else []
    subprocess.run(args, check=True, capture_output=True)
    events = [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines()]
    last = [event for event in events if event["event"] == "evaluated"][-1]
    found = {"way": way, "images": size, "seed": seed, "steps": last["step"], "top1_error": last["top1_error"], "nll": last["nll"]}
    print(json.dumps(found), flush=True)
    return last["top1_error"]


def main():
    o = options()
    data, base = eight(o), o.out / "base"
    if not base.exists():
        subprocess.run([o.alexnet, "train", "--quiet", "--data", data, "--net", o.net, "--run", base], check=True)
    written, rows = recipe(o), []
    for size, epochs in (map(int, part.split(":")) for part in o.plan.split(",")):
        cells = []
        for way in o.ways.split(","):
            errors = [100 * train(o, way, size, seed, epochs, written) for seed in map(int, o.seeds.split(","))]
            spread = statistics.stdev(errors) if len(errors) > 1 else 0.0
            cells.append(f"{statistics.mean(errors):.2f} ± {spread:.2f}")
        rows.append([str(size), str(epochs), *cells])
    for row in [["images a class", "epochs", *o.ways.split(",")], ["---"] * (2 + len(o.ways.split(","))), *rows]:
        print("| " + " | ".join(row) + " |")


main()
