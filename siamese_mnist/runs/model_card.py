"""The model card of a bundle: what a model is, what it saw and how well it does."""

from collections.abc import Mapping
from typing import Any

from siamese_mnist.data.preprocessing import preprocessing_of
from siamese_mnist.evaluation.metrics import Metric, single_metrics
from siamese_mnist.system.templates import render


def model_card(config: Mapping[str, Any], decision: Mapping[str, Any], metrics: Mapping[str, Any]) -> str:
    """Model card in Markdown: what the model is, what it saw, how well it does and under which licence.

    Args:
        config: the run's `config.json`.
        decision: threshold, slope and what they were fitted on.
        metrics: the figures of `metrics.json`.

    Raises:
        KeyError: if a figure is missing.
        TypeError: if a figure is not a number.
    """
    parts = config["parts"]
    return render(
        "siamese_mnist.runs",
        "model_card.md",
        config=config,
        preprocessing=preprocessing_of(config),
        decision=decision,
        metrics=metrics,
        parts=", ".join(f"{role} `{parts[role]}`" for role in ("backbone", "head", "loss", "miner") if parts.get(role)),
        parameters=metrics["parameters"]["backbone"] + metrics["parameters"]["head"],
        figures={metric.title: _figure(metrics, name, metric) for name, metric in single_metrics().items()},
    )


def _figure(metrics: Mapping[str, Any], name: str, metric: Metric) -> str:
    text, interval = metric.text(metrics["test"].get(name)), metrics["intervals"].get(name)
    return f"{text} ({' to '.join(map(metric.text, interval))})" if interval else text
