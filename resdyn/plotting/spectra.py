"""Singular values of linearized units, and perturbations on their singular subspaces."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from resdyn.plotting.canvas import COLOURS, axes_or_new

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from resdyn.networks.linearization.projection import Projection
    from resdyn.networks.linearization.streaming import UnitSpectra

Array = NDArray[Any]


def singular_values(values: Any, *, ax: "Axes | None" = None) -> "Axes":
    r"""Singular values in descending order, against their rank over their number; plateaus are atoms.

    Parameters
    ----------
    values : array, linearization, or mapping from a label to one
        Arrays have shape (n,), or (inputs, n), of which the median over inputs and the range are drawn.
    """
    ax = axes_or_new(ax)
    named = values if isinstance(values, Mapping) else {"": values}
    for i, (label, one) in enumerate(named.items()):
        ordered = -np.sort(-np.atleast_2d(_values(one)), axis=1)
        share = (np.arange(ordered.shape[1]) + 0.5) / ordered.shape[1]
        colour = COLOURS[i % len(COLOURS)]
        if len(ordered) > 1:
            ax.fill_between(share, ordered.min(axis=0), ordered.max(axis=0), color=colour, alpha=0.2, linewidth=0)
        ax.plot(share, np.median(ordered, axis=0), color=colour, linewidth=1.5, label=str(label) or None)
    ax.axhline(1, color="0.6", linewidth=0.8, linestyle=":", zorder=0)
    ax.set_xlim(0, 1)
    ax.set_ylim(bottom=0)
    ax.set_xlabel("rank over number of singular values")
    ax.set_ylabel(r"singular value $\sigma$")
    if any(str(label) for label in named):
        ax.legend(fontsize="x-small", frameon=False)
    return ax


def spectrum(source: Any, *, bins: int = 80, ax: "Axes | None" = None) -> "Axes":
    r"""The distribution of singular values: a histogram, and each atom as a stem with its multiplicity.

    Parameters
    ----------
    source : LinearizedUnit, SpectralDensity or array
        A linearized unit's atoms are those of its structure, of an array values that occur more than once within
        10⁻⁸. A spectral density is drawn with its nodes as values, weighted.
    bins : int
    """
    ax = axes_or_new(ax)
    values, weights, atoms = _parts(source)
    n = round(weights.sum()) + sum(multiplicity for _, multiplicity in atoms)
    if values.size:
        upper = max([values.max(), *(value for value, _ in atoms)]) * 1.02
        ax.hist(values, bins=bins, range=(0, upper), weights=weights / n, color=COLOURS[0], label="histogram")
    for value, multiplicity in atoms:
        label = "atom" if value == atoms[0][0] else None
        ax.vlines(value, 0, multiplicity / n, color=COLOURS[3], linewidth=1.5)
        ax.plot(value, multiplicity / n, "o", color=COLOURS[3], markersize=4, label=label)
        ax.annotate(
            f"{multiplicity} at {value:.3g}",
            (value, multiplicity / n),
            xytext=(5, 2),
            textcoords="offset points",
            fontsize="x-small",
        )
    ax.set_yscale("log")
    ax.set_xlabel(r"singular value $\sigma$")
    ax.set_ylabel(f"share of the {n} values")
    lower, upper_share = ax.get_ylim()
    ax.set_ylim(lower, min(upper_share, 1.0) * 2)
    ax.legend(fontsize="x-small", frameon=False, loc="upper right")
    return ax


def unit_spectra(
    spectra: "UnitSpectra",
    reading: Literal["before", "after"] | None = None,
    *,
    bins: int = 100,
    upper: float | None = None,
    ax: Any = None,
) -> Array:
    r"""Singular values of all units: their density, a row for each unit, and how many are equal to \|a\| and to zero.

    The skip path of a unit has the gain a; where it is not known, the shares of 1 are drawn.

    Parameters
    ----------
    spectra : UnitSpectra
        All inputs go into the density; the shares are medians over them.
    reading : "before" or "after"
        The last one there is, if left out.
    bins : int
    upper : float, optional
        Where the axis ends; by default the 99.5 % quantile. Values beyond are counted in the last bin.
    ax : two Axes, optional

    Returns
    -------
    array of two Axes
    """
    if not all(hasattr(spectra, name) for name in ("of", "units", "readings", "sizes")):
        raise TypeError(f"needed is what resdyn.networks.unit_spectra returned, but came {spectra!r}.")
    word: Any = spectra.readings[-1] if reading is None else reading
    each = [np.asarray(spectra.of(unit, word)) for unit in spectra.units]
    end = float(np.quantile(np.concatenate([values.ravel() for values in each]), 0.995)) if upper is None else upper
    end = max(end, 1.1) if upper is None else end
    axes = _two_axes(len(each)) if ax is None else np.asarray(ax, dtype=object)
    if axes.shape != (2,):
        raise ValueError(f"ax must be two Axes, for the density and for the shares, but has shape {axes.shape}.")
    _density_image(axes[0], each, bins, end)
    _exact_shares(axes[1], each, spectra.skip)
    axes[0].set_yticks(np.arange(len(each)), spectra.units, fontsize="x-small")
    axes[0].set_title(f"{word} the last activation", fontsize="small")
    return axes


def projection(projections: "Projection | Mapping[str, Projection]", *, ax: "Axes | None" = None) -> "Axes":
    r"""Mean shares of perturbations on the singular subspaces, stacked; ticks mark those of a random direction.

    Parameters
    ----------
    projections : Projection, or mapping from a label (a unit, a kind of perturbation) to one
    """
    ax = axes_or_new(ax)
    named = projections if isinstance(projections, Mapping) else {getattr(projections, "name", ""): projections}
    wrong = [one for one in named.values() if not hasattr(one, "at_random")]
    if wrong or not named:
        came = repr(wrong[0]) if wrong else "an empty mapping"
        raise TypeError(
            f"needed is what resdyn.networks.project returned, or a mapping from labels to it, but came {came}."
        )
    groups = tuple(next(iter(named.values())).at_random)
    places = np.arange(len(named))
    means = np.array([[_finite_mean(getattr(one, group)) for one in named.values()] for group in groups])
    expected = np.array([[one.at_random[group] for one in named.values()] for group in groups])
    bottoms = np.cumsum([np.zeros(len(named)), *means[:-1]], axis=0)
    for i, group in enumerate(groups):
        ax.bar(places, means[i], 0.62, bottom=bottoms[i], color=_GROUP_COLOURS[i], label=_label_of(group, named))
    for ends in np.cumsum(expected, axis=0)[:-1]:
        ax.hlines(ends, places - 0.42, places + 0.42, color="black", linewidth=1, linestyle=(0, (2, 1)))
    ax.plot([], [], color="black", linewidth=1, linestyle=(0, (2, 1)), label="random direction")
    ax.set_xticks(places, list(named), fontsize="x-small", rotation=30 if len(named) > 4 else 0)
    ax.set_xlim(-0.6, len(named) - 0.4)
    ax.set_ylim(0, 1)
    ax.set_ylabel("mean share of the squared norm")
    handles, labels = ax.get_legend_handles_labels()
    last = labels.index("random direction")
    order = [i for i in range(len(labels)) if i != last] + [last]
    ax.legend(
        [handles[i] for i in order],
        [labels[i] for i in order],
        fontsize="x-small",
        frameon=False,
        loc="upper left",
        bbox_to_anchor=(1.0, 1.0),
    )
    return ax


_GROUP_COLOURS = (COLOURS[3], COLOURS[0], COLOURS[2], COLOURS[7], "#d9d9d9")


def _label_of(group: str, named: "Mapping[str, Projection]") -> str:
    sizes = {one.k for one in named.values()}
    words = {"unit": "skip value |a|", "null": "null space"}
    if group in ("leading", "trailing") and len(sizes) == 1:
        return f"{group} {sizes.pop()}"
    return words.get(group, group)


def _values(source: Any) -> Array:
    if hasattr(source, "of") and hasattr(source, "readings"):
        raise TypeError("these are the spectra of several units; pass those of one, .of(unit, reading).")
    if hasattr(source, "left") and hasattr(source, "values"):
        raise TypeError("these are singular triplets; pass their singular values, .values.")
    values = source.singular_values() if hasattr(source, "singular_values") else source
    array = np.asarray(values, dtype=float)
    if array.ndim not in (1, 2) or not array.size:
        raise ValueError(f"singular values have shape (n,) or (inputs, n), but came {array.shape}.")
    return array


def _parts(source: Any) -> tuple[Array, Array, list[tuple[float, int]]]:
    """Values with their weights, which are numbers of values, and atoms."""
    if hasattr(source, "nodes"):
        pairs = zip(source.atom_values, source.atom_shares, strict=True)
        return source.nodes, source.weights * source.n, [(float(v), round(s * source.n)) for v, s in pairs]
    values = np.sort(_values(source).ravel())
    given = getattr(source, "atoms", None)
    atoms = _repeated(values) if given is None else [(float(v), int(m)) for v, m in given if m]
    for value, multiplicity in atoms:
        near = np.argsort(abs(values - value), kind="stable")[:multiplicity]
        values = np.delete(values, near)
    return values, np.ones(len(values)), atoms


def _repeated(values: Array) -> list[tuple[float, int]]:
    """Values that occur more than once within 10⁻⁸, with how often; the values are sorted."""
    groups = np.split(values, np.flatnonzero(np.diff(values) > 1e-8) + 1)
    return [(float(np.median(group)), len(group)) for group in groups if len(group) > 1]


def _two_axes(n_rows: int) -> Array:
    first = axes_or_new(None)
    figure: Any = first.figure
    first.remove()
    figure.set_size_inches(7.5, 1.2 + 0.2 * max(n_rows, 8))
    return figure.subplots(1, 2, sharey=True, width_ratios=(2.4, 1))  # type: ignore[no-any-return]


def _density_image(ax: "Axes", each: list[Array], bins: int, end: float) -> None:
    from matplotlib.colors import LogNorm

    edges = np.linspace(0, end, bins + 1)
    # beyond the end is the last bin
    shares = np.array([np.histogram(np.minimum(values, end), edges)[0] / values.size for values in each])
    least = shares[shares > 0].min(initial=1.0)
    image = ax.pcolormesh(
        edges,
        np.arange(len(each) + 1) - 0.5,
        np.where(shares > 0, shares, np.nan),
        norm=LogNorm(least, max(shares.max(), 10 * least)),
        cmap="viridis",
        rasterized=True,
    )
    ax.figure.colorbar(image, ax=ax, label="share of the values in a bin", location="top", shrink=0.8, aspect=40)
    ax.set_xlabel(r"singular value $\sigma$")
    ax.invert_yaxis()


def _exact_shares(ax: "Axes", each: list[Array], skip: Array) -> None:
    """Bars of the values that are those of the skip path, and 0, to rounding."""
    rows = np.arange(len(each))
    gains = np.where(np.isnan(skip), 1.0, skip)
    word = f"{gains[0]:.3g}" if (gains == gains[0]).all() else "|a|"
    for i, (name, centers) in enumerate(((f"|\\sigma - {word}|", gains), ("\\sigma", np.zeros(len(each))))):
        pairs = zip(each, centers, strict=True)
        shares = [np.median((abs(values - value) < 1e-8).mean(axis=1)) for values, value in pairs]
        ax.barh(rows + (i - 0.5) * 0.38, shares, 0.38, color=COLOURS[(2, 7)[i]], label=f"${name} < 10^{{-8}}$")
    ax.set_xlim(0, 1)
    ax.set_xlabel("share of the values")
    ax.legend(fontsize="x-small", frameon=False, loc="lower right", bbox_to_anchor=(1.0, 1.0))


def _finite_mean(values: Array) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if known.size else 0.0
