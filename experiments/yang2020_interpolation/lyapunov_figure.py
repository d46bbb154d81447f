"""The figure on contraction: one unit over its step, rates against bounds, and what damping does to trained units."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.yang2020_interpolation import logistic_flows
from experiments.yang2020_interpolation.lyapunov_summary import KINDS, kind_of

Array = NDArray[Any]

MARKS = {"in": "o", "lambda-in": "s", "plain": "^"}


def drawn(config: Any, arrays: dict[str, Array], summary: dict[str, Any], steps: Array) -> Any:
    """Six panels."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13.5, 8.2), layout="constrained")
    axes = figure.subplots(2, 3)
    _one_unit(axes[0, 0], config, arrays, summary["one_unit"], steps)
    _rates(axes[0, 1], config, arrays, summary["random_nets"])
    _shared(axes[0, 2], summary["shared"])
    _beside(axes[1, 0], summary["trained"], "above", "share of gains above 1")
    _beside(axes[1, 1], summary["trained"], "largest", "largest gain")
    _exponents(axes[1, 2], summary["trained"])
    for ax in axes.flat:
        ax.title.set_fontsize("medium")
    return figure


def _one_unit(ax: Any, config: Any, arrays: dict[str, Array], numbers: dict[str, Any], steps: Array) -> None:
    from resdyn.plotting.canvas import COLOURS

    for k, ratio in enumerate(config.ratios):
        colour = COLOURS[k]
        fine = np.linspace(0.01, 1.99, 600)
        closed = np.array([logistic_flows.cycle_amplitude(ratio, h) for h in fine])
        for sign in (1, -1):
            ax.plot(
                fine, sign * closed, color=colour, linewidth=1, label=_unit_words(ratio, numbers) if sign > 0 else None
            )
        states = arrays["unit_states"][k] - logistic_flows.REST
        for layer in range(states.shape[1]):
            ax.plot(steps, states[:, layer], ".", color=colour, markersize=3)
    ax.set_yscale("symlog", linthresh=0.1)
    ax.set(
        xlabel="step hλ", ylabel="last states less the resting state", ylim=(-30, 30),
        title="one unit, flow contracts: network (dots), closed form (lines)",
    )  # fmt: skip
    ax.legend(fontsize="x-small", loc="upper left", title="α‖W‖/(4λ), first 2-cycle", title_fontsize="x-small")


def _unit_words(ratio: float, numbers: dict[str, Any]) -> str:
    row = numbers[f"{ratio:g}"]
    return f"{ratio:g}: at hλ = {row['first_cycle']:.3f}"


def _rates(ax: Any, config: Any, arrays: dict[str, Array], numbers: dict[str, Any]) -> None:
    from resdyn.plotting.canvas import COLOURS

    for name, words, colour, mark in (
        ("flow", "flow, per unit t", COLOURS[0], "o"),
        ("map", "network, per layer", COLOURS[3], "x"),
    ):
        bound, rate = arrays[f"random_{name}_bound"], arrays[f"random_{name}"]
        ax.plot(
            bound[:, : config.nets].ravel(),
            rate[:, : config.nets].ravel(),
            mark,
            color=colour,
            markersize=4,
            label=words,
        )
        ax.plot(
            bound[:, config.nets :].ravel(),
            rate[:, config.nets :].ravel(),
            "*",
            color=colour,
            markersize=9,
            label=f"{words}, W = ±‖W‖ I",
        )
    ends = np.array(ax.get_xlim())
    ax.plot(ends, ends, color="k", linewidth=1, label="bound")
    ax.axvline(0, color="0.7", linewidth=0.8)
    ax.set(
        xlabel="bound of the rate: α‖W‖/4 − λ; log q", ylabel="largest rate of log distance",
        title=f"random nets: {numbers['violations']} of {numbers['compared']} above the bound",
    )  # fmt: skip
    ax.legend(fontsize="x-small")


