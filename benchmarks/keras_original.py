"""The report's own design in Keras on TensorFlow, as one cold process.

Command (Keras 3 and TensorFlow, `pip install tensorflow-cpu`; nothing of this project is imported):

    python benchmarks/keras_original.py --seed 0

Prints one JSON object on stdout: versions, seed, phase-1 accuracy on the 1,000 test images, accuracy and swap agreement
on the 10,000 test pairs, seconds of both phases and of the whole script, and peak memory. A second object, of the same
form, is what `siamese-mnist run baseline --json` prints; `benchmarks/baseline_speed.py` sets the two side by side.

The model is Appendix A of the report, with two residual blocks; the pairs are Appendix B, with exactly half of them the
same digit. After every update of phase 2 the loss and the accuracy of the training and of one random batch of 64 test
pairs are recorded, as for the report's Figure 4; `--no-validation-batches` leaves that out.
"""

import time

START = time.perf_counter()  # before the imports: loading TensorFlow is part of what a user waits for

import argparse  # noqa: E402
import json  # noqa: E402
import os  # noqa: E402
import platform  # noqa: E402
import resource  # noqa: E402
import sys  # noqa: E402
from pathlib import Path  # noqa: E402

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

try:
    import keras
    import numpy as np
    import tensorflow as tf
except ImportError as error:
    print(f"error: {error}; install Keras and TensorFlow with: pip install tensorflow-cpu", file=sys.stderr)
    sys.exit(2)

BUILT_IN_DATA = Path(__file__).resolve().parent.parent / "siamese_mnist" / "data" / "mnist-tenth.npz"
TRAIN_PAIRS = 100_000
TEST_PAIRS = 10_000
BATCH_SIZE = 64
EPOCHS = 2  # of each phase


def residual_block(images, filters: int):
    """Three (2x2 convolution, batch norm) without activation; the input is concatenated, not added."""
    hidden = images
    for _ in range(3):
        hidden = keras.layers.Conv2D(filters, kernel_size=2, padding="same")(hidden)
        hidden = keras.layers.BatchNormalization()(hidden)
    return keras.layers.Concatenate()([images, hidden])


def feature_extractor() -> keras.Model:
    images = keras.Input((28, 28, 2))
    hidden = keras.layers.ZeroPadding2D(2)(images)  # (N, 32, 32, 2)
    hidden = residual_block(hidden, filters=6)  # (N, 32, 32, 8)
    hidden = keras.layers.MaxPooling2D()(hidden)  # (N, 16, 16, 8)
    hidden = residual_block(hidden, filters=16)  # (N, 16, 16, 24)
    hidden = keras.layers.MaxPooling2D()(hidden)  # (N, 8, 8, 24)
    return keras.Model(images, keras.layers.Flatten()(hidden))  # (N, 1536)


def classifier(hidden_units: tuple[int, ...], classes: int) -> keras.Model:
    layers = [keras.layers.Dense(units, activation="relu") for units in hidden_units]
    return keras.Sequential([keras.Input((1536,)), *layers, keras.layers.Dense(classes, activation="softmax")])


def compiled(extractor: keras.Model, head: keras.Model) -> keras.Model:
    model = keras.Sequential([keras.Input((28, 28, 2)), extractor, head])
    model.compile(optimizer="adam", loss="categorical_crossentropy", metrics=["accuracy"])
    return model


