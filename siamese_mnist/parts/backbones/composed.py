"""A linear block on images, in training: its convolutions and batch norms as one convolution.

Without activation, a block is a linear function of the pixels that it sees, but for the statistics of its norms. These
follow from the first and second moments of the pixels, so that the norms between the convolutions need not be computed
anywhere: of every image, only the one convolution that all make together is. What norms and biases add is carried by a
channel of ones, which ends at the border as the images do.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from siamese_mnist.parts.backbones.norm import FewChannelsNorm
from siamese_mnist.parts.backbones.pooling import corner_kernels, highest_corner

_SIDE = 4  # of the kernel that three 2x2 kernels make


def pooled_in_training(
    x: Tensor, first: Tensor, convs: Sequence[nn.Conv2d], norms: Sequence[FewChannelsNorm]
) -> Tensor:
    """Three 2x2 convolutions padded by zeros at the right and bottom, a norm after each, and 2x2 max pooling.

    The norms are in training mode, and keep their moving statistics. There are gradients of parameters only.

    Args:
        x: images (N, C, H, W); C should be 1 or 2.
        first: weights (F, C, 2, 2) of the first convolution.
        convs: the convolutions.
        norms: the norms.

    Returns:
        (N, F, H // 2, W // 2).
    """
    channels = torch.cat([x, torch.ones_like(x[:, :1])], 1).contiguous()
    padded = F.pad(channels, (0, _SIDE - 1, 0, _SIDE - 1))
    moments = _moments(padded, x.shape[2:])
    ones = x.shape[1] * _SIDE**2  # where the moments with the channel of ones are, its first moment first
    kernel = F.pad(first.double().transpose(0, 1), (0, 0, 0, 0, 0, 0, 0, 1))  # (C + 1, F, 2, 2)
    for number, (conv, norm) in enumerate(zip(convs, norms, strict=True)):
        if number:
            kernel = F.conv_transpose2d(kernel, conv.weight.double().transpose(0, 1))
        assert conv.bias is not None
        kernel = _with_constant(kernel, conv.bias.double())
        rest = _SIDE - kernel.shape[-1]
        flat = F.pad(kernel, (0, rest, 0, rest)).transpose(0, 1).flatten(1)  # (F, 16 (C + 1))
        mean = flat @ moments[ones]
        variance = ((flat @ moments) * flat).sum(1) - mean.square()
        norm.track(mean.detach().to(x.dtype), variance.detach().to(x.dtype), x.numel() // x.shape[1])
        scale = norm.weight.double() * (variance + norm.eps).rsqrt()
        kernel = _with_constant(kernel * scale[:, None, None], norm.bias.double() - mean * scale)
    kernel = corner_kernels(kernel.transpose(0, 1)).to(x.dtype, memory_format=torch.contiguous_format)
    return highest_corner(F.conv2d(padded, kernel, stride=2))


def _with_constant(kernel: Tensor, values: Tensor) -> Tensor:
    """Adds constants (F,) to what a kernel (C + 1, F, K, K) makes of images and ones."""
    added = torch.zeros_like(kernel[:, 0])
    added[-1, 0, 0] = 1
    return kernel + added[:, None] * values[:, None, None]


def _moments(padded: Tensor, size: Sequence[int]) -> Tensor:
    """Mean products (16 C, 16 C) of the pixels that a 4x4 kernel sees, over all places and images, float64.

    Args:
        padded: (N, C, H + 3, W + 3), the last channel the same in all images.
        size: H and W.
    """
    height, width = size
    seen = padded.unfold(2, height, 1).unfold(3, width, 1)  # (N, C, 4, 4, H, W)
    pixels = seen[:, :-1].reshape(len(seen), -1, height * width)
    ones = seen[0, -1].reshape(-1, height * width)
    own = torch.bmm(pixels, pixels.transpose(1, 2)).double().sum(0)
    both = pixels.sum(0).double() @ ones.double().T
    alone = len(seen) * (ones.double() @ ones.double().T)
    products = torch.cat([torch.cat([own, both], 1), torch.cat([both.T, alone], 1)])
    return products / (len(seen) * height * width)
