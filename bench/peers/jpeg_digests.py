"""Prints what `cargo run --release -p alexnet-jpeg --example digests` prints, of Pillow's pixels: `jpeg_digests.py FILE…`."""

import sys
import zlib

from PIL import Image

for file in sys.argv[1:]:
    for scale in 1, 2, 4, 8:
        try:
            picture = Image.open(file)
            width, height = picture.size
            if min(width, height) < scale:
                continue  # Pillow would scale less, to keep a pixel.
            picture.draft("RGB", (width // scale, height // scale))
            rgb = picture.convert("RGB")
        except OSError:
            print(f"{file} 1/{scale} no picture")
            continue
        print(f"{file} 1/{scale} {rgb.width}x{rgb.height} {zlib.crc32(rgb.tobytes()):08x}")
