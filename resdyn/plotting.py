"""Figures, in the field's terms and in colours that the colour-blind can tell apart.

Every function draws into ``ax`` (or a new figure) and returns the Axes.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from resdyn._types import System

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from resdyn.analysis.certificates import Certificate
    from resdyn.analysis.equilibria import Continuum, FixedPoints
    from resdyn.analysis.exponents import LyapunovSpectrum
    from resdyn.analysis.finite_time import FiniteTimeExponents
    from resdyn.analysis.interactions import Cooperation
    from resdyn.analysis.layerwise import Transients
    from resdyn.analysis.propagation import Propagation
    from resdyn.trajectory import Trajectory

Array = NDArray[Any]

COLOURS = ("#0173b2", "#de8f05", "#029e73", "#d55e00", "#cc78bc", "#ca9161", "#fbafe4", "#949494", "#ece133", "#56b4e9")
"""One colour per class, distinguishable with the common forms of colour blindness."""


def _axes(ax: "Axes | None") -> "Axes":
    if ax is not None:
        return ax
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError('figures need matplotlib; install it with: pip install "resdyn[plot]"') from error
    return Figure(figsize=(5, 3.5), layout="constrained").add_subplot()


def _of_classes(values: Array, labels: Any) -> list[tuple[Any, Array]]:
    """(class, values of its states) for values of shape (n_saved, n_states, …)."""
    if values.ndim < 2:
        raise ValueError(f"classes need a batch of states with one batch axis; the values have shape {values.shape}.")
    if labels is None:
        return [(None, values)]
    classes = np.asarray(labels)
    if classes.shape != values.shape[1:2]:
        raise ValueError(f"labels has shape {classes.shape}, but the trajectory has {values.shape[1]} states.")
    return [(label, values[:, classes == label]) for label in np.unique(classes)]


def _class_lines(ax: "Axes", t: Array, values: Array, labels: Any) -> None:
    """Median of each class, with a band that holds the middle half of its states."""
    for i, (label, of_class) in enumerate(_of_classes(values, labels)):
        colour = COLOURS[i % len(COLOURS)]
        lower, median, upper = np.quantile(of_class, [0.25, 0.5, 0.75], axis=1)
        ax.fill_between(t, lower, upper, color=colour, alpha=0.15, linewidth=0)
        ax.plot(t, median, color=colour, linewidth=1.5, label=None if label is None else str(label))
    ax.set_xlabel("depth-time t")
    if labels is not None:
        ax.legend(title="class", fontsize="x-small", title_fontsize="x-small", ncols=2, frameon=False)


def residual_transients(
    trajectory: "Trajectory", labels: Any = None, *, unit: int = 0, ax: "Axes | None" = None
) -> "Axes":
    r"""The residual y of one unit against depth: median and middle half of each class.

    Parameters
    ----------
    trajectory : Trajectory
        Of a system with a weight matrix, batch of shape (n,).
    labels : array, shape (n,), optional
    unit : int
    """
    ax = _axes(ax)
    _class_lines(ax, trajectory.t, trajectory.activations[..., unit], labels)
    ax.set_ylabel(f"residual $y_{{{unit}}}$")
    return ax


def cumulative_states(
    trajectory: "Trajectory", labels: Any = None, *, unit: int = 0, ax: "Axes | None" = None
) -> "Axes":
    r"""The running sum of residuals, x − x(0), of one unit: median and middle half of each class."""
    ax = _axes(ax)
    _class_lines(ax, trajectory.t, trajectory.cumulative[..., unit], labels)
    ax.set_ylabel(f"cumulative state $x_{{{unit}}} - x_{{{unit}}}(0)$")
    return ax


def spread_per_layer(trajectory: "Trajectory", labels: Any = None, *, ax: "Axes | None" = None) -> "Axes":
    r"""Standard deviation of the residuals over states, averaged over units, against depth.

    With labels also the mean standard deviation within a class: the gap is what tells the classes apart.
    """
    ax = _axes(ax)
    y = trajectory.activations
    ax.plot(trajectory.t, y.std(axis=1).mean(axis=-1), color=COLOURS[0], marker="o", ms=3, label="all states")
    if labels is not None:
        within = np.mean([of_class.std(axis=1).mean(axis=-1) for _, of_class in _of_classes(y, labels)], axis=0)
        ax.plot(trajectory.t, within, color=COLOURS[1], marker="s", ms=3, label="within a class")
        ax.legend(fontsize="x-small", frameon=False)
    ax.set_xlabel("depth-time t")
    ax.set_ylabel("spread of residuals")
    ax.set_ylim(bottom=0)
    return ax


def interaction_matrix(system_or_W: System | Array, *, ax: "Axes | None" = None) -> "Axes":
    r"""The signed weights: row i, column j says whether unit j helps (w > 0) or hinders (w < 0) unit i."""
    ax = _axes(ax)
    W = np.asarray(getattr(system_or_W, "W", system_or_W))
    if W.ndim != 2:
        raise ValueError(f"the interaction matrix has shape (N, N), but W has shape {W.shape}; pick a layer of it.")
    largest = float(np.abs(W).max()) or 1.0
    image = ax.imshow(W, cmap="RdBu", vmin=-largest, vmax=largest, interpolation="nearest")
    bar = ax.figure.colorbar(image, ax=ax, shrink=0.85)
    bar.set_label("$w_{ij}$: hinders (−), helps (+)")
    ax.set_xlabel("acting unit j")
    ax.set_ylabel("receiving unit i")
    return ax


# --- fixed points and Lyapunov functions -------------------------------------------------------------

_VERDICTS = (
    (1, "stable", COLOURS[0], "full"),
    (0, "unstable", COLOURS[3], "none"),
    (-1, "undecided", COLOURS[7], "none"),
)


def fixed_points(
    points: "FixedPoints", *, units: tuple[int, int] = (0, 1), dynamics: str | None = None, ax: "Axes | None" = None
) -> "Axes":
    r"""Fixed points in the plane of two units: filled where stable, hollow where unstable, squares where undecided.

    Of logistic residuals the residuals y are shown, with continua as lines; of other systems the state x.
    """
    ax = _axes(ax)
    on_faces = points.rates.size > 0
    state = points.y if on_faces else points.x.reshape(len(points), -1)
    if state.shape[-1] < 2:
        raise ValueError(f"a plane needs two units, but {points.system.name!r} has {state.shape[-1]}.")
    i, j = units
    for continuum in points.continua:
        for ends in _segments(continuum):
            ax.plot(ends[:, i], ends[:, j], color=COLOURS[4], linewidth=2, zorder=1, solid_capstyle="round")
    verdicts = points.stability(dynamics)
    for verdict, word, colour, fill in _VERDICTS:
        chosen = state[verdicts == verdict]
        if len(chosen):
            marker = "s" if verdict < 0 else "o"
            ax.plot(chosen[:, i], chosen[:, j], marker, color=colour, fillstyle=fill, label=word, clip_on=False)
    if points.continua:
        ax.plot([], [], color=COLOURS[4], linewidth=2, label="continuum")
    letter = "residual $y" if on_faces else "state $x"
    ax.set_xlabel(f"{letter}_{{{i}}}$")
    ax.set_ylabel(f"{letter}_{{{j}}}$")
    if len(points) or points.continua:
        ax.legend(fontsize="x-small", frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return ax


def _segments(continuum: "Continuum") -> list[Array]:
    """The line through the middle of a continuum along each of its directions, up to the rim, (2, N) each."""
    segments = []
    for direction in continuum.basis.T:
        moving = np.abs(direction) > 1e-12
        step, place = direction[moving], continuum.point[moving]
        reach = np.concatenate([(1 - place) / step, -place / step])
        segments.append(continuum.point + np.array([[reach[reach < 0].max()], [reach[reach > 0].min()]]) * direction)
    return segments


def multipliers(points: "FixedPoints", *, ax: "Axes | None" = None) -> "Axes":
    r"""The multipliers of all fixed points in the complex plane, with the unit circle: the map is stable inside."""
    ax = _axes(ax)
    angle = np.linspace(0, 2 * np.pi, 181)
    ax.plot(np.cos(angle), np.sin(angle), color="0.6", linewidth=1)
    values, verdicts = points.multipliers, points.stability("map")
    for verdict, word, colour, fill in _VERDICTS:
        chosen = values[verdicts == verdict].ravel()
        if chosen.size:
            marker = "s" if verdict < 0 else "o"
            ax.plot(chosen.real, chosen.imag, marker, ms=4, color=colour, fillstyle=fill, label=f"of {word} points")
    ax.set_aspect("equal")
    ax.set_xlabel(r"Re $\mu$")
    ax.set_ylabel(r"Im $\mu$")
    if values.size:
        ax.legend(fontsize="x-small", frameon=False)
    return ax


def lyapunov_function(
    certificate: "Certificate",
    trajectory: "Trajectory | None" = None,
    *,
    extent: tuple[float, float, float, float] | None = None,
    residuals: bool = False,
    resolution: int = 201,
    ax: "Axes | None" = None,
) -> "Axes":
    r"""A Lyapunov function along orbits, or its level sets in the plane of two units.

    Parameters
    ----------
    certificate : Certificate
    trajectory : Trajectory, optional
        Without ``extent``: V along each of its orbits against depth. With ``extent``: drawn over the level sets.
    extent : (left, right, bottom, top), optional
        Draws level sets over this part of the plane, and the proven region where it is bounded; systems of two units.
    residuals : bool
        The plane is that of y = σ(z) instead of the state z (:class:`resdyn.LogisticResiduals`).
    resolution : int
        Points along each side of the plane.
    """
    if extent is not None:
        return _level_sets(certificate, trajectory, extent, residuals, resolution, _axes(ax))
    if trajectory is None:
        raise ValueError("pass a trajectory to see V along its orbits, or extent=(left, right, bottom, top).")
    ax = _axes(ax)
    V = certificate.V(trajectory.x).reshape(len(trajectory.t), -1)
    ax.plot(trajectory.t, V, color=COLOURS[0], linewidth=1.0, alpha=max(0.15, 1 / np.sqrt(V.shape[1])))
    if certificate.region is not None and np.isfinite(certificate.region):
        ax.axhline(certificate.region, color=COLOURS[3], linestyle="--", linewidth=1.0)
        ax.annotate("proven region below", (1, certificate.region), (-3, 3), ("axes fraction", "data"), "offset points",
                    fontsize="x-small", color=COLOURS[3], ha="right")  # fmt: skip
    ax.set_xlabel("depth-time t")
    ax.set_ylabel("Lyapunov function $V$")
    return ax


def _level_sets(
    certificate: "Certificate",
    trajectory: "Trajectory | None",
    extent: tuple[float, float, float, float],
    residuals: bool,
    resolution: int,
    ax: "Axes",
) -> "Axes":
    system: Any = certificate.system
    if system.shape != (2,):
        raise ValueError(f"level sets need two units, but {system.name!r} has states of shape {system.shape}.")
    if residuals and not hasattr(system, "from_residuals"):
        raise ValueError(f"residuals=True needs a LogisticResiduals, whose state y determines; got {system.name!r}.")
    left, right, bottom, top = extent
    axes = np.linspace(left, right, resolution), np.linspace(bottom, top, resolution)
    plane = np.stack(np.meshgrid(*axes), axis=-1)
    V = certificate.V(system.from_residuals(plane) if residuals else plane)
    V = np.ma.masked_invalid(V)
    # levels that part the plane into equal areas, since V may grow without bound towards the edges
    levels = np.unique(np.quantile(V.compressed(), np.linspace(0, 1, 16)[1:-1]))
    ax.contour(*axes, V, levels=levels, colors=COLOURS[7], linewidths=0.8)
    if certificate.region is not None and np.isfinite(certificate.region):
        ax.contour(*axes, V, levels=[certificate.region], colors=COLOURS[3], linewidths=2.0)
    if trajectory is not None:
        shown = trajectory.y if residuals else trajectory.x
        lines = shown.reshape(len(trajectory.t), -1, 2)
        ax.plot(lines[..., 0], lines[..., 1], color=COLOURS[0], linewidth=0.9)
        ax.plot(*lines[0].T, "o", color=COLOURS[0], ms=2.5)
    name = "y" if residuals else ("z" if hasattr(system, "from_residuals") else "x")
    ax.set_xlabel(f"${name}_0$")
    ax.set_ylabel(f"${name}_1$")
    ax.set_xlim(left, right)
    ax.set_ylim(bottom, top)
    ax.set_aspect("equal")
    return ax


# --- cooperation and competition ---------------------------------------------------------------------

_RELATION_COLOURS = {
    "none": "#ffffff",
    "mutualism": COLOURS[0],
    "competition": COLOURS[3],
    "predator-prey": COLOURS[8],
    "commensalism": COLOURS[9],
    "amensalism": COLOURS[1],
    "mixed": COLOURS[7],
}


def relations(cooperation: "Cooperation", *, ax: "Axes | None" = None) -> "Axes":
    """What each pair of units does to each other: a symmetric matrix, one colour per relation that occurs."""
    from matplotlib.colors import ListedColormap
    from matplotlib.patches import Patch
    from matplotlib.ticker import MaxNLocator

    ax = _axes(ax)
    colours = list(_RELATION_COLOURS.values())
    n = len(cooperation.sign)
    codes = np.ma.masked_array(cooperation.relations, mask=np.eye(n, dtype=bool))  # nobody is a pair with itself
    cmap = ListedColormap(colours, "relations").with_extremes(bad="#e8e8e8")
    ax.imshow(codes, cmap=cmap, vmin=-0.5, vmax=len(colours) - 0.5, interpolation="nearest")
    handles = [
        Patch(facecolor=_RELATION_COLOURS[relation], edgecolor="#888888", label=f"{relation} ({count})")
        for relation, count in cooperation.counts.items()
        if count
    ]
    if handles:
        ax.legend(handles=handles, loc="upper left", bbox_to_anchor=(1.02, 1.0), fontsize="small", frameon=False)
    ax.set_xlabel("unit j")
    ax.set_ylabel("unit i")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(MaxNLocator(integer=True))
    return ax


def influence(cooperation: "Cooperation", *, n_pairs: int = 5, ax: "Axes | None" = None) -> "Axes":
    r"""Who acts most on whom, against depth: the mean influence φ′(z_i) α w_ij of unit j on unit i.

    The ``n_pairs`` ordered pairs that reach the largest influence somewhere along the trajectory are drawn.
    """
    if cooperation.t is None:
        raise ValueError("there is no influence along a trajectory to draw; pass one: cooperation(system, trajectory).")
    ax = _axes(ax)
    slots = range(len(cooperation.t))
    largest = np.max([np.abs(cooperation.influence_at(slot)) for slot in slots], axis=0)
    np.fill_diagonal(largest, -1.0)
    n = len(largest)
    strongest = np.argsort(-largest, axis=None, kind="stable")[: min(n_pairs, n * n - n)]
    receivers, actors = np.unravel_index(strongest, largest.shape)
    lines = np.array([cooperation.influence_at(slot)[receivers, actors] for slot in slots])
    ax.axhline(0.0, color="#888888", linewidth=0.8)
    for k, (i, j) in enumerate(zip(receivers, actors, strict=True)):
        ax.plot(cooperation.t, lines[:, k], color=COLOURS[k % len(COLOURS)], linewidth=1.5, label=f"{j} → {i}")
    if len(receivers):
        ax.legend(title="acting → receiving", fontsize="x-small", title_fontsize="x-small", frameon=False)
    ax.set_xlabel("depth-time t")
    observed = cooperation.jacobians is not None
    ax.set_ylabel(r"$\partial f_i / \partial x_j$" if observed else r"influence $\varphi'(z_i)\, \alpha w_{ij}$")
    return ax


# --- transients layer by layer -----------------------------------------------------------------------


def residual_norms(transients: "Transients", *, ax: "Axes | None" = None) -> "Axes":
    """The norm of the residuals against layers: mean of each class, with a band of one standard deviation."""
    ax = _axes(ax)
    for i, label in enumerate(transients.classes):
        colour = COLOURS[i % len(COLOURS)]
        mean, spread = transients.norm_mean[:, i], transients.norm_spread[:, i]
        ax.fill_between(transients.layers, mean - spread, mean + spread, color=colour, alpha=0.15, linewidth=0)
        ax.plot(transients.layers, mean, color=colour, linewidth=1.5, label=str(label))
    _layer_axis(ax)
    ax.set_ylabel(f"norm of the residual $\\|{transients.of}_k\\|$")
    ax.set_ylim(bottom=0)
    if len(transients.classes) > 1:
        ax.legend(title="class", fontsize="x-small", title_fontsize="x-small", ncols=2, frameon=False)
    return ax


def separability(
    transients: "Transients", measure: Literal["probe", "fisher"] = "probe", *, ax: "Axes | None" = None
) -> "Axes":
    """How well states and residuals separate the classes at each layer, and what shuffled labels would give.

    The band reaches from the 5 % to the 95 % quantile over shuffles, for states and residuals together.

    Parameters
    ----------
    transients : Transients
        Made with labels and probes.
    measure : "probe" or "fisher"
        The accuracy of the linear probe, or Fisher's ratio (on a logarithmic axis).
    """
    if measure not in ("probe", "fisher"):
        raise ValueError(f"measure must be 'probe' or 'fisher', but is {measure!r}.")
    if transients.probe_x is None:
        raise ValueError("there is no separability to draw; call transients with labels and probes=True.")
    ax = _axes(ax)
    layers = transients.layers
    words = {"x": "states x", "y": f"residuals {transients.of}"}
    for i, (what, word) in enumerate(words.items()):
        values = getattr(transients, f"{measure}_{what}")
        ax.plot(layers, values, color=COLOURS[i], marker="os"[i], ms=3, linewidth=1.5, label=word)
    null = np.concatenate([getattr(transients, f"null_{measure}_{what}") for what in words], axis=-1)
    if null.shape[-1]:
        low, high = np.quantile(null, [0.05, 0.95], axis=-1)
        ax.fill_between(layers, low, high, color=COLOURS[7], alpha=0.4, linewidth=0, label="shuffled labels")
    right = transients.readout_accuracy
    if measure == "probe" and right is not None and not np.isnan(right).all():
        ax.plot(layers, right, color="black", linewidth=1, ls="--", label="read-out")
    _layer_axis(ax)
    if measure == "probe":
        ax.set_ylabel("accuracy")
        ax.set_ylim(0, 1.02)
    else:
        ax.set_ylabel("Fisher ratio $\\mathrm{tr}\\,S_W^{-1}S_B$")
        ax.set_yscale("log")
    ax.legend(fontsize="x-small", frameon=False)
    return ax


def layer_contributions(transients: "Transients", *, ax: "Axes | None" = None) -> "Axes":
    """What each layer adds to the logit of the true class less the mean of the others: one line per class."""
    margins = transients.margin_contribution
    if margins is None or np.isnan(margins).all():
        raise ValueError(
            "there are no contributions to a true class; call transients with labels and a read-out with one logit per "
            "class, and save more than one layer."
        )
    ax = _axes(ax)
    for i, label in enumerate(transients.classes):
        # a contribution belongs to the layers between two saved states
        ax.stairs(
            margins[:, i],
            transients.layers,
            baseline=None,
            color=COLOURS[i % len(COLOURS)],
            linewidth=1.5,
            label=str(label),
        )
    ax.axhline(0, color="black", linewidth=0.5)
    _layer_axis(ax)
    ax.set_ylabel("margin added by the layer")
    ax.legend(title="class", fontsize="x-small", title_fontsize="x-small", ncols=2, frameon=False)
    return ax


def transients(transients: "Transients", *, ax: Any = None) -> Array:
    """Residual norms, separability and contributions side by side: the panels for which there are numbers.

    Parameters
    ----------
    transients : Transients
    ax : sequence of Axes, optional
        As many as there are panels.

    Returns
    -------
    array of Axes
    """
    panels: list[Any] = [residual_norms]
    if transients.probe_x is not None:
        panels.append(separability)
    margins = transients.margin_contribution
    if margins is not None and not np.isnan(margins).all():
        panels.append(layer_contributions)
    axes = _row_of_axes(len(panels)) if ax is None else np.atleast_1d(np.asarray(ax, dtype=object))
    if axes.shape != (len(panels),):
        raise ValueError(
            f"ax has shape {axes.shape}, but there are {len(panels)} panels to draw "
            f"({', '.join(panel.__name__ for panel in panels)}); give one Axes for each."
        )
    for panel, one in zip(panels, axes, strict=True):
        panel(transients, ax=one)
    return axes


def _row_of_axes(n: int) -> Array:
    first = _axes(None)
    figure: Any = first.figure
    first.remove()
    figure.set_size_inches(4 * n, 3.2)
    return np.atleast_1d(figure.subplots(1, n))


def _layer_axis(ax: "Axes") -> None:
    ax.set_xlabel("layer k")
    locator: Any = ax.xaxis.get_major_locator()
    locator.set_params(integer=True)


# --- Lyapunov exponents ------------------------------------------------------------------------------


def lyapunov_spectrum(spectrum: "LyapunovSpectrum", *, ax: "Axes | None" = None) -> "Axes":
    r"""The running estimates of the exponents of one orbit against depth-time, with bands of two standard errors.

    The standard error at time t is that of the whole orbit times :math:`\sqrt{T/t}`, as for independent blocks. Of a
    batch take one orbit, ``spectrum.sample(i)``.
    """
    if spectrum.batch:
        raise ValueError(
            f"the spectrum is of a batch of shape {spectrum.batch}; "
            f"take one orbit of it, e.g. spectrum.sample{(0,) * len(spectrum.batch)}."
        )
    ax = _axes(ax)
    widening = 2 * np.sqrt(spectrum.t[-1] / spectrum.t)
    for i, (final, error) in enumerate(zip(spectrum.exponents, spectrum.standard_error, strict=True)):
        running, colour = spectrum.running[:, i], COLOURS[i % len(COLOURS)]
        if np.isfinite(error):
            ax.fill_between(
                spectrum.t, running - widening * error, running + widening * error, color=colour, alpha=0.2, linewidth=0
            )
        ax.plot(spectrum.t, running, color=colour, linewidth=1.5, label=f"$\\lambda_{{{i + 1}}} = {final:.3g}$")
    ax.axhline(0.0, color="0.6", linewidth=0.8, zorder=0)
    ax.set_xscale("log")
    ax.set_xlim(spectrum.t[0], spectrum.t[-1])
    ax.set_xlabel("depth-time t")
    ax.set_ylabel("Lyapunov exponents per unit t")
    if len(spectrum.exponents) <= len(COLOURS):
        ax.legend(fontsize="x-small", frameon=False)
    return ax


def finite_time_exponents(
    exponents: "FiniteTimeExponents", *, which: int = 0, bins: int = 40, ax: "Axes | None" = None
) -> "Axes":
    r"""How the finite-time exponents are distributed over a batch: a histogram of the largest ones.

    Parameters
    ----------
    exponents : FiniteTimeExponents
        Of a batch of states.
    which : int
        0 for the largest exponent of each state, 1 for the second, …
    bins : int
    """
    if not exponents.batch:
        raise ValueError("a distribution needs a batch of states, but the exponents are of one.")
    ax = _axes(ax)
    values = exponents.exponents[..., which].ravel()
    values = values[np.isfinite(values)]
    ax.hist(values, bins=bins, density=True, color=COLOURS[0], alpha=0.8)
    ax.axvline(np.median(values), color=COLOURS[1], linewidth=1.5, label=f"median {np.median(values):.3g}")
    ax.axvline(0.0, color="0.4", linewidth=0.8, linestyle="--")
    ax.set_xlabel(f"finite-time exponent $\\lambda_{{{which + 1}}}$ over t = {exponents.horizon:g}")
    ax.set_ylabel("probability density")
    ax.legend(fontsize="x-small", frameon=False)
    return ax


# --- perturbations -----------------------------------------------------------------------------------


def propagation(
    propagations: "Propagation | Mapping[str, Propagation]", *, relative: bool = True, ax: "Axes | None" = None
) -> "Axes":
    r"""Sizes of perturbations, layer by layer: median and middle half, with first order dashed.

    Parameters
    ----------
    propagations : Propagation, or mapping from a label to one
        All perturbations of all states go into the median.
    relative : bool
        Divide by the size of the state.
    """
    ax = _axes(ax)
    named = _labelled(propagations)
    for i, (label, result) in enumerate(named):
        colour = COLOURS[i % len(COLOURS)]
        lower, median, upper = _quartiles(result.relative if relative else result.sizes)
        ax.fill_between(result.layers, lower, upper, color=colour, alpha=0.15, linewidth=0)
        ax.plot(result.layers, median, color=colour, linewidth=1.5, label=label)
        if result.linearized is not None:
            linearized = result.linearized / result.state_sizes[:, None] if relative else result.linearized
            ax.plot(result.layers, _quartiles(linearized)[1], color=colour, linestyle="--", linewidth=1)
    ax.set_ylabel("relative size of the perturbation" if relative else "size of the perturbation")
    return _along_layers(ax, first_order=any(result.linearized is not None for _, result in named))


def noise_variance(propagations: "Propagation | Mapping[str, Propagation]", *, ax: "Axes | None" = None) -> "Axes":
    r"""Variance of the noise, layer by layer: two standard errors as bars, first order dashed.

    Means over the states of a batch.

    Parameters
    ----------
    propagations : Propagation, or mapping from a label to one
        Of noise.
    """
    ax = _axes(ax)
    named = _labelled(propagations)
    for i, (label, result) in enumerate(named):
        colour = COLOURS[i % len(COLOURS)]
        if result.variance is None or result.standard_error is None:
            raise ValueError(
                "these perturbations were given one by one and have no variance; draw plotting.propagation."
            )
        n_states = max(1, int(np.prod(result.batch)))
        # states have samples of their own, so the squares of their standard errors add
        error = np.sqrt((result.standard_error.reshape(-1, n_states) ** 2).sum(axis=1)) / n_states
        mean = result.variance.reshape(-1, n_states).mean(axis=1)
        ax.errorbar(result.layers, mean, 2 * error, color=colour, fmt="o", ms=3, linewidth=1, label=label)
        if result.predicted_variance is not None:
            predicted = result.predicted_variance.reshape(-1, n_states).mean(axis=1)
            ax.plot(result.layers, predicted, color=colour, linestyle="--", linewidth=1)
    ax.set_ylabel("variance of the noise")
    return _along_layers(ax, first_order=any(result.predicted_variance is not None for _, result in named))


def _labelled(propagations: "Propagation | Mapping[str, Propagation]") -> "list[tuple[str, Propagation]]":
    named = propagations if isinstance(propagations, Mapping) else {getattr(propagations, "name", ""): propagations}
    wrong = [value for value in named.values() if not hasattr(value, "state_sizes")]
    if wrong or not named:
        came = repr(wrong[0]) if wrong else "an empty mapping"
        raise TypeError(f"needed is what resdyn.propagate returned, or a mapping from labels to it, but came {came}.")
    return list(named.items())


def _quartiles(sizes: Array) -> Array:
    """Over all perturbations, (3, n_rows); what diverged counts as infinite, and infinite is not drawn."""
    values = np.nan_to_num(sizes.reshape(len(sizes), -1), nan=np.inf, posinf=np.inf)
    # the nearest value, because infinities cannot be interpolated
    found = np.quantile(values, [0.25, 0.5, 0.75], axis=1, method="nearest")
    return np.where(np.isfinite(found), found, np.nan)


def _along_layers(ax: "Axes", *, first_order: bool) -> "Axes":
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    if first_order:
        ax.plot([], [], color="0.3", linestyle="--", linewidth=1, label="first order")
    ax.legend(fontsize="x-small", frameon=False)
    ax.set_xlabel("layer k")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_yscale("log")
    lower, upper = ax.get_ylim()
    if upper < 10 * lower:
        # no or one power of ten is in sight, so the ticks between them are named too, as many as there is room for
        digits = "235" if upper > 3 * lower else "123456789"
        ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        ax.yaxis.set_minor_formatter(FuncFormatter(lambda value, _: f"{value:g}" if f"{value:e}"[0] in digits else ""))
    return ax
