"""Random streams: one of its own for every seed and purpose, so that no draw shifts another."""

from enum import IntEnum

import numpy as np
import torch


class Purpose(IntEnum):
    """What a stream is for; the numbers are part of every seed's meaning and stay as they are."""

    TRAIN_PAIRS = 0
    TEST_PAIRS = 1
    ORDER = 2  # of a run's batches, from the start of phase 1
    CURVE = 3  # of the batches of test pairs that are measured meanwhile
    OWN_TRAIN_PAIRS = 4  # of a run whose training pairs are its own
    OWN_TRAIN_IMAGES = 5  # of a run whose training images are its own
    FITTING_PAIRS = 6  # of validation images, for threshold and calibration
    FINISH = 7  # of the training images to which a trained model adapts
    ASKED_IMAGES = 8  # that a member of an ensemble left out, and is asked about


def stream(seed: int, purpose: Purpose) -> torch.Generator:
    """The random stream of a seed for a purpose, at its start."""
    state = np.random.SeedSequence((seed, int(purpose))).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(state) >> 1)
