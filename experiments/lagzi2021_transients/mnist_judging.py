"""How the claims on both nets on MNIST are judged."""

from typing import Any

import numpy as np

from experiments._harness.spreads import spread

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
    """Of nets of several seeds, with the binomial error of one net."""
    wrong, n = summary["test"]["error"], summary["test"]["images"]
    middle = float(np.median(wrong))
    binomial = f"± {100 * np.sqrt(middle * (1 - middle) / n):.2f} %"
    if len(wrong) == 1:
        return f"{100 * middle:.2f} {binomial} of {n} test images, one seed"
    of_seeds = f"median over {len(wrong)} seeds [least, most]"
    return f"{spread(wrong, 2, 100)} %, {of_seeds}; one net {binomial} of {n} test images"


def error_verdict(papers: float) -> Any:
    """Confirmed if the typical net has the paper's, within the errors of two nets."""

    def verdict(summary: Summary) -> str:
        wrong = float(np.median(summary["test"]["error"]))
        if abs(wrong - papers) <= CLOSE_ERROR:
            return "confirmed"
        return f"not confirmed: ours is {'higher' if wrong > papers else 'lower'}"

    return verdict


def beside_shared(summary: Summary) -> str:
    """The same beside nets with one matrix for all layers."""
    return f"{error(summary)}; with shared weights {spread(summary['test']['shared_error'], 2, 100)} %"


def beside_shared_verdict(papers: float) -> Any:
    """The paper's, and higher than with shared weights in each pair of seeds."""

    def verdict(summary: Summary) -> str:
        found = error_verdict(papers)(summary)
        if min(summary["test"]["error"]) > max(summary["test"]["shared_error"]):
            return found if found == "confirmed" else f"{found}, but higher than with shared weights"
        order = "no higher than with shared weights in all seeds"
        return f"qualified: {order}" if found == "confirmed" else f"{found}, and {order}"

    return verdict


def on(summary: Summary, kind: str) -> float:
    """Share of residuals farther than 0.01 from 0."""
    return float(1 - summary["spread"][kind]["at_0"])


def named(summary: Summary) -> list[Summary]:
    """Rows of the classes that the paper names."""
    return [row for row in summary["classes"] if row["class"] in NAMED]
