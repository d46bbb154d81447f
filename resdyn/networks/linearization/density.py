r"""Distributions of singular values by stochastic Lanczos quadrature, with known atoms taken out.

For a random unit vector z, the spectral measure :math:`\sum_i (z\cdot q_i)^2\,\delta_{\lambda_i}` of a symmetric matrix
A of size N has the distribution of its eigenvalues as its mean, and m Lanczos steps from z give the Gauss quadrature of
it, exact for polynomials of degree 2m − 1 [golub2010]_ [ubaru2017]_. A is :math:`J J^{\mathsf T}` or
:math:`J^{\mathsf T} J`.

Atoms spoil this twice: the share :math:`|Pz|^2` that falls on one is random, and the nodes near it lose their mass to
it. A subspace P of eigenvectors that is known is therefore left out: the projection of z on its complement is a random
vector of the complement, which A keeps, and the result is the distribution of the rest, with the share of the rest.
Where only the multiplicity k of a value is known, the share k/N is taken from the nodes nearest to it, in each probe
alike; the distribution function elsewhere stays as it is.

A rule with m nodes gives a staircase of m steps. The last rules, of m, m − 1, … nodes, have their nodes at different
places, and the mean of them has smaller steps and about half the error. It is exact for what the smallest is exact for.

Probes find one eigenvalue up to rounding. Their nodes are merged before they are compared, or a large share at one
value would count as scatter between probes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.linalg
from numpy.typing import NDArray
from scipy.sparse.linalg import LinearOperator

from resdyn import _memory
from resdyn import _validation as validate
from resdyn._results import Result, dataset
from resdyn.networks.linearization.active import active_products, forced_atoms
from resdyn.networks.linearization.factors import Factors
from resdyn.networks.linearization.lanczos import tridiagonal
from resdyn.networks.linearization.values import Atom

if TYPE_CHECKING:
    import xarray

Array = NDArray[Any]
Apply = Callable[[Array], Array]

AVERAGED = 6
"""Rules, at most; a quarter of the steps if that is less."""


SAME = 1e-8
"""Nodes nearer than this, relative to the largest, are one value that rounding has split between probes."""

ZERO = 1e-14
"""Eigenvalues below this part of the largest are zeros: rounding errors of the operator."""

DIGITS = 12
"""Of a node, after the first digit of the largest; those beyond are rounding errors."""


@dataclass(frozen=True, eq=False, repr=False)
class SpectralDensity(Result):
    """An estimated distribution of n singular values: nodes with weights, and atoms that are known.

    Attributes
    ----------
    name : str
    n : int
        How many singular values there are.
    nodes, weights : arrays
        Ascending; weights and the shares of the atoms add up to 1.
    atom_values, atom_shares : arrays
        Exact.
    error : float
        Estimated standard error of the distribution function, the largest over its argument, from the scatter of the
        probes; NaN with one probe.
    truncation : float
        The largest difference from the distribution function with half the Lanczos steps; 0 where the steps were
        enough to reach every eigenvalue. Nodes share out a distribution in lumps, so the truncation error is of the
        order of 1/steps, and larger where values crowd; this estimates it and is no bound.
    probes, steps : int
    """

    name: str
    n: int
    nodes: Array
    weights: Array
    atom_values: Array
    atom_shares: Array
    error: float
    truncation: float
    probes: int
    steps: int

    def cdf(self, t: Any) -> Array:
        """The share of singular values up to t, of the shape of t."""
        t = np.asarray(t, dtype=float)
        points = np.concatenate([self.nodes, self.atom_values])
        return staircase(points, np.concatenate([self.weights, self.atom_shares]), t)

    def fraction_within(self, center: float, width: float) -> float:
        """The share of singular values that are at most ``width`` from ``center``."""
        width = validate.nonnegative(width, "width")
        points, shares = self._points
        return float(shares[abs(points - center) <= width].sum())

    def histogram(self, edges: Any) -> Array:
        """Shares between neighbouring edges, shape (edges − 1,); intervals hold their left edge, the last one both."""
        edges = validate.real_array(edges, "edges")
        points, shares = self._points
        return np.histogram(points, bins=edges, weights=shares)[0]

    def density(self, grid: Any, width: float) -> Array:
        r"""The density at the points of a grid, smoothed: a Gaussian of standard deviation ``width`` on each value."""
        width = validate.positive(width, "width")
        grid = np.asarray(grid, dtype=float)
        points, shares = self._points
        bells = np.exp(-(((grid[..., None] - points) / width) ** 2) / 2) / (width * np.sqrt(2 * np.pi))
        return np.asarray(bells @ shares)

    def moment(self, order: float) -> float:
        r"""The mean of :math:`\sigma^{\text{order}}`; n times the second one estimates :math:`\|J\|_F^2`."""
        points, shares = self._points
        return float(shares @ points**order)

    @property
    def _points(self) -> tuple[Array, Array]:
        return np.concatenate([self.nodes, self.atom_values]), np.concatenate([self.weights, self.atom_shares])

    def to_dataset(self) -> "xarray.Dataset":
        """As an ``xarray.Dataset`` with the dimensions node and atom."""
        return dataset(
            {
                "weight": ("node", self.weights),
                "share": ("atom", self.atom_shares),
                "error": ((), self.error),
                "truncation": ((), self.truncation),
            },
            coords={"node": self.nodes, "atom": self.atom_values},
            attrs={"name": self.name, "n": self.n, "probes": self.probes, "steps": self.steps},
        )

    def __repr__(self) -> str:
        atoms = [
            f"{share:.1%} exactly {value:g}" for value, share in zip(self.atom_values, self.atom_shares, strict=True)
        ]
        known = f"; {', '.join(atoms)}" if atoms else ""
        points, shares = self._points
        low, median, high = (_quantile(points, shares, q) for q in (0.05, 0.5, 0.95))
        error = "an unknown error (one probe)" if np.isnan(self.error) else f"a standard error of {self.error:.2g}"
        return (
            f"SpectralDensity of {self.name!r}: {self.n} singular values, estimated from {self.probes} "
            f"probe{'s' * (self.probes != 1)} of {self.steps} Lanczos steps{known}. "
            f"5 %, 50 % and 95 % are below {low:.3g}, {median:.3g} and {high:.3g}; shares have {error} between probes "
            f"and about {self.truncation:.2g} from the steps."
        )

    def _table(self) -> tuple[Sequence[str], Sequence[Sequence[Any]]]:
        points, shares = self._points
        levels = (0.05, 0.25, 0.5, 0.75, 0.95)
        return ("share below", "singular value"), [(q, f"{_quantile(points, shares, q):.4g}") for q in levels]


@dataclass(frozen=True)
class Gram:
    """A symmetric operator whose eigenvalues are the squares of singular values, less some that are known."""

    apply: Apply
    size: int
    past: Apply
    """The projection on what the atoms that were taken out leave."""
    dimension: int
    """Of that space."""
    out: tuple[Atom, ...]
    """Taken out."""
    inside: tuple[Atom, ...]
    """Known, but still among the eigenvalues of the operator in that space."""


def spectral_density(
    operator: LinearOperator, *, probes: int, steps: int, rng: Any, atoms: Sequence[Atom] = (), name: str = ""
) -> SpectralDensity:
    """By stochastic Lanczos quadrature.

    Parameters
    ----------
    operator : LinearOperator
        Of a :class:`LinearizedUnit` with factors the forced atoms are taken out, of a product the zeros that come
        from its narrowest place.
    probes, steps : int
    rng : numpy Generator or seed
    atoms : atoms, optional
        Values with known multiplicities, for operators without known structure.
    """
    probes, steps = validate.count(probes, "probes", least=1), validate.count(steps, "steps", least=1)
    generator = validate.generator(rng)
    gram = _gram(operator, tuple(atoms))
    n, name = min(operator.shape), name or str(getattr(operator, "name", ""))
    shares = {atom.value: 0.0 for atom in (*gram.out, *gram.inside)}
    for atom in (*gram.out, *gram.inside):
        shares[atom.value] += atom.multiplicity / n
    known = np.array(list(shares)), np.array(list(shares.values()))
    if gram.dimension == 0 or not n:
        return SpectralDensity(name, n, np.array([]), np.array([]), *known, 0.0, 0.0, probes, steps)
    steps = min(steps, gram.dimension)
    _memory.require(
        8 * gram.size * (steps * probes + 8 * probes),
        f"{probes} probes of {steps} Lanczos steps on {gram.size} variables",
        "take fewer steps, or fewer probes at a time",
    )
    start = gram.past(generator.standard_normal((gram.size, probes)))
    rules, halves = _merged(*_quadratures(gram, start, steps))
    nodes = np.concatenate([points for points, _ in rules])
    weights = np.concatenate([mass for _, mass in rules]) / probes
    error, truncation = _errors(rules, halves)
    share = gram.dimension / n
    order = np.argsort(nodes, kind="stable")
    rest = share - sum(atom.multiplicity for atom in gram.inside) / n
    return SpectralDensity(
        name, n, nodes[order], rest * weights[order], *known, rest * error, rest * truncation, probes, steps
    )


def staircase(points: Array, shares: Array, t: Array) -> Array:
    """The sum of the shares of the points up to t."""
    order = np.argsort(points, kind="stable")
    sums = np.concatenate([[0.0], np.cumsum(shares[order])])
    return np.asarray(sums[np.searchsorted(points[order], t, side="right")])


def _gram(operator: LinearOperator, atoms: tuple[Atom, ...]) -> Gram:
    n, m = operator.shape
    factors = getattr(operator, "factors", None)
    if isinstance(factors, Factors) and len(factors.rows) <= min(n, m):
        return _gram_of_unit(factors)
    rows = getattr(operator, "active_rows", None)
    if rows is not None and len(rows) <= min(n, m):
        return _gram_of_product(operator, rows)
    if not atoms and getattr(operator, "rank_bound", min(n, m)) < min(n, m):
        atoms = (Atom(0.0, min(n, m) - operator.rank_bound),)  # type: ignore[attr-defined]
    matrix = getattr(operator, "_matrix", None)
    if matrix is not None and not atoms:
        return _gram_of_matrix(matrix)
    if n <= m:
        return Gram(lambda x: operator.matmat(operator.rmatmat(x)), n, _all, n, (), atoms)
    return Gram(lambda x: operator.rmatmat(operator.matmat(x)), m, _all, m, (), atoms)


def _all(x: Array) -> Array:
    return x


def _gram_of_unit(factors: Factors) -> Gram:
    """On the active rows, past the forced atoms."""
    s, forced = len(factors.rows), forced_atoms(factors)

    def past(x: Array) -> Array:
        x = x.copy()
        for atom in forced:
            x[atom.rows] = atom.past(x[atom.rows])
        return x

    zeros = Atom(0.0, min(factors.shape) - s)
    out = (*([zeros] if zeros.multiplicity else []), *(found.atom for found in forced))
    dimension = s - sum(found.atom.multiplicity for found in forced)
    return Gram(active_products(factors).gram, s, past, dimension, out, ())


def _gram_of_matrix(matrix: Any) -> Gram:
    """On the rows or columns that are not zero, whichever are fewer."""
    rows, columns = (np.flatnonzero(np.asarray(abs(matrix).sum(axis=axis)).ravel()) for axis in (1, 0))
    part = matrix[rows][:, columns]
    part = part if len(rows) <= len(columns) else part.T
    size, zeros = part.shape[0], min(matrix.shape) - part.shape[0]
    return Gram(lambda x: part @ (part.T @ x), size, _all, size, (Atom(0.0, zeros),) if zeros else (), ())


def _gram_of_product(operator: Any, rows: NDArray[np.int64]) -> Gram:
    """On the active rows of the last part; the narrowest part forces zeros among them."""
    n, s = operator.shape[0], len(rows)

    def apply(x: Array) -> Array:
        whole = np.zeros((n, x.shape[1]))
        whole[rows] = x
        return np.asarray(operator.matmat(operator.rmatmat(whole))[rows])

    zeros, inner = min(operator.shape) - s, s - min(s, operator.rank_bound)
    out = (Atom(0.0, zeros),) if zeros else ()
    return Gram(apply, s, _all, s, out, (Atom(0.0, inner),) if inner else ())


Rule = tuple[Array, Array]


def _quadratures(gram: Gram, start: Array, steps: int) -> tuple[list[Rule], list[Rule]]:
    """Nodes σ and weights of each probe, known atoms removed, of total 1; and those of half the steps."""
    found = tridiagonal(gram.apply, start, steps)
    inside = [Atom(atom.value, atom.multiplicity / gram.dimension) for atom in gram.inside]  # type: ignore[arg-type]
    rules: list[Rule] = []
    halves: list[Rule] = []
    for diagonal, beside, length in zip(*found, strict=True):
        ended = length < steps or length == gram.dimension
        for collected, end in ((rules, length), (halves, length if ended else max(length // 2, 1))):
            sizes = [end] if ended else range(end, end - min(AVERAGED, max(end // 4, 1)), -1)
            parts = [_without(_rule(diagonal[:size], beside[: size - 1]), inside) for size in sizes]
            points, masses = (np.concatenate(pair) for pair in zip(*parts, strict=True))
            collected.append((points, masses / len(parts)))
    return rules, halves


def _rule(diagonal: Array, beside: Array) -> Rule:
    values, vectors = scipy.linalg.eigh_tridiagonal(diagonal, beside)
    return np.sqrt(np.where(values > ZERO * values[-1], values, 0.0).clip(0.0)), vectors[0] ** 2


def _merged(*kinds: list[Rule]) -> tuple[list[Rule], ...]:
    """The same rules, with one number for what is one value.

    Else distribution functions of probes would differ between two roundings of it, by all of its share.
    """
    points = np.unique(np.concatenate([nodes for rules in kinds for nodes, _ in rules]))
    largest = float(points[-1])
    begins = np.diff(points, prepend=-np.inf) > SAME * largest
    group = np.cumsum(begins) - 1
    means = np.bincount(group, points) / np.bincount(group)
    decimals = DIGITS - int(np.floor(np.log10(largest))) if largest > 0 else 0
    means = np.round(means, decimals)
    return tuple([(means[group[np.searchsorted(points, nodes)]], mass) for nodes, mass in rules] for rules in kinds)


def _without(rule: Rule, atoms: Sequence[Any]) -> Rule:
    """The masses nearest to each atom are taken away until its share is reached; the rest is normalised."""
    points, masses = rule[0], rule[1].copy()
    for value, share in atoms:
        order = np.argsort(abs(points - value), kind="stable")
        taken = np.minimum(np.cumsum(masses[order]), share)
        masses[order] -= np.diff(taken, prepend=0.0)
    masses = np.maximum(masses, 0.0)
    total = masses.sum()
    return points, masses / total if total > 0 else masses


def _errors(rules: list[Rule], halves: list[Rule]) -> tuple[float, float]:
    """The standard error of the mean of the probes' distribution functions, and its change from half the steps."""
    grid = np.unique(np.concatenate([points for points, _ in (*rules, *halves)]))
    functions = np.array([staircase(*rule, grid) for rule in rules])
    coarse = np.mean([staircase(*rule, grid) for rule in halves], axis=0)
    truncation = float(abs(functions.mean(0) - coarse).max())
    if len(rules) == 1:
        return np.nan, truncation
    return float(functions.std(0, ddof=1).max() / np.sqrt(len(rules))), truncation


def _quantile(points: Array, shares: Array, q: float) -> float:
    if not len(points):
        return np.nan
    order = np.argsort(points, kind="stable")
    reached = np.searchsorted(np.cumsum(shares[order]), q - 1e-12)
    return float(points[order][min(int(reached), len(points) - 1)])
