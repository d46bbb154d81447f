r"""How fast the outcome becomes predictable as the initial state becomes known better: the uncertainty exponent.

A state is uncertain at ε if a perturbation of size ε changes its label. The share of such states follows a power law,

.. math:: f(\epsilon) \sim \epsilon^{\alpha}, \qquad \alpha = D - d_0,

with D the dimension of the region and d_0 the box dimension of the boundary ([grebogi1983]_, [mcdonald1985]_).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from resdyn import _validation as validate
from resdyn._results import Result, dataset
from resdyn.analysis.boundaries import jackknife, power_law
from resdyn.analysis.boundaries.labelled import (
    LabelledGrid,
    classifier,
    counted,
    counted_cells,
    grid,
    on_boundary,
    places_at,
    states_at,
)

if TYPE_CHECKING:
    import xarray

Array = NDArray[Any]

# the largest shift of the default ones is at most this share of the shortest axis: beyond it, f saturates
_LARGEST_SHIFT = 1 / 16
_DEFAULT_SIZES = 8
# default sizes of sampled perturbations, as shares of the side of the region
_FINEST, _COARSEST = 1e-4, 1e-2
_CONFIDENCE = 0.95
# a change of the local slope over the range of ε that matters, if it is also beyond three standard errors, or if a line
# fits as badly as one in a hundred power laws
_BENT, _CERTAIN, _UNLIKELY = 0.2, 3.0, 0.01
# an exponent below this is hardly an improvement: a tenth of the error in ε keeps 80 % of the uncertain states
_RIDDLED = 0.1


@dataclass(frozen=True, eq=False, repr=False)
class UncertaintyExponent(Result):
    r"""The uncertainty exponent and what it was fitted to; what :func:`uncertainty_exponent` returns.

    Attributes
    ----------
    exponent : float
        α; NaN if fewer than two sizes met the boundary.
    standard_error : float
    interval : array, shape (2,)
        95 % for α: Student's t times the standard error, and the spread of ``local_slopes``. The exponent is a limit
        and the fit a mean over a range: this assumes that below the range the slope changes by no more than within it.
    local_slopes : array
        α over each run of half of the sizes, smallest first; where they differ by more than noise, f oscillates or
        bends.
    fit_p_value : float
        The chance that counts of a power law are as far from a line as these are: by the jackknife's covariance of the
        shares on a grid, by χ² for samples; NaN where a size met nothing, or sizes are too many for the blocks.
    slope_change, slope_change_error : float
        How much the local slope changes from the smallest ε to the largest one, from a parabola in log ε.
    epsilons : array, shape (n,)
        Sizes of the perturbation, ascending.
    shares, share_errors : array, shape (n,)
        f(ε), and their standard errors.
    n_pairs : array, shape (n,)
        Pairs of states compared at each size.
    prefactor : float
        C in :math:`f = C\epsilon^\alpha`.
    dimension : int
        D, the axes of the grid.
    method : str
        "grid" or "samples".
    unlabelled : str
    """

    exponent: float
    standard_error: float
    interval: Array
    local_slopes: Array
    fit_p_value: float
    slope_change: float
    slope_change_error: float
    epsilons: Array
    shares: Array
    share_errors: Array
    n_pairs: Array
    prefactor: float
    dimension: int
    method: str
    unlabelled: str

    @property
    def boundary_dimension(self) -> float:
        """The box dimension of the boundary, D − α."""
        return self.dimension - self.exponent

    @property
    def is_power_law(self) -> bool | None:
        """False where f is seen not to be a power law over the range of ε; None if that is not known.

        That is where ``local_slopes`` differ by more than 0.2 and ``fit_p_value`` is below 0.01, or where a parabola's
        ``slope_change`` is beyond 0.2 and three standard errors. True says that neither was seen.
        """
        bend, error = abs(self.slope_change), self.slope_change_error
        if bend > _BENT and bend > _CERTAIN * error:
            return False
        if self.fit_p_value < _UNLIKELY and self._spread > _BENT:
            return False
        return True if np.isfinite(bend) and np.isfinite(error) else None

    @property
    def _spread(self) -> float:
        known = self.local_slopes[np.isfinite(self.local_slopes)]
        return float(np.ptp(known)) if known.size else 0.0

    @property
    def verdict(self) -> str:
        """What the exponent says of the boundary, at 95 % and over the range of ε seen.

        "none met", "no power law", "undecided" (no interval), "fractal" (the interval lies below 1), "riddled-like" (it
        lies below 0.1, so that knowing more hardly helps) or "smooth or not told from smooth".
        """
        if not self.shares.any():
            return "none met"
        if self.is_power_law is False:
            return "no power law"
        low, high = self.interval
        if not np.isfinite(high - low):
            return "undecided"
        if high < _RIDDLED:
            return "riddled-like"
        return "fractal" if high < 1 else "smooth or not told from smooth"

    def __repr__(self) -> str:
        low, high = self.epsilons[[0, -1]]
        head = "UncertaintyExponent"
        range_ = f"ε from {low:.2g} to {high:.2g}"
        if self.verdict == "none met":
            return f"{head}: no boundary met, f(ε) = 0 for {range_} ({int(self.n_pairs.max())} pairs each)."
        if not np.isfinite(self.exponent):
            return f"{head}: undecided, the boundary was met at one size only of {range_}."
        number = f"{self.exponent:.3f}"
        if np.isfinite(self.interval).all():
            number += f" (95 %: {self.interval[0]:.3f} to {self.interval[1]:.3f})"
        source = "pairs of grid points" if self.method == "grid" else "sampled pairs"
        text = f"{head}: α = {number} from {source}, {range_}. "
        if self.verdict == "no power law":
            known = self.local_slopes[np.isfinite(self.local_slopes)]
            return f"{text}No power law: over parts of this range the slope is {known.min():.2f} to {known.max():.2f}."
        words = {
            "undecided": "No interval, so nothing is decided",
            "riddled-like": "Riddled-like: the outcome hardly becomes more predictable",
            "fractal": "Fractal over this range",
            "smooth or not told from smooth": "Not told from a smooth boundary, α = 1",
        }
        return f"{text}{words[self.verdict]}; box dimension {self.boundary_dimension:.3f} of {self.dimension}."

    def _table(self) -> tuple[Sequence[str], Sequence[Sequence[Any]]]:
        rows = [
            (f"{epsilon:.3g}", f"{share:.4g}", f"{error:.2g}", int(n))
            for epsilon, share, error, n in zip(
                self.epsilons, self.shares, self.share_errors, self.n_pairs, strict=True
            )
        ]
        return ("ε", "f(ε)", "standard error", "pairs"), rows[:20]

    def to_dataset(self) -> "xarray.Dataset":
        """As an ``xarray.Dataset`` over ε."""
        names = (
            "exponent",
            "standard_error",
            "fit_p_value",
            "slope_change",
            "prefactor",
            "dimension",
            "method",
            "unlabelled",
        )
        return dataset(
            {
                "share": (["epsilon"], self.shares),
                "share_error": (["epsilon"], self.share_errors),
                "n_pairs": (["epsilon"], self.n_pairs),
                "interval": (["end"], self.interval),
                "local_slope": (["part"], self.local_slopes),
            },
            coords={"epsilon": self.epsilons, "end": ["low", "high"]},
            attrs={**{name: getattr(self, name) for name in names}, "verdict": self.verdict},
        )


def uncertainty_exponent(
    basins: LabelledGrid | Array,
    *,
    epsilons: Any = None,
    n_samples: int | None = None,
    unlabelled: str = "class",
    rng: np.random.Generator | int = 0,
) -> UncertaintyExponent:
    r"""The exponent α of the share :math:`f(\epsilon) \sim \epsilon^\alpha` of states whose label ε can change.

    From the grid alone, pairs of grid points at a distance of so many cells along each axis are compared. With
    ``n_samples`` pairs of states are drawn and labelled by ``basins.classify``, at distances as small as one likes.

    Parameters
    ----------
    basins : Basins, or integer array
        Labels on a grid of equal steps; with ``n_samples`` an object that also has ``axes`` and ``classify``.
    epsilons : array, optional
        Sizes of the perturbation, at least three, in the unit of the axes (cells, for a bare array). Where axes differ
        in length (their cells in size), ε belongs to the geometric mean and the displacement along each is in
        proportion to its own. On a grid they are rounded to whole cells. By default up to eight from one cell to a
        sixteenth of the shortest axis; for samples, from 1e-4 to 1e-2 of the side of the region.
    n_samples : int, optional
        Pairs of states for each size.
    unlabelled : "class" or "ignore"
        Whether −1 is a label like any other, or pairs with it are left out. Of :class:`resdyn.Basins` only states that
        diverged count.
    rng : numpy Generator or seed
        For the samples.

    Returns
    -------
    UncertaintyExponent

    Raises
    ------
    TypeError, ValueError
        For a grid without equal steps or too small, or samples of what cannot classify.

    Notes
    -----
    α is 1 for a smooth boundary (:eq:`uncertain-share-of-a-line`), below 1 for a fractal one, near 0 for riddled
    basins. The number belongs to the range of ε it was measured in: a smooth boundary with bends of a few cells has no
    power law on the grid, or none that tells it from a fractal. Errors of the grid are from the jackknife over
    blocks of the region, those of samples binomial, widened where the power law fits worse than that.
    """
    labelled = grid(basins, needs_axes=n_samples is not None)
    validate.choice(unlabelled, "unlabelled", ("class", "ignore"))
    if n_samples is None:
        present = counted_cells(basins, labelled.labels, unlabelled)
        between = on_boundary(basins, labelled.labels)
        return _from_grid(labelled.labels, present, between, labelled.axes, epsilons, unlabelled)
    count = validate.count(n_samples, "n_samples", least=1)
    assert labelled.axes is not None
    return _from_samples(basins, labelled.axes, epsilons, count, unlabelled, validate.generator(rng))


# --- pairs of grid points --------------------------------------------------------------------------------


def _from_grid(
    labels: Array, present: Array, between: Array, axes: Sequence[Array] | None, epsilons: Any, unlabelled: str
) -> UncertaintyExponent:
    spacing = _spacing(axes)
    shifts = _shifts(epsilons, spacing, min(labels.shape))
    margin = int(shifts.max())
    inner = tuple(slice(margin, n - margin) for n in labels.shape)
    here, present = labels[inner], present & ~between
    numbers = jackknife.block_numbers(here.shape)
    events, trials = [], []
    for shift in shifts:
        changed, compared = np.zeros(here.shape), np.zeros(here.shape)
        for axis in range(labels.ndim):
            for sign in (-1, 1):
                moved = list(inner)
                moved[axis] = slice(margin + sign * shift, labels.shape[axis] - margin + sign * shift)
                there = tuple(moved)
                both = present[inner] & present[there]
                # a state on the boundary itself belongs half to either side
                half = (between[inner] & present[there]) | (present[inner] & between[there])
                compared += both | half | (between[inner] & between[there])
                changed += np.where(half, 0.5, both & (here != labels[there]))
        events.append(jackknife.sums_per_block(changed, numbers))
        trials.append(jackknife.sums_per_block(compared, numbers))
    return _of_blocks(shifts * spacing, np.array(events), np.array(trials), labels.ndim, unlabelled)


def _spacing(axes: Sequence[Array] | None) -> float:
    if axes is None:
        return 1.0
    steps = []
    for i, axis in enumerate(axes):
        gaps = np.abs(np.diff(axis))
        # linspace is regular to a few units in the last place of its largest entry
        rounding = 8 * np.finfo(axis.dtype).eps * np.abs(axis).max(initial=0.0)
        if len(gaps) and np.ptp(gaps) > 1e-6 * gaps.max() + rounding:
            raise ValueError(
                f"axis {i} of the grid has unequal steps ({gaps.min():.3g} to {gaps.max():.3g}), so that pairs of grid "
                "points have no one distance; sample pairs of states instead (n_samples=)."
            )
        steps.append(gaps.mean() if len(gaps) else 1.0)
    return float(np.exp(np.mean(np.log(steps))))


def _shifts(epsilons: Any, spacing: float, shortest: int) -> NDArray[np.int64]:
    if epsilons is None:
        largest = max(4, int(shortest * _LARGEST_SHIFT))
        shifts = np.unique(np.geomspace(1, largest, _DEFAULT_SIZES).round().astype(np.int64))
    else:
        shifts = np.unique(np.rint(_sizes(epsilons) / spacing).astype(np.int64))
        shifts = shifts[shifts > 0]
        if len(shifts) < 3:
            raise ValueError(
                f"epsilons are fewer than three different whole numbers of cells (a cell measures {spacing:.3g}); ask "
                "for larger ones, or sample pairs of states (n_samples=)."
            )
    if 2 * shifts.max() >= shortest:
        raise ValueError(
            f"pairs up to {shifts.max()} cells apart need more than {2 * shifts.max()} cells along each axis, but the "
            f"shortest has {shortest}; ask for smaller epsilons, or for basins on a finer grid."
        )
    return shifts


def _sizes(epsilons: Any) -> Array:
    sizes = np.unique(validate.real_array(epsilons, "epsilons"))
    if sizes.ndim != 1 or len(sizes) < 3 or sizes[0] <= 0:
        raise ValueError(f"epsilons must be at least three different numbers above 0, but are {epsilons!r}.")
    return sizes


def _of_blocks(epsilons: Array, events: Array, trials: Array, dimension: int, unlabelled: str) -> UncertaintyExponent:
    """The result from counts per size and block, shape (n, n_blocks)."""
    without_events, without_trials = jackknife.leave_one_out(events), jackknife.leave_one_out(trials)
    totals, n_pairs = events.sum(axis=1), trials.sum(axis=1)
    estimates = [_line_and_bend(epsilons, totals, n_pairs)]
    for k in range(events.shape[1]):
        estimates.append(_line_and_bend(epsilons, without_events[:, k], without_trials[:, k]))
    errors = jackknife.standard_error(np.array(estimates[1:]).T)
    with np.errstate(invalid="ignore", divide="ignore"):
        shares = totals / n_pairs
        without = without_events / without_trials
        share_errors = jackknife.standard_error(without)
        off = power_law.off_a_line(epsilons, shares), power_law.off_a_line(epsilons, without)
    return _result(
        epsilons,
        shares,
        share_errors,
        (totals, n_pairs),
        estimates[0],
        errors[:2],
        jackknife.p_value_of_zero(*off),
        events.shape[1] - 1,
        dimension,
        "grid",
        unlabelled,
    )


def _line_and_bend(epsilons: Array, counts: Array, trials: Array) -> tuple[float, float, float]:
    """α, the change of the slope over the range, and log C."""
    line, parabola, width = power_law.designs(epsilons)
    straight = power_law.fitted(line, counts, trials) if (trials > 0).all() else None
    if straight is None:
        return np.nan, np.nan, np.nan
    bent = power_law.fitted(parabola, counts, trials)
    alpha = float(straight.coefficients[1])
    bend = np.nan if bent is None else float(2 * bent.coefficients[2] * width)
    return alpha, bend, float(straight.coefficients[0] - alpha * np.log(epsilons).mean())


# --- sampled pairs ---------------------------------------------------------------------------------------


def _from_samples(
    basins: Any, axes: Sequence[Array], epsilons: Any, n: int, unlabelled: str, rng: np.random.Generator
) -> UncertaintyExponent:
    classify = classifier(basins, "sampling")
    low, high = np.array([axis.min() for axis in axes]), np.array([axis.max() for axis in axes])
    lengths = high - low
    if not (lengths > 0).all():
        raise ValueError("an axis of the grid has one point only, so that there is no region to draw states from.")
    side = float(np.exp(np.log(lengths).mean()))
    sizes = side * np.geomspace(_FINEST, _COARSEST, _DEFAULT_SIZES) if epsilons is None else _sizes(epsilons)
    if 2 * sizes[-1] >= side:
        raise ValueError(f"epsilons reach {sizes[-1]:.3g}, half of the side of the region ({side:.3g}) or more.")
    margin = lengths * sizes[-1] / side
    events, trials = np.empty(len(sizes)), np.empty(len(sizes))
    for i, epsilon in enumerate(sizes):
        here = rng.uniform(low + margin, high - margin, size=(n, len(axes)))
        there = here.copy()
        along = rng.integers(len(axes), size=n)
        there[np.arange(n), along] += rng.choice([-1.0, 1.0], size=n) * (epsilon * lengths / side)[along]
        labels = classify(states_at(basins, places_at(basins, np.concatenate([here, there])))).reshape(2, n)
        both = counted(labels, unlabelled).all(axis=0)
        events[i], trials[i] = (both & (labels[0] != labels[1])).sum(), both.sum()
    estimate, errors, p_value, degrees = _binomial(sizes, events, trials)
    with np.errstate(invalid="ignore", divide="ignore"):
        shares = events / trials
        share_errors = np.sqrt(shares * (1 - shares) / trials)
    counts = events, trials
    return _result(
        sizes, shares, share_errors, counts, estimate, errors, p_value, degrees, len(axes), "samples", unlabelled
    )


def _binomial(sizes: Array, events: Array, trials: Array) -> tuple[tuple[float, float, float], Array, float, int]:
    """The estimates, the standard errors of the first two, the p value of χ², and the degrees of freedom."""
    from scipy.stats import chi2

    estimate = _line_and_bend(sizes, events, trials)
    errors, p_value, degrees = np.full(2, np.nan), np.nan, len(sizes) - 2
    if not (trials > 0).all():
        return estimate, errors, p_value, degrees
    line, parabola, width = power_law.designs(sizes)
    straight, bent = (power_law.fitted(design, events, trials) for design in (line, parabola))
    if straight is not None:
        errors[0] = np.sqrt(straight.covariance[1, 1] * max(1.0, straight.dispersion))
        p_value = float(chi2.sf(straight.dispersion * straight.degrees, straight.degrees))
    if bent is not None:
        errors[1] = 2 * width * np.sqrt(bent.covariance[2, 2] * max(1.0, bent.dispersion))
    return estimate, errors, p_value, degrees


def _result(
    epsilons: Array,
    shares: Array,
    share_errors: Array,
    counts: tuple[Array, Array],
    estimate: tuple[float, float, float],
    errors: Array,
    p_value: float,
    degrees: int,
    dimension: int,
    method: str,
    unlabelled: str,
) -> UncertaintyExponent:
    from scipy.stats import t

    alpha, bend, intercept = estimate
    slopes = power_law.slopes_over_halves(epsilons, *counts)
    known = slopes[np.isfinite(slopes)]
    half = t.ppf(0.5 + _CONFIDENCE / 2, max(degrees, 1)) * errors[0] + np.ptp(known if known.size else np.zeros(1))
    return UncertaintyExponent(
        exponent=alpha,
        standard_error=float(errors[0]),
        interval=np.array([alpha - half, alpha + half]),
        local_slopes=slopes,
        fit_p_value=p_value,
        slope_change=bend,
        slope_change_error=float(errors[1]),
        epsilons=epsilons,
        shares=shares,
        share_errors=share_errors,
        n_pairs=counts[1].astype(np.int64),
        prefactor=float(np.exp(intercept)),
        dimension=dimension,
        method=method,
        unlabelled=unlabelled,
    )
