"""Data sets: the built-in images, IDX files of the MNIST family, and folders of images."""

import lazy_loader

# The names are those of `__init__.pyi`, each loaded when it is first asked for: how a picture file is prepared, and
# which data sets there are, is known without PyTorch.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
