"""The figure of what steady residuals tell about pixels."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from experiments.lagzi2021_transients.features import KINDS, one_vertex, participation_above, related
from resdyn.plotting.canvas import COLOURS

Array = NDArray[Any]
Summary = dict[str, Any]


def figure_of(arrays: dict[str, Array], summary: Summary) -> Figure:
    """Three images above three distributions, and below them nets that have one attractor."""
    figure = Figure(figsize=(12, 11), layout="constrained")
    axes = figure.subplots(3, 3)
    _images(axes[0], arrays, summary)
    _distributions(axes[1], arrays)
    _attractors(axes[2], arrays, summary["attractors"])
    figure.suptitle(
        f"{summary['network']}: residuals at layer {summary['depth']} of {summary['samples']} samples, and "
        f"{summary['dimensions']} pixels that vary; last row: nets on digits"
    )
    return figure


def _on_image(arrays: dict[str, Array], values: Array) -> Array:
    image = np.full(int(np.prod(arrays["image_shape"])), np.nan)
    image[arrays["varying"]] = values
    return image.reshape(tuple(arrays["image_shape"]))


def _images(axes: Any, arrays: dict[str, Array], summary: Summary) -> None:
    for ax, kind in zip(axes[:2], KINDS[:2], strict=True):
        image = ax.imshow(1000 * _on_image(arrays, arrays[f"{kind}_bits"].mean(axis=0)), cmap="cividis")
        ax.figure.colorbar(image, ax=ax, label="information [0.001 bit]")
        ax.set_title(f"{kind}: mean unit about each pixel\n{100 * summary[kind]['above']:.0f} % of pairs above chance")
    shape = tuple(arrays["image_shape"])
    mean = arrays["trained_mean"][: len(arrays["mean_pixels"])].reshape(shape)
    image = axes[2].imshow(mean, cmap="cividis", vmin=0)
    pattern = summary["pattern"]["trained"]
    axes[2].figure.colorbar(image, ax=axes[2], label="mean residual")
    axes[2].set_title(
        "trained: units that began as pixels\ncorrelation with the mean image "
        f"{pattern['correlation']:.2f} (p = {pattern['p_value']:.3f})"
    )
    for ax in axes:
        ax.title.set_fontsize("medium")
        ax.set_xlabel("column")
        ax.set_ylabel("row")


def _distributions(axes: Any, arrays: dict[str, Array]) -> None:
    columns = {
        "information about a pixel,\nmean over pixels [bit]": lambda kind: arrays[f"{kind}_bits"].mean(axis=1),
        "pixels above chance\nthat share the information of a unit": lambda kind: participation_above(arrays, kind),
        "share of variance in leading components": lambda kind: arrays[f"{kind}_explained"],
    }
    for ax, (label, of) in zip(axes, columns.items(), strict=True):
        for kind, colour in zip(KINDS, (COLOURS[0], COLOURS[1], COLOURS[7]), strict=True):
            values = np.sort(of(kind)[arrays[f"{kind}_entropy"] > 0])
            ax.plot(values, np.arange(1, len(values) + 1) / max(len(values), 1), color=colour, label=_name(kind))
        ax.set_xlabel(label)
        ax.set_ylabel("share of units at or below")
    shuffled = np.sort(arrays["trained_explained_shuffled"][arrays["trained_entropy"] > 0])
    shares = np.arange(1, len(shuffled) + 1) / max(len(shuffled), 1)
    axes[2].plot(shuffled, shares, "k:", label="trained, samples shuffled")
    handles = axes[2].get_legend_handles_labels()
    axes[2].figure.legend(*handles, loc="outside lower center", ncols=4, fontsize="small", frameon=False)


def _attractors(axes: Any, arrays: dict[str, Array], found: Summary) -> None:
    """The vertex of a net of the strongest penalty, and the relations of all nets beside those of shifted images."""
    one = np.flatnonzero(one_vertex(arrays, "digits"))
    titles = ("as an image", "through W")
    trained, untrained = (related(arrays, "digits", kind) for kind in KINDS[:2])
    if len(one):
        side = int(np.sqrt(arrays["digits_images"].shape[-1]))
        vertex = np.round(arrays["digits_steady"][one[-1]])[: side**2].reshape(side, side)
        axes[0].imshow(vertex, cmap="cividis", vmin=0, vmax=1)
        axes[0].contour(arrays["digits_images"][0].reshape(side, side), colors="white", linewidths=0.8)
    axes[0].set_title(
        "digits, one attractor: its vertex\n(bright: 1; lines: the mean image)",
        fontsize="medium",
    )
    axes[0].set_xlabel("column")
    axes[0].set_ylabel("row")
    for ax, name, title in zip(axes[1:], trained, titles, strict=True):
        draws = [*trained[name], *untrained[name]]
        for place, each in enumerate(draws):
            low, high = np.quantile(each, (0, 0.95))
            label = "shifted images, up to 95 % of them" if place == 0 else None
            ax.plot([place, place], [low, high], color=COLOURS[7], linewidth=4, alpha=0.4, label=label)
        places = np.arange(len(draws))
        split = len(trained[name])
        for kind, where, colour in (
            ("trained", slice(split), COLOURS[0]),
            ("untrained", slice(split, None), COLOURS[1]),
        ):
            own = [each[0] for each in draws[where]]
            ax.plot(places[where], own, "o", color=colour, ms=5, label=kind)
        row = found["digits"]["trained"][name]
        ax.set_title(f"steady residuals beside images, {title}\nbeyond the shifts: {row['beyond']} of {row['nets']}",
                     fontsize="medium")  # fmt: skip
        ax.set_xlabel("net")
        ax.set_ylabel("largest size of a correlation")
        ax.set_ylim(0, 1)
    axes[1].legend(fontsize="small", frameon=False)


def _name(kind: str) -> str:
    return "one pixel about others" if kind == "pixels" else kind
