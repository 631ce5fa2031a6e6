"""A Siamese network with contrastive loss in Keras on TensorFlow, as one cold process.

Command (Keras 3 and TensorFlow, `pip install tensorflow-cpu`; nothing of this project is imported):

    python benchmarks/keras_siamese.py --seed 0

The network, the loss and the protocol are those that the Keras documentation describes in its example of image
similarity with a contrastive loss, written anew: two tanh convolutions with average pooling, ten tanh units, the
distance of two such embeddings through batch norm and one sigmoid unit, RMSprop, batches of 16, ten epochs. Every one
of the 6,000 training images meets one image of its digit and one of another, 12,000 pairs an epoch.

From some initial values, those of seed 0 among them, the sigmoid unit starts with the wrong sign and nothing is
learned; the figures of such a run are printed as they are.

Prints one JSON object: versions, seed, accuracy on 10,000 pairs of the 1,000 test images, seconds and peak memory.
"""

import time

START = time.perf_counter()  # before the imports: loading TensorFlow is part of what a user waits for

import argparse  # noqa: E402
import json  # noqa: E402

import keras_original as original  # noqa: E402
import numpy as np  # noqa: E402
from keras_original import keras, tf  # noqa: E402

TEST_PAIRS = 10_000
BATCH_SIZE = 16
EPOCHS = 10
MARGIN = 1.0


def embedding() -> "keras.Model":
    images = keras.Input((28, 28, 1))
    hidden = keras.layers.BatchNormalization()(images)
    for filters in (4, 16):
        hidden = keras.layers.Conv2D(filters, 5, activation="tanh")(hidden)
        hidden = keras.layers.AveragePooling2D(2)(hidden)
    hidden = keras.layers.BatchNormalization()(keras.layers.Flatten()(hidden))
    return keras.Model(images, keras.layers.Dense(10, activation="tanh")(hidden))


@keras.saving.register_keras_serializable()
class Distance(keras.layers.Layer):
    """Euclidean distance (N, 1) of two embeddings (N, E)."""

    def call(self, sides):
        """Maps two embeddings to their distance."""
        left, right = sides
        squares = keras.ops.sum(keras.ops.square(left - right), axis=1, keepdims=True)
        return keras.ops.sqrt(keras.ops.maximum(squares, keras.config.epsilon()))


def contrastive_loss(different, score):
    """Small scores of same pairs, and those of different pairs above the margin, cost nothing."""
    far = keras.ops.square(keras.ops.maximum(MARGIN - score, 0))
    return keras.ops.mean((1 - different) * keras.ops.square(score) + different * far)


def training_pairs(labels, rng) -> tuple:
    """Every image with one of its digit and one of another: left and right (2 N,), different (2 N, 1)."""
    rows = [np.flatnonzero(labels == digit) for digit in range(10)]
    others = [np.flatnonzero(labels != digit) for digit in range(10)]
    mates = [rng.choice(kind[digit]) for kind in (rows, others) for digit in labels]
    left = np.tile(np.arange(len(labels)), 2)
    return left, np.array(mates), np.repeat([[0.0], [1.0]], len(labels), axis=0).astype("float32")


def run(seed: int) -> dict:
    """Training and test, from the image file to the figures."""
    keras.utils.set_random_seed(seed)
    rng = np.random.default_rng(seed)
    with np.load(original.BUILT_IN_DATA) as file:
        train, test = (file[f"{part}_images"].astype("float32")[..., None] for part in ("train", "test"))
        train_labels, test_labels = file["train_labels"], file["test_labels"]
    tower = embedding()
    inputs = keras.Input((28, 28, 1)), keras.Input((28, 28, 1))
    distance = keras.layers.BatchNormalization()(Distance()([tower(inputs[0]), tower(inputs[1])]))
    model = keras.Model(list(inputs), keras.layers.Dense(1, activation="sigmoid")(distance))
    model.compile(loss=contrastive_loss, optimizer="RMSprop")
    left, right, different = training_pairs(train_labels, rng)
    model.fit([train[left], train[right]], different, batch_size=BATCH_SIZE, epochs=EPOCHS, verbose=0)
    left, right, same = original.draw_pairs(test_labels, TEST_PAIRS, rng)
    scores = model.predict([test[left], test[right]], batch_size=1000, verbose=0)[:, 0]
    return {
        "variant": "keras-siamese",
        "seed": seed,
        "versions": {"keras": keras.__version__, "tensorflow": tf.__version__},
        "test": {"pairs": TEST_PAIRS, "accuracy": float(((scores < 0.5) == same).mean())},
        "total_seconds": time.perf_counter() - START,
        "peak_rss_bytes": original.peak_rss_bytes(),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seed", type=int, default=0)
    print(json.dumps(run(parser.parse_args().seed), indent=2))