def draw_pairs(labels, count: int, rng) -> tuple:
    """Unique ordered index pairs in random order, exactly half of them the same digit: left, right, same, each (P,)."""
    halves = []
    for want_same in (True, False):
        codes = np.empty(0, np.int64)  # left * N + right
        while len(codes) < count // 2:
            left, right = rng.integers(len(labels), size=(2, count))
            wanted = (labels[left] == labels[right]) == want_same
            codes = np.unique(np.concatenate([codes, left[wanted] * len(labels) + right[wanted]]))
        halves.append(rng.choice(codes, count // 2, replace=False))
    left, right = np.divmod(rng.permutation(np.concatenate(halves)), len(labels))
    return left, right, labels[left] == labels[right]


def stacked_pairs(images, labels, count: int, rng) -> tuple:
    """Pairs as the model takes them: images (P, 28, 28, 2), one-hot answers (P, 2) with class 1 = same."""
    left, right, same = draw_pairs(labels, count, rng)
    return np.stack([images[left], images[right]], axis=-1), keras.utils.to_categorical(same, 2)


class CurveRecorder(keras.callbacks.Callback):
    """Loss and accuracy after every update: Keras' running training means, and one random batch of test pairs.

    `Model.test_on_batch` would reset the running means of the training metrics, so the batch goes through a compiled
    function of its own. XLA (`jit_compile=True`) makes that function slower on a CPU, so it stays off.
    """

    def __init__(self, pairs, same, rng):
        super().__init__()
        self.pairs, self.same, self.rng = pairs, same, rng
        self.curve: list[tuple[float, float, float, float]] = []

    def on_train_begin(self, logs=None):
        """Compile the forward pass; the model is known only now."""

        @tf.function
        def loss_and_accuracy(pairs, same):
            probabilities = self.model(pairs, training=False)
            loss = keras.losses.categorical_crossentropy(same, probabilities)
            correct = keras.metrics.categorical_accuracy(same, probabilities)
            return tf.stack([tf.reduce_mean(loss), tf.reduce_mean(correct)])

        self.loss_and_accuracy = loss_and_accuracy

    def on_train_batch_end(self, batch, logs=None):
        """Add one row to the curve."""
        rows = self.rng.choice(len(self.pairs), BATCH_SIZE, replace=False)
        loss, accuracy = self.loss_and_accuracy(self.pairs[rows], self.same[rows]).numpy()
        self.curve.append((float(logs["loss"]), float(logs["accuracy"]), float(loss), float(accuracy)))


def train(model: keras.Model, inputs, targets, callbacks=()) -> float:
    """Fit the report's way and return the seconds it took."""
    start = time.perf_counter()
    model.fit(inputs, targets, batch_size=BATCH_SIZE, epochs=EPOCHS, callbacks=list(callbacks), verbose=0)
    return time.perf_counter() - start


def run(data: Path, seed: int, validation_batches: bool) -> dict:
    """Both phases and the test, from the image file to the figures."""
    keras.utils.set_random_seed(seed)
    rng = np.random.default_rng(seed)
    with np.load(data) as file:
        train_images, test_images = (file[f"{part}_images"].astype("float32") / 255 for part in ("train", "test"))
        train_labels, test_labels = file["train_labels"], file["test_labels"]

    extractor, digit_head, pair_head = feature_extractor(), classifier((64,), 10), classifier((256, 32), 2)
    parameters = {
        "backbone": extractor.count_params(),
        "pretraining_head": digit_head.count_params(),
        "head": pair_head.count_params(),
    }

    digit_model = compiled(extractor, digit_head)
    doubled = np.stack([train_images, train_images], axis=-1)
    phase1_seconds = train(digit_model, doubled, keras.utils.to_categorical(train_labels, 10))
    digits = digit_model.predict(np.stack([test_images, test_images], axis=-1), batch_size=1000, verbose=0).argmax(1)

    extractor.trainable = False
    pair_model = compiled(extractor, pair_head)
    train_pairs, train_same = stacked_pairs(train_images, train_labels, TRAIN_PAIRS, rng)
    test_pairs, test_same = stacked_pairs(test_images, test_labels, TEST_PAIRS, rng)
    recorder = CurveRecorder(test_pairs, test_same, rng)
    phase2_seconds = train(pair_model, train_pairs, train_same, [recorder] if validation_batches else [])
    answers = pair_model.predict(test_pairs, batch_size=1000, verbose=0).argmax(1)
    swapped = pair_model.predict(test_pairs[..., ::-1], batch_size=1000, verbose=0).argmax(1)

    return {
        "variant": "keras-original",
        "seed": seed,
        "backend": keras.backend.backend(),
        "versions": {
            "python": platform.python_version(),
            "keras": keras.__version__,
            "tensorflow": tf.__version__,
            "numpy": np.__version__,
        },
        "parameters": parameters,
        "phase1": {
            "epochs": EPOCHS,
            "accuracy": float((digits == test_labels).mean()),
            "train_seconds": phase1_seconds,
        },
        "phase2": {"epochs": EPOCHS, "train_seconds": phase2_seconds, "validation_batches": len(recorder.curve)},
        "test": {
            "pairs": TEST_PAIRS,
            "accuracy": float((answers == test_same.argmax(1)).mean()),
            "swap_agreement": float((answers == swapped).mean()),
        },
        "total_seconds": time.perf_counter() - START,
        "peak_rss_bytes": peak_rss_bytes(),
    }


def peak_rss_bytes() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # Linux counts in KiB


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--data", type=Path, default=BUILT_IN_DATA, help="the 6,000 + 1,000 images (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--validation-batches",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="record one random batch of test pairs after every update of phase 2",
    )
    args = parser.parse_args()
    if not args.data.is_file():
        print(f"error: no image file at {args.data}; give one with --data PATH", file=sys.stderr)
        return 2
    if int(keras.__version__.partition(".")[0]) < 3:
        print(f"error: Keras 3 or newer is needed, found {keras.__version__}", file=sys.stderr)
        return 2
    print(json.dumps(run(args.data, args.seed, args.validation_batches), indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
