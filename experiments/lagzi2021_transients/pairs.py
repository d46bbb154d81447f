"""Residual and plain nets of equal size, trained alike."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

import resdyn
from experiments.lagzi2021_transients.followed import Followed, of_module, test_pixels

Array = NDArray[Any]
ARCHITECTURES = {"residual": "dense_resnet", "plain": "mlp"}
"""With equal arguments they have parameters of equal shapes."""
# of the pixels of MNIST, as is usual
MEAN, DEVIATION = 0.1307, 0.3081


@dataclass(frozen=True)
class Noisy:
    """A net with samples, and the map from their pixels to first states."""

    net: Followed
    pixels: Array
    embed: Callable[[Array], Array]
    parameters: int


def training(
    kind: str, *, units: int, depth: int, shared: bool, epochs: int, seed: int, device: str | None
) -> dict[str, Array]:
    """The parameters of a net of logistic units after training on MNIST, by name."""
    import torch

    from resdyn.networks import TrainingConfig, fit

    torch.manual_seed(seed)
    module = _built(kind, units, depth, shared)
    config = TrainingConfig(
        epochs=epochs,
        optimiser="adam",
        learning_rate=1e-3,
        weight_decay=0.0,
        schedule="one-cycle",
        mean=(MEAN,),
        std=(DEVIATION,),
        seed=seed,
    )
    fit(module, "mnist", config, device=device, progress=False)
    return {name: value.detach().cpu().numpy() for name, value in module.state_dict().items()}


def beginning(kind: str, *, units: int, depth: int, shared: bool, seed: int) -> dict[str, Array]:
    """The parameters with which :func:`training` begins."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = _built(kind, units, depth, shared)
    return {name: value.detach().numpy() for name, value in module.state_dict().items()}


def retold(kind: str, parameters: dict[str, Array], *, depth: int, shared: bool, samples: int) -> Noisy:
    """The net with these parameters, and so many test images of MNIST."""
    import torch

    from resdyn.networks import Preprocessing

    units = len(parameters["head.weight"][0])
    module = _built(kind, units, depth, shared)
    module.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in parameters.items()})
    module.preprocessing = Preprocessing((MEAN,), (DEVIATION,))
    return _noisy(kind, module, "mlp-mnist-", samples)


def shipped(name: str, samples: int) -> Noisy:
    """A net that ships."""
    return _noisy(name, resdyn.networks.load(name), name, samples)


def shipped_untrained(name: str, samples: int) -> Noisy:
    """The same with the weights that its training began with."""
    from experiments.lagzi2021_transients.mnist_nets import untrained

    return _noisy(name, untrained(resdyn.networks.load(name)), name, samples)


def _built(kind: str, units: int, depth: int, shared: bool) -> Any:
    return resdyn.networks.build(
        {
            "name": ARCHITECTURES[kind],
            "inputs": 784,
            "units": units,
            "depth": depth,
            "classes": 10,
            "shared": shared,
            # 784 pixels do not fit into fewer units
            "embedding": "pad" if units >= 784 else "linear",
        }
    )


def _noisy(name: str, module: Any, data: str, samples: int) -> Noisy:
    import torch

    pixels, labels = test_pixels(data, samples)
    net = of_module(name, module, pixels, labels)

    def embed(images: Array) -> Array:
        """Of shape (…, *pixels of one image)."""
        flat = images.reshape(-1, *pixels.shape[1:])
        with torch.no_grad():
            states = module.stem(torch.from_numpy(np.asarray(module.preprocessing(flat), dtype=np.float64))).numpy()
        return np.asarray(states.reshape(*images.shape[: -pixels[0].ndim], -1))

    return Noisy(net, pixels, embed, sum(p.numel() for p in module.parameters()))
