"""Words that rows on several topics share, from the numbers that verdicts rest on.

"54 % [0, 69]" is a median with the smallest and the largest. "1.10–1.42 [1.05, 1.57]" are medians of several cases,
from the smallest to the largest, and in brackets the extremes of what these are medians of, or of its quartiles.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from experiments._harness.spreads import between, spread
from experiments.rothauge2019_linearization import judging


def percent(shares: Sequence[float | None], digits: int = 0) -> str:
    """Median and extremes, "54 % [0, 69]"."""
    known = [100 * share for share in shares if share is not None]
    if not known:
        return "not known"
    return f"{np.median(known):.{digits}f} % [{min(known):.{digits}f}, {max(known):.{digits}f}]"


def over_cases(medians: Sequence[float], around: Any, digits: int = 2) -> str:
    """Medians of cases, and the extremes of what lies around them: "1.10–1.42 [1.05, 1.57]"."""
    known = np.ravel(around)
    return f"{between(medians, digits)} [{np.nanmin(known):.{digits}f}, {np.nanmax(known):.{digits}f}]"


def most(what: str, shares: Mapping[str, Sequence[float]], units: str) -> str:
    """Shares of all units by reading, as :func:`judging.most` takes them."""
    each = ", ".join(f"{percent(of_units)} {reading}" for reading, of_units in shares.items())
    numbers = " and ".join(str(sum(share > judging.MOST for share in of_units)) for of_units in shares.values())
    return f"{what}: {each}; more than half in {numbers} of {units}; median over units [least, most]"


def slight(what: str, spreads: judging.Spreads, images: str, units: str) -> str:
    """Deviations between images, as :func:`judging.slight` takes them."""
    known = [(mass, largest) for mass, largest in spreads if mass is not None and largest is not None]
    if not known:
        return "one image alone"
    return (
        f"{what} ± {spread([100 * mass for mass, _ in known], 1)} points, largest value ± "
        f"{percent([largest for _, largest in known])}; deviation over {images}, median over {units} [least, most]"
    )


def marked(distances: Mapping[str, Any], factors: Any, over: str, scales: Sequence[float]) -> str:
    """Distances (units, scales) by reading, as :func:`judging.marked` takes them; largest values where they decide."""
    medians = {reading: judging.medians_over_units(table) for reading, table in distances.items()}
    each = ", ".join(f"{over_cases(medians[reading], table)} {reading}" for reading, table in distances.items())
    bulk = max(median for of_reading in medians.values() for median in of_reading)
    tails = f"; largest value by factors {between(judging.changes(factors), 1)}" if bulk < judging.MARKED else ""
    return f"distance of distributions {each}{tails}; {over} [extremes], scales {_listed(scales)}"


def _listed(scales: Sequence[float]) -> str:
    return ", ".join(f"{scale:g}" for scale in scales)


def card(nets: Mapping[str, Mapping[str, Any]]) -> str:
    """How many, how deep and how accurate."""
    depth = " and ".join(str(d) for d in sorted({n["depth"] for n in nets.values()}))
    count = f"{len(nets)} nets of" if len(nets) > 1 else "one net of"
    return f"{count} depth {depth}, accuracy {between([100 * n['accuracy'] for n in nets.values()], 1)} %"


def instead(row: str, nets: Mapping[str, Mapping[str, Any]]) -> str:
    """What stands in the row of a net that was not run: which row of others stands for it, with depth and accuracy."""
    return f"not run; see {row}: {card(nets)}"


def sentence(words: str) -> str:
    """Begun with a capital."""
    return words[:1].upper() + words[1:]
