"""PyTorch's side of the exchange of nets.

    pytorch.py make FOLDER         nets with random weights, saved in every form, and what they say of random images
    pytorch.py check FOLDER FILE   what torchvision's alexnet says of them with the state dict in FILE, which has to fit exactly
    pytorch.py list FOLDER FILE    what is in the state dict in FILE, a tensor a line: name, sizes, sum

Prints, for `check`, the largest difference of a probability.
"""

import pathlib
import sys

import safetensors.torch
import torch
import torchvision

CLASSES, IMAGES = 1000, 3


def randomise(model, generator):
    """Weights with which probabilities differ from each other, as those of a trained net do and those of a new one hardly."""
    with torch.no_grad():
        for parameter in model.parameters():
            fan_in = parameter[0].numel() if parameter.dim() > 1 else 100
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * (2 / fan_in) ** 0.5)
        # So that none has all.
        weight, _ = list(model.parameters())[-2:]
        weight.mul_(0.3)
    return model.eval()


def d2l():
    """The network of Dive into Deep Learning, as its text gives it."""
    nn = torch.nn
    pool = lambda: nn.MaxPool2d(kernel_size=3, stride=2)
    return nn.Sequential(
        nn.Conv2d(1, 96, kernel_size=11, stride=4, padding=1), nn.ReLU(), pool(),
        nn.Conv2d(96, 256, kernel_size=5, padding=2), nn.ReLU(), pool(),
        nn.Conv2d(256, 384, kernel_size=3, padding=1), nn.ReLU(),
        nn.Conv2d(384, 384, kernel_size=3, padding=1), nn.ReLU(),
        nn.Conv2d(384, 256, kernel_size=3, padding=1), nn.ReLU(), pool(),
        nn.Flatten(), nn.Linear(6400, 4096), nn.ReLU(), nn.Dropout(0.5), nn.Linear(4096, 4096), nn.ReLU(), nn.Dropout(0.5),
        nn.Linear(4096, 10),
    )  # fmt: skip


def answers(model, images):
    with torch.no_grad():
        return torch.softmax(model(images).double(), 1).float()


def make(folder):
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(IMAGES, 3, 224, 224, generator=generator)
    model = randomise(torchvision.models.alexnet(num_classes=CLASSES), generator)
    state = model.state_dict()
    torch.save(state, folder / "archive.pth")
    # As a training script leaves it that ran on several devices.
    checkpoint = {"epoch": 90, "arch": "alexnet", "state_dict": {f"module.{k}": v for k, v in state.items()}, "best_acc1": 56.5}
    torch.save(checkpoint, folder / "sequence.pth", _use_new_zipfile_serialization=False)
    torch.save(model, folder / "module.pt")
    safetensors.torch.save_file(state, folder / "state.safetensors")
    grey = images[:, :1].contiguous()
    small = randomise(d2l(), generator)
    torch.save(small.state_dict(), folder / "d2l.pth")
    said = {"images": images, "probabilities": answers(model, images), "grey": grey, "d2l": answers(small, grey)}
    safetensors.torch.save_file(said, folder / "said")
    print("torch", torch.__version__, "largest probabilities", *said["probabilities"].max(1).values.tolist())


def check(folder, file):
    said = safetensors.torch.load_file(folder / "said")
    read = safetensors.torch.load_file if file.suffix == ".safetensors" else torch.load
    model = torchvision.models.alexnet(num_classes=CLASSES).eval()
    model.load_state_dict(read(file), strict=True)
    print((answers(model, said["images"]) - said["probabilities"]).abs().max().item())


def listed(_, file):
    for name, tensor in torch.load(file).items():
        print(name, list(tensor.shape), tensor.double().sum().item())


if __name__ == "__main__":
    torch.set_num_threads(1)
    command, folder, *rest = sys.argv[1:]
    {"make": make, "check": check, "list": listed}[command](pathlib.Path(folder), *map(pathlib.Path, rest))
