"""The visible loops: phases, batches, the optimiser."""

from siamese_mnist._moved import forwarded

__getattr__ = forwarded(__name__, "phases", "Curve Progress class_accuracy pretrain silent train")
