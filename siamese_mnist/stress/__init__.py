"""A trained run under stress: slices of its test set, corrupted images, other data sets, the order of the images."""

from siamese_mnist.stress.slices import Slice, slices
from siamese_mnist.stress.table import Stress, Trial, stress

__all__ = ["Slice", "Stress", "Trial", "slices", "stress"]
