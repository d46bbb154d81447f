"""Noise beside signal in residual and plain nets, trained and before it, accuracies and exponents."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Summary = dict[str, Any]
LOWEST = -5.0
"""Exponents are cut here, in medians too: those of saturated units may be −∞."""
MARKERS = ("o", "^")


def figure(arrays: list[dict[str, Array]], untrained: list[dict[str, Array]], summary: Summary) -> Any:
    """One panel for noise of pixels, noise at layers, accuracies and exponents; ``arrays`` of each net.

    Of nets before training the smaller noise of pixels, that from half way on, and exponents: dashed.
    """
    from matplotlib.figure import Figure

    from resdyn.plotting.canvas import COLOURS

    drawn = Figure(figsize=(11, 7.2), layout="constrained")
    (pixels, layers), (accuracies, exponents) = drawn.subplots(2, 2)
    kinds = list(dict.fromkeys(net["kind"] for net in summary["nets"]))
    for net, found, before in zip(summary["nets"], arrays, untrained, strict=True):
        colour = COLOURS[kinds.index(net["kind"])]
        label = _label(summary, net["kind"]) if net["seed"] == 0 else None
        _draw_pixels(pixels, found, colour, label)
        _draw_layers(layers, found, colour)
        levels = [0.0, *summary["levels"]]
        accuracies.plot(levels, [net["clean"], *found["accuracy"]], "o-", color=colour, markersize=3, label=label)
        _draw_exponents(exponents, found, color=colour, label=label)
        dashed = {"color": colour, "linestyle": "--", "label": f"{net['kind']}, before training" if label else None}
        _draw_exponents(exponents, before, **dashed)
        share = np.linspace(0, 1, len(before["signal"]))
        middle = before["layer_variance"][len(before["starts"]) // 2]
        for ax, variance in ((pixels, before["pixel_variance"][0]), (layers, middle)):
            ax.plot(share, variance.mean(axis=1) / before["signal"], linewidth=1, **dashed)
    for ax, words in ((pixels, "noise of pixels"), (layers, "noise at a layer")):
        ax.set_yscale("log")
        ax.set_xlabel("layer, as a share of the depth")
        ax.set_ylabel("variance of noise / between images")
        ax.set_title(f"{words} (points: samples, lines: first order)", fontsize="medium")
    drawn.legend(*exponents.get_legend_handles_labels(), loc="outside lower center", ncols=2, fontsize="small")
    accuracies.set_xlabel("standard deviation of the noise, pixels from 0 to 1")
    accuracies.set_ylabel("accuracy")
    exponents.axhline(0, color="k", linewidth=0.6)
    exponents.set_xlabel("number of the exponent (medians over images)")
    exponents.set_ylabel(f"exponent per layer (cut at −{-LOWEST:g})")
    return drawn


def _draw_pixels(ax: Any, found: dict[str, Array], colour: str, label: str | None) -> None:
    signal = found["signal"]
    share = np.linspace(0, 1, len(signal))
    of_sizes = zip(MARKERS, found["pixel_variance"], found["pixel_predicted"], strict=False)
    for marker, variance, predicted in of_sizes:
        label_of_first = label if marker == MARKERS[0] else None
        ax.plot(share, variance.mean(axis=1) / signal, marker, color=colour, markersize=3, label=label_of_first)
        ax.plot(share, predicted.mean(axis=1) / signal, color=colour, linewidth=1)


def _draw_layers(ax: Any, found: dict[str, Array], colour: str) -> None:
    signal = found["signal"]
    share = np.linspace(0, 1, len(signal))
    for variance, predicted in zip(found["layer_variance"], found["layer_predicted"], strict=True):
        ax.plot(share, variance.mean(axis=1) / signal, "o", color=colour, markersize=3)
        ax.plot(share, predicted.mean(axis=1) / signal, color=colour, linewidth=1)


def _draw_exponents(ax: Any, found: dict[str, Array], **style: Any) -> None:
    spectrum = np.maximum(np.median(found["exponents"], axis=0), LOWEST)
    ax.plot(np.arange(1, len(spectrum) + 1), spectrum, linewidth=1, **style)


def _label(summary: Summary, kind: str) -> str:
    """Means over seeds."""
    nets = [net for net in summary["nets"] if net["kind"] == kind]
    clean, noisy = (np.mean([net[name] for net in nets]) for name in ("clean", "accuracy"))
    return f"{kind}, {nets[0]['layers']} layers: clean {clean:.3f}, mean over noise {noisy:.3f}"
