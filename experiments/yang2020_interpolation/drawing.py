"""What the figures on trained nets share: one colour and one marker for each kind of net, and panels of differences."""

from typing import Any

import numpy as np

from resdyn.plotting.canvas import COLOURS

COLOUR = {"resnet": COLOURS[7], "in": COLOURS[0], "lambda-in": COLOURS[3]}
MARKER = {"resnet": "o", "in": "s", "lambda-in": "^"}
# two standard errors over images, as verdicts take them
ERRORS = 2.0


def differences(
    ax: Any,
    tables: dict[str, dict[str, dict[str, Any]]],
    summary: dict[str, Any],
    what: str,
    *,
    scale: float = 100.0,
    unit: str = "points",
) -> None:
    """Differences to nets without damping, from :func:`comparing.paired`: rows of each kind, one mark for each seed."""
    for i, (kind, rows) in enumerate(tables.items()):
        for place, difference in enumerate(rows.values()):
            each, errors = scale * np.array(difference["each"]), ERRORS * scale * np.array(difference["errors"])
            # kinds beside each other, and seeds within a kind
            shift = 0.36 * (i - (len(tables) - 1) / 2) + 0.14 * (np.arange(len(each)) - (len(each) - 1) / 2)
            ax.errorbar(
                place + shift,
                each,
                errors,
                fmt=MARKER[kind],
                color=COLOUR[kind],
                markersize=4,
                linewidth=1,
                label=summary["kinds"][kind] if place == 0 else None,
            )
    names = list(next(iter(tables.values())))
    ax.axhline(0, color="0.5", linewidth=0.8)
    ax.set_xticks(range(len(names)), names, fontsize="small")
    ax.set_ylabel(f"{what} less that of {next(iter(summary['kinds'].values()))} [{unit}]", fontsize="small")
