"""What a golden is made of: named tensors, one JSON text, and the versions that produced them.

`make.py` of a case writes `case.safetensors` and `versions.txt` beside itself, or into the folder that its one argument
names, so that a re-derivation can be compared with what is kept.
"""

import json
import pathlib
import platform
import sys

import numpy as np
import torch
import torchvision
from safetensors.numpy import save_file

torch.set_num_threads(1)  # sums are split by thread, and the last bits should not depend on the machine


class Case:
    def __init__(self, make, seed):
        self.folder = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(make).parent)
        self.seed = seed
        self.tensors = {}
        self.facts = {"seed": seed}

    def put(self, name, values):
        """Keeps f32 as f32, integers as i64, all else as f64."""
        values = values.detach().numpy() if isinstance(values, torch.Tensor) else np.asarray(values)
        if values.dtype != np.float32:
            values = values.astype(np.int64 if np.issubdtype(values.dtype, np.integer) else np.float64)
        assert name not in self.tensors, name
        assert np.all(np.isfinite(values)), name
        self.tensors[name] = np.ascontiguousarray(values)

    def write(self):
        self.folder.mkdir(parents=True, exist_ok=True)
        # One key, because the order of several is not defined and the file's bytes should be.
        text = json.dumps(self.facts, indent=1, sort_keys=True)
        save_file(self.tensors, self.folder / "case.safetensors", metadata={"case": text})
        versions = {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "torchvision": torchvision.__version__,
            "numpy": np.__version__,
            "seed": self.seed,
        }
        (self.folder / "versions.txt").write_text("".join(f"{k} {v}\n" for k, v in versions.items()))
        size = (self.folder / "case.safetensors").stat().st_size
        print(f"{self.folder.name}: {len(self.tensors)} tensors, {size} bytes")
