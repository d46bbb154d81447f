"""Random perturbations of a given norm: what an attack of that norm is compared with."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from resdyn import _validation as validate
from resdyn.networks.robustness.checks import as_array, norm_word, pixel_images, pixel_radius

Array = NDArray[Any]


def random_perturbations(
    images: Any,
    *,
    radius: float,
    norm: Any = "linf",
    n: int = 1,
    clip: bool = True,
    rng: np.random.Generator | int | None = 0,
) -> Array:
    r"""Perturbations in random directions, all of one norm.

    In ``l2`` they are uniform on the sphere of this radius. In ``linf`` every pixel moves by r, up or down with equal
    chance. FGSM does the same with the signs of the gradient, so both norms agree and only the direction differs; PGD
    is shorter in ``l2``. Pixels uniform in [−r, r] would be :math:`\sqrt 3` times shorter in ``l2`` than FGSM.

    Parameters
    ----------
    images : tensor or array, shape (m, C, H, W)
        Pixels from 0 to 1.
    radius : float
        In units of pixels.
    norm : "linf" or "l2"
        ``np.inf`` and 2 mean the same.
    n : int
        Perturbations of each image.
    clip : bool
        Shorten the perturbations so that perturbed images stay in [0, 1]: their norm is then at most r, and lower where
        many pixels are black or white. False keeps the norm exact to rounding, and perturbed images may leave [0, 1].
    rng : numpy Generator or seed
        Numbers are drawn image by image: parts of a set that take turns with one Generator get what the whole set gets.

    Returns
    -------
    array, shape (n, m, C, H, W)
        To be added to the images, in their precision.

    Raises
    ------
    TypeError, ValueError
        For images outside [0, 1] or of another shape, or a radius that is negative or larger than the cube of all
        images.
    """
    pixels = as_array(pixel_images(images))
    word = norm_word(norm)
    size = pixel_radius(radius, word, pixels.shape[1:])
    generator = validate.generator(rng)
    shape = (len(pixels), validate.count(n, "n", least=1), *pixels.shape[1:])
    if word == "linf":
        offsets = np.where(generator.random(shape) < 0.5, -size, size)
    else:
        offsets = generator.standard_normal(shape)
        flat = offsets.reshape(*shape[:2], -1)
        flat *= size / np.linalg.norm(flat, axis=2, keepdims=True)
    offsets = np.moveaxis(offsets, 1, 0)
    if clip:
        offsets = np.clip(pixels + offsets, 0, 1) - pixels
    return np.ascontiguousarray(offsets, dtype=pixels.dtype)
