"""Small trained networks of ours that travel with the package, as systems."""

from dataclasses import dataclass
from importlib import resources
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from resdyn import _storage
from resdyn import _validation as validate
from resdyn.matrix_family import ResidualMap
from resdyn.simulation import simulate

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Readout:
    """The linear classifier on the last state: ``scores = weights x + bias``.

    ``weights`` has shape (C, N), ``bias`` (C,), for C classes.
    """

    weights: Array
    bias: Array

    def __call__(self, x: Array) -> Array:
        r"""Scores (logits) of states of shape (\*batch, N), shape (\*batch, C)."""
        return validate.states(x, (self.weights.shape[1],), "readout") @ self.weights.T + self.bias


@dataclass(frozen=True, eq=False)
class TrainedNetwork:
    """A trained network: inputs → ``embed`` → ``system``, run for ``depth`` layers → ``readout``.

    Attributes
    ----------
    system : ResidualMap
        Shared weights, logistic units.
    readout : Readout
    depth : int
        The number of layers it was trained with.
    scale : float
        Inputs are multiplied by it.
    test_index : integer array or None
        Which samples of the data set training never saw; None where test data are drawn afresh.
    card : dict
        How it was trained: data, seed, epochs, accuracy, command.
    """

    system: ResidualMap
    readout: Readout
    depth: int
    scale: float
    test_index: Array | None
    card: dict[str, Any]

    def embed(self, x: Any) -> Array:
        r"""The initial states of inputs: scaled, and padded with zeros up to N units.

        Shape (\*batch, n_inputs) to (\*batch, N).
        """
        inputs = validate.states(validate.real_array(x, "x"), (self.card["inputs"],), self.system.name)
        states = np.zeros((*inputs.shape[:-1], *self.system.shape))
        states[..., : inputs.shape[-1]] = self.scale * inputs
        return states

    def predict(self, x: Any) -> Array:
        r"""The most likely class of each input, shape (\*batch,)."""
        final = simulate(self.system, self.embed(x), depth=self.depth, save="final").final
        return self.readout(final).argmax(axis=-1)


def trained(name: Literal["digits", "circles"]) -> TrainedNetwork:
    """Load one of our trained networks.

    Parameters
    ----------
    name : str
        ``"digits"``: 64 logistic units, 15 shared layers, the 8×8 handwritten digits of scikit-learn (pixels from 0
        to 16). ``"circles"``: 3 units, 15 shared layers, two concentric circles as in [lagzi2021]_
        (see :func:`resdyn.data.circles`). Trained by ``experiments/train_demo_networks.py``; log files lie beside
        the weights.

    Raises
    ------
    ValueError
        For another name.
    """
    folder = resources.files("resdyn.systems") / "weights"
    known = sorted(entry.name.removesuffix(".npz") for entry in folder.iterdir() if entry.name.endswith(".npz"))
    if name not in known:
        raise ValueError(f"no trained network {name!r}; there are {', '.join(known)}.")
    with resources.as_file(folder / f"{name}.npz") as path:
        arrays, card = _storage.read_npz(path, "TrainedNetwork")
    return TrainedNetwork(
        system=ResidualMap.residual(arrays["W"], arrays["b"], name=name),
        readout=Readout(arrays["readout_weights"].astype(float), arrays["readout_bias"].astype(float)),
        depth=card["depth"],
        scale=card["scale"],
        test_index=arrays.get("test_index"),
        card=card,
    )
