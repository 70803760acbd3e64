"""Takes the files out of the goldens, as the first inputs of each fuzz target: python fuzz/seeds.py

Needs safetensors and numpy. Writes into fuzz/corpus/<target>/; files that are there stay.
"""

from pathlib import Path

from safetensors import safe_open

ROOT = Path(__file__).resolve().parent.parent
# Golden, targets that take its files.
FROM = {
    "caffe-files": ["caffemodel", "npy"],
    "cuda-convnet": ["cuda_convnet", "pickle", "zip"],
    "onnx-files": ["onnx"],
    "pickle": ["pickle"],
    "torch-files": ["pytorch", "safetensors", "zip"],
    "zip": ["zip"],
}

for golden, targets in FROM.items():
    with safe_open(ROOT / "golden" / golden / "case.safetensors", "np") as case:
        for key in case.keys():
            if not key.startswith("file/"):
                continue
            content = case.get_tensor(key).tobytes()
            for target in targets:
                folder = ROOT / "fuzz" / "corpus" / target
                folder.mkdir(parents=True, exist_ok=True)
                path = folder / key.removeprefix("file/").replace("/", "-")
                if not path.exists():
                    path.write_bytes(content)
