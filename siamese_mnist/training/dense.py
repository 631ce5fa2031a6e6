"""Dense layers on frozen features, trained by written-out gradients.

The report's head has one large layer and two tiny ones. Its large products are computed in two pieces of fixed size,
side by side where there are two processors, so that the figures do not depend on their number.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from siamese_mnist.system.threads import side_by_side

HEAD_PIECES = 2


class DenseHead:
    """Linear layers with ReLU between them and cross-entropy at the end: the arithmetic of `torch.autograd`, no more.

    Args:
        layers: the layers, whose parameters are read and never replaced.
    """

    def __init__(self, layers: Sequence[nn.Linear]) -> None:
        self._weights = [layer.weight.detach() for layer in layers]
        self._biases = [layer.bias.detach() for layer in layers]
        self._pieces = HEAD_PIECES if len(self._weights[0]) % HEAD_PIECES == 0 else 1
        self._inputs: list[Tensor] = []  # of every layer
        self._gradients = [
            (torch.empty_like(w), torch.empty_like(b)) for w, b in zip(self._weights, self._biases, strict=True)
        ]
        self._parameters = [(layer.weight, layer.bias) for layer in layers]

    def forward(self, features: Tensor) -> Tensor:
        """Maps features (P, D) to logits (P, 2)."""
        self._inputs = [features]
        outputs = self._first(features)
        for weight, bias in zip(self._weights[1:], self._biases[1:], strict=True):
            self._inputs.append(outputs.relu_())
            outputs = torch.addmm(bias, self._inputs[-1], weight.T)
        return outputs

    def backward(self, logits: Tensor, same: Tensor) -> None:
        """Sets the parameters' gradients of the mean cross-entropy of the first rows that were given to `forward`.

        Args:
            logits: (B, 2), the first rows of what `forward` gave.
            same: (B,) bool, True = same class.
        """
        error = (logits.softmax(1) - torch.stack([~same, same], 1).float()).div_(len(logits))
        for layer in reversed(range(len(self._weights))):
            inputs = self._inputs[layer][: len(error)]
            weight, bias = self._gradients[layer]
            torch.sum(error, 0, out=bias)
            if layer:
                torch.mm(error.T, inputs, out=weight)
                error = torch.ops.aten.threshold_backward(error @ self._weights[layer], inputs, 0)
            else:
                self._first_gradient(error, inputs, weight)
        for (weight, bias), (of_weight, of_bias) in zip(self._parameters, self._gradients, strict=True):
            weight.grad, bias.grad = of_weight, of_bias

    def _first(self, features: Tensor) -> Tensor:
        weights = self._weights[0].unflatten(0, (self._pieces, -1)).transpose(1, 2)
        with side_by_side(self._pieces):
            outputs = torch.bmm(features.expand(self._pieces, -1, -1), weights)
        return outputs.transpose(0, 1).flatten(1).add_(self._biases[0])

    def _first_gradient(self, error: Tensor, features: Tensor, gradient: Tensor) -> None:
        errors = error.unflatten(1, (self._pieces, -1)).permute(1, 2, 0)
        with side_by_side(self._pieces):
            torch.bmm(errors, features.expand(self._pieces, -1, -1), out=gradient.unflatten(0, (self._pieces, -1)))
