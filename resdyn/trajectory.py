"""``Trajectory``: the states that ``simulate`` saved, and what follows from them."""

import os
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from resdyn import _storage
from resdyn._types import Status, System

if TYPE_CHECKING:
    import xarray

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Trajectory:
    r"""States of a system, layer by layer, for a batch of initial states.

    Attributes
    ----------
    t : array, shape (n_saved,)
        Depth-time of the saved layers, kh.
    x : array, shape (n_saved, \*batch, \*shape)
        The saved states.
    status : array, shape (\*batch,)
        :class:`resdyn.Status` of each state: OK, DIVERGED, FAILED. A state that left the finite numbers holds
        inf or NaN from there; the others are not touched by it.
    system : System
    method : str
        "residual", "exponential", or the ODE method of the flow.
    x0 : array, shape (\*batch, \*shape)
        The states at layer 0, before any transient.
    layers : integer array, shape (n_saved,)
        The saved layers, counted as the system counts them.
    inputs : array or None
        The drive, shape (T, N) or (T, \*batch, N).
    noise : float
        Standard deviation of the noise added at every layer.
    transient : int
        Layers that were run first and not saved.
    """

    t: Array
    x: Array
    status: Array
    system: System
    method: str
    x0: Array
    layers: Array
    inputs: Array | None = field(default=None, repr=False)
    noise: float = 0.0
    transient: int = 0

    @property
    def batch(self) -> tuple[int, ...]:
        """The batch axes; () for one state."""
        return self.x0.shape[: self.x0.ndim - len(self.system.shape)]

    @property
    def final(self) -> Array:
        r"""The state after the last layer, shape (\*batch, \*shape)."""
        return self.x[-1]

    @property
    def cumulative(self) -> Array:
        r"""x − x_0, shape of ``x``; for a map without noise, h times the sum of all f so far."""
        return self.x - self.x0

    @cached_property
    def residuals(self) -> Array:
        r"""f(t_k, x_k) at the saved states, shape of ``x``.

        The residual of layer k is what it adds to the state, divided by h. At the very end of a layer-wise network
        there is no further layer, and the last one is used.
        """
        return self._along("residual")

    @cached_property
    def activations(self) -> Array:
        r"""y_k = φ(W_k x_k + b_k + u_k) at the saved states, shape of ``x`` (systems with a weight matrix).

        For :class:`resdyn.LogisticResiduals`, whose state is z, it is y = σ(z).
        """
        if not hasattr(self.system, "activations"):
            raise AttributeError(
                f"{self.system.name!r} has no weight matrix, so no activations; .residuals holds f at the saved states."
            )
        return self._along("activations")

    @property
    def y(self) -> Array:
        """The residuals y of [lagzi2021]_: another name for :attr:`activations`."""
        return self.activations

    def inputs_at(self, slot: int) -> Array | None:
        """The drive of the layer that acts on saved state ``slot``; the last one at the end of the drive."""
        if self.inputs is None:
            return None
        return self.inputs[min(int(self.layers[slot]), len(self.inputs) - 1)]

    def _along(self, method: str) -> Array:
        """``system.method(t, x)`` at every saved state."""
        evaluate = getattr(self.system, method)
        with np.errstate(over="ignore", invalid="ignore"):
            if self.inputs is None and self.system.depth is None:
                return evaluate(0.0, self.x)  # autonomous: time is one more batch axis
            values = []
            for slot, (t, x) in enumerate(zip(self.t, self.x, strict=True)):
                inputs = self.inputs_at(slot)
                # a system with more inputs than layers is driven past its own end of time only by t
                values.append(evaluate(t, x) if inputs is None else evaluate(t, x, inputs=inputs))
        return np.stack(values)

    def sample(self, *index: int) -> Self:
        """The trajectory of one state of the batch: ``sample(3)``, or ``sample(2, 0)`` of a two-axis batch."""
        if len(index) != len(self.batch):
            raise IndexError(
                f"the batch has shape {self.batch}, so sample takes {len(self.batch)} indices; got {index}."
            )
        along: tuple[Any, ...] = (slice(None), *index)
        inputs = self.inputs
        if inputs is not None and inputs.ndim > 2:
            inputs = inputs[along]
        status = np.asarray(self.status[index])
        return replace(self, x=self.x[along], status=status, x0=self.x0[index], inputs=inputs)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write everything to one ``.npz`` (no pickle), whole or not at all.

        Systems with a weight matrix and a named activation are stored with their weights. Of others only the name
        is stored, and :meth:`load` asks for them.
        """
        arrays = {"t": self.t, "x": self.x, "status": self.status, "x0": self.x0, "layers": self.layers}
        if self.inputs is not None:
            arrays["inputs"] = self.inputs
        stored = _describe(self.system)
        arrays |= {f"system_{name}": array for name, array in stored.pop("arrays").items()}
        meta = {
            "kind": "Trajectory",
            "method": self.method,
            "noise": self.noise,
            "transient": self.transient,
            "system": stored,
        }
        _storage.write_npz(path, arrays, meta)

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, system: System | None = None) -> Self:
        """Read what :meth:`save` wrote.

        Parameters
        ----------
        path
        system : System, optional
            Needed if the file does not hold the system (a rule in Python, formulas, a network).
        """
        arrays, meta = _storage.read_npz(path, "Trajectory")
        own = {name.removeprefix("system_"): arrays.pop(name) for name in list(arrays) if name.startswith("system_")}
        if system is None:
            system = _restore(meta["system"], own, path)
        elif repr(system) != meta["system"]["repr"]:
            raise ValueError(
                f"{str(path)!r} holds a trajectory of another system than the one given; "
                "give the one that was simulated.\n"
                f"  stored: {meta['system']['repr']}\n  given:  {system!r}"
            )
        elif arrays["x0"].shape[arrays["x0"].ndim - len(system.shape) :] != system.shape:
            raise ValueError(
                f"{str(path)!r} holds states of shape {arrays['x0'].shape} of {meta['system']['name']!r}, "
                f"but the system given, {system.name!r}, has states of shape {system.shape}."
            )
        return cls(
            **{name: arrays[name] for name in ("t", "x", "status", "x0", "layers")},
            inputs=arrays.get("inputs"),
            system=system,
            method=meta["method"],
            noise=meta["noise"],
            transient=meta["transient"],
        )

    def to_dataset(self) -> "xarray.Dataset":
        """As an ``xarray.Dataset`` with the variables x, residuals and status and the coordinates t and layer."""
        try:
            import xarray
        except ImportError as error:
            raise ImportError('to_dataset needs xarray; install it with: pip install "resdyn[sweep]"') from error
        batch = [f"batch_{i}" for i in range(len(self.batch))] if len(self.batch) > 1 else ["batch"] * len(self.batch)
        state = ["unit"] if len(self.system.shape) == 1 else [f"unit_{i}" for i in range(len(self.system.shape))]
        dims = ["t", *batch, *state]
        return xarray.Dataset(
            {"x": (dims, self.x), "residuals": (dims, self.residuals), "status": (batch, self.status)},
            coords={"t": self.t, "layer": ("t", self.layers)},
            attrs={"system": self.system.name, "method": self.method, "step": self.system.step, "noise": self.noise},
        )

    def __repr__(self) -> str:
        n_states = int(np.prod(self.batch))
        states = "one state" if not self.batch else f"{n_states} states"
        kind = "map" if self.method in ("residual", "exponential") else "flow"
        bad = [(int((self.status == s).sum()), s.name.lower()) for s in (Status.DIVERGED, Status.FAILED)]
        outcome = ", ".join(f"{n} {name}" for n, name in bad if n) or "all finite"
        noise = f", noise {self.noise:g}" if self.noise else ""
        size = "×".join(map(str, self.system.shape)) + (" unit" if self.system.shape == (1,) else " units")
        return (
            f"Trajectory of {self.system.name!r} ({self.method} {kind}{noise}): {states} of {size}, "
            f"layers {self.layers[0]} to {self.layers[-1]} ({len(self.layers)} saved), "
            f"t = {self.t[0]:g} to {self.t[-1]:g}; {outcome}."
        )


def _describe(system: System) -> dict[str, Any]:
    """What is stored of a system; ``arrays`` is empty where it cannot be restored."""
    from resdyn.activations import NAMED
    from resdyn.matrix_family import LogisticResiduals, ResidualMap

    described: dict[str, Any] = {"name": system.name, "type": type(system).__name__, "step": system.step, "arrays": {}}
    described["repr"] = repr(system)
    if isinstance(system, ResidualMap) and system.activation is NAMED.get(system.activation.name):
        described["activation"] = system.activation.name
        described["arrays"] = {name: getattr(system, name) for name in ("W", "b", "damping", "gain")}
    elif isinstance(system, LogisticResiduals):
        described["arrays"] = {"W": system.W, "b": system.b}
    return described


def _restore(described: dict[str, Any], arrays: dict[str, Array], path: Any) -> System:
    from resdyn.matrix_family import LogisticResiduals, ResidualMap

    common: dict[str, Any] = {"step": described["step"], "name": described["name"], **arrays}
    if arrays and described["type"] == "ResidualMap":
        return ResidualMap(activation=described["activation"], **common)
    if arrays and described["type"] == "LogisticResiduals":
        return LogisticResiduals(**common)
    raise ValueError(
        f"{str(path)!r} holds a trajectory of {described['name']!r} ({described['type']}), which is code and not data; "
        "make the system again and pass it: Trajectory.load(path, system=...)."
    )
