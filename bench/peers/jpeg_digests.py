"""Prints what `cargo run --release -p alexnet-jpeg --example digests` prints, of Pillow's pixels: `jpeg_digests.py FILE…`."""

import sys
import zlib

from PIL import Image

for file in sys.argv[1:]:
    for scale in 1, 2, 4, 8:
        picture = Image.open(file)
        try:
            width, height = picture.size
            if scale > 1:
                picture.draft("RGB", (max(width // scale, 1), max(height // scale, 1)))
            rgb = picture.convert("RGB")
        except OSError:
            print(f"{file} 1/{scale} no picture")
            continue
        if scale > 1 and picture.size != (-(-width // scale), -(-height // scale)):
            continue
        print(f"{file} 1/{scale} {rgb.width}x{rgb.height} {zlib.crc32(rgb.tobytes()):08x}")
