"""Trackers: what keeps a run's settings, curve and figures elsewhere, for those who look at all their runs there."""

from siamese_mnist.registry import Registry
from siamese_mnist.tracking.base import Tracker
from siamese_mnist.tracking.mlflow import MlflowTracker
from siamese_mnist.tracking.tensorboard import TensorBoardTracker

__all__ = ["TRACKERS", "MlflowTracker", "TensorBoardTracker", "Tracker"]

TRACKERS: Registry[type[Tracker]] = Registry("tracker", "siamese_mnist.trackers", Tracker)
"""Trackers by name; each is made with a folder of its own."""

TRACKERS.add("tensorboard", TensorBoardTracker)
TRACKERS.add("mlflow", MlflowTracker)
