"""The figure of the toy: what is stable at which step, what is proven, what orbits do, and basins over λ."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.yang2020_interpolation import discretisations, families, stability

Array = NDArray[Any]

MARKS = dict(zip(discretisations.DISCRETISATIONS, ("o", "s", "^", "D"), strict=True))
NAMES = {"residual": "Euler (network)", "exponential": "exponential", "midpoint": "midpoint", "rk4": "RK4"}


def drawn(config: Any, arrays: dict[str, Array], summary: dict[str, Any]) -> Any:
    """The whole."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 10.6), layout="constrained")
    halves: Any = figure.subfigures(2, 1, height_ratios=[2.0, 1.25])
    upper, lower = halves
    axes = upper.subplots(2, 3)
    _stable_steps(axes[0, 0], config, arrays, summary["stability"])
    _errors(axes[0, 1], config, arrays, summary["discretisations"])
    _proofs(axes[0, 2], summary["survey"])
    _exponents(axes[1, 0], summary["survey"])
    _attractors(axes[1, 1], summary["one_net"])
    _exponent_of_one(axes[1, 2], summary["one_net"])
    _basins(lower, config, arrays)
    return figure


def _stable_steps(ax: Any, config: Any, arrays: dict[str, Array], numbers: dict[str, Any]) -> None:
    from resdyn.plotting.canvas import COLOURS

    w = config.rotation
    fine = np.linspace(1e-3, config.longest, 400)
    for (method, order), colour in zip(stability.RUNGE_KUTTA.items(), COLOURS, strict=False):
        growth = stability.growth(method, fine[:, None] / w, fine * w, w)
        name = {1: "Euler (network)", 2: "midpoint, Heun 2", 3: "Heun 3", 4: "RK4"}[order]
        ax.contour(fine, fine, growth, levels=[1.0], colors=[colour])
        ax.plot([], [], color=colour, label=name)
    edge = stability.longest_step("exponential", fine * w, w) * w
    ax.plot(fine, np.where(edge < config.longest, edge, np.nan), color="k", linestyle="--", label="exponential")
    measured = arrays["measured"][stability.METHODS.index("residual")]
    grid = arrays["grid"]
    x, y = np.meshgrid(grid, grid)
    ax.plot(x[measured < 1], y[measured < 1], ".", color=COLOURS[0], markersize=4, label="orbits of the network shrink")
    ax.plot(x[measured >= 1], y[measured >= 1], "x", color="0.7", markersize=3, label="they do not")
    ax.set(
        xlabel="damping λ / ω", ylabel="step h ω", xlim=(0, config.longest), ylim=(0, config.longest),
        title=f"stable below the line; orbits differ by {numbers['largest_difference']:.0e}",
    )  # fmt: skip
    ax.title.set_fontsize("medium")
    ax.legend(fontsize="x-small", loc="upper right")


def _errors(ax: Any, config: Any, arrays: dict[str, Array], numbers: dict[str, Any]) -> None:
    from resdyn.plotting.canvas import COLOURS

    errors = np.median(arrays["errors"][0], axis=0)
    for m, method in enumerate(discretisations.DISCRETISATIONS):
        for lam, style in ((0, "-"), (len(config.coefficients) - 1, ":")):
            words = f"{NAMES[method]}, order {numbers['orders']['in'][method][lam]:.2f}"
            ax.loglog(
                config.steps, errors[m, :, lam], style, marker=MARKS[method], color=COLOURS[m], markersize=4,
                label=f"{words} (λ = {config.coefficients[lam]:g})",
            )  # fmt: skip
    ax.set_xticks(config.steps, [f"{h:g}" for h in config.steps])
    ax.minorticks_off()
    ax.set(xlabel="step h", ylabel=f"distance from the flow at t = {config.horizon:g}", title="In: error against step")
    ax.title.set_fontsize("medium")
    # room below the curves
    ax.set_ylim(bottom=1e-4 * np.nanmin(errors))
    ax.legend(fontsize="xx-small", loc="lower center", ncols=2)


def _proofs(ax: Any, survey: dict[str, Any]) -> None:
    from resdyn.plotting.canvas import COLOURS

    for k, kind in enumerate(discretisations.KINDS):
        for dynamics, style in zip(families.DYNAMICS, ("-", "--"), strict=True):
            row = survey[kind][dynamics]
            name = "In" if kind == "in" else "λ-In"
            ax.plot(
                survey["coefficients"], row["proven"], style, marker="o" if dynamics == "flow" else "s", markersize=4,
                color=COLOURS[k], label=f"{name}, {'flow' if dynamics == 'flow' else 'network, h = 1'}",
            )  # fmt: skip
    ax.set(
        xlabel="coefficient λ", ylabel=f"share of {survey['nets']} random nets", ylim=(-0.04, 1.04),
        title=f"one attractor is proven (orbits contradict {survey['contradictions']} of {survey['proofs']})",
    )  # fmt: skip
    ax.title.set_fontsize("medium")
    ax.legend(fontsize="x-small")


