"""What a golden is made of: named tensors, one JSON text, and the versions that produced them.

`kept.py` says where it is written.
"""

import json

import numpy as np
import torch
import torchvision

import kept

torch.set_num_threads(1)  # sums are split by thread, and the last bits should not depend on the machine


class Case:
    def __init__(self, make, seed):
        self.make = make
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
        # One key, because the order of several is not defined and the file's bytes should be.
        text = json.dumps(self.facts, indent=1, sort_keys=True)
        versions = {
            "torch": torch.__version__,
            "torchvision": torchvision.__version__,
            "numpy": np.__version__,
            "seed": self.seed,
        }
        kept.keep(self.make, self.tensors, versions, metadata={"case": text})
