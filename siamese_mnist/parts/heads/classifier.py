"""The report's heads on stacked pairs, and its ten-class head for pretraining."""

from collections.abc import Sequence

from torch import Tensor, nn

from siamese_mnist.parts.heads.base import HEADS, StackedHead, linear_layers, multilayer


def pretraining_head(feature_dim: int, classes: int) -> nn.Sequential:
    """The report's phase-1 head D-64(ReLU)-classes: features (N, D) -> logits (N, classes); 99,018 parameters."""
    return multilayer(feature_dim, 64, classes)


@HEADS.register("classifier")
class PairClassifier(StackedHead):
    """The report's 2-class head D-256(ReLU)-32(ReLU)-2 on stacked pairs; 401,762 parameters on 1,536 features."""

    def __init__(self, feature_dim: int) -> None:
        super().__init__()
        self.layers = multilayer(feature_dim, 256, 32, 2)

    def forward(self, features: Tensor) -> Tensor:
        """Maps features of stacked pairs (P, D) to logits (P, 2), class 1 = same."""
        logits: Tensor = self.layers(features)
        return logits

    def dense_layers(self) -> Sequence[nn.Linear]:
        """The three layers, unless a subclass makes something else of them."""
        if type(self).forward is not PairClassifier.forward:
            return ()
        return linear_layers(self.layers)


@HEADS.register("symmetric-classifier")
class SymmetricPairClassifier(PairClassifier):
    """The report's 2-class head, its score averaged over both orders of the two images."""

    averaged = True
