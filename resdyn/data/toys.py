"""Small data sets that need no download: concentric circles, and the digits that scikit-learn carries."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from resdyn import _validation as validate
from resdyn.data.images import ImageSet

Array = NDArray[Any]


def circles(
    n: int, *, radii: tuple[float, ...] = (0.5, 1.0), noise: float = 0.05, rng: np.random.Generator | int = 0
) -> tuple[Array, Array]:
    """Points on concentric circles, one class per radius, as in [lagzi2021]_.

    Angles are uniform; the radius is normal about its circle with standard deviation ``noise`` (the paper does not
    say whether its points scatter; 0.05 is our choice). Classes are as equal in size as ``n`` allows, in random order.

    Parameters
    ----------
    n : int
        Points in all.
    radii : tuple of float
    noise : float
    rng : numpy Generator or seed

    Returns
    -------
    points : array, shape (n, 2)
    labels : integer array, shape (n,)
    """
    n = validate.count(n, "n")
    generator = np.random.default_rng(rng)
    labels = generator.permutation(np.arange(n) % len(radii))
    radius = np.asarray(radii, dtype=float)[labels] + noise * generator.standard_normal(n)
    angle = generator.uniform(0, 2 * np.pi, n)
    return radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=-1), labels


def digits() -> tuple[Array, Array]:
    """The 1797 handwritten digits of scikit-learn (UCI, [alpaydin1998]_): 8×8 pixels from 0 to 16.

    Returns
    -------
    images : array, shape (1797, 64)
    labels : integer array, shape (1797,)

    Raises
    ------
    ImportError
        Without scikit-learn, which carries the file.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise ImportError(
            'the digits travel with scikit-learn; install it with: pip install "resdyn[experiments]"'
        ) from error
    images, labels = load_digits(return_X_y=True)
    return np.asarray(images, dtype=float), np.asarray(labels)


def digit_images(split: str = "test") -> ImageSet:
    """The digits of scikit-learn as an :class:`ImageSet`: grey images of 8×8 bytes, 1437 to train and 360 to test.

    The 17 grey levels are spread over 0 to 255. The order is fixed, and which images are for tests; our nets that were
    trained on digits never saw those.

    Parameters
    ----------
    split : "test" or "train"

    Raises
    ------
    ImportError
        Without scikit-learn, which carries the file.
    ValueError
        For another split.
    """
    validate.choice(split, "split", ("test", "train"))
    pixels, labels = digits()
    images = np.round(pixels * (255 / 16)).astype(np.uint8).reshape(-1, 1, 8, 8)
    order = np.random.default_rng(0).permutation(len(images))
    places = order[:1437] if split == "train" else order[1437:]
    return ImageSet(images[places], labels[places], tuple("0123456789"), f"digits {split}")