def _exponents(ax: Any, survey: dict[str, Any]) -> None:
    from resdyn.plotting.canvas import COLOURS

    shown = (
        ("flow", "contracting", "-", COLOURS[2], "flow: exponent < 0"),
        ("map", "contracting", "--", COLOURS[2], "network: exponent < 0"),
        ("map", "expanding", "--", COLOURS[3], "network: exponent > 0, or growing"),
        ("flow", "expanding", "-", COLOURS[3], "flow: exponent > 0"),
        ("map", "lost", ":", "k", "network: runs away"),
    )
    for dynamics, name, style, colour, label in shown:
        ax.plot(survey["coefficients"], survey["in"][dynamics][name], style, marker=".", color=colour, label=label)
    ax.set(
        xlabel="coefficient λ", ylabel=f"share of {survey['nets']} random nets", ylim=(-0.04, 1.5),
        title="In: largest Lyapunov exponents (h = 1)",
    )  # fmt: skip
    ax.title.set_fontsize("medium")
    ax.legend(fontsize="x-small", loc="upper left", ncols=2)


def _attractors(ax: Any, one: dict[str, Any]) -> None:
    from resdyn.plotting.canvas import COLOURS

    for dynamics, marker, colour in (("flow", "o", COLOURS[0]), ("map", "x", COLOURS[3])):
        name = "flow" if dynamics == "flow" else "network, h = 1"
        # where most states are undecided, as at the bifurcation, there is no number of attractors
        known = np.asarray(one[dynamics]["undecided"]) <= 0.5
        counts = np.where(known, one[dynamics]["attractors"], np.nan)
        ax.plot(one["coefficients"], counts, marker, color=colour, label=name)
    low, high = one["window"]["map"]
    ax.axvspan(low, high, color=COLOURS[3], alpha=0.12, label="network: 0 attracts (closed form)")
    ax.axvline(one["window"]["flow"][0], color=COLOURS[0], linewidth=1, label="flow: Hopf bifurcation, λ = growth")
    ax.plot(
        one["coefficients"], one["map"]["diverged"], color="k", linestyle=":", label="share of states that run away"
    )
    ax.set(xlabel="coefficient λ", ylabel="attractors found", ylim=(-0.2, 6.3), title="two units that turn and stretch")
    ax.title.set_fontsize("medium")
    ax.legend(fontsize="x-small")


def _exponent_of_one(ax: Any, one: dict[str, Any]) -> None:
    from resdyn.plotting.canvas import COLOURS

    for dynamics, style, colour in (("flow", "-o", COLOURS[0]), ("map", "-x", COLOURS[3])):
        value = np.array(one[dynamics]["exponent"], dtype=float)
        name = "flow" if dynamics == "flow" else "network, h = 1"
        ax.plot(one["coefficients"], np.where(value < 90, value, np.nan), style, color=colour, markersize=4, label=name)
    ax.axhline(0, color="0.6", linewidth=0.8)
    ax.set(xlabel="coefficient λ", ylabel="largest exponent, per unit t", title="the same net from one state")
    ax.title.set_fontsize("medium")
    ax.legend(fontsize="x-small")


def _basins(figure: Any, config: Any, arrays: dict[str, Array]) -> None:
    from matplotlib.colors import ListedColormap

    from resdyn.plotting.canvas import COLOURS

    colours = ListedColormap(["0.85", *COLOURS[: families.MOST]])
    names = {number: name for name, number in families.KIND_NUMBERS.items()}
    axes = figure.subplots(2, len(config.shown), sharex=True, sharey=True)
    reach = families.REACH
    for d, dynamics in enumerate(families.DYNAMICS):
        for ax, lam in zip(axes[d], config.shown, strict=True):
            at = int(np.argmin(abs(np.array(config.scan) - lam)))
            labels, kinds = arrays["scan_labels"][d, at], arrays["scan_kinds"][d, at]
            ax.imshow(
                labels.T, origin="lower", extent=(-reach, reach, -reach, reach), cmap=colours, vmin=-1.5,
                vmax=families.MOST - 0.5, interpolation="nearest",
            )  # fmt: skip
            found = [names[int(k)] for k in kinds if k >= 0]
            words = f"{len(found)} × {found[0]}" if found else "no attractor"
            ax.set_title(f"{'flow' if dynamics == 'flow' else 'network'}, λ = {config.scan[at]:g}: {words}", fontsize=8)
        axes[d, 0].set_ylabel("x₂")
    for ax in axes[1]:
        ax.set_xlabel("x₁")
    figure.suptitle("basins of attraction; grey: runs away, or undecided", fontsize="medium")
