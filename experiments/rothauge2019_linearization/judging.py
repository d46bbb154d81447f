"""How statements are judged, with the same rules for every network.

Needs neither torch nor the modules that compute. Where there is nothing to judge the verdict is "not run".
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from experiments._harness.claims import NOT_RUN as NOT_RUN
from experiments._harness.spreads import quartiles as quartiles
from experiments._harness.spreads import spread as spread

Spreads = Sequence[tuple[float | None, float | None]]

MOST = 0.5
"""Most are more than half."""
MANY_UNITS = 0.75
"""Three units of four: a statement about units that fails for more than a quarter of them needs a qualification."""
SLIGHT_MASS, SLIGHT_LARGEST = 0.05, 0.2
"""Five points of share, and a fifth of the largest singular value."""
ALMOST_ALL = 0.95
"""What twenty exact ones have in common with one exception is their rule."""
MARKED = 0.25
"""Two distribution functions that are a quarter apart somewhere differ to the naked eye: of a thousand values, 250
would have to move."""
MARKED_LARGEST = 1.3
"""Distances of distributions hardly see tails; a largest value that is a third larger or smaller is a marked change of
them."""


# --- rules -------------------------------------------------------------------------------------------


def is_most(share: float | None) -> str:
    """Of one unit: "yes" or "no", "not known" where there is no share."""
    if share is None:
        return "not known"
    return "yes" if share > MOST else "no"


def most(shares: Mapping[str, Sequence[float]]) -> str:
    """Whether most singular values are 1, from the shares of all units in each reading.

    It holds in a reading if the share of the median unit is above half. Confirmed: in all readings, and for three units
    of four in each; qualified: in one reading at least.
    """
    if not shares or not all(len(of_units) for of_units in shares.values()):
        return NOT_RUN
    holds = {reading: bool(np.median(of_units) > MOST) for reading, of_units in shares.items()}
    many = all((np.asarray(of_units) > MOST).mean() >= MANY_UNITS for of_units in shares.values())
    if all(holds.values()):
        return "confirmed" if many else "qualified"
    if not any(holds.values()):
        return "not confirmed"
    where = [reading for reading, held in holds.items() if held]
    return f"qualified: true {' and '.join(where)} the last activation"


def is_slight(mass: float, largest: float) -> bool:
    """Whether a unit differs slightly between images: deviations of a share, and of the largest value over its mean."""
    return bool(mass <= SLIGHT_MASS and largest <= SLIGHT_LARGEST)


def slight(spreads: Spreads) -> str:
    """Whether spectra differ slightly between images, from (deviation of share, relative one of the largest) of units.

    Confirmed: all units of which several images are known; qualified: at least half of them.
    """
    known = [is_slight(mass, largest) for mass, largest in spreads if mass is not None and largest is not None]
    if not known:
        return NOT_RUN
    if all(known):
        return "confirmed"
    return "qualified" if np.mean(known) >= 0.5 else "not confirmed"


def marked(distances: Mapping[str, Any], factors: Any = ()) -> str:
    """Whether scaling changes the distributions markedly, from distances of Kolmogorov and Smirnov.

    For each variant distances over units and scales, shape (units, scales), the scale 1 left out; NaN is not known.
    Judged is the median over units at each scale. Confirmed: marked in all variants at all scales; qualified: at some,
    or at none, but the largest value changes markedly at all scales; ``factors`` are those by which it does, of the
    same shape.
    """
    medians = [median for of_units in distances.values() for median in medians_over_units(of_units)]
    if not medians:
        return NOT_RUN
    if min(medians) >= MARKED:
        return "confirmed"
    if max(medians) >= MARKED:
        return "qualified"
    tails = bool(changes(factors)) and min(changes(factors)) >= MARKED_LARGEST
    return "qualified: the largest values, not the bulk" if tails else "not confirmed"


def changes(factors: Any) -> list[float]:
    """By how much the largest value of the median unit grows or shrinks, at each scale; never below 1."""
    return medians_over_units(np.exp(abs(np.log(np.asarray(factors, dtype=float)))))


def medians_over_units(distances: Any) -> list[float]:
    """One for each scale; nothing where no unit is known."""
    table = np.asarray(distances, dtype=float)
    return [float(np.median(column[np.isfinite(column)])) for column in table.T if np.isfinite(column).any()]


def forced(found: Sequence[int], forced: Sequence[int], of_all: float = ALMOST_ALL) -> str:
    """Whether the exact ones found are those that sparsity forces: numbers of singular values, unit by unit.

    They were found and forced in different ways, or there is nothing to confirm. Two singular values may be 1 by
    chance or be moved by rounding; fewer than forced there cannot be. Qualified: almost all of them, but not in each
    unit, as weights may depend on each other too.
    """
    if not len(found):
        return NOT_RUN
    surplus = np.subtract(found, forced)
    if (surplus < -2).any():
        return "not confirmed: fewer than forced"
    if not (surplus > 2).any():
        return "confirmed"
    if sum(forced) < of_all * sum(found):
        return "not confirmed"
    return f"qualified: {100 * sum(forced) / sum(found):.2f} %, with more in {(surplus > 2).sum()} of {len(found)}"
