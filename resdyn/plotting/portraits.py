"""Phase portraits, invariant manifolds, and trajectories in space."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from resdyn import _validation as validate
from resdyn.plotting.canvas import COLOURS, axes_or_new
from resdyn.plotting.planes import Plane, make_plane

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from resdyn._types import System
    from resdyn.analysis.manifolds import Manifold
    from resdyn.trajectory import Trajectory

Array = NDArray[Any]

_UNSTABLE, _STABLE = COLOURS[3], COLOURS[0]
_NULLCLINES = (COLOURS[1], COLOURS[2])
_STREAMS = 1.1


def phase_portrait(
    system: "System",
    region: Any = None,
    *,
    dynamics: str = "flow",
    units: tuple[int, int] = (0, 1),
    at: Any = None,
    nullclines: bool = True,
    fixed_points: Any = True,
    manifolds: bool = True,
    trajectories: "Trajectory | Sequence[Trajectory] | None" = None,
    resolution: int = 241,
    ax: "Axes | None" = None,
) -> "Axes":
    r"""The plane of two units: the field, nullclines, fixed points, manifolds of saddles, and trajectories.

    Of a flow the field is drawn as streamlines, of a map as arrows from x towards x + hf(x), all of one length and
    darker where the step is longer. Map and flow share nullclines, f_i = 0, and fixed points, but neither their
    stability nor manifolds.

    Parameters
    ----------
    system : System
        Autonomous, of two or more units. Of logistic residuals the plane is that of y = σ(z).
    region : (low, high), optional
        The part of the plane, each a number or two; the unit square for logistic residuals.
    dynamics : "flow" or "map"
    units : pair of int
        The two units, in flat order.
    at : array, shape ``system.shape``, optional
        For more than two units: the state whose other units are kept. The portrait is then a slice: the field is what
        the two units do there, orbits leave the slice, and fixed points and manifolds, which are not in it, are not
        drawn.
    nullclines : bool
    fixed_points : bool or FixedPoints
        True looks for them (:func:`resdyn.fixed_points`); filled where stable, half filled saddles, hollow otherwise.
    manifolds : bool
        Stable and unstable manifolds of the saddles, up to the rim.
    trajectories : Trajectory, or several, optional
        Drawn over it, with a dot where each orbit starts.
    resolution : int
        Points along each side for nullclines; the field has about a twelfth of them.
    """
    word = validate.dynamics(dynamics)
    count = validate.count(resolution, "resolution", least=24)
    plane = make_plane(system, region, units, at, dynamics=word)
    ax = axes_or_new(ax)
    _draw_field(plane, word, max(20, count // 8 if word == "flow" else count // 12), ax)
    if nullclines:
        _draw_nullclines(plane, count, ax)
    if plane.is_whole and fixed_points is not False:
        points = plane.fixed_points(None if fixed_points is True else fixed_points)
        if manifolds:
            _draw_manifolds(plane, points, word, ax)
        _draw_fixed_points(plane, points, word, ax)
    for trajectory in _several(trajectories):
        _draw_orbits(plane, trajectory, word, ax)
    (left, bottom), (right, top) = plane.low, plane.high
    ax.set_xlim(left, right)
    ax.set_ylim(bottom, top)
    ax.set_xlabel(f"${plane.letter}_{{{units[0]}}}$")
    ax.set_ylabel(f"${plane.letter}_{{{units[1]}}}$")
    if not plane.is_whole:
        ax.set_title(plane.slice_title, fontsize="small")
    if ax.get_legend_handles_labels()[0]:
        ax.legend(fontsize="x-small", frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return ax


def _several(trajectories: Any) -> "list[Trajectory]":
    if trajectories is None:
        return []
    each = list(trajectories) if isinstance(trajectories, list | tuple) else [trajectories]
    for trajectory in each:
        validate.trajectory(trajectory)
    return each


def _draw_field(plane: Plane, dynamics: str, n: int, ax: "Axes") -> None:
    axes, states = plane.grid(n)
    u, v = np.moveaxis(plane.field(states), -1, 0)
    if dynamics == "flow":
        ax.streamplot(*axes, u, v, color="0.75", linewidth=0.6, arrowsize=0.7, density=_STREAMS, zorder=0)
        return
    # in units of the picture, so that all arrows have one length on it
    width, height = plane.high - plane.low
    size = np.hypot(u / width, v / height)
    with np.errstate(invalid="ignore", divide="ignore"):
        u, v = u / size, v / size
    moving = np.isfinite(u) & np.isfinite(v) & (size > 0)
    grid = np.meshgrid(*axes)
    shade = np.clip(np.log10(np.maximum(size[moving] / max(size[moving].max(initial=0.0), 1e-300), 1e-2)) / 2 + 1, 0, 1)
    ax.quiver(
        grid[0][moving], grid[1][moving], u[moving], v[moving], 0.25 + 0.75 * shade, cmap="Greys", clim=(0, 1.6),
        angles="xy", scale_units="xy", scale=1.3 * n, width=0.0022, headwidth=4, pivot="tail", zorder=0,
    )  # fmt: skip


def _draw_nullclines(plane: Plane, n: int, ax: "Axes") -> None:
    axes, states = plane.grid(n)
    field = plane.nullcline_field(states)
    for i, colour in enumerate(_NULLCLINES):
        values = np.ma.masked_invalid(field[..., i])
        if values.min() < 0 < values.max():
            ax.contour(*axes, values, levels=[0.0], colors=[colour], linewidths=1.2, linestyles="dashed", zorder=1)
            ax.plot([], [], color=colour, linewidth=1.2, linestyle="dashed", label=plane.nullcline_labels[i])


def _draw_manifolds(plane: Plane, points: Any, dynamics: str, ax: "Axes") -> None:
    drawn = set()
    for point in points:
        if point.kind_of(dynamics) != "saddle":
            continue
        for which, colour in (("stable", _STABLE), ("unstable", _UNSTABLE)):
            curve = plane.manifold(point, which)
            if curve is None:
                continue
            label = None if which in drawn else f"{which} manifold"
            drawn.add(which)
            ax.plot(*curve.T, color=colour, linewidth=1.6, label=label, zorder=2)


def _draw_fixed_points(plane: Plane, points: Any, dynamics: str, ax: "Axes") -> None:
    styles = {"stable": "full", "saddle": "left", "unstable": "none", "undecided": "none"}
    drawn = set()
    for point in points:
        stable = point.is_stable(dynamics)
        word = "undecided" if stable is None else "stable" if stable else "unstable"
        if stable is False and point.kind_of(dynamics) == "saddle":
            word = "saddle"
        ax.plot(
            *plane.seen(point)[:, None],
            "s" if word == "undecided" else "o",
            color="black",
            markerfacecoloralt="white",
            fillstyle=styles[word],
            ms=6,
            clip_on=False,
            zorder=4,
            label=None if word in drawn else word,
        )
        drawn.add(word)


def _draw_orbits(plane: Plane, trajectory: "Trajectory", dynamics: str, ax: "Axes") -> None:
    lines = plane.orbit(trajectory)
    style: dict[str, Any] = {"marker": "."} if dynamics == "map" else {}
    ax.plot(lines[..., 0], lines[..., 1], color=COLOURS[4], linewidth=0.9, ms=3, zorder=3, **style)
    ax.plot(*lines[0].T, "o", color=COLOURS[4], ms=4, zorder=3)


def manifold(
    manifold: "Manifold", *, units: tuple[int, ...] = (0, 1), residuals: bool = False, ax: "Axes | None" = None
) -> "Axes":
    """Both arms of a stable or unstable manifold, in the plane of two units or the space of three.

    Parameters
    ----------
    manifold : Manifold
    units : two or three ints
        In flat order.
    residuals : bool
        Of logistic residuals: draw y = σ(z) instead of the state z.
    """
    system: Any = manifold.system
    chosen = _chosen_units(units, int(np.prod(system.shape)), system.name)
    if residuals and not hasattr(system, "from_residuals"):
        raise ValueError(f"residuals=True needs a LogisticResiduals, whose state y determines; got {system.name!r}.")
    shown = system.activations(0.0, manifold.curve) if residuals else manifold.curve
    points = shown.reshape(len(shown), -1)[:, chosen].T
    ax = _space_or_plane(ax, len(chosen))
    colour = _STABLE if manifold.which == "stable" else _UNSTABLE
    saddle = points[:, manifold.sizes[1] - 1]
    ax.plot(*points, color=colour, linewidth=1.4, label=f"{manifold.which} manifold")
    ax.plot(*saddle[:, None], "o", color="black", ms=5)
    _name_axes(ax, "y" if residuals else "x", chosen)
    ax.legend(fontsize="x-small", frameon=False)
    return ax


def trajectories(
    trajectory: "Trajectory",
    units: tuple[int, ...] = (0, 1, 2),
    labels: Any = None,
    *,
    residuals: bool = False,
    ax: "Axes | None" = None,
) -> "Axes":
    """Orbits as lines in the space of three units, or the plane of two, with a dot at each start.

    Parameters
    ----------
    trajectory : Trajectory
        Of one state or of a batch.
    units : two or three ints
        In flat order.
    labels : array, shape of the batch, optional
        A class for each orbit: one colour each.
    residuals : bool
        Draw the residuals y of the trajectory instead of the state.
    """
    validate.trajectory(trajectory)
    shown = trajectory.y if residuals else trajectory.x
    chosen = _chosen_units(units, int(np.prod(trajectory.system.shape)), trajectory.system.name)
    lines = shown.reshape(len(trajectory.t), -1, int(np.prod(trajectory.system.shape)))[..., chosen]
    n = lines.shape[1]
    if labels is None:
        codes, classes = np.arange(n) % len(COLOURS) if n <= len(COLOURS) else np.zeros(n, dtype=int), None
    else:
        codes, classes = validate.class_labels(np.ravel(labels), n)
    ax = _space_or_plane(ax, len(chosen))
    named: set[int] = set()
    for i, code in enumerate(codes):
        colour = COLOURS[int(code) % len(COLOURS)]
        label = None if classes is None or code in named else str(classes[code])
        named.add(int(code))
        thin = 0.9 if len(trajectory.t) < 2000 else 0.4
        ax.plot(*lines[:, i].T, color=colour, linewidth=thin, alpha=max(0.25, n**-0.25), label=label)
        ax.plot(*lines[0, i][:, None], "o", color=colour, ms=3)
    _name_axes(ax, "y" if residuals else "x", chosen)
    if classes is not None:
        legend = ax.legend(fontsize="x-small", frameon=False, title="class", title_fontsize="x-small")
        for handle in legend.get_lines():
            handle.set_alpha(1.0)  # one faint line alone is hard to see
    return ax


def _chosen_units(units: Any, d: int, name: str) -> list[int]:
    chosen = [validate.count(unit, "units") for unit in units]
    if len(chosen) not in (2, 3) or len(set(chosen)) != len(chosen) or max(chosen) >= d:
        raise ValueError(
            f"units must be two or three different numbers from 0 to {d - 1}, the units of {name!r}; got {units!r}."
        )
    return chosen


def _space_or_plane(ax: "Axes | None", n: int) -> Any:
    """Axes of two or three dimensions."""
    if ax is not None:
        if (n == 3) != (ax.name == "3d"):
            raise ValueError(
                f"{n} units need {'3-D' if n == 3 else 'plane'} axes, but ax is {ax.name!r}; make it with "
                f"figure.add_subplot({'projection=' + repr('3d') if n == 3 else ''})."
            )
        return ax
    plane = axes_or_new(None)
    if n == 2:
        return plane
    figure: Any = plane.figure
    plane.remove()
    figure.set_size_inches(5, 4.5)
    return figure.add_subplot(projection="3d")


def _name_axes(ax: Any, letter: str, units: list[int]) -> None:
    for axis, unit in zip("xyz", units, strict=False):
        getattr(ax, f"set_{axis}label")(f"${letter}_{{{unit}}}$")
    if len(units) == 3:
        ax.set_box_aspect(None, zoom=0.9)  # room for the name of the third axis
