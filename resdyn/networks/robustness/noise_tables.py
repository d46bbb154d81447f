"""How accurate a network is on noisy images, kind by kind and severity by severity."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from resdyn import _validation as validate
from resdyn._results import Result, dataset
from resdyn.networks.architectures.contract import Preprocessing
from resdyn.networks.robustness.checks import as_array, class_numbers, pixel_images, require_classes
from resdyn.networks.robustness.common_noise import CORRUPTIONS, corrupt, strength
from resdyn.networks.robustness.pixel_models import OWN, PixelModel, pixel_model

if TYPE_CHECKING:
    import xarray

Array = NDArray[Any]

_SEVERITIES = (1, 2, 3, 4, 5)


@dataclass(frozen=True, eq=False, repr=False)
class NoiseAccuracy(Result):
    """Accuracy on noisy images.

    Attributes
    ----------
    accuracy : array, shape (n_kinds, n_severities)
    clean_accuracy : float
    kinds : tuple of str
    severities : tuple of int
    n_images : int
    standardise : "network" or "images"
    correct : bool array, shape (n_kinds, n_severities, n_images)
        Which noisy images are classified correctly: what pairs two networks image by image.
    clean_correct : bool array, shape (n_images,)
        The same without noise.
    """

    accuracy: Array
    clean_accuracy: float
    kinds: tuple[str, ...]
    severities: tuple[int, ...]
    n_images: int
    standardise: str
    correct: Array
    clean_correct: Array

    @property
    def pooled(self) -> float:
        """The mean over all kinds and severities."""
        return float(self.accuracy.mean())

    def __repr__(self) -> str:
        each = ", ".join(
            f"{kind} {mean:.1%}" for kind, mean in zip(self.kinds, self.accuracy.mean(axis=1), strict=True)
        )
        own = ", standardised by their own mean and deviation" if self.standardise == "images" else ""
        return (
            f"Accuracy on {self.n_images} images: {self.clean_accuracy:.1%} clean, {self.pooled:.1%} with noise of "
            f"severity {', '.join(map(str, self.severities))}{own} ({each})."
        )

    def to_dataset(self) -> "xarray.Dataset":
        """Accuracies over kind and severity, and which images are right, as an ``xarray.Dataset``."""
        return dataset(
            {
                "accuracy": (("kind", "severity"), self.accuracy),
                "correct": (("kind", "severity", "image"), self.correct),
                "clean_correct": (("image",), self.clean_correct),
            },
            coords={"kind": list(self.kinds), "severity": list(self.severities)},
            attrs={
                "clean_accuracy": self.clean_accuracy,
                "n_images": self.n_images,
                "standardise": self.standardise,
            },
        )

    def _table(self) -> tuple[Sequence[str], Sequence[Sequence[Any]]]:
        rows = [
            (kind, *(f"{value:.1%}" for value in values))
            for kind, values in zip(self.kinds, self.accuracy, strict=True)
        ]
        return ("", *(f"severity {severity}" for severity in self.severities)), rows


def noise_accuracy(
    net: Any,
    images: Any,
    labels: Any,
    *,
    kinds: Sequence[str] = tuple(CORRUPTIONS),
    severities: Sequence[int] = _SEVERITIES,
    standardise: Literal["network", "images"] = "network",
    rng: np.random.Generator | int | None = 0,
    preprocessing: Any = OWN,
    batch_size: int = 256,
) -> NoiseAccuracy:
    """Accuracy under the noise of CIFAR-10-C, [hendrycks2019]_.

    Parameters
    ----------
    net, images, labels, preprocessing, batch_size
        As for :func:`resdyn.networks.pgd`.
    kinds, severities : sequences
        As for :func:`resdyn.networks.corrupt`.
    standardise : "network" or "images"
        With the mean and deviation that the network was trained with; or, as the public code of [yang2020]_ does, with
        those of the noisy images of one kind, all severities together.
    rng : numpy Generator or seed
        Each kind and severity has random numbers of its own, whichever others are asked for.

    Returns
    -------
    NoiseAccuracy

    Raises
    ------
    TypeError, ValueError
        As for :func:`resdyn.networks.pgd` and :func:`resdyn.networks.corrupt`.
    """
    validate.choice(standardise, "standardise", ("network", "images"))
    pixels = as_array(pixel_images(images))
    y = as_array(class_numbers(labels, len(pixels)))
    size = validate.count(batch_size, "batch_size", least=1)
    if not len(kinds) or not len(severities):
        raise ValueError("kinds or severities are empty; name at least one of each, or leave them out for all.")
    for kind in kinds:
        for severity in severities:
            strength(kind, severity)
    model = pixel_model(net, preprocessing)
    names = list(CORRUPTIONS)
    generators = np.reshape(np.array(validate.generator(rng).spawn(20), dtype=object), (len(names), len(_SEVERITIES)))
    correct = np.empty((len(kinds), len(severities), len(pixels)), dtype=bool)
    for row, kind in enumerate(kinds):
        of_kind = generators[names.index(kind)]
        noisy = [_as_bytes(corrupt(pixels, kind, severity, rng=of_kind[severity - 1])) for severity in severities]
        seen = _standardised(model, noisy) if standardise == "images" else model
        correct[row] = [_correct(seen, part, y, size) for part in noisy]
    clean = _correct(model, pixels, y, size)
    return NoiseAccuracy(
        correct.mean(axis=2),
        float(clean.mean()),
        tuple(kinds),
        tuple(int(severity) for severity in severities),
        len(pixels),
        standardise,
        correct,
        clean,
    )


def _as_bytes(quantised: Array) -> Array:
    # a quarter of the memory, and exact: the values are bytes already
    return np.rint(255 * quantised).astype(np.uint8)


def _correct(model: PixelModel, images: Array, labels: Array, size: int) -> Array:
    right = np.empty(len(images), dtype=bool)
    for begin in range(0, len(images), size):
        part = images[begin : begin + size]
        pixels = part.astype(np.float32) / 255 if part.dtype == np.uint8 else part
        tensor = torch.from_numpy(np.ascontiguousarray(pixels)).to(model.device or "cpu")
        with torch.no_grad():
            logits = model.checked(tensor).cpu()
        wanted = torch.from_numpy(labels[begin : begin + size])
        require_classes(logits.shape[1], wanted)
        right[begin : begin + size] = (logits.argmax(dim=1) == wanted).numpy()
    return right


def _standardised(model: PixelModel, noisy: Sequence[Array]) -> PixelModel:
    """The model with the mean and deviation of these images instead of its own."""
    if model.preprocessing is None:
        raise ValueError(
            "standardise='images' replaces the mean and deviation by which a network normalises, but this one takes "
            "pixels; pass standardise='network', or the network within and its preprocessing."
        )
    counts = np.sum([_histograms(part) for part in noisy], axis=0)
    values = np.arange(256) / 255
    mean = (counts * values).sum(axis=1) / counts.sum(axis=1)
    variance = (counts * (values - mean[:, None]) ** 2).sum(axis=1) / counts.sum(axis=1)
    return PixelModel(model.function, Preprocessing(tuple(mean), tuple(np.sqrt(variance))), model.device, model.dtype)


def _histograms(images: Array) -> Array:
    return np.stack([np.bincount(images[:, c].ravel(), minlength=256) for c in range(images.shape[1])])
