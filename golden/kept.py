"""How a golden is kept: `case.safetensors`, and `versions.txt` with what produced it."""

import pathlib
import platform
import sys

from safetensors.numpy import save_file


def keep(make, tensors, versions, metadata=None):
    """Writes beside the script `make`, or into the folder that its one argument names, so that a re-derivation can be
    compared with what is kept. The version of Python comes by itself."""
    folder = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(make).parent)
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / "case.safetensors", metadata=metadata)
    versions = {"python": platform.python_version(), **versions}
    (folder / "versions.txt").write_text("".join(f"{k} {v}\n" for k, v in versions.items()))
    print(f"{folder.name}: {len(tensors)} tensors, {(folder / 'case.safetensors').stat().st_size} bytes")
