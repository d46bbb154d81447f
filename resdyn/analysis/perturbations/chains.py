"""A system or a network as a chain of layers: what each does to states, and to tangents at them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from resdyn import _validation as validate
from resdyn._request import Request, make_request
from resdyn._types import CompiledForm, NetworkUnit, System, TracedNetwork

Array = NDArray[Any]
Linear = Callable[[Array], Array]
"""Tangents (n, M, *shape_before) to tangents (n, M, *shape_after), at M states."""

# from so many numbers on a kernel beats NumPy; below, its call and its compilation cost more than they save
_COMPILED_FROM = 2**16
# up to this dimension the Jacobians of a whole batch are formed; above, each state's operator is applied
_DENSE_UP_TO = 64


class Layer(Protocol):
    """One layer, for states with two batch axes."""

    def __call__(self, x: Array) -> Array:
        """States (n, M, *shape_before) to (n, M, *shape_after)."""

    def linearize(self, x: Array) -> Linear:
        """The derivative at the states x, (M, *shape_before)."""


@dataclass(frozen=True, eq=False)
class Chain:
    """What is the same of a system and of a network.

    Attributes
    ----------
    name
        Of the system or network.
    names
        Of the states: "input", and then the layer that made it.
    t
        Depth-time of the states; the number of units passed, for a network.
    shapes
        Of the states, before the first layer and after each.
    x
        The inputs, (M, *shapes[0]).
    batch
        The batch axes that became M.
    layers
        From a slice of the M inputs to the layers that act on them.
    """

    name: str
    names: tuple[str, ...]
    t: Array
    shapes: tuple[tuple[int, ...], ...]
    x: Array
    batch: tuple[int, ...]
    layers: Callable[[slice], Sequence[Layer]]


def make_chain(source: System | TracedNetwork, x: Any, *, depth: int | None, inputs: Any, threads: int | None) -> Chain:
    """The layers of a system, or the units of a network, with all arguments checked."""
    array = validate.real_array(x, "x", finite=not getattr(source, "infinite_states", False))
    if np.isinf(array).any():
        raise ValueError(
            "x holds infinite values: these are states of the system, but the difference of a perturbed and an "
            "unperturbed infinite state is not a number; pass finite states."
        )
    if isinstance(source, System):
        validate.states(array, source.shape, source.name)
        chain = _of_system(source, array, depth, inputs, threads)
    elif isinstance(source, TracedNetwork):
        if inputs is not None:
            raise ValueError("inputs drive a ResidualMap layer by layer; a network has none, so leave them out.")
        chain = _of_network(source, array, depth)
    else:
        raise TypeError(
            "needed is a resdyn System (name, shape, step, depth, residual, linearize) or a network with units and "
            f"trace (resdyn.TracedNetwork), but what came is {validate.shown(source)}; "
            "a module of torch becomes one by resdyn.networks.unroll(module, example)."
        )
    return chain


# --- systems -----------------------------------------------------------------------------------------


def _of_system(system: System, x: Array, depth: Any, inputs: Any, threads: Any) -> Chain:
    request = make_request(
        system,
        x,
        depth=depth,
        method="residual",
        save="final",
        transient=0,
        inputs=inputs,
        noise=0.0,
        rng=None,
        dtype=None,
        progress=False,
        rtol=None,
        atol=None,
        threads=threads,
    )
    _require_states(len(request.states))
    n = request.total
    return Chain(
        name=system.name,
        names=("input", *(f"layer {k}" for k in range(1, n + 1))),
        t=np.arange(n + 1) * system.step,
        shapes=(system.shape,) * (n + 1),
        x=request.states,
        batch=request.batch,
        layers=lambda chunk: [_system_layer(request, k, chunk) for k in range(n)],
    )


def _system_layer(request: Request, k: int, chunk: slice) -> "SystemLayer":
    form, drive = request.form, None
    if request.inputs is not None:
        drive = request.inputs[k]
        if drive.ndim > 1:
            # the kernel would want the drive of each perturbed copy too: a copy per perturbation and layer
            form, drive = None, drive.reshape(-1, *request.system.shape)[chunk]
    return SystemLayer(request.system, k, drive, form, request.threads)


@dataclass(frozen=True, eq=False)
class SystemLayer:
    """x + h f(t_k, x), with I + hA for tangents."""

    system: System
    index: int
    drive: Array | None
    """The inputs of this layer, (N,) or (M, N)."""
    form: CompiledForm | None
    threads: int | None

    @property
    def _t(self) -> float:
        return self.index * self.system.step

    def _driven(self, shape: tuple[int, ...]) -> dict[str, Array]:
        return {} if self.drive is None else {"inputs": np.broadcast_to(self.drive, shape)}

    def __call__(self, x: Array) -> Array:
        """States after the layer."""
        if self.form is not None and x.size >= _COMPILED_FROM:
            states = np.ascontiguousarray(x).reshape(-1, *self.system.shape)
            after = np.empty((1, *states.shape))
            self.form.iterate(states, after, np.array([1]), first=self.index, threads=self.threads)
            return after.reshape(x.shape)
        view = x.view()
        view.setflags(write=False)  # a rule that works in place would change the state it is asked about
        f = self.system.residual(self._t, view, **self._driven(x.shape))
        return x + self.system.step * np.asarray(f)

    def linearize(self, x: Array) -> Linear:
        """I + hA at each state: dense where small, applied without forming it where not."""
        size, h = int(np.prod(self.system.shape)), self.system.step
        jacobian, jvp = getattr(self.system, "jacobian", None), getattr(self.system, "jvp", None)
        if jvp is not None and (jacobian is None or size > _DENSE_UP_TO):

            def push(tangents: Array) -> Array:
                at = np.broadcast_to(x, tangents.shape)
                return tangents + h * np.asarray(jvp(self._t, at, tangents, **self._driven(tangents.shape)))

            return push
        if jacobian is not None and size <= _DENSE_UP_TO:
            A = jacobian(self._t, x, **self._driven(x.shape))

            def apply(columns: Array) -> Array:
                return columns + h * np.matmul(A, columns)

        else:
            operators = [self._operator(x, m) for m in range(len(x))]

            def apply(columns: Array) -> Array:
                pairs = zip(operators, columns, strict=True)
                return columns + h * np.stack([operator.matmat(of_state) for operator, of_state in pairs])

        def carry(tangents: Array) -> Array:
            # (n, M, d) to (M, d, n): one matrix product per state, for all its tangents
            columns = np.moveaxis(tangents.reshape(*tangents.shape[:2], size), 0, -1)
            return np.moveaxis(apply(columns), -1, 0).reshape(tangents.shape)

        return carry

    def _operator(self, x: Array, m: int) -> Any:
        if self.drive is None:
            return self.system.linearize(self._t, x[m])
        drive = self.drive if self.drive.ndim == 1 else self.drive[m]
        return self.system.linearize(self._t, x[m], inputs=drive)  # type: ignore[call-arg]


# --- networks ----------------------------------------------------------------------------------------


def _of_network(network: TracedNetwork, x: Array, depth: Any) -> Chain:
    if x.ndim < 2:
        raise ValueError(
            f"x has shape {x.shape}, but a network takes a batch of inputs, (batch, *shape); "
            "pass x[None] for a single one."
        )
    _require_states(len(x))
    units, stem = list(network.units), getattr(network, "stem", None)
    if stem is not None:  # perturbations are of what the network takes
        units.insert(0, stem)
    n = len(units) if depth is None else validate.count(depth, "depth")
    name = str(getattr(network, "name", type(network).__name__))
    if n > len(units):
        raise ValueError(
            f"{name!r} has {len(units)} units{_with(stem)}, but depth = {n} asks for more; ask for at most all."
        )
    layers = [UnitLayer(unit) for unit in units[:n]]
    # one input tells the shapes, and with them how much memory the rest will take
    shapes, probe = [x.shape[1:]], x[None, :1]
    for layer in layers:
        probe = layer(probe)
        shapes.append(probe.shape[2:])
    return Chain(
        name=name,
        names=("input", *(unit.name for unit in units[:n])),
        t=np.arange(n + 1.0),
        shapes=tuple(tuple(int(size) for size in shape) for shape in shapes),
        x=x.astype(np.float64, copy=False),
        batch=(len(x),),
        layers=lambda chunk: layers,
    )


def _with(stem: NetworkUnit | None) -> str:
    return "" if stem is None else ", the stem among them"


@dataclass(frozen=True, eq=False)
class UnitLayer:
    """A unit of a network, for two batch axes instead of one."""

    unit: NetworkUnit

    def __call__(self, x: Array) -> Array:
        """States after the unit."""
        return self._unfolded(self.unit(x.reshape(-1, *x.shape[2:])), x.shape[:2])

    def linearize(self, x: Array) -> Linear:
        """The unit's JVP, at each state for all its tangents in one batch."""

        def carry(tangents: Array) -> Array:
            base = np.broadcast_to(x, tangents.shape).reshape(-1, *x.shape[1:])
            return self._unfolded(self.unit.jvp(base, tangents.reshape(base.shape)), tangents.shape[:2])

        return carry

    def _unfolded(self, result: Array, batch: tuple[int, ...]) -> Array:
        array = np.asarray(result, dtype=np.float64)
        if array.shape[:1] != (batch[0] * batch[1],):
            raise ValueError(
                f"unit {self.unit.name!r} returned shape {array.shape} for a batch of {batch[0] * batch[1]} states; "
                "a unit maps (batch, *shape_before) to (batch, *shape_after)."
            )
        return array.reshape(*batch, *array.shape[1:])


def _require_states(n: int) -> None:
    if n == 0:
        raise ValueError("x is an empty batch; pass at least one state.")
