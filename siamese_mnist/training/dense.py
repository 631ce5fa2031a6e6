"""Dense layers on frozen features, trained by written-out gradients.

The report's head has one large layer and two tiny ones. The outputs of the large one are computed in two pieces of
fixed size, each by a thread of its own, which also moves the weights that these outputs need and goes on with the next
batch at once. So the threads wait for each other once an update only, and the figures do not depend on their number.
"""

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor, nn

from siamese_mnist.system.threads import Lane
from siamese_mnist.training.adam import Adam

_PIECES = 2

MakeOptimizer = Callable[[Iterable[Tensor]], Adam]


class DenseHead:
    """Linear layers with ReLU between them: the arithmetic of `torch.autograd`, no more.

    Args:
        layers: two or more, whose parameters are moved in place.
        others: parameters that are moved with them, by gradients that they have got elsewhere.
        make_optimizer: makes the optimizer of some parameters.
        lane: where a piece of the work is done; the parameters are whole when it has been waited for.
    """

    def __init__(
        self, layers: Sequence[nn.Linear], others: Sequence[Tensor], make_optimizer: MakeOptimizer, lane: Lane
    ) -> None:
        first, *rest = [_Layer(layer.weight.detach(), layer.bias.detach()) for layer in layers]
        size = first.units // _PIECES if first.units % _PIECES == 0 else first.units
        columns = [slice(start, start + size) for start in range(0, first.units, size)]
        pieces = [_Layer(first.weight[part], first.bias[part]) for part in columns]
        self._pieces = [
            (part, piece, make_optimizer(piece.parameters)) for part, piece in zip(columns, pieces, strict=True)
        ]
        self._rest = rest
        self._optimizer = make_optimizer([*(each for layer in rest for each in layer.parameters), *others])
        self._units = first.units
        self._lane = lane
        self._begun: tuple[Tensor, Tensor] | None = None  # features, and outputs on which the lane works

    def forward(self, features: Tensor) -> Tensor:
        """Maps features (P, D) to outputs (P, F)."""
        here, *_ = self._pieces
        if self._begun is None or self._begun[0] is not features:
            self._begin(features)
        assert self._begun is not None
        outputs = self._begun[1]
        _compute(features, outputs, *here)
        self._lane.wait()
        for layer in self._rest:
            layer.inputs = outputs.relu_()
            outputs = torch.addmm(layer.bias, layer.inputs, layer.weight.T)
        return outputs

    def step(self, error: Tensor, learning_rate: float, coming: Tensor | None = None) -> None:
        """Moves the parameters.

        Args:
            error: (B, F), the gradient of the first rows that `forward` gave.
            learning_rate: step size.
            coming: features that `forward` gets next; the lane need not wait for it then.
        """
        for layer in reversed(self._rest):
            layer.set_gradients(error)
            error = torch.ops.aten.threshold_backward(error @ layer.weight, layer.inputs[: len(error)], 0)

        def move(columns: slice, piece: _Layer, optimizer: Adam) -> None:
            piece.set_gradients(error[:, columns])
            optimizer.learning_rate = learning_rate
            optimizer.step()

        here, *others = self._pieces
        for each in others:
            self._lane.start(move, *each)
        if coming is not None:
            self._begin(coming)
        move(*here)
        self._optimizer.learning_rate = learning_rate
        self._optimizer.step()

    def _begin(self, features: Tensor) -> None:
        """Has the lane compute its pieces of the outputs of the first layer."""
        outputs = features.new_empty(len(features), self._units)
        self._begun = features, outputs
        for each in self._pieces[1:]:
            self._lane.start(_compute, features, outputs, *each)


def _compute(features: Tensor, outputs: Tensor, columns: slice, piece: "_Layer", _: Adam) -> None:
    piece.inputs = features
    torch.mm(features, piece.weight.T, out=outputs[:, columns]).add_(piece.bias)


class _Layer:
    """Some outputs of a layer, with the weights (F, D) and biases (F,) that they need."""

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        self.weight, self.bias = weight, bias
        self.units = len(bias)
        self.parameters = [weight, bias]
        self.inputs = weight[:0]  # (P, D) of the last pass
        self._gradients = [torch.empty_like(weight), torch.empty_like(bias)]

    def set_gradients(self, error: Tensor) -> None:
        """Sets the parameters' gradients from that of the first outputs (B, F)."""
        weight, bias = self._gradients
        torch.mm(error.T, self.inputs[: len(error)], out=weight)
        torch.sum(error, 0, out=bias)
        self.weight.grad, self.bias.grad = weight, bias
