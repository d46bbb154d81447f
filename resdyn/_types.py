"""The contract between systems and analyses. Imports nothing of resdyn."""

from collections.abc import Sequence
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from scipy.sparse.linalg import LinearOperator

Array = NDArray[Any]


class Status(IntEnum):
    """How the simulation of one state ended."""

    OK = 0
    DIVERGED = 1
    """The state left the finite numbers; in a flow, it was beyond 1e6 when the integrator gave up."""
    FAILED = 2
    """The integrator gave up on a state below 1e6: steps too small, or too many."""


@runtime_checkable
class System(Protocol):
    r"""A residual system: :math:`x_{k+1} = x_k + h f(t_k, x_k)` and its flow :math:`\dot x = f(t, x)`.

    This is what every analysis needs, and no more. A system is immutable. *Block* and *layer* mean the same: one
    application of the map.

    A system may also offer, and analyses then use,

    * ``jacobian(t, x)``: :math:`\partial f / \partial x` as arrays, ``(*batch, *shape)`` to
      ``(*batch, d, d)`` with d the number of state variables;
    * ``jvp(t, x, v)``: :math:`(\partial f / \partial x)\,v` at many states at once, both ``(*batch, *shape)``; for
      systems of so many variables that Jacobians are not formed;
    * ``activations(t, x)``: the residuals y of the literature where they differ from f;
    * ``compiled_form()``: a :class:`CompiledForm`, the fast path of :func:`resdyn.simulate`;
    * ``infinite_states``: True where ±∞ is a legitimate value of a state variable.
    """

    @property
    def name(self) -> str:
        """A short name, used in messages and plots."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one state: ``(d,)``, or ``(C, H, W)`` for a stage of a network."""

    @property
    def step(self) -> float:
        """h, the depth-time of one block."""

    @property
    def depth(self) -> int | None:
        """The number of blocks; None for an autonomous system, which can be run to any depth."""

    def residual(self, t: float, x: Array) -> Array:
        """f(t, x), for states of shape ``(*batch, *shape)``."""

    def linearize(self, t: float, x: Array) -> "LinearOperator":
        """∂f/∂x at one state, on flattened states: ``matvec`` is the JVP, ``rmatvec`` the VJP."""


class NetworkUnit(Protocol):
    """One unit of a network whose state may change its shape from unit to unit (a ResNet with its stages)."""

    @property
    def name(self) -> str:
        """A short name, used in messages and plots."""

    def __call__(self, x: Array) -> Array:
        """The states after the unit, for states of shape ``(batch, *shape_before)``."""

    def jvp(self, x: Array, tangent: Array) -> Array:
        """The derivative at states x times tangents, both ``(batch, *shape_before)``, to ``(batch, *shape_after)``."""

    def vjp(self, x: Array, cotangent: Array) -> Array:
        """The transposed derivative at states x times cotangents ``(batch, *shape_after)``."""


class NetworkTrace(Protocol):
    """What a network went through, for a batch."""

    @property
    def states(self) -> Sequence[Array]:
        """The states before the first unit and after each: ``len(units) + 1`` arrays ``(batch, *shape_k)``."""


@runtime_checkable
class TracedNetwork(Protocol):
    """A network as a chain of units: what :func:`resdyn.propagate` needs where states change their shape.

    A network may also offer ``stem``, a :class:`NetworkUnit` from the inputs to the first state; it then counts as the
    first layer.
    """

    @property
    def units(self) -> Sequence[NetworkUnit]:
        """The units, in the order in which they act."""

    def trace(self, x: Array) -> NetworkTrace:
        """Run a batch of inputs through all units."""


class CompiledForm(Protocol):
    """What kernels run: states of shape (M, d) in C order, all layers and all states in one call.

    The one implementation is ``resdyn.kernels.forms.SemilinearForm``, whose docstrings say what the
    arguments mean.
    """

    def iterate(
        self,
        states: Array,
        out: Array,
        gaps: NDArray[np.int64],
        *,
        first: int,
        exponential: bool = False,
        threads: int | None = None,
    ) -> None:
        """Run the map."""

    def integrate(
        self,
        states: Array,
        out: Array,
        status: NDArray[np.uint8],
        *,
        begin: float,
        ends: NDArray[np.float64],
        layers: NDArray[np.int64],
        slots: NDArray[np.int64],
        rtol: float,
        atol: float,
        max_steps: int,
        threads: int | None = None,
    ) -> None:
        """Integrate the flow."""

    @property
    def settles(self) -> bool:
        """Whether ``settle`` serves this system."""

    def settle(
        self,
        states: Array,
        points: Array,
        owners: NDArray[np.int64],
        radii: Array,
        *,
        dwell: int,
        every: int,
        depth: int,
        largest: float,
        in_residuals: bool = False,
        threads: int | None = None,
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Run the map until states stay near given points."""

    @property
    def settles_flow(self) -> bool:
        """Whether ``settle_flow`` serves this system."""

    def settle_flow(
        self,
        states: Array,
        points: Array,
        owners: NDArray[np.int64],
        radii: Array,
        *,
        dwell: int,
        every: int,
        depth: int,
        largest: float,
        rtol: float,
        atol: float,
        max_steps: int,
        in_residuals: bool = False,
        threads: int | None = None,
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Run the flow until states stay near given points."""

    def carries_tangents(self, n_vectors: int) -> bool:
        """Whether so many tangent vectors can be carried beside each state."""

    def iterate_tangents(
        self,
        states: Array,
        frames: Array,
        logs: Array,
        gaps: NDArray[np.int64],
        *,
        first: int,
        every: int = -1,
        threads: int | None = None,
    ) -> None:
        """Run the map and its derivative."""

    def integrate_tangents(
        self,
        states: Array,
        frames: Array,
        logs: Array,
        status: NDArray[np.uint8],
        *,
        begin: float,
        ends: NDArray[np.float64],
        layers: NDArray[np.int64],
        marks: NDArray[np.int64],
        rtol: float,
        atol: float,
        max_steps: int,
        threads: int | None = None,
        record: Array | None = None,
    ) -> None:
        """Integrate the flow and its derivative."""


_BLOCK_TOLERANCE = 1e-9


def block_index(t: float, step: float, depth: int) -> int:
    r"""The block that acts at depth-time t: k for :math:`t_k \le t < t_{k+1}`, with :math:`t_k = k h`.

    The last block also acts at the end, :math:`t = h\,\mathrm{depth}`, so that f is defined at the last
    state of a trajectory. Times within 1e-9 blocks of :math:`t_{k+1}` count as :math:`t_{k+1}`.

    Raises
    ------
    ValueError
        If t is outside :math:`[0, h\,\mathrm{depth}]`.
    """
    position = t / step
    if not -_BLOCK_TOLERANCE <= position <= depth * (1 + _BLOCK_TOLERANCE):
        raise ValueError(
            f"t = {t!r} lies outside the network: "
            f"with {depth} blocks of step {step!r}, t runs from 0 to {depth * step!r}."
        )
    return min(int(np.floor(position + _BLOCK_TOLERANCE)), depth - 1)


def within_block(t: float, step: float, block: int) -> float:
    """t, moved into the half-open interval on which ``block`` acts (an integrator evaluates its ends)."""
    last = (block + 1 - 2 * _BLOCK_TOLERANCE) * step
    return min(max(t, block * step), last)
