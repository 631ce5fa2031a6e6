"""The model card of a bundle: what a model is, what it saw and how well it does."""

from collections.abc import Mapping
from typing import Any


def model_card(config: Mapping[str, Any], decision: Mapping[str, float], metrics: Mapping[str, Any]) -> str:
    """Model card in Markdown: what the model is, what it saw, how well it does and under which licence.

    Args:
        config: the run's `config.json`.
        decision: threshold and slope.
        metrics: the figures of `metrics.json`.

    Raises:
        KeyError: if a figure is missing.
        TypeError: if a figure is not a number.
    """
    test, train, parts = metrics["test"], metrics["train"], config["parts"]
    height, width = config["image_size"]
    parameters = metrics["parameters"]["backbone"] + metrics["parameters"]["head"]
    same_fraction = config["protocol"]["same_fraction"]
    chosen = ", ".join(f"{role} `{parts[role]}`" for role in ("backbone", "head", "loss", "miner") if parts.get(role))
    rows = {
        "accuracy": _figure(metrics, "accuracy"),
        "ROC-AUC": _figure(metrics, "roc_auc"),
        "equal error rate": _figure(metrics, "equal_error_rate"),
        "expected calibration error": _figure(metrics, "expected_calibration_error"),
        "swap agreement": _figure(metrics, "swap_agreement"),
    }
    table = "\n".join(f"| {name} | {value} |" for name, value in rows.items())
    return f"""\
# {metrics["variant"]} on {metrics["dataset"]}

Decides whether two images show the same class. Made with siamese-mnist {metrics["versions"]["siamese_mnist"]}.

- Input: two images, uint8, {height} x {width}, light strokes on dark ground.
- Output: a score, higher = more alike; *same* from a score of {decision["threshold"]:.6g} on; the probability of *same*
  is the logistic function of {decision["slope"]:.6g} x (score - threshold).
- Model: {config["design"]} design, {chosen}; {parameters:,d} parameters.
- Classes: {", ".join(map(str, config["classes"]))}.

## Data

Data set `{metrics["dataset"]}`, seed {metrics["seed"]}. {same_fraction:.0%} of the pairs show one class.
Threshold and calibration come from pairs of training images.

| | pairs | digest |
|---|---|---|
| training images | {train["pairs"]:,d} | `{train["pairs_digest"]}` |
| test images | {test["pairs"]:,d} | `{test["pairs_digest"]}` |

## Figures on the test pairs

| | value |
|---|---|
{table}

In brackets: interval of 95 % confidence, which takes into account that pairs share images.

## Limits

The model knows the classes above only, written as in its training images. It is no means of telling writers apart.

## Licence

{_licence(metrics["dataset"])}
"""


def _licence(dataset: str) -> str:
    text = "The weights have the licence that whoever trained them gives them; the training data has its own."
    if dataset in ("mnist", "mnist-tenth"):
        text += " MNIST, by Yann LeCun, Corinna Cortes and Christopher J. C. Burges, is available under CC BY-SA 3.0."
    return text


def _figure(metrics: Mapping[str, Any], name: str) -> str:
    figure, interval = metrics["test"].get(name), metrics["intervals"].get(name)
    if figure is None:
        return "-"
    return f"{figure:.4f}" + (f" ({interval[0]:.4f} to {interval[1]:.4f})" if interval else "")
