"""A user's program: what mypy has to know of it. It is checked, never run."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, assert_type

import numpy as np
from numpy.typing import NDArray
from torch import Generator, Tensor

import siamese_mnist as sm
from siamese_mnist.parts.heads import Head

result = sm.run("siamese", loss="contrastive", seed=0, runs_dir=Path("runs"))
assert_type(result, sm.RunResult)
assert_type(result.test.accuracy, float)
assert_type(result.test.same.f1, float)
assert_type(result.phase1.accuracy, float | None)
assert_type(result.phase2.train_seconds, float)
assert_type(result.decision.threshold, float)
assert_type(result.decision.predict([0.5]), NDArray[np.bool_])
assert_type(result.test.others, Mapping[str, Any])
assert_type(result.run_dir, str)

verifier = sm.load(result.run_dir)
assert_type(verifier, sm.Verifier)

dataset = sm.load_dataset("mnist-tenth")
images, labels = dataset.test.images, dataset.test.labels
assert_type(images, Tensor)
assert_type(labels, Tensor)
assert_type(dataset.classes, tuple[str, ...])

assert_type(verifier.score(images[:10], images[10:20]), NDArray[np.float32])
assert_type(verifier.predict_proba(images[:10], images[10:20]), NDArray[np.float64])
assert_type(verifier.predict(images[:10], images[10:20]), NDArray[np.bool_])
assert_type(verifier.embed(images), NDArray[np.float32])
assert_type(verifier.score_matrix(images, images), NDArray[np.float32])

pairs = sm.draw_pairs(labels, 100, generator=Generator())
assert_type(pairs, sm.Pairs)
assert_type(sm.pairs_digest(pairs), str)

assert_type(list(sm.LOSSES), list[str])
assert_type(sm.METRICS["accuracy"], sm.Metric)
assert_type(sm.HEADS["distance"], type[Head])
assert_type(sm.RECIPES["report"].protocol.epochs, int)
assert_type(sm.VARIANTS["siamese"].design, str)

_ = result.test.acuracy  # type: ignore[attr-defined]
result.seed = 1  # type: ignore[misc]
verifier.score(images)  # type: ignore[call-arg]
