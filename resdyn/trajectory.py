"""``Trajectory``: the states that ``simulate`` saved, and what follows from them."""

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from resdyn._results import Result, batch_dims, dataset, unit_dims
from resdyn._types import Status, System

if TYPE_CHECKING:
    import xarray

Array = NDArray[Any]


@dataclass(frozen=True, eq=False, repr=False)
class Trajectory(Result):
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

        For :class:`resdyn.LogisticResiduals`, whose state is z, it is y = σ(z); for a stage of a network, the branches.
        """
        if not hasattr(self.system, "activations"):
            raise AttributeError(
                f"{self.system.name!r} has no weight matrix, and no branches that are known, so no activations; "
                ".residuals holds f at the saved states."
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

    def to_dataset(self) -> "xarray.Dataset":
        """As an ``xarray.Dataset`` with the variables x, residuals and status and the coordinates t and layer."""
        dims = ["t", *batch_dims(len(self.batch)), *unit_dims(len(self.system.shape))]
        return dataset(
            {
                "x": (dims, self.x),
                "residuals": (dims, self.residuals),
                "status": (batch_dims(len(self.batch)), self.status),
            },
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
