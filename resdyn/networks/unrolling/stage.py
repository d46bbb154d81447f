r"""A stage of a network as a residual system.

The units of a stage that keep the shape of the state are its blocks: block k, :math:`x_{k+1} = B_k(x_k)`, acts at
:math:`t_k = kh`, and

.. math:: f(t_k, x) = \frac{B_k(x) - x}{h}, \qquad \frac{\partial f}{\partial x} = \frac{DB_k(x) - I}{h}.

So the map :math:`x + hf` is the block itself, whatever is inside: also where an activation follows the addition, and
the branch is not the residual. As a flow, :math:`\dot x = f(t, x)`, f is piecewise constant in t: block k for
:math:`kh \le t < (k+1)h`.
"""

from collections.abc import Callable, Sequence
from typing import Any

from numpy.typing import NDArray

from resdyn import _validation as validate
from resdyn._types import block_index
from resdyn.networks.unrolling.jacobians import StageOperator
from resdyn.networks.unrolling.unit import Unit

Array = NDArray[Any]


class Stage:
    r"""The units at one shape of the state; a :class:`resdyn.System` of states of shape (C, H, W) or other.

    ``stage.residual(t, x)`` is :math:`(B_k(x) - x)/h` for states of shape (\*batch, \*shape); it comes in the dtype in
    which the network runs, so that float32 does not pass for more. ``stage(x)`` runs the entry and all blocks.

    Attributes
    ----------
    name : str
    entry : Unit or None
        The unit before the blocks that changes the shape of the state.
    blocks : tuple of Unit
        The units that keep it.
    shape : tuple of int
        Of the state between blocks.
    step : float
        h.
    """

    def __init__(self, name: str, entry: Unit | None, blocks: Sequence[Unit], *, step: float = 1.0) -> None:
        self.name, self.entry, self.blocks, self.step = name, entry, tuple(blocks), step
        units = self.units
        self.placement = units[0].placement
        self.shape: tuple[int, ...] = units[-1].shape_after

    @property
    def units(self) -> tuple[Unit, ...]:
        """The entry, if there is one, and the blocks."""
        return self.blocks if self.entry is None else (self.entry, *self.blocks)

    @property
    def depth(self) -> int | None:
        """The number of blocks; None, autonomous, if all are one function with shared weights: it runs to any depth."""
        self._require_blocks()
        return None if self.is_shared else len(self.blocks)

    @property
    def is_shared(self) -> bool:
        """Whether the blocks, more than one, are one and the same function with the same weights."""
        return len(self.blocks) > 1 and all(b.piece.function is self.blocks[0].piece.function for b in self.blocks)

    def __call__(self, x: Any) -> Any:
        r"""The state after the stage, for states before it of shape (batch, \*units[0].shape_before)."""
        for unit in self.units:
            x = unit(x)
        return x

    def residual(self, t: float, x: Any) -> Array:
        r"""f(t, x), for states of shape (\*batch, \*shape).

        Raises
        ------
        ValueError
            For another shape, a time outside the stage, or a stage without blocks.
        """
        return self._batched(lambda unit, states: unit.residual(states), t, x) / self.step

    def jvp(self, t: float, x: Any, v: Any) -> Array:
        r"""∂f/∂x at states x times tangents v, both of shape (\*batch, \*shape)."""
        return self._linear(lambda unit, states, tangents: unit.jvp(states, tangents), t, x, v)

    def vjp(self, t: float, x: Any, w: Any) -> Array:
        r"""The transpose of ∂f/∂x at states x times cotangents w, both of shape (\*batch, \*shape)."""
        return self._linear(lambda unit, states, tangents: unit.vjp(states, tangents), t, x, w)

    def linearize(self, t: float, x: Any) -> StageOperator:
        """∂f/∂x at one state, on flattened states; no matrix is formed but by ``to_dense``."""
        block = self.block(t)
        state = validate.one_state(x, self.shape, self.name)
        return StageOperator(block.linearize(state), self.step)

    @property
    def activations(self) -> Callable[[float, Any], Array]:
        """``activations(t, x)``: the branches, of dense blocks φ(W x + b), where every block has one that is known."""
        if not self.blocks or any(block.activations is None for block in self.blocks):
            raise AttributeError(f"the branches of {self.name!r} are not known; .residual(t, x) is B(x) − x over h.")

        def activations(t: float, x: Any) -> Array:
            return self._batched(lambda unit, states: unit.activations(states), t, x)  # type: ignore[misc]

        return activations

    def block(self, t: float) -> Unit:
        """The block that acts at depth-time t."""
        depth = self.depth
        return self.blocks[0 if depth is None else block_index(t, self.step, depth)]

    def _batched(self, function: Callable[[Unit, Array], Array], t: float, x: Any) -> Array:
        """Of the block that acts at t, for any number of batch axes."""
        block, states = self.block(t), self._states(x)
        return function(block, states.reshape(-1, *self.shape)).reshape(states.shape)

    def _linear(self, function: Callable[[Unit, Array, Array], Array], t: float, x: Any, v: Any) -> Array:
        block, states = self.block(t), self._states(x)
        vectors = validate.real_array(v, "v", nan=True, finite=False)
        if vectors.shape != states.shape:
            raise ValueError(f"v has shape {vectors.shape} and x {states.shape}; give one vector for each state.")
        flat = vectors.reshape(-1, *self.shape)
        image = function(block, states.reshape(flat.shape), flat)
        return ((image - flat.astype(image.dtype, copy=False)) / self.step).reshape(states.shape)

    def _states(self, x: Any) -> Array:
        return validate.states(validate.real_array(x, "x", nan=True, finite=False), self.shape, self.name)

    def _require_blocks(self) -> None:
        if not self.blocks:
            raise ValueError(
                f"{self.name!r} has no block that keeps the shape of the state, only {self.units[0].name!r} from "
                f"{self.units[0].shape_before} to {self.units[0].shape_after}, so it is no residual system; run "
                "resdyn.propagate or trace on the whole network, or unit.jvp and unit.vjp on the unit."
            )

    def __repr__(self) -> str:
        n = len(self.blocks)
        blocks = f"{n} block{'s' * (n != 1)}" + (" with shared weights" if self.is_shared else "")
        entry = "" if self.entry is None else f" after the entry {self.entry.name!r}"
        return f"Stage {self.name!r}: {blocks}{entry}, states {'×'.join(map(str, self.shape))}, h = {self.step:g}"
