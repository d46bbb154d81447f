r"""Experiment 7b, beyond the paper: units of a Transformer encoder, a residual network without sparse activity.

    python -m experiments.rothauge2019_linearization.transformer --preset laptop

Each layer of an encoder with ``norm_first`` has two residual units, :math:`x' = x + g(x)`: attention, which mixes
tokens, and a feed-forward network, which acts on each token alone. The linearization is J = I + G with the branch's
Jacobian G; at least n − 2 rank(G) singular values are exactly 1, in a feed-forward unit token by token. In a
convolutional unit few inner ReLUs fire and the rank is small; how large is it here, and how many singular values are
near 1 nevertheless? The net is trained on the digits of scikit-learn, cut into patches of 2×2 pixels. A training that
was stopped goes on from its last epoch, and spectra are kept unit by unit.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

import resdyn
from experiments._harness import Run, main

Array = NDArray[Any]

WIDTHS = (1e-3, 1e-2, 1e-1)
STATES = ("untrained", "trained")


@dataclass(frozen=True)
class Config:
    """What the numbers depend on."""

    layers: int = 4
    width: int = 32
    heads: int = 4
    hidden: int = 64
    """Of the feed-forward networks."""
    patch: int = 2
    epochs: int = 40
    learning_rate: float = 3e-3
    images: int = 20
    seed: int = 0


PRESETS = {
    "smoke": Config(layers=1, width=8, heads=2, hidden=16, patch=4, epochs=2, images=2),
    "laptop": Config(),
    "paper": Config(images=100),
}

# trained in single precision: other machines end in slightly other weights
TOLERANCES = {
    "accuracy": 0.08,
    "*.units.*.forced_ones": 0.01,
    "*.units.*.within_0.1": 0.08,
    "*.units.*.largest": 0.5,
    "*.units.*.rank": 0.05,
}


class Classifier(nn.Module):
    """Patches of an image as tokens, an encoder, the mean over tokens, a linear layer."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.patch = config.patch
        self.embed = nn.Linear(config.patch**2, config.width)
        self.place = nn.Parameter(0.1 * torch.randn((8 // config.patch) ** 2, config.width))
        layer = nn.TransformerEncoderLayer(
            config.width, config.heads, config.hidden, dropout=0.0, norm_first=True, batch_first=True
        )
        self.encoder = nn.TransformerEncoder(layer, config.layers, enable_nested_tensor=False)
        # the layers of an encoder begin as copies of one
        for parameter in self.encoder.parameters():
            if parameter.dim() > 1:
                nn.init.xavier_uniform_(parameter)
        self.head = nn.Sequential(nn.LayerNorm(config.width), nn.Linear(config.width, 10))

    def forward(self, images: Tensor) -> Tensor:
        """Logits of images of shape (n, 1, 8, 8)."""
        side = self.patch
        patches = images.unfold(2, side, side).unfold(3, side, side).reshape(images.shape[0], -1, side * side)
        return self.head(self.encoder(self.embed(patches) + self.place).mean(dim=1))


def compute(config: Config, run: Run) -> dict[str, Array]:
    """Singular values (state, unit, image, n), ranks of the branches, the accuracy."""
    torch.manual_seed(config.seed)
    net = Classifier(config)
    train, test = (_inputs(split) for split in ("train", "test"))
    images = test[0][: config.images]
    found = [_spectra(net.eval(), images, run, "untrained")]
    run.log("training")
    accuracy = _trained(net, train, test, config, run)
    found.append(_spectra(net.eval(), images, run, "trained"))
    arrays = {name: np.stack([part[name] for part in found]) for name in found[0]}
    return arrays | {"accuracy": np.array(accuracy)}


def _inputs(split: str) -> tuple[Array, Array]:
    images = resdyn.data.digit_images(split)
    # grey levels from 0 to 1, to about mean 0 and deviation 1
    return ((images.pixels() - 0.3) / 0.37).astype(np.float32), np.asarray(images.labels)


def _trained(net: Classifier, train: Any, test: Any, config: Config, run: Run) -> float:
    """The accuracy at the end; the net is trained in place."""
    settings = resdyn.networks.TrainingConfig(
        epochs=config.epochs,
        batch_size=64,
        optimiser="adam",
        learning_rate=config.learning_rate,
        weight_decay=0.0,
        schedule="one-cycle",
        seed=config.seed,
    )
    training = resdyn.networks.fit(
        net, (train, test), settings, device="cpu", progress=False, folder=run.folder / "training", resume=True
    )
    return float(training.accuracy[-1])


def _spectra(net: Classifier, images: Array, run: Run, which: str) -> dict[str, Array]:
    """Singular values (unit, image, n); ranks of the branches and how many ones they force (unit, image)."""
    network = resdyn.networks.unroll(net, images[:1], dtype=torch.float64)
    state, units = network.stem(images.astype(np.float64)), []
    for j, unit in enumerate(run.progress(network.units, f"units of the encoder, {which}")):
        units.append(run.part(f"{which}-{j}", lambda: _of_jacobians(unit, state)))  # noqa: B023
        state = unit(state)
    return {name: np.array([part[name] for part in units]) for name in units[0]}


def _of_jacobians(unit: Any, state: Array) -> dict[str, Array]:
    """Of one unit, at each state."""
    jacobians = [resdyn.networks.linearize(unit, x, method="dense").to_dense() for x in state]
    of_parts = [_parts(J - np.eye(len(J)), len(x)) for J, x in zip(jacobians, state, strict=True)]
    return {
        "values": np.array([np.linalg.svd(J, compute_uv=False) for J in jacobians]),
        "ranks": np.array([sum(rank for _, rank in parts) for parts in of_parts]),
        "forced": np.array([sum(max(size - 2 * rank, 0) for size, rank in parts) for parts in of_parts]),
    }


def _parts(G: Array, tokens: int) -> list[tuple[int, int]]:
    """Size and rank of each token's block of G where G mixes no tokens; else of G as one."""
    blocks = G.reshape(tokens, len(G) // tokens, tokens, -1).swapaxes(1, 2)
    apart = not blocks[~np.eye(tokens, dtype=bool)].any()
    parts = [blocks[token, token] for token in range(tokens)] if apart else [G]
    return [(len(part), int(np.linalg.matrix_rank(part))) for part in parts]


def summarize(config: Config, arrays: dict[str, Array]) -> dict[str, Any]:
    """Of each unit, medians over images and quartiles: shares near 1, extremes, the rank of the branch over n."""
    n = arrays["values"].shape[-1]
    summary: dict[str, Any] = {"n": n, "images": config.images, "accuracy": float(arrays["accuracy"])}
    for k, state in enumerate(STATES):
        values, ranks, forced = (arrays[name][k] for name in ("values", "ranks", "forced"))
        units = {
            f"{j // 2 + 1} {'feed-forward' if j % 2 else 'attention'}": _of_unit(values[j], ranks[j], forced[j])
            for j in range(len(values))
        }
        summary[state] = _shares(values) | {"above_one": float((values > 1).mean()), "units": units}
        # of all units together, image by image
        summary[state] |= {
            f"{name}_quartiles": np.quantile([_shares(values[:, i])[name] for i in range(config.images)], (0.25, 0.75))
            for name in _shares(values)
        }
    return summary


def _shares(values: Array) -> dict[str, float]:
    """Of singular values that are 1, exactly and nearly."""
    # rounding of an SVD of this size stays below
    ones = {"exact_ones": float((abs(values - 1) <= 1e-10).mean())}
    return ones | {f"within_{width:g}": float((abs(values - 1) <= width).mean()) for width in WIDTHS}


def _of_unit(values: Array, ranks: Array, forced: Array) -> dict[str, Any]:
    n = values.shape[-1]
    return {
        "rank": float(np.median(ranks) / n),
        "forced_ones": float(forced.mean() / n),
        **_shares(values),
        "within_0.1_quartiles": np.quantile((abs(values - 1) <= 0.1).mean(axis=-1), (0.25, 0.75)),
        "largest": float(np.median(values[:, 0])),
        "largest_quartiles": np.quantile(values[:, 0], (0.25, 0.75)),
        "smallest": float(np.median(values[:, -1])),
        "median": float(np.median(values)),
        "spread_of_largest": float(values[:, 0].std() / values[:, 0].mean()),
    }


def plot(config: Config, arrays: dict[str, Array], summary: dict[str, Any]) -> Any:
    """Spectra of attention and of feed-forward units before and after training, sorted, one line per unit."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from resdyn.plotting.canvas import COLOURS

    figure = Figure(figsize=(9, 3.8), layout="constrained")
    FigureCanvasAgg(figure)
    columns = figure.subplots(1, 2, sharey=True)
    n = summary["n"]
    share = (np.arange(n) + 0.5) / n
    for kind, (ax, title) in enumerate(zip(columns, ("attention", "feed-forward"), strict=True)):
        for state, style in ((0, ":"), (1, "-")):
            for layer, values in enumerate(arrays["values"][state, kind::2]):
                colour, label = COLOURS[layer % len(COLOURS)], f"layer {layer + 1}" if state else None
                low, high = np.quantile(values, (0.25, 0.75), axis=0)
                ax.fill_between(share, low, high, color=colour, alpha=0.2, linewidth=0)
                ax.plot(share, np.median(values, axis=0), style, color=colour, linewidth=1.2, label=label)
        ax.axhline(1, color="0.7", linewidth=0.8, zorder=0)
        ax.set_yscale("log")
        ax.set_xlabel("index of the singular value / n")
        ax.set_title(f"{title} units", fontsize="small")
    columns[0].set_ylabel("singular value")
    columns[1].legend(fontsize="x-small", frameon=False, title="trained (dotted: untrained)", title_fontsize="x-small")
    figure.suptitle(
        f"Transformer encoder on digits (accuracy {summary['accuracy']:.3f}), n = {n}: "
        f"medians and quartiles over {summary['images']} images",
        fontsize="medium",
    )
    return figure


if __name__ == "__main__":
    main(__file__)
