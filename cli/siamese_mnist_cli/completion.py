"""What a shell completes: names of parts, known without importing them."""

from collections.abc import Callable


def names_of(plural: str) -> Callable[[str], list[str]]:
    """Completes the names of one kind of part, such as "losses"."""

    def complete(incomplete: str) -> list[str]:
        from siamese_mnist.settings.registries import REGISTRIES

        return [name for name in REGISTRIES[plural].names() if name.startswith(incomplete)]

    return complete


def kinds(incomplete: str) -> list[str]:
    """Completes the kinds of parts."""
    from siamese_mnist.settings.registries import REGISTRIES

    return [kind for kind in REGISTRIES if kind.startswith(incomplete)]
