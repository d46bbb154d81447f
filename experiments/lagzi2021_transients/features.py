"""What the steady residual of a unit tells about the dimensions of the input.

Of thousands of samples, the residuals after many layers are compared with the pixels: mutual information of each unit
with each pixel, how many pixels a unit tells about, how much of it is about what pixels have in common (their leading
principal components), and the mean residual of the units that began as pixels, beside the mean pixel. Controls:
shuffled samples; the net before training, run just as long; and the pixels themselves, since one pixel tells about
others too.

That net has many attractors. What the paper says is said of networks with one, whose steady residuals are the same for
all samples: for such nets, on digits and on circles, see ``attracted``.

Ours: "features common to the input dimensions" as these numbers; two bins for residuals, and for pixels in their place,
four for the pixels that they tell about; steady is after 200 layers; the number of pixels that a unit tells about is
that of its participation, the squared sum of its information over the sum of squares, over the pixels about which it
tells more than chance gives.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

import resdyn
from experiments._harness import Run, main
from experiments.lagzi2021_transients import attracted, circles, information, mnist_nets

Array = NDArray[Any]
KINDS = ("trained", "untrained", "pixels")
QUARTILES = (0.25, 0.5, 0.75)


@dataclass(frozen=True)
class Config:
    """What is compared."""

    weights: str = "dense-shared-mnist-seed0"
    samples: int = 3000
    """The first of the test set."""
    depth: int = 200
    """Layers until residuals count as steady; how far they moved in the second half is measured."""
    batch: int = 500
    residual_bins: int = 2
    """Also of the pixels that stand in the place of units, as a control."""
    pixel_bins: int = 4
    components: int = 10
    """Leading principal components of the pixels: what they have in common."""
    shuffles: int = 10
    seed: int = 0
    pulls: tuple[float, ...] = (0.0, 0.1, 1.0)
    """Weights of the penalty that draws nets on digits to one vertex."""
    nets: int = 8
    """Seeds of each."""
    net_epochs: int = 40
    circles_seeds: int = 24
    """For each beginning of b, as in ``circles``."""
    circles_samples: int = 1000
    circles_epochs: int = 300
    layers: int = 2000
    """Until samples of these nets count as at one vertex."""


PRESETS = {
    "smoke": Config(
        "dense-shared-digits-seed0",
        samples=300,
        depth=100,
        batch=300,
        shuffles=10,
        pulls=(1.0,),
        nets=2,
        net_epochs=20,
        circles_seeds=2,
        circles_samples=200,
        circles_epochs=60,
        layers=500,
    ),
    "laptop": Config(),
    "paper": Config(samples=8000, depth=1000, shuffles=50, nets=24, circles_seeds=200),
}
# a unit in transit may fall into another bin where products are summed in another order
TOLERANCES = {
    "dimensions": 0.0,
    "*.bits.*": 0.02,
    "*.above": 0.01,
    "*.participation.*": 0.5,
    "*.shuffled_participation": 0.2,
    "*.common.*": 0.01,
    "pattern.*.correlation": 0.01,
    # training multiplies rounding: samples change sides
    "attractors.*.one_vertex.*": 1.0,
    "attractors.*.accuracy.*": 0.05,
}


def compute(config: Config, run: Run) -> dict[str, Array]:
    """Information and variances explained, unit by unit, for both nets and for the pixels."""
    net = mnist_nets.net_named(config.weights)
    images = mnist_nets.test_images(net).subset(slice(config.samples))
    pixels = images.pixels().reshape(len(images), -1).astype(np.float64)
    # pixels that are the same in all samples tell nothing and cannot be told about
    varying = np.flatnonzero(information.entropies(information.binned(pixels, config.pixel_bins)) > 0)
    found: dict[str, Array] = {
        "labels": np.asarray(images.labels),
        "varying": varying,
        "mean_pixels": pixels.mean(axis=0),
        "image_shape": np.array(images.images.shape[2:]),
    }
    values = {"pixels": pixels[:, varying]}
    for kind, one in zip(("trained", "untrained"), (net, mnist_nets.untrained(net)), strict=True):
        system = resdyn.networks.to_residual_map(one)
        states = mnist_nets.first_states(one, images)
        batches = []
        for start in run.progress(range(0, len(states), config.batch), f"samples, {kind}"):

            def batch(start: int = start, system: Any = system, states: Array = states) -> dict[str, Array]:
                return _steady(system, states[start : start + config.batch], config.depth)

            batches.append(run.part(f"{kind}{start}", batch))
        values[kind] = np.concatenate([batch["residuals"] for batch in batches]).astype(float)
        earlier = np.concatenate([batch["earlier"] for batch in batches])
        found[f"{kind}_moved"] = np.abs(values[kind] - earlier).mean(axis=0)
        found[f"{kind}_mean"] = values[kind].mean(axis=0)
    for kind in KINDS:

        def told(kind: str = kind) -> dict[str, Array]:
            return _told(values[kind], values["pixels"], config, own=kind == "pixels")

        found |= {f"{kind}_{name}": value for name, value in run.part(f"told-{kind}", told).items()}

    def on_digits() -> dict[str, Array]:
        return attracted.on_digits(config.nets, config.pulls, config.net_epochs, config.layers, run)

    def on_circles() -> dict[str, Array]:
        return attracted.on_circles(
            config.circles_seeds, config.circles_samples, config.circles_epochs, config.layers, run
        )

    for name, make in (("digits", on_digits), ("circles", on_circles)):
        found |= {f"{name}_{key}": value for key, value in run.part(f"attracted-{name}", make).items()}
    return found


def _steady(system: Any, states: Array, depth: int) -> dict[str, Array]:
    trajectory = resdyn.simulate(system, states, depth=depth, save=depth // 2)
    _, earlier, last = trajectory.activations
    return {"residuals": last.astype(np.float32), "earlier": earlier.astype(np.float32)}


def _told(values: Array, pixels: Array, config: Config, *, own: bool) -> dict[str, Array]:
    """What units tell about the varying pixels; where the units are pixels, one about itself counts as nothing."""
    rng = np.random.default_rng(config.seed)
    y, x = information.binned(values, config.residual_bins), information.binned(pixels, config.pixel_bins)
    found = information.calibrated(y, x, config.shuffles, rng)
    bits, above = found["information"], found["above"]
    if own:
        np.fill_diagonal(bits, 0)
        np.fill_diagonal(above, False)
    explained, shuffled = common_part(values, pixels, config.components, rng)
    return {
        "bits": bits.astype(np.float32),
        "above": above,
        "threshold": found["threshold"],
        "false": found["false"],
        "shuffled_participation": participation(found["unseen"]),
        "entropy": information.entropies(y),
        "explained": explained,
        "explained_shuffled": shuffled,
        "largest_square": largest_squared_correlation(values, pixels, own=own),
    }


def common_part(values: Array, pixels: Array, components: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """Share of each unit's variance in the leading components of the pixels, and the same for shuffled samples.

    NaN for units that do not vary.
    """
    centred = pixels - pixels.mean(axis=0)
    scores = np.linalg.svd(centred, full_matrices=False)[0][:, :components]
    deviations = values - values.mean(axis=0)
    total = (deviations**2).sum(axis=0)

    def share(of: Array) -> Array:
        explained = ((of.T @ deviations) ** 2).sum(axis=0)
        return np.divide(explained, total, out=np.full(len(total), np.nan), where=total > 0)

    return share(scores), share(scores[rng.permutation(len(scores))])


def largest_squared_correlation(values: Array, pixels: Array, *, own: bool) -> Array:
    """Of each unit with any one pixel: the share of its variance that this pixel explains."""
    parts = []
    for one in (values, pixels):
        deviations = one - one.mean(axis=0)
        lengths = np.linalg.norm(deviations, axis=0)
        parts.append(deviations / np.where(lengths > 0, lengths, 1))
    squares = (parts[0].T @ parts[1]) ** 2
    if own:
        np.fill_diagonal(squares, 0)
    return np.asarray(squares.max(axis=1))


def participation(bits: Array) -> Array:
    """How many dimensions share the information of a unit, from 1 to all; 0 where there is none. Shape (N,)."""
    positive = np.clip(bits, 0, None).astype(float)
    squares = (positive**2).sum(axis=1)
    return np.divide(positive.sum(axis=1) ** 2, squares, out=np.zeros(len(bits)), where=squares > 0)


def shifted_correlations(pattern: Array, image: Array) -> Array:
    """Of a pattern with an image, both (H, W), shifted against it around the edges by all steps; the first by none.

    Shifts keep what neighbouring pixels have in common, and are so a fair null distribution; shuffled pixels are not.
    """
    height, width = image.shape
    rows = [np.roll(pattern, (i, j), (0, 1)).ravel() for i in range(height) for j in range(width)]
    return np.corrcoef(np.array([image.ravel(), *rows]))[0, 1:] if pattern.std() > 0 else np.zeros(len(rows))


def summarize(config: Config, arrays: dict[str, Array]) -> dict[str, Any]:
    """Per net, and for the pixels themselves: quartiles over the units that vary.

    ``bits`` is the information of a unit about a pixel, mean over pixels; ``above`` the share of pairs that exceed
    what one shuffled pair in a thousand has; ``pixels_told`` the share of pixels above, per unit; ``participation`` how
    many of these share the unit's information, and the mean over units for shuffled samples; ``common`` the share of
    variance in the leading components of the pixels, the same for shuffled samples, and that which the best single
    pixel explains. ``pattern``: the mean residuals of the units that began as pixels, correlated with the mean image,
    and the share of shifts of the image with at least this correlation in size. ``attractors``: of :func:`_attractors`.
    """
    summary: dict[str, Any] = {
        "network": config.weights,
        "samples": len(arrays["labels"]),
        "depth": config.depth,
        "dimensions": len(arrays["varying"]),
        "moved": {kind: arrays[f"{kind}_moved"].mean() for kind in KINDS[:2]},
        "pattern": {kind: _pattern(arrays, kind) for kind in KINDS[:2]},
        "attractors": {"layers": config.layers, **_attractors(config, arrays)},
    }
    for kind in KINDS:
        vary = arrays[f"{kind}_entropy"] > 0
        summary[kind] = {
            "units": len(vary),
            "varying_units": vary.sum(),
            "bits": _quartiles(arrays[f"{kind}_bits"].mean(axis=1)[vary]),
            "above": arrays[f"{kind}_above"][vary].mean() if vary.any() else 0.0,
            "shuffled_above": arrays[f"{kind}_false"],
            "pixels_told": _quartiles(arrays[f"{kind}_above"].mean(axis=1)[vary]),
            "participation": _quartiles(participation_above(arrays, kind)[vary]),
            "shuffled_participation": arrays[f"{kind}_shuffled_participation"][vary].mean() if vary.any() else 0.0,
            "common": {
                name: _quartiles(arrays[f"{kind}_{key}"][vary])
                for name, key in (
                    ("components", "explained"),
                    ("shuffled", "explained_shuffled"),
                    ("one_pixel", "largest_square"),
                )
            },
        }
    return summary


def _attractors(config: Config, arrays: dict[str, Array]) -> dict[str, Any]:
    """Nets of which all samples end in one vertex, and how its residuals are related to the input (``attracted``).

    ``one_vertex``: how many of the nets, for each pull, or all; ``on``: the share of units at 1 in each of these;
    ``constant``: how many have the same residual in all units, which is related to nothing and left out.
    "untrained" are the same nets before training, with the mean over samples of their late residuals.
    """
    found: dict[str, Any] = {}
    for name, groups in (("digits", len(config.pulls)), ("circles", 1)):
        one = one_vertex(arrays, name)
        found[name] = {
            "nets": len(one),
            "one_vertex": one.reshape(groups, -1).sum(axis=1),
            "one_vertex_untrained": int((arrays[f"{name}_there_first"] >= circles.MANY).sum()),
            "accuracy": arrays[f"{name}_accuracy"][one],
            "on": arrays[f"{name}_steady"][one].mean(axis=1),
            "constant": int((one & is_constant(arrays, name)).sum()),
        }
        for kind in KINDS[:2]:
            draws = related(arrays, name, kind)
            found[name][kind] = {reading: attracted.relation(each) for reading, each in draws.items()}
    found["digits"]["pulls"] = config.pulls
    return found


def one_vertex(arrays: dict[str, Array], name: str) -> Array:
    """Which nets have all samples at one vertex."""
    return np.asarray(arrays[f"{name}_there"] >= circles.MANY)


def is_constant(arrays: dict[str, Array], name: str) -> Array:
    """Which nets end with the same residual in all units."""
    return np.asarray(np.ptp(np.round(arrays[f"{name}_steady"]), axis=1) == 0)


def related(arrays: dict[str, Array], name: str, kind: str) -> dict[str, list[Array]]:
    """Per reading, and net with one vertex, the relation of its steady residuals and those of the null.

    Vertices that are the same in all units are left out. Untrained nets have no vertex as a rule: theirs are means over
    samples, to two digits.
    """
    rows = np.flatnonzero(one_vertex(arrays, name) & ~is_constant(arrays, name))
    y, W = np.round(arrays[f"{name}_steady"]), arrays[f"{name}_W"]
    if kind == "untrained":
        rows = np.unique(arrays[f"{name}_first"][rows])
        y, W = np.round(arrays[f"{name}_steady_first"], 2), arrays[f"{name}_W_first"]
    if name == "circles":
        return {"filter": [attracted.from_inputs(y[s], W[s]) for s in rows]}
    images = arrays["digits_images"]
    return {
        "pattern": [attracted.pattern(y[s], images) for s in rows],
        "filter": [attracted.filtered(y[s], W[s], images) for s in rows],
    }


def participation_above(arrays: dict[str, Array], kind: str) -> Array:
    """Of pairs above the threshold: half of the noise of the many pairs below it is positive, and would count."""
    return participation(np.where(arrays[f"{kind}_above"], arrays[f"{kind}_bits"], 0))


def _quartiles(values: Array) -> list[float] | None:
    return [float(q) for q in np.quantile(values, QUARTILES)] if len(values) else None


def _pattern(arrays: dict[str, Array], kind: str) -> dict[str, float]:
    shape = tuple(arrays["image_shape"])
    n = len(arrays["mean_pixels"])
    found = shifted_correlations(arrays[f"{kind}_mean"][:n].reshape(shape), arrays["mean_pixels"].reshape(shape))
    # the unshifted one counts among the shifts, so that the share is never 0
    return {"correlation": found[0], "p_value": np.mean(np.abs(found) >= np.abs(found[0]) - 1e-12)}


def plot(config: Config, arrays: dict[str, Array], summary: dict[str, Any]) -> Any:
    """Information of units about pixels as images, its distributions, common parts, and the mean pattern."""
    from experiments.lagzi2021_transients.features_figure import figure_of

    return figure_of(arrays, summary)


if __name__ == "__main__":
    main(__file__)
