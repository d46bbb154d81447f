r"""The four kinds of noise of CIFAR-10-C [hendrycks2019]_, for pixels x in [0, 1].

Gaussian :math:`x + cN`, shot :math:`P(cx) / c`, speckle :math:`x + cxN` with N standard normal and P(m) Poisson of mean
m; impulse: a share c of the values becomes 0 or 1. Then values are moved into [0, 1] and cut to bytes.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from resdyn import _validation as validate
from resdyn.networks.robustness.checks import require_pixels

Array = NDArray[Any]

CORRUPTIONS: Mapping[str, tuple[float, ...]] = MappingProxyType(
    {
        "gaussian_noise": (0.04, 0.06, 0.08, 0.09, 0.10),
        "shot_noise": (500, 250, 100, 75, 50),
        "impulse_noise": (0.01, 0.02, 0.03, 0.05, 0.07),
        "speckle_noise": (0.06, 0.1, 0.12, 0.16, 0.2),
    }
)
"""The constants c of each kind of noise, for severities 1 to 5. The kinds are named as the files of CIFAR-10-C."""

_AT_ONCE = 2**22


def corrupt(
    images: Any,
    kind: str,
    severity: int,
    *,
    rng: np.random.Generator | int | None = 0,
    quantise: bool = True,
) -> Any:
    r"""Images with common noise, as in CIFAR-10-C [hendrycks2019]_.

    .. math::

        x + cN, \qquad P(cx)/c, \qquad x + cxN, \qquad
        \begin{cases} 0 \text{ or } 1 & \text{with probability } c \\ x & \text{otherwise} \end{cases}

    for ``gaussian_noise``, ``shot_noise``, ``speckle_noise``, ``impulse_noise``; N is standard normal and P(m) Poisson
    of mean m, for each value by itself. The published files were drawn without a seed, so they can be matched in
    distribution only.

    Parameters
    ----------
    images : tensor or array, shape (n, C, H, W)
        Bytes, or pixels from 0 to 1.
    kind : str
        A key of :data:`resdyn.networks.CORRUPTIONS`.
    severity : int
        1 to 5; the constants c are in ``CORRUPTIONS[kind]``.
    rng : numpy Generator or seed
        Numbers are drawn image by image: parts of a set that take turns with one Generator get what the whole set gets.
    quantise : bool
        Cut the values to bytes, which rounds down, as the published files do: noise of mean zero then darkens an image
        by half a step, 0.5/255. False keeps the values as they are, for pixels from 0 to 1 only.

    Returns
    -------
    tensor or array
        Of the shape and dtype that came.

    Raises
    ------
    TypeError
        If images are neither bytes nor floating-point numbers.
    ValueError
        For pixels outside [0, 1], a kind or severity that there is not, or bytes that are not to be quantised.
    """
    if isinstance(images, Tensor):
        if images.dtype == torch.bfloat16:
            raise TypeError("images have dtype torch.bfloat16, which cannot tell bytes apart; pass images.float().")
        noisy = corrupt(images.detach().cpu().numpy(), kind, severity, rng=rng, quantise=quantise)
        return torch.from_numpy(noisy).to(images.device)
    c = strength(kind, severity)
    array = _bytes_or_pixels(images)
    if array.dtype == np.uint8 and not quantise:
        raise ValueError("images are bytes and cannot be left unquantised; divide them by 255, or pass quantise=True.")
    generator = validate.generator(rng)
    noisy = np.empty_like(array, order="C")
    size = max(1, _AT_ONCE // max(1, int(np.prod(array.shape[1:]))))
    for begin in range(0, len(array), size):
        part = slice(begin, begin + size)
        x = np.clip(_NOISES[kind](_exact(array[part]), c, generator), 0, 1)
        if quantise:
            cut = (255 * x).astype(np.uint8)
            x = cut if array.dtype == np.uint8 else cut / 255
        noisy[part] = x
    return noisy


def strength(kind: str, severity: int) -> float:
    """The constant c of a kind of noise."""
    constants = CORRUPTIONS[validate.choice(kind, "kind", tuple(CORRUPTIONS))]
    if validate.count(severity, "severity", least=1) > len(constants):
        raise ValueError(f"severity is {severity}, but severities run from 1 to {len(constants)}.")
    return float(constants[severity - 1])


def _bytes_or_pixels(images: Any) -> Array:
    array = np.asarray(images)
    if array.dtype == np.uint8:
        return array
    if array.dtype.kind != "f":
        raise TypeError(f"images have dtype {array.dtype}, but needed are bytes (uint8) or pixels from 0 to 1.")
    if array.size:
        require_pixels(float(array.min()), float(array.max()))
    return array


def _exact(part: Array) -> Array:
    """Pixels in double precision; those that are bytes divided by 255, but for rounding, exactly so.

    Cutting to bytes would turn a 3/255 that is one rounding error short into 2/255.
    """
    if part.dtype == np.uint8:
        return part / 255
    x = part.astype(np.float64)
    nearest = np.rint(255 * x) / 255
    return np.where(np.abs(x - nearest) <= np.finfo(part.dtype).eps, nearest, x)


# --- the kinds ---------------------------------------------------------------------------------------


def _gaussian(x: Array, c: float, rng: np.random.Generator) -> Array:
    return x + c * rng.standard_normal(x.shape)


def _shot(x: Array, c: float, rng: np.random.Generator) -> Array:
    return rng.poisson(c * x) / c


def _impulse(x: Array, c: float, rng: np.random.Generator) -> Array:
    chances = rng.random((len(x), 2, *x.shape[1:]))
    return np.where(chances[:, 0] < c, np.where(chances[:, 1] < 0.5, 1.0, 0.0), x)


def _speckle(x: Array, c: float, rng: np.random.Generator) -> Array:
    return x + x * c * rng.standard_normal(x.shape)


_NOISES: dict[str, Callable[[Array, float, np.random.Generator], Array]] = {
    "gaussian_noise": _gaussian,
    "shot_noise": _shot,
    "impulse_noise": _impulse,
    "speckle_noise": _speckle,
}
