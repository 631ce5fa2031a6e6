"""Siamese metric-learning variants on MNIST pairs, with plugin backbones, heads and losses under one fair protocol."""

import lazy_loader

from siamese_mnist import _moved

# The public names are those of `__init__.pyi`; each is loaded when it is first asked for, so that what needs no PyTorch
# does not wait for it.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

_moved.install()
