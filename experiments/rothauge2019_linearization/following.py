r"""Adversarial and random perturbations of equal size, followed through the units of a network.

A perturbation of pixels :math:`\delta` becomes :math:`\delta_k` before unit k, the difference of two states, of size
:math:`\|\delta_k\|`. Of each attack three kinds are followed: what the attack found; a random direction, uniform on the
sphere, of the same :math:`\ell_2` norm of pixels as the attack's, image by image; and, for an attack in
:math:`\ell_\infty`, random signs of the same radius. The second may leave the cube of images by its own length.
"""

import copy
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

import resdyn

Array = NDArray[Any]

KINDS = ("adversarial", "random", "random signs")


def attack_named(words: str) -> tuple[str, str, float]:
    """Method, norm and radius of words such as "pgd l2 0.5" or "fgsm linf 8/255"."""
    try:
        method, norm, radius = words.split()
        above, _, below = radius.partition("/")
        size = float(above) / float(below or 1)
    except ValueError:
        raise ValueError(f"{words!r} names no attack; write it like 'pgd l2 0.5' or 'fgsm linf 8/255'.") from None
    if method not in ("fgsm", "pgd"):
        raise ValueError(f"{words!r} names no attack; there are fgsm and pgd.")
    return method, norm, size


def attacked(net: Any, pixels: Array, labels: Array, words: str, *, steps: int, seed: int) -> Any:
    """The attack of these words on these images."""
    method, norm, radius = attack_named(words)
    if method == "fgsm":
        return resdyn.networks.fgsm(net, pixels, labels, radius=radius, norm=norm)
    return resdyn.networks.pgd(net, pixels, labels, radius=radius, norm=norm, steps=steps, rng=seed)


def perturbations_of(attack: Any, seed: int) -> Array:
    """Pixels are changed by these: the kinds in their order, shape (2 or 3, n, C, H, W)."""
    found = attack.perturbations.astype(np.float64)
    lengths = np.linalg.norm(found.reshape(len(found), -1), axis=1)
    directions = resdyn.networks.random_perturbations(attack.clean, radius=1.0, norm="l2", clip=False, rng=seed)[0]
    kinds = [found, directions.astype(np.float64) * lengths[:, None, None, None]]
    if attack.norm == "linf":
        kinds.append(resdyn.networks.random_perturbations(attack.clean, radius=attack.radius, norm="linf", rng=seed)[0])
    return np.stack(kinds)


def followed(net: Any, attack: Any, *, seed: int) -> dict[str, Array]:
    """Sizes of the perturbations along the network, in double precision.

    Returns
    -------
    dict
        ``sizes`` (kinds, rows, n), rows: input, after the stem, after each unit; ``pooled`` (kinds, n), of the
        features before the last linear layer; ``pixels`` (kinds, n); ``states`` (rows, n), norms of unperturbed
        states; ``correct`` and ``fooled`` (n,). Kinds that an attack has not are NaN.
    """
    changes = perturbations_of(attack, seed)
    clean = net.preprocessing(attack.clean.astype(np.float64))
    # normalisation is affine: differences of pixels are divided by the deviations alone
    deviations = np.array(net.preprocessing.std)[:, None, None]
    moved = changes / deviations
    network = resdyn.networks.unroll(net, clean[:1], dtype=torch.float64)
    run = resdyn.propagate(network, clean, moved, linearized=False)
    features = [_features(net, network, inputs) for inputs in (clean, *(clean + change for change in moved))]
    missing = len(KINDS) - len(changes)

    def filled(array: Array) -> Array:
        return np.concatenate([array, np.full((missing, *array.shape[1:]), np.nan)])

    return {
        "sizes": filled(run.sizes.transpose(1, 0, 2)),
        "pooled": filled(np.stack([np.linalg.norm(f - features[0], axis=1) for f in features[1:]])),
        "pixels": filled(np.linalg.norm(changes.reshape(*changes.shape[:2], -1), axis=2)),
        "states": run.state_sizes,
        "correct": attack.clean_correct,
        "fooled": attack.success,
    }


def _features(net: Any, network: Any, inputs: Array) -> Array:
    """What the last linear layer takes, shape (n, features)."""
    if not isinstance(net.head[-1], nn.Linear):
        raise TypeError(f"the head of {net.architecture['name']!r} does not end in a linear layer.")
    state = network.stem(inputs)
    for unit in network.units:
        state = unit(state)
    before = copy.deepcopy(net.head[:-1]).double()
    with torch.no_grad():
        return before(torch.from_numpy(state)).numpy()
