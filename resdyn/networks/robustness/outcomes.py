"""What an attack did to a batch of images."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from resdyn._results import Result, batch_dims, dataset, unit_dims
from resdyn.networks.robustness.pixel_models import OWN, normalisation

if TYPE_CHECKING:
    import xarray

Array = NDArray[Any]


@dataclass(frozen=True, eq=False, repr=False)
class Attack(Result):
    r"""Images before and after an attack, and what the network said about them.

    Attributes
    ----------
    clean, images : arrays, shape (n, C, H, W)
        Pixels from 0 to 1, before and after.
    labels : int array, shape (n,)
        The true classes.
    targets : int array, shape (n,), or None
        The classes that the attack aimed at; None if any wrong class would do.
    clean_predictions, predictions : int arrays, shape (n,)
        The classes that the network sees, before and after.
    clean_loss, loss : arrays, shape (n,)
        Cross-entropy of the true class, before and after (of the target, if there is one).
    stalled : bool array, shape (n,)
        Where every gradient of the loss was exactly zero, so that the attack knew no direction: its failure there says
        nothing about the network. What moved them, if anything, is the random start.
    norm : "linf" or "l2"
    radius : float or None
        In pixel units; None for an attack that looks for the smallest perturbation.
    method : str
    """

    clean: Array
    images: Array
    labels: Array
    clean_predictions: Array
    predictions: Array
    clean_loss: Array
    loss: Array
    stalled: Array
    norm: str
    radius: float | None
    method: str
    targets: Array | None = None

    @property
    def perturbations(self) -> Array:
        """Attacked minus clean images, shape (n, C, H, W), in pixel units."""
        return self.images - self.clean

    @property
    def clean_correct(self) -> Array:
        """Which images were classified correctly before, shape (n,)."""
        return self.clean_predictions == self.labels

    @property
    def success(self) -> Array:
        """Which images are misclassified now, or classified as their target, shape (n,)."""
        return self.predictions != self.labels if self.targets is None else self.predictions == self.targets

    @property
    def norms(self) -> Array:
        """Norms of the perturbations, shape (n,), in pixel units."""
        return self.norms_in(self.norm)

    def norms_in(self, norm: str) -> Array:
        """Norms of the perturbations in the norm ``"linf"`` or ``"l2"``."""
        from resdyn.networks.robustness.checks import norm_word

        flat = self.perturbations.reshape(len(self.images), -1).astype(np.float64)
        return np.linalg.norm(flat, ord=np.inf if norm_word(norm) == "linf" else 2, axis=1)

    @property
    def clean_accuracy(self) -> float:
        """Share of the images that were classified correctly before."""
        return float(self.clean_correct.mean())

    @property
    def accuracy(self) -> float:
        """Share of the images that are classified correctly now: the accuracy under attack."""
        return float((self.predictions == self.labels).mean())

    def inputs(self, net: Any, preprocessing: Any = OWN) -> tuple[Array, Array]:
        """Clean inputs of the network and their perturbations, in normalised units.

        ``resdyn.propagate(unrolled, *attack.inputs(net))`` follows the perturbations through the units.

        Parameters
        ----------
        net : network
            Its ``preprocessing`` is used.
        preprocessing : optional
            As for :func:`resdyn.networks.pgd`.

        Returns
        -------
        pair of float64 arrays, shape (n, C, H, W)
        """
        clean, images = (array.astype(np.float64) for array in (self.clean, self.images))
        normalise = normalisation(net, preprocessing)
        if normalise is not None:
            clean, images = (normalise(torch.from_numpy(array)).numpy() for array in (clean, images))
        return clean, images - clean

    def __repr__(self) -> str:
        n = len(self.images)
        size = "" if self.radius is None else f", radius {self.radius:.4g}"
        if self.radius and self.norm == "linf":
            size += f" ({255 * self.radius:.3g}/255)"
        words = [f"{self.method} ({self.norm}{size}) on {n} image{'' if n == 1 else 's'}:"]
        words.append(f"accuracy {self.clean_accuracy:.1%} before, {self.accuracy:.1%} after.")
        if self.targets is not None:
            words.append(f"{int(self.success.sum())} of {n} are now classified as their target.")
        words.append(f"Median norm of the perturbations {np.median(self.norms):.3g}.")
        if self.stalled.any():
            words.append(
                f"For {int(self.stalled.sum())} of {n} every gradient was zero: the attack knew no direction there."
            )
        return " ".join(words)

    def to_dataset(self) -> "xarray.Dataset":
        """Pixels, predictions, losses and norms as an ``xarray.Dataset``."""
        image, axes = batch_dims(1), unit_dims(3)
        flags = {"clean_correct": self.clean_correct, "success": self.success, "norm": self.norms}
        columns = {name: getattr(self, name) for name in ("labels", *_PER_IMAGE)} | flags
        if self.targets is not None:
            columns["targets"] = self.targets
        attrs = {"method": self.method, "norm": self.norm}
        if self.radius is not None:
            attrs["radius"] = self.radius  # type: ignore[assignment]
        return dataset(
            {name: ((*image, *axes), getattr(self, name)) for name in ("clean", "images")}
            | {name: (image, values) for name, values in columns.items()},
            attrs=attrs,
        )

    def _table(self) -> tuple[Sequence[str], Sequence[Sequence[Any]]]:
        rows = [
            ("before", f"{self.clean_accuracy:.1%}", f"{np.median(self.clean_loss):.3g}"),
            ("after", f"{self.accuracy:.1%}", f"{np.median(self.loss):.3g}"),
        ]
        return ("", "accuracy", "median loss"), rows


_PER_IMAGE = ("clean_predictions", "predictions", "clean_loss", "loss", "stalled")
