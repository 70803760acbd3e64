"""The nets that torch_alexnet_cuda.py times, and the update that keeps f32 weights beside a net in half precision.

    python cuda_nets.py      checks them on the CPU against PyTorch's own normalisation and SGD, nets.py and torchvision
"""
import itertools

import torch
from torch import nn
from torch.nn import functional as F

SIDE, CLASSES = 224, 1000
MAPS_SEEN, ALPHA, BETA, K = 5, 1e-4, 0.75, 2.0
RATE, MOMENTUM, DECAY = 1e-4, 0.9, 5e-4
PARAMETERS = {"alexnet": 60_965_224, "torchvision": 61_100_840}


class Norm(nn.Module):
    """x · (K + ALPHA · Σ x²)^−BETA over five neighbouring maps of x `[n, c, h, w]`, in the chosen form."""

    def __init__(self, form, maps):
        super().__init__()
        self.form = form
        if form == "bands":
            at = torch.arange(maps)
            band = ((at[:, None] - at).abs() <= MAPS_SEEN // 2).float()
            self.register_buffer("band", band.reshape(maps, maps, 1, 1), persistent=False)
        elif form == "compiled":
            self.compiled = torch.compile(self.of_slices, dynamic=False)

    def forward(self, x):
        if self.form == "own":
            # PyTorch divides alpha by the number of maps.
            return F.local_response_norm(x, MAPS_SEEN, alpha=ALPHA * MAPS_SEEN, beta=BETA, k=K)
        if self.form == "bands":
            return self.scaled(x, F.conv2d(x.square(), self.band))
        return self.compiled(x) if self.form == "compiled" else self.of_slices(x)

    def of_slices(self, x):
        maps, reach = x.shape[1], MAPS_SEEN // 2
        squares = F.pad(x.square(), (0, 0, 0, 0, reach, reach))
        return self.scaled(x, sum(squares[:, shift : shift + maps] for shift in range(MAPS_SEEN)))

    @staticmethod
    def scaled(x, total):
        root = torch.rsqrt(K + ALPHA * total)
        return x * (root * torch.sqrt(root))


def blocks_of(x):
    """`[n, c, 4h, 4w]` as `[n, 16c, h, w]`."""
    n, c, h, w = x.shape
    return x.reshape(n, c, h // 4, 4, w // 4, 4).permute(0, 1, 3, 5, 2, 4).reshape(n, c * 16, h // 4, w // 4)


def weights_of_blocks(weights):
    """Filters `[k, 3, 11, 11]` for pixels as filters `[k, 48, 3, 3]` for blocks; the twelfth row and column are zeros."""
    return blocks_of(F.pad(weights, (0, 1, 0, 1)))


class AlexNet(nn.Module):
    """The presets `alexnet` and `torchvision`, up to the logits."""

    def __init__(self, net, norm, conv1):
        super().__init__()
        self.paper, self.blocks, self.frozen = net == "alexnet", conv1 == "blocks", False
        k1, k2, k3, k4, k5 = (96, 256, 384, 384, 256) if self.paper else (64, 192, 384, 256, 256)
        groups = 2 if self.paper else 1
        self.convs = nn.ModuleList([
            # The paper's padding is three pixels to the right and below, which Conv2d does not have: the pixels come padded.
            nn.Conv2d(3, k1, 11, stride=4, padding=0 if self.paper else 2),
            nn.Conv2d(k1, k2, 5, padding=2, groups=groups),
            nn.Conv2d(k2, k3, 3, padding=1),
            nn.Conv2d(k3, k4, 3, padding=1, groups=groups),
            nn.Conv2d(k4, k5, 3, padding=1, groups=groups),
        ])
        self.linears = nn.ModuleList([nn.Linear(k5 * 36, 4096), nn.Linear(4096, 4096), nn.Linear(4096, CLASSES)])
        if self.paper:
            self.norms = nn.ModuleList([Norm(norm, k1), Norm(norm, k2)])
            layers = [*self.convs, *self.linears]
            for layer, bias in zip(layers, (0, 1, 0, 1, 1, 1, 1, 0)):
                nn.init.normal_(layer.weight, std=0.01)
                nn.init.constant_(layer.bias, bias)
        count = sum(p.numel() for p in self.parameters())
        assert count == PARAMETERS[net], (net, count)

    def pixels(self, x):
        """Images `[n, 3, 224, 224]` as `forward` reads them."""
        before, after = (0, 3) if self.paper else (2, 2)
        if self.blocks:
            return blocks_of(F.pad(x, (before, 228 - SIDE - before) * 2))
        return F.pad(x, (before, after) * 2) if self.paper else x

    def forward(self, x):
        for place, conv in enumerate(self.convs):
            if place == 0 and self.blocks:
                weights = conv.weight if self.frozen else weights_of_blocks(conv.weight)
                x = F.conv2d(x, weights, conv.bias)
            else:
                x = conv(x)
            x = F.relu(x, inplace=True)
            if self.paper and place < 2:
                x = self.norms[place](x)
            if place in (0, 1, 4):
                x = F.max_pool2d(x, 3, 2)
        x = x.flatten(1)
        fc6, fc7, fc8 = self.linears
        if self.paper:
            x = self.dropped(F.relu(fc6(x), inplace=True))
            return fc8(self.dropped(F.relu(fc7(x), inplace=True)))
        x = F.relu(fc6(F.dropout(x, 0.5, self.training)), inplace=True)
        return fc8(F.relu(fc7(F.dropout(x, 0.5, self.training)), inplace=True))

    def dropped(self, x):
        """The paper halves at test time, and so does not double the survivors in training, as PyTorch does."""
        return x if self.frozen else F.dropout(x, 0.5, self.training) * 0.5

    @torch.no_grad()
    def freeze(self):
        """For inference: what depends on the weights alone is done once."""
        self.eval().requires_grad_(False)
        if self.blocks:
            self.convs[0].weight = nn.Parameter(weights_of_blocks(self.convs[0].weight), requires_grad=False)
        if self.paper:
            for linear in self.linears[1:]:
                linear.weight.mul_(0.5)
        self.frozen = True
        return self

    def groups(self):
        """Parameters and their decay: the preset `alexnet` decays no biases."""
        weights, biases = [[p for p in self.parameters() if (p.dim() == 1) == bias] for bias in (False, True)]
        return [(weights, DECAY), (biases, 0.0)] if self.paper else [(weights + biases, DECAY)]


@torch.no_grad()
def updated(weights, gradients, masters, momenta, decay):
    """SGD in f32, and the weights rounded from the masters; all are lists of tensors."""
    gradients = torch._foreach_add([g.float() for g in gradients], masters, alpha=decay)
    torch._foreach_mul_(momenta, MOMENTUM)
    torch._foreach_add_(momenta, gradients)
    torch._foreach_add_(masters, momenta, alpha=-RATE)
    torch._foreach_copy_(weights, masters)


class Masters:
    """SGD for weights in half precision, which keeps f32 weights and momenta."""

    def __init__(self, groups, compiled=True):
        self.update = torch.compile(updated, dynamic=False) if compiled else updated
        self.groups = []
        for parameters, decay in groups:
            masters = [p.detach().float().clone() for p in parameters]
            self.groups.append((parameters, masters, [torch.zeros_like(m) for m in masters], decay))

    def zero_grad(self):
        for parameter in itertools.chain.from_iterable(group[0] for group in self.groups):
            parameter.grad = None

    def step(self):
        for parameters, masters, momenta, decay in self.groups:
            self.update([p.detach() for p in parameters], [p.grad for p in parameters], masters, momenta, decay)


def check():
    """Raises when a form disagrees with PyTorch's own, or a net with the same net built elsewhere."""
    from nets import PlainNorm, alexnet
    from torchvision.models import alexnet as torchvision_alexnet

    def near(what, ours, theirs, bound=1e-5):
        distance = ((ours - theirs).abs().max() / theirs.abs().max()).item()
        print(f"{what}: {distance:.1e}, at most {bound:.0e}")
        assert distance <= bound, what

    torch.manual_seed(0)
    maps, images = torch.randn(2, 96, 9, 9) * 30, torch.rand(2, 3, SIDE, SIDE)
    for form in ("slices", "bands", "compiled"):
        x, y = maps.clone().requires_grad_(), maps.clone().requires_grad_()
        ours, theirs = Norm(form, 96)(x), Norm("own", 96)(y)
        near(f"norm, {form}", ours, theirs)
        near(f"norm, {form}, gradient", *(torch.autograd.grad(out.square().sum(), at)[0] for out, at in ((ours, x), (theirs, y))))
    for net, conv1, frozen in itertools.product(PARAMETERS, ("direct", "blocks"), (False, True)):
        ours = AlexNet(net, "slices", conv1).eval()
        other = (alexnet(PlainNorm) if net == "alexnet" else torchvision_alexnet()).eval()
        with torch.no_grad():
            for p, q in zip(other.parameters(), ours.parameters(), strict=True):
                p.copy_(q)
            read = images
            if net == "alexnet":
                other[0].padding, read = (0, 0), F.pad(images, (0, 3, 0, 3))
                linears = [layer for layer in other if isinstance(layer, nn.Linear)]
                for linear in linears[1:]:
                    linear.weight.mul_(0.5)
            ours = ours.freeze() if frozen else ours
            near(f"{net}, conv1 {conv1}{', frozen' if frozen else ''}", ours(ours.pixels(images)), other(read))
    for compiled in (False, True):
        nets = [nn.Linear(8, 8), nn.Linear(8, 8)]
        nets[1].load_state_dict(nets[0].state_dict())
        groups = [[([net.weight], DECAY), ([net.bias], 0.0)] for net in nets]
        plain = torch.optim.SGD([{"params": p, "weight_decay": decay} for p, decay in groups[1]], lr=RATE, momentum=MOMENTUM)
        for net, optimiser in zip(nets, (Masters(groups[0], compiled), plain)):
            for _ in range(3):
                optimiser.zero_grad()
                (net(torch.ones(4, 8)) * 100).square().sum().backward()
                optimiser.step()
        near(f"masters{', compiled' if compiled else ''}", nets[0].weight, nets[1].weight)


if __name__ == "__main__":
    check()
