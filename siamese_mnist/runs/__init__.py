"""Runs: made, kept, found and compared."""

from siamese_mnist._moved import forwarded

__getattr__ = forwarded(
    __name__,
    "store",
    "RunError RunResult check_writable list_runs read_history read_run read_scores read_weights write_run",
)
