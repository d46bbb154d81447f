"""How the claims on both nets on MNIST are judged."""

from typing import Any

import numpy as np

Summary = dict[str, Any]

CLOSE_ERROR = 0.003
"""Of 10,000 images the binomial error at 1.4 % is 0.12 points: 0.17 for the difference of two nets, and twice that is
about 0.3."""
NO_SPREAD = 0.01
"""A mean standard deviation within the width of saturation, which is also the threshold of the paper's depth rule."""


NAMED = (0, 2, 3)
"""The classes whose residuals the paper describes as saddles."""

READINGS = {"pattern": "as an image", "filter": "through W"}
"""Of features that input dimensions have in common."""


def error(summary: Summary) -> str:
    """Of all test images, with its binomial error."""
    wrong, n = summary["test"]["error"], summary["test"]["images"]
    return f"{100 * wrong:.2f} ± {100 * np.sqrt(wrong * (1 - wrong) / n):.2f} % of {n} test images, one seed"


def error_verdict(papers: float) -> Any:
    """Confirmed if it is the paper's, within the errors of two nets."""

    def verdict(summary: Summary) -> str:
        wrong = summary["test"]["error"]
        if abs(wrong - papers) <= CLOSE_ERROR:
            return "confirmed"
        return f"not confirmed: ours is {'higher' if wrong > papers else 'lower'}"

    return verdict


def on(summary: Summary, kind: str) -> float:
    """Share of residuals farther than 0.01 from 0."""
    return float(1 - summary["spread"][kind]["at_0"])


def named(summary: Summary) -> list[Summary]:
    """Rows of the classes that the paper names."""
    return [row for row in summary["classes"] if row["class"] in NAMED]
