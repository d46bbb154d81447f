r"""How mixed the outcomes are in small boxes of initial states: basin entropy.

A region is covered with N boxes of ε cells along each axis. Box i, in which label j has the share p_ij, has the Gibbs
entropy :math:`S_i = -\sum_j p_{ij}\log p_{ij}`; their mean over all boxes is the basin entropy, their mean over the
N_b boxes with more than one label the boundary basin entropy ([daza2016]_),

.. math:: S_b = \frac{1}{N}\sum_i S_i, \qquad S_{bb} = \frac{1}{N_b}\sum_i S_i .
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from resdyn import _validation as validate
from resdyn._results import Result, dataset
from resdyn.analysis.boundaries import jackknife
from resdyn.analysis.boundaries.labelled import LabelledGrid, counted_cells, grid

if TYPE_CHECKING:
    import xarray

Array = NDArray[Any]

# below so many boxes along an axis the largest of the default sizes has nothing to average
_LEAST_BOXES = 8
# beyond three standard errors a threshold counts as passed
_CERTAIN = 3.0
_ROUNDING = 1e-12


@dataclass(frozen=True, eq=False, repr=False)
class BasinEntropy(Result):
    r"""Basin entropy over box sizes; what :func:`basin_entropy` returns.

    Attributes
    ----------
    sizes : array, shape (n,)
        Cells along the side of a box, ascending.
    values : array, shape (n,)
        S_b, in nats.
    boundary_values : array, shape (n,)
        S_bb, in nats; NaN where no box holds more than one label.
    standard_error, boundary_standard_error : array, shape (n,)
        Of both, by the jackknife over blocks of the region: what they would vary by if the region were drawn from a
        larger one that looks the same everywhere. NaN where there is one block only.
    boundary_share : array, shape (n,)
        N_b/N, the share of boxes with more than one label.
    n_boxes : array, shape (n,)
    box : int
        The size that :attr:`value` speaks of.
    slope, slope_error : float
        Of log S_b against log ε, by least squares; NaN for fewer than three sizes. For small boxes it tends to the
        uncertainty exponent, from above: a boundary between two cells leaves boxes of ε cells less mixed than a
        continuous one would (:eq:`discrete-box-entropy`).
    n_labels : int
        Labels that count.
    dimension : int
        Axes of the grid.
    unlabelled, placement : str
        As asked for.
    left_out : float
        The share of cells in no box of size ``box``, because the grid is no multiple of it.
    """

    sizes: Array
    values: Array
    boundary_values: Array
    standard_error: Array
    boundary_standard_error: Array
    boundary_share: Array
    n_boxes: Array
    box: int
    slope: float
    slope_error: float
    n_labels: int
    dimension: int
    unlabelled: str
    placement: str
    left_out: float

    @property
    def _place(self) -> int:
        return int(np.flatnonzero(self.sizes == self.box)[0])

    @property
    def value(self) -> float:
        """S_b for boxes of size ``box``, in nats."""
        return float(self.values[self._place])

    @property
    def boundary_value(self) -> float:
        """S_bb for boxes of size ``box``, in nats."""
        return float(self.boundary_values[self._place])

    @property
    def is_fractal(self) -> bool | None:
        r"""True if S_bb exceeds log 2 by more than three standard errors, else None; the log 2 criterion.

        It is sufficient and not necessary, and holds for boxes so small that in each a smooth boundary divides two
        basins, three or more meeting only in a negligible share of boxes: then no box exceeds log 2
        (:eq:`two-label-entropy`). False is never said.
        """
        excess = self.boundary_value - np.log(2)
        error = self.boundary_standard_error[self._place]
        # NaN errors certify nothing; boxes that are all cut evenly have log 2, to rounding
        return True if excess > _CERTAIN * error + _ROUNDING else None

    def __repr__(self) -> str:
        axes = "1 axis" if self.dimension == 1 else f"{self.dimension} axes"
        head = f"BasinEntropy of {self.n_labels} labels on a grid of {axes}"
        place = self._place
        if not self.boundary_share.any():
            return f"{head}: 0, no box holds more than one label."
        text = (
            f"{head}: S_b = {_with_error(self.value, self.standard_error[place])}, "
            f"S_bb = {_with_error(self.boundary_value, self.boundary_standard_error[place])} nats in boxes of "
            f"{self.box} cells a side, {100 * self.boundary_share[place]:.3g} % of them mixed. "
        )
        if self.is_fractal:
            text += "S_bb > log 2: a fractal boundary, if boxes are small."
        else:
            text += "S_bb is not above log 2 by three standard errors, which decides nothing."
        if np.isfinite(self.slope):
            text += f" Over {len(self.sizes)} box sizes log S_b grows with slope {self.slope:.3g}."
        return text

    def _table(self) -> tuple[Sequence[str], Sequence[Sequence[Any]]]:
        rows = [
            (int(size), int(n), f"{share:.4g}", f"{value:.4g}", f"{boundary:.4g}")
            for size, n, share, value, boundary in zip(
                self.sizes, self.n_boxes, self.boundary_share, self.values, self.boundary_values, strict=True
            )
        ]
        return ("cells a side", "boxes", "mixed", "S_b", "S_bb"), rows

    def to_dataset(self) -> "xarray.Dataset":
        """As an ``xarray.Dataset`` over box sizes."""
        names = ("values", "boundary_values", "standard_error", "boundary_standard_error", "boundary_share", "n_boxes")
        renamed = {"values": "basin_entropy", "boundary_values": "boundary_basin_entropy"}
        attrs = {name: getattr(self, name) for name in ("box", "slope", "slope_error", "unlabelled", "placement")}
        return dataset(
            {renamed.get(name, name): (["size"], getattr(self, name)) for name in names},
            coords={"size": self.sizes},
            attrs={**attrs, "n_labels": self.n_labels},
        )


def _with_error(value: float, error: float) -> str:
    return f"{value:.3g} ± {error:.1g}" if np.isfinite(error) else f"{value:.3g}"


def basin_entropy(
    basins: LabelledGrid | Array,
    *,
    box: int = 5,
    sizes: Iterable[int] | None = None,
    unlabelled: str = "class",
    placement: str = "tiles",
) -> BasinEntropy:
    r"""How unpredictable the outcome is in a small box of initial states: the basin entropy of [daza2016]_.

    .. math:: S_b = \frac{1}{N}\sum_{i=1}^{N} S_i, \qquad S_{bb} = \frac{1}{N_b}\sum_{i=1}^{N} S_i,
              \qquad S_i = -\sum_j p_{ij} \log p_{ij}

    S_b is between 0 (one basin) and the logarithm of the number of labels (fully mixed). It depends on the size of the
    boxes: compare systems at the same size only.

    Parameters
    ----------
    basins : Basins, or integer array of any number of axes
        Labels on a grid.
    box : int
        Cells along the side of a box, at least 2; boxes of five cells a side, 25 in the plane, are those of the paper.
    sizes : ints, optional
        All sizes to use. By default ``box`` and its multiples by powers of two, as long as eight fit along each axis.
    unlabelled : "class" or "ignore"
        Whether −1 is a label like any other (divergence), or its cells are not there. Of :class:`resdyn.Basins` only
        states that diverged count; those on a boundary or in a long transient are never there.
    placement : "tiles" or "everywhere"
        Boxes side by side from the first cell on, as in the paper, where cells at the far ends that fill no box are
        left out; or all places of a box, by single cells, which uses all cells and has no preferred origin.

    Returns
    -------
    BasinEntropy

    Raises
    ------
    TypeError, ValueError
        For labels that are no integers, a box larger than the grid, or no label at all.
    """
    labelled = grid(basins)
    labels = labelled.labels
    side = validate.count(box, "box", least=2)
    if side > min(labels.shape):
        raise ValueError(f"box = {side} does not fit into a grid of shape {labels.shape}; take smaller boxes.")
    where = validate.choice(placement, "placement", ("tiles", "everywhere"))
    present = counted_cells(basins, labels, unlabelled)
    if not present.any():
        raise ValueError('no cell has a label of its own (all are -1); use unlabelled="class" to count -1 as one.')
    chosen = _sizes(sizes, side, labels.shape)
    found = [_of_size(labels, present, size, where) for size in chosen]
    columns = np.array(found).T
    values = columns[0]
    slope, slope_error = _slope(np.array(chosen, dtype=float), values)
    covered = np.prod([n - n % side for n in labels.shape]) / labels.size if where == "tiles" else 1.0
    return BasinEntropy(
        sizes=np.array(chosen),
        values=values,
        boundary_values=columns[1],
        standard_error=columns[2],
        boundary_standard_error=columns[3],
        boundary_share=columns[4],
        n_boxes=columns[5].astype(np.int64),
        box=side,
        slope=slope,
        slope_error=slope_error,
        n_labels=len(np.unique(labels[present])),
        dimension=labels.ndim,
        unlabelled=unlabelled,
        placement=where,
        left_out=float(1.0 - covered),
    )


def _sizes(sizes: Iterable[int] | None, side: int, shape: tuple[int, ...]) -> list[int]:
    if sizes is None:
        chosen = [side]
        while 2 * chosen[-1] * _LEAST_BOXES <= min(shape):
            chosen.append(2 * chosen[-1])
        return chosen
    if not isinstance(sizes, Iterable):
        raise TypeError(f"sizes must be whole numbers of cells, e.g. (5, 10, 20), but is {sizes!r}; one size is box=.")
    chosen = sorted({side, *(validate.count(size, "sizes", least=2) for size in sizes)})
    if chosen[-1] > min(shape):
        raise ValueError(f"sizes holds {chosen[-1]}, which does not fit into a grid of shape {shape}.")
    return chosen


def _of_size(labels: Array, present: Array, size: int, placement: str) -> tuple[float, ...]:
    """S_b, S_bb, their standard errors, N_b/N and N for one size."""
    entropies, mixed, filled = _boxes(labels, present, size, 1 if placement == "everywhere" else size)
    numbers = jackknife.block_numbers(entropies.shape)
    sums = np.array([jackknife.sums_per_block(part, numbers) for part in (entropies, mixed, filled)])
    total, n_mixed, n = sums.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        without = jackknife.leave_one_out(sums)
        error = jackknife.standard_error(without[0] / without[2])
        boundary_error = jackknife.standard_error(without[0] / without[1])
        return total / n, total / n_mixed, float(error), float(boundary_error), n_mixed / n, n


def _boxes(labels: Array, present: Array, size: int, stride: int) -> tuple[Array, Array, Array]:
    """Entropy of each box, whether it is mixed, and whether it holds any cell that counts."""
    total = _box_sums(present, size, stride)
    entropies, n_kinds = np.zeros(total.shape), np.zeros(total.shape, dtype=np.int64)
    for label in np.unique(labels[present]):
        count = _box_sums(present & (labels == label), size, stride)
        with np.errstate(invalid="ignore", divide="ignore"):
            p = count / total
            entropies -= np.where(count > 0, p * np.log(p), 0.0)
        n_kinds += count > 0
    # a pure box has −1·log 1, which is a negative zero
    return np.maximum(entropies, 0.0), n_kinds > 1, total > 0


def _box_sums(mask: Array, size: int, stride: int) -> NDArray[np.int64]:
    """How many cells of each box are set, for boxes that begin at every ``stride``-th cell."""
    sums = mask.astype(np.int64)
    for axis in range(mask.ndim):
        running = np.cumsum(sums, axis=axis)
        running = np.insert(running, 0, 0, axis=axis)
        begin = np.arange(0, mask.shape[axis] - size + 1, stride)
        sums = running.take(begin + size, axis=axis) - running.take(begin, axis=axis)
    return sums


def _slope(sizes: Array, values: Array) -> tuple[float, float]:
    """Least squares of log S_b against log ε, and the standard error from its residuals."""
    good = values > 0
    if good.sum() < 3:
        return np.nan, np.nan
    x, y = np.log(sizes[good]), np.log(values[good])
    x = x - x.mean()
    slope = float(x @ y / (x @ x))
    residuals = y - y.mean() - slope * x
    return slope, float(np.sqrt(residuals @ residuals / (good.sum() - 2) / (x @ x)))
