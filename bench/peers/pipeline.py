"""The yardsticks of the input pipeline: image files to ready batches of 224 x 224 floats, as others make them.

Every way decodes a JPEG, resizes its shorter side to 256 with antialiasing, takes a random crop of 224, reflects half of the
images, and normalises by channel. Batches come from as many processes or threads as --threads says.

    python bench/peers/pipeline.py --way torchvision --data photos --threads 2 --seconds 10
    python bench/peers/pipeline.py --small photos photos-256        the same photos as 256 x 256 JPEGs of quality 90

pil          Pillow and PyTorch's DataLoader, what most people run
torchvision  torchvision.io.decode_jpeg and transforms.v2 on tensors, its fastest
opencv       cv2.imdecode and cv2.resize in a DataLoader
dali         NVIDIA DALI's operators on the CPU

Where all images are 256 x 256 already, nothing is resized: DALI would resample them all the same, the others see it by
themselves.

Prints one line of JSON: images_per_s over the measured time, after two batches for each worker.
"""
import argparse
import json
import os
import random
import sys
import time
from pathlib import Path

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
BATCH = 128


def files_of(folder):
    files = sorted(str(path) for path in Path(folder).glob("*/*") if path.suffix.lower() in (".jpeg", ".jpg"))
    if not files:
        sys.exit(f"{folder} has no class folders with JPEGs")
    return files


def small(source, target):
    """Writes the central 256 x 256 of each photo whose shorter side is made 256, as a JPEG of quality 90."""
    from PIL import Image

    for name in files_of(source):
        image = Image.open(name).convert("RGB")
        scale = 256 / min(image.size)
        image = image.resize((max(256, round(image.width * scale)), max(256, round(image.height * scale))), Image.BICUBIC)
        left, top = (image.width - 256) // 2, (image.height - 256) // 2
        place = Path(target) / Path(name).parent.name / (Path(name).stem + ".jpg")
        place.parent.mkdir(parents=True, exist_ok=True)
        image.crop((left, top, left + 256, top + 256)).save(place, quality=90)


def torch_batches(way, files, threads):
    import torch
    from torch.utils.data import DataLoader, Dataset

    torch.set_num_threads(1)
    if way == "pil":
        from PIL import Image
        from torchvision import transforms

        steps = [transforms.Resize(256), transforms.RandomCrop(224), transforms.RandomHorizontalFlip(), transforms.ToTensor()]
        transform = transforms.Compose(steps + [transforms.Normalize(MEAN, STD)])
        read = lambda name: transform(Image.open(name).convert("RGB"))
    elif way == "torchvision":
        from torchvision.io import ImageReadMode, decode_jpeg, read_file
        from torchvision.transforms import v2

        steps = [v2.Resize(256, antialias=True), v2.RandomCrop(224), v2.RandomHorizontalFlip()]
        transform = v2.Compose(steps + [v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, STD)])
        read = lambda name: transform(decode_jpeg(read_file(name), mode=ImageReadMode.RGB))
    else:
        import cv2
        import numpy as np

        cv2.setNumThreads(0)
        mean, std = 255 * np.array(MEAN, np.float32), 255 * np.array(STD, np.float32)

        def read(name):
            image = cv2.imread(name)
            scale = 256 / min(image.shape[:2])
            size = (max(256, round(image.shape[1] * scale)), max(256, round(image.shape[0] * scale)))
            image = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
            top, left = random.randint(0, size[1] - 224), random.randint(0, size[0] - 224)
            crop = image[top : top + 224, left : left + 224, ::-1]
            crop = crop[:, ::-1] if random.random() < 0.5 else crop
            return torch.from_numpy(np.ascontiguousarray(((crop.astype(np.float32) - mean) / std).transpose(2, 0, 1)))

    class Images(Dataset):
        def __len__(self):
            return len(files) * 1000

        def __getitem__(self, index):
            return read(files[index % len(files)])

    loader = DataLoader(Images(), batch_size=BATCH, shuffle=True, num_workers=threads, prefetch_factor=2)
    return (len(batch) for batch in loader)


def are_stored(files):
    """Whether all images are 256 x 256 already, as far as a sample of them shows."""
    from PIL import Image

    return all(Image.open(name).size == (256, 256) for name in files[:: max(1, len(files) // 50)])


def dali_batches(files, threads):
    from nvidia.dali import fn, pipeline_def, types

    stored = are_stored(files)

    @pipeline_def(batch_size=BATCH, num_threads=threads, device_id=None)
    def pipeline():
        jpegs, _ = fn.readers.file(files=files, random_shuffle=True, initial_fill=len(files), name="reader")
        images = fn.decoders.image(jpegs, device="cpu", output_type=types.RGB)
        if not stored:
            images = fn.resize(images, resize_shorter=256, interp_type=types.INTERP_LINEAR, antialias=True)
        return fn.crop_mirror_normalize(
            images,
            dtype=types.FLOAT,
            output_layout="CHW",
            crop=(224, 224),
            crop_pos_x=fn.random.uniform(range=(0.0, 1.0)),
            crop_pos_y=fn.random.uniform(range=(0.0, 1.0)),
            mirror=fn.random.coin_flip(),
            mean=[255 * m for m in MEAN],
            std=[255 * s for s in STD],
        )

    pipe = pipeline()
    pipe.build()
    while True:
        (batch,) = pipe.run()
        yield len(batch)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", nargs=2, metavar=("FROM", "TO"))
    parser.add_argument("--way", choices=("pil", "torchvision", "opencv", "dali"), default="torchvision")
    parser.add_argument("--data")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--seconds", type=float, default=10)
    args = parser.parse_args()
    if args.small:
        return small(*args.small)
    files = files_of(args.data)
    batches = dali_batches(files, args.threads) if args.way == "dali" else torch_batches(args.way, files, args.threads)
    # What the workers have prepared beforehand is not what a long run lives on.
    for _ in range(2 * args.threads):
        next(batches)
    began, images = time.perf_counter(), 0
    while time.perf_counter() - began < args.seconds:
        images += next(batches)
    seconds = time.perf_counter() - began
    print(json.dumps({"way": args.way, "threads": args.threads, "images": images, "images_per_s": images / seconds}), flush=True)
    # Workers need not be waited for.
    os._exit(0)


if __name__ == "__main__":
    main()
