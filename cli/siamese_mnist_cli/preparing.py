"""How picture files are prepared, where a command can override the model's own way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from siamese_mnist_cli.tables import tell

if TYPE_CHECKING:
    from siamese_mnist.data.preprocessing import Preprocessing
    from siamese_mnist.inference.judge import Judge


def chosen_preprocessing(verifier: Judge, normalise: bool | None) -> Preprocessing:
    """The preprocessing that `--normalise/--no-normalise` asks for; the verifier's own without."""
    from siamese_mnist.data.preprocessing import Preprocessing

    if normalise is None:
        return verifier.preprocessing
    chosen = Preprocessing.MNIST if normalise else Preprocessing.PLAIN
    chosen.check(verifier.channels)
    return chosen


def named_override(verifier: Judge, chosen: Preprocessing) -> dict[str, Any]:
    """What JSON says, and stderr now, of a preprocessing that is not the run's own; nothing where it is."""
    own = verifier.preprocessing
    if chosen == own:
        return {}
    tell(f"preprocessing {chosen}, where the run's own is {own}")
    return {"override": {"preprocessing": chosen, "run": own}}
