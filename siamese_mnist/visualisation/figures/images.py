"""Pictures of images: where they lie in the space of their embeddings, and the pairs that are hardest to tell."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from siamese_mnist.visualisation.figures.theme import WIDTH_INCHES, canvas, look, themed

FloatArray = NDArray[np.float64]


def principal_components(embeddings: FloatArray) -> FloatArray:
    """The two directions of largest variance: (N, E) to (N, 2)."""
    from sklearn.decomposition import PCA

    plane = PCA(min(2, *embeddings.shape)).fit_transform(embeddings)
    return np.pad(plane, ((0, 0), (0, 2 - plane.shape[1])))


@themed
def embedding_map(
    embeddings: ArrayLike,
    labels: ArrayLike,
    names: Sequence[str],
    project: Callable[[FloatArray], FloatArray] = principal_components,
) -> Figure:
    """Where images lie in the plane that shows most of their embeddings.

    Args:
        embeddings: (N, E) finite.
        labels: (N,) int class of each image.
        names: class names; where each is one character, an image is drawn as it.
        project: (N, E) to (N, 2).
    """
    plane, classes = project(np.asarray(embeddings, dtype=np.float64)), np.asarray(labels)
    characters = all(len(name) == 1 and name.isalnum() for name in names)
    figure, (axes,) = canvas(4.2)
    for number, name in enumerate(names):
        colour, _, marker = look(number)
        chosen = plane[classes == number]
        shape: Any = f"${name}$" if characters else marker
        axes.plot(
            chosen[:, 0],
            chosen[:, 1],
            linestyle="",
            marker=shape,
            markersize=5,
            markeredgewidth=0.2,
            color=colour,
            label=name,
        )
    axes.set(xlabel="first component", ylabel="second component")
    if not characters:
        figure.legend(loc="outside lower center", ncols=4, frameon=False)
    return figure


@themed
def hardest_pairs(
    images: ArrayLike,
    left: ArrayLike,
    right: ArrayLike,
    *,
    same: ArrayLike,
    scores: ArrayLike,
    captions: Sequence[str],
) -> Figure:
    """The same pairs of lowest and the different pairs of highest score, eight of each, as images.

    Args:
        images: (N, C, H, W) uint8, in grey or colour.
        left: (P,) row of the left image.
        right: (P,) row of the right image.
        same: (P,) bool ground truth.
        scores: (P,) higher means more alike.
        captions: a few characters for each of the P pairs.
    """
    pixels = np.moveaxis(np.asarray(images), 1, -1)  # as matplotlib wants it: (N, H, W, C)
    rows = np.stack([np.asarray(left), np.asarray(right)], axis=1)
    values, truth = np.asarray(scores, dtype=np.float64), np.asarray(same, dtype=np.bool_)
    order = np.argsort(values, kind="stable")
    figure = Figure(figsize=(WIDTH_INCHES, 4.4), layout="constrained")
    parts: Any = figure.subfigures(2, 1)
    for row, (title, chosen) in enumerate(
        (
            ("same, and judged least alike", order[truth[order]][:8]),
            ("different, and judged most alike", order[~truth[order]][::-1][:8]),
        )
    ):
        parts[row].suptitle(title, x=0.02, ha="left", fontsize=10)
        for axes, pair in zip(parts[row].subplots(2, 4).flat, [*chosen, *[None] * (8 - len(chosen))], strict=True):
            axes.set_axis_off()
            if pair is not None:
                axes.imshow(np.hstack(list(pixels[rows[pair]])), cmap="gray", vmin=0, vmax=255, interpolation="none")
                axes.text(0.5, -0.08, captions[pair], transform=axes.transAxes, ha="center", va="top", fontsize=8)
    return figure
