"""Zip archives as Python's own `zipfile` writes them.

`file/NAME` are an archive's bytes. `content/NAME/ENTRY` are its entries' contents, in UTF-8 names with `|` for `/`.
"""

import io
import pathlib
import sys
import zipfile
import zlib

import numpy as np

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent))

import kept

ENTRIES = {
    "archive/data.pkl": b"\x80\x02}q\x00.",
    "archive/data/0": bytes(i * i % 251 for i in range(500)),
    "archive/caf\u00e9": b"plain " * 50,
    "archive/empty": b"",
}


class Unseekable(io.RawIOBase):
    """A stream that only goes on, so sizes stand behind the contents."""

    def __init__(self):
        self.data = bytearray()

    def writable(self):
        return True

    def write(self, data):
        self.data += data
        return len(data)


tensors = {}


def keep(name, method, comment=b"", long=False, stream=None):
    stream = stream or io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        archive.comment = comment
        for entry, content in ENTRIES.items():
            info = zipfile.ZipInfo(entry)
            info.compress_type = method
            with archive.open(info, "w", force_zip64=long) as file:
                file.write(content)
            tensors[f"content/{name}/{entry.replace('/', '|')}"] = np.frombuffer(content, np.uint8)
    data = bytes(stream.data) if isinstance(stream, Unseekable) else stream.getvalue()
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
    tensors[f"file/{name}"] = np.frombuffer(data, np.uint8)


keep("stored", zipfile.ZIP_STORED)
keep("deflated", zipfile.ZIP_DEFLATED)
keep("comment", zipfile.ZIP_STORED, comment=b"a comment")
keep("long", zipfile.ZIP_DEFLATED, long=True)
keep("streamed", zipfile.ZIP_DEFLATED, stream=Unseekable())
# As if there were 65535 entries or more: the places in the directory are long.
limits = zipfile.ZIP64_LIMIT, zipfile.ZIP_FILECOUNT_LIMIT
zipfile.ZIP64_LIMIT, zipfile.ZIP_FILECOUNT_LIMIT = 100, 1
keep("long-directory", zipfile.ZIP_STORED, long=True)
zipfile.ZIP64_LIMIT, zipfile.ZIP_FILECOUNT_LIMIT = limits
kept.keep(__file__, tensors, {"zlib": zlib.ZLIB_RUNTIME_VERSION})
