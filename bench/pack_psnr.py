"""How far a pack of JPEGs is from a pack of pixels of the same images, read as docs/pack.md says.

    alexnet data prepare photos px --format pixels --seed 0
    alexnet data prepare photos jpg --seed 0
    python bench/pack_psnr.py px jpg

Prints a line of JSON: images, bytes an image of both, and the mean over images of the PSNR in dB. Needs Pillow and numpy.
"""
import io
import json
import struct
import sys
from pathlib import Path

import numpy as np
from PIL import Image

HEADER, ENTRY, FOOTER = 64, 24, 64


def records(pack):
    """The name, bytes and pixels of each training record."""
    for path in sorted(Path(pack).glob("train-*.shard")):
        shard = path.read_bytes()
        index_bytes, names_bytes, omitted_bytes = struct.unpack("<QQQ", shard[-FOOTER:][:24])
        names_at = len(shard) - FOOTER - omitted_bytes - names_bytes
        begin, name_begin = HEADER, 0
        for at in range(names_at - index_bytes, names_at, ENTRY):
            end, label, name_end = struct.unpack("<QII", shard[at : at + 16])
            record, name = shard[begin:end], shard[names_at + name_begin : names_at + name_end].decode()
            if label >> 24 == 2:
                width, height = struct.unpack("<HH", record[:4])
                pixels = np.frombuffer(record[4:], np.uint8).reshape(height, width, 3)
            else:
                pixels = np.asarray(Image.open(io.BytesIO(record)).convert("RGB"))
            yield name, len(record), pixels
            begin, name_begin = end, name_end


exact, packed, psnr = [], [], []
for (name, exact_bytes, a), (other, packed_bytes, b) in zip(records(sys.argv[1]), records(sys.argv[2]), strict=True):
    assert name == other, (name, other)
    exact.append(exact_bytes)
    packed.append(packed_bytes)
    psnr.append(10 * np.log10(255**2 / np.mean((a.astype(float) - b) ** 2)))
print(json.dumps({"images": len(psnr), "bytes": np.mean(exact), "packed_bytes": np.mean(packed), "psnr_db": np.mean(psnr)}))
