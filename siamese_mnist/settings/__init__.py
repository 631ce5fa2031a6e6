"""What a run depends on: one grammar, resolved once, compared as values."""

from siamese_mnist._moved import forwarded

__getattr__ = forwarded(__name__, "settings", "Settings")
