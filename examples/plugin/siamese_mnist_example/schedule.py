"""A schedule: the course of the step sizes."""


def steps(done: float) -> float:
    """The whole step size for three fifths of the updates, a tenth for the next fifth, a hundredth for the last."""
    return 1.0 if done < 0.6 else 0.1 if done < 0.8 else 0.01