def _shared(ax: Any, shared: dict[str, Any]) -> None:
    from resdyn.plotting.canvas import COLOURS

    for k, (name, row) in enumerate(shared.items()):
        exponents = row["exponents"]
        low, high = (abs(np.array(exponents[e]) - exponents["median"]) for e in ("least", "most"))
        label = f"{name.split('-seed')[0]}, ‖W‖₂ = {row['norm']:.1f}"
        ax.errorbar(
            row["dampings"], exponents["median"], yerr=[low, high], fmt="o-", color=COLOURS[k], markersize=4, capsize=2,
            label=label,
        )  # fmt: skip
        ax.plot(
            row["dampings"],
            row["bounds"],
            "--",
            color=COLOURS[k],
            label=f"bound log q; flow contracts from λ = {row['contracts_from']:.2f}",
        )
    ax.axhline(0, color="0.7", linewidth=0.8)
    ax.set(
        xlabel="damping λ, added after training",
        ylabel="leading exponent, per layer",
        title="trained logistic nets, shared weights",
    )
    # room below the curves
    ax.set_ylim(bottom=ax.get_ylim()[0] - 1.2)
    ax.legend(fontsize="x-small", loc="lower right")


def _beside(ax: Any, trained: dict[str, Any], name: str, words: str) -> None:
    """Units with their damping against the same with λ = 0; on the diagonal those without damping."""
    from resdyn.plotting.canvas import COLOURS

    top = 0.0
    for colour, kind in zip(COLOURS, KINDS, strict=False):
        units = [u for net, row in trained["nets"].items() if kind_of(net) == kind for u in row["units"].values()]
        pairs = np.array([[u[f"undamped_{name}"], u[name]] for u in units if u[name] is not None])
        if not len(pairs):
            continue
        damped = np.array([u["damping"] != 0 for u in units if u[name] is not None])
        ax.plot(
            *pairs[damped].T,
            MARKS[kind],
            color=colour,
            markersize=6,
            label=f"{KINDS[kind]}, λ ≠ 0" if damped.any() else None,
        )
        ax.plot(
            *pairs[~damped].T, MARKS[kind], color=colour, markersize=5, fillstyle="none", label=f"{KINDS[kind]}, λ = 0"
        )
        top = max(top, pairs.max())
    ax.plot([0, 1.05 * top], [0, 1.05 * top], color="k", linewidth=0.8)
    ax.set(
        xlabel=f"{words}, the same unit with λ = 0",
        ylabel=f"{words}, as trained",
        title=f"units of the nets: {words}",
    )
    ax.legend(fontsize="x-small")


def _exponents(ax: Any, trained: dict[str, Any]) -> None:
    from resdyn.plotting.canvas import COLOURS

    names = list(trained["nets"])
    for k, name in enumerate(names):
        kind = kind_of(name)
        colour = COLOURS[list(KINDS).index(kind)]
        for s, row in trained["nets"][name]["stages"].items():
            x = int(s) + 0.11 * (k - (len(names) - 1) / 2)
            first = s == "1" and kind not in [kind_of(before) for before in names[:k]]
            ax.vlines(x, *row["range"], color=colour)
            ax.plot(x, row["exponent"], MARKS[kind], color=colour, label=KINDS[kind] if first else None)
            if row["exponent"] != row["undamped_exponent"]:
                ax.plot(x, row["undamped_exponent"], MARKS[kind], color=colour, fillstyle="none",
                        label=f"{KINDS[kind]}, with λ = 0" if first else None)  # fmt: skip
    stages = sorted({int(s) for net in trained["nets"].values() for s in net["stages"]})
    ax.set_xticks(stages, [f"stage {s}" for s in stages])
    ax.axhline(0, color="0.7", linewidth=0.8)
    ax.set(ylabel="leading finite-time exponent, per block", title=f"stages of the nets, images: {trained['images']}")
    ax.legend(fontsize="x-small")
