"""Layers that PyTorch has under another name, or as two of its own, as modules."""

import torch
from torch import nn
from torch.nn import functional as F


class Conv(nn.Conv2d):
    """Convolution with zeros around the image, `padding` = [top, left, bottom, right]; PyTorch's own is symmetric. With
    `ceil`, as many more zeros below and behind as the last, overhanging window needs."""

    def __init__(self, c, k, kernel, stride=1, padding=(0, 0, 0, 0), groups=1, ceil=False):
        super().__init__(c, k, kernel, stride, 0, groups=groups)
        self.sides, self.ceil = padding, ceil

    def forward(self, x):
        top, left, bottom, right = self.sides
        if self.ceil:
            bottom += -(x.shape[2] + top + bottom - self.kernel_size[0]) % self.stride[0]
            right += -(x.shape[3] + left + right - self.kernel_size[1]) % self.stride[1]
        return super().forward(F.pad(x, (left, right, top, bottom)))


class Local(nn.Module):
    """Unshared convolution: patches by `unfold`, weights `[p, q, k, c, r, s]` and biases `[k, p, q]` of their own for each."""

    def __init__(self, c, h, w, k, kernel, stride=(1, 1), padding=(0, 0, 0, 0)):
        super().__init__()
        self.kernel, self.stride, self.sides = kernel, stride, padding
        top, left, bottom, right = padding
        p, q = (h + top + bottom - kernel[0]) // stride[0] + 1, (w + left + right - kernel[1]) // stride[1] + 1
        self.weight = nn.Parameter(torch.empty(p, q, k, c, *kernel))
        self.bias = nn.Parameter(torch.empty(k, p, q))

    def forward(self, x):
        p, q, k, c, r, s = self.weight.shape
        top, left, bottom, right = self.sides
        patches = F.unfold(F.pad(x, (left, right, top, bottom)), self.kernel, stride=self.stride)  # [n, c·r·s, p·q]
        patches = patches.reshape(len(x), c, r, s, p, q)
        return torch.einsum("ncrspq,pqkcrs->nkpq", patches, self.weight) + self.bias


class LrnAcross(nn.Module):
    """PyTorch divides alpha by the size; where it should not be, alpha is multiplied by it before. Towers are chunks."""

    def __init__(self, n, k, alpha, beta, alpha_over_n=True, towers=1):
        super().__init__()
        self.n, self.k, self.beta, self.towers = n, k, beta, towers
        self.alpha = alpha if alpha_over_n else alpha * n

    def forward(self, x):
        return torch.cat([F.local_response_norm(t, self.n, self.alpha, self.beta, self.k) for t in x.chunk(self.towers, 1)], 1)


class LrnWithin(nn.Module):
    """The window's sum of squares is an average pool with divisor 1."""

    def __init__(self, n, k, alpha, beta, alpha_over_n=True):
        super().__init__()
        self.n, self.k, self.alpha, self.beta = n, k, alpha / n**2 if alpha_over_n else alpha, beta

    def forward(self, x):
        squares = F.avg_pool2d(x * x, self.n, stride=1, padding=self.n // 2, divisor_override=1)
        return x * (self.k + self.alpha * squares) ** -self.beta


class MaxPoolPadded(nn.Module):
    """Max pooling with other room on each side, filled with -inf, which no maximum takes."""

    def __init__(self, kernel, stride, padding, ceil=False):
        super().__init__()
        self.kernel, self.stride, self.sides, self.ceil = kernel, stride, padding, ceil

    def forward(self, x):
        top, left, bottom, right = self.sides
        x = F.pad(x, (left, right, top, bottom), value=-torch.inf)
        return F.max_pool2d(x, self.kernel, self.stride, ceil_mode=self.ceil)


class AvgPoolPadded(nn.Module):
    """Average pooling with other room on each side: the pooled zeros-padded image over the pooled zeros-padded ones."""

    def __init__(self, kernel, stride, padding, ceil=False):
        super().__init__()
        self.kernel, self.stride, self.sides, self.ceil = kernel, stride, padding, ceil

    def forward(self, x):
        top, left, bottom, right = self.sides
        pooled = [
            F.avg_pool2d(F.pad(t, (left, right, top, bottom)), self.kernel, self.stride, ceil_mode=self.ceil)
            for t in (x, torch.ones_like(x))
        ]
        return pooled[0] / pooled[1]
