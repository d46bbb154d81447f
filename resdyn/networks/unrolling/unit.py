r"""Parts of a network as maps of arrays: stem, head, and the residual units between.

A unit is any map :math:`x' = B(x)`. Its residual is :math:`B(x) - x` where B keeps the shape of the state, and
:math:`B(x) - S(x)`, with the shortcut S, where it does not. The branch and the shortcut are the summands with their
gains: :math:`B(x) = \phi(S(x) + g(x))` with the activation φ of some networks; so in an In-ResNet the shortcut is
:math:`(1 - \lambda)\,x`.
"""

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from resdyn import _validation as validate
from resdyn.networks.unrolling import derivatives
from resdyn.networks.unrolling.jacobians import AT_ONCE, UnitOperator
from resdyn.networks.unrolling.pieces import Piece
from resdyn.networks.unrolling.placement import Placed, Placement, on_tensors, real_tensor
from resdyn.networks.unrolling.subgraphs import Subgraph

Array = NDArray[Any]


class Part:
    """A part of a network, for arrays or tensors with one batch axis.

    Arrays come back as arrays, in the dtype in which the network runs, and tensors as tensors. No autograd graph is
    kept, unless a tensor requires a gradient.

    Attributes
    ----------
    name : str
        The path of the submodule in the network.
    module : module or None
        The caller's own submodule, if the part is one.
    function : callable
        What runs: from a tensor to a tensor, without checks, differentiable.
    shape_before, shape_after : tuple of int
        Of one state.
    """

    def __init__(
        self,
        name: str,
        function: nn.Module,
        placement: Placement,
        *,
        module: nn.Module | None = None,
        shape_before: tuple[int, ...],
        shape_after: tuple[int, ...],
        writes: bool,
        home: tuple[nn.Module, str] | None = None,
    ) -> None:
        self.name, self.module = name, module
        self.shape_before, self.shape_after = shape_before, shape_after
        self.function = (_Kept if writes else Placed)(function, placement, home)
        self.placement = placement

    def __call__(self, x: Any) -> Any:
        r"""What comes after, for states of shape (batch, \*shape_before).

        Raises
        ------
        TypeError, ValueError
            For another shape, or what is no array of real numbers. States that are not finite are an outcome.
        """
        return self._run(self.function, self.checked(x, self.shape_before, "x"))

    def jvp(self, x: Any, tangent: Any) -> Any:
        r"""The derivative at states x times tangents, (batch, \*shape_before) to (batch, \*shape_after)."""
        x = self.checked(x, self.shape_before, "x")
        tangent = self.checked(tangent, self.shape_before, "tangent", like=x)
        return self._run(lambda state, v: derivatives.jvp(self.function, state, v), x, tangent, differentiable=False)

    def vjp(self, x: Any, cotangent: Any) -> Any:
        r"""The transposed derivative at x times cotangents, (batch, \*shape_after) to (batch, \*shape_before)."""
        x = self.checked(x, self.shape_before, "x")
        cotangent = self.checked(cotangent, self.shape_after, "cotangent", like=x)
        return self._run(lambda state, w: derivatives.vjp(self.function, state, w), x, cotangent, differentiable=False)

    def _run(self, function: Callable[..., Tensor], *values: Any, differentiable: bool = True) -> Any:
        entries = max(int(np.prod(self.shape_before)), int(np.prod(self.shape_after)), 1)
        chunk = max(1, AT_ONCE // entries)
        return on_tensors(function, self.placement, *values, chunk=chunk, differentiable=differentiable)

    def checked(self, x: Any, shape: tuple[int, ...], name: str, like: Any = None) -> Any:
        """A batch of states of this shape, or an error that says what came."""
        array = self._real(x, name)
        found = tuple(array.shape)
        if found[1:] != shape or not found:
            raise ValueError(
                f"{name} has shape {found}, but {self.name!r} takes a batch of shape "
                f"(batch, {', '.join(map(str, shape))})"
                + (f"; pass {name}[None] for a single state." if found == shape else ".")
            )
        if like is not None and len(array) != len(like):
            raise ValueError(f"{name} holds {len(array)} states and x {len(like)}; give one of each.")
        return array

    def _real(self, x: Any, name: str) -> Any:
        return real_tensor(x, name, finite=False)

    def __repr__(self) -> str:
        return f"{type(self).__name__} {self.name!r}: {_size(self.shape_before)} to {_size(self.shape_after)}"


class Unit(Part):
    r"""One residual unit of a network; a :class:`resdyn.NetworkUnit`.

    Attributes
    ----------
    index : int
        Its place among the units of the network.
    branch : callable or None
        The summand with the weights, with its gain: g, or b g; None where it is not known.
    shortcut : callable or None
        The skip path, with its gain: S, or a S; None where it is not known. The unit is
        ``after(shortcut(x) + branch(x))``, where what comes after is an activation, a norm, a factor, or nothing.
    activations : callable or None
        The activations y of the literature: in a dense block φ(W x + b), without step and gain; else the branch.
    before, after : callable or None
        The sum ``shortcut(x) + branch(x)``, and what follows it: ``after(before(x))`` is ``unit(x)``. Both are None
        where the addition is not known. Where nothing follows it, as in pre-activation units, ``after`` is the
        identity, and ``after.is_identity`` says so. A branch that overwrites its input changes what the skip path
        sees, and ``before`` is the sum that the unit then has.
    """

    def __init__(
        self,
        piece: Piece,
        index: int,
        placement: Placement,
        *,
        shape_before: tuple[int, ...],
        shape_after: tuple[int, ...],
        writes: bool,
        home: tuple[nn.Module, str] | None = None,
    ) -> None:
        super().__init__(
            piece.name,
            piece.function,
            placement,
            module=piece.module,
            shape_before=shape_before,
            shape_after=shape_after,
            writes=writes,
            home=home,
        )
        self.index = index
        self.piece = piece
        self.branch = None if piece.branch is None else Summand(self, piece.branch)
        skip = nn.Identity() if piece.shortcut_is_identity else piece.shortcut
        self.shortcut = None if skip is None else Summand(self, skip)
        self.activations = self.branch if piece.activations is None else Summand(self, piece.activations)
        self.before = None if piece.before is None else Summand(self, piece.before)
        self.after = None if piece.after is None else Summand(self, piece.after, takes_sum=True)
        # a clone of the submodule has its weights at this placement, under the names that the caller knows
        self._holder = placement.module(piece.function if piece.module is None else piece.module)

    @property
    def changes_shape(self) -> bool:
        """Whether the state after the unit has another shape than before: an entry of a stage."""
        return self.shape_before != self.shape_after

    @cached_property
    def shape_between(self) -> tuple[int, ...]:
        """Of ``before(x)``, the sum at the end of both paths."""
        if self.before is None:
            raise ValueError(f"the addition in {self.name!r} is not known; take unit(x) itself.")
        return tuple(self.before(np.zeros((1, *self.shape_before))).shape[1:])

    def weights(self) -> dict[str, Tensor]:
        """Parameters and buffers by name, as they are now, in the dtype and on the device in which the unit runs.

        The names are those in ``module``; of a unit that is no submodule, the paths in the network. The tensors share
        their memory with what runs, the model's own or the copies of a snapshot, and carry no graph.
        """
        if isinstance(self._holder, Subgraph):
            self._holder.follow()
        return {
            name: tensor.detach() for name, tensor in (*self._holder.named_parameters(), *self._holder.named_buffers())
        }

    def linearize(self, x: Any) -> UnitOperator:
        r"""The Jacobian DB(x) of the whole unit at one state, on flattened states.

        Parameters
        ----------
        x : array or tensor, shape ``shape_before`` or (1, \*shape_before)

        Returns
        -------
        LinearOperator, shape (d_after, d_before)
            Rectangular where the unit changes the number of variables. ``matvec`` is the JVP, ``rmatvec`` the VJP;
            no matrix is formed but by ``to_dense``. At a block of a stage it equals
            ``resdyn.block_jacobian(stage, t, x)`` at the block's t.

        Raises
        ------
        TypeError, ValueError
            For what is no state of the unit, or more than one.
        """
        array = x.detach().cpu().numpy() if isinstance(x, Tensor) else np.asarray(x)
        array = array[0] if array.shape == (1, *self.shape_before) else array
        state = validate.one_state(array, self.shape_before, self.name, "loop over a batch")
        return UnitOperator(self, state)

    def residual(self, x: Any) -> Any:
        """B(x) − x; at a unit that changes the shape, B(x) − S(x).

        Raises
        ------
        ValueError
            If the unit changes the shape and its shortcut is not known.
        """
        after = self(x)
        return after - self.skipped(x, after)

    @property
    def has_residual(self) -> bool:
        """Whether :meth:`residual` is defined: not where the shape changes and the shortcut is not known."""
        return not self.changes_shape or self.shortcut is not None

    def skipped(self, x: Any, after: Any) -> Any:
        """x as it passes the unit by, of the kind of ``after``."""
        if not self.changes_shape:
            x = self.checked(x, self.shape_before, "x")
            return self.placement.tensor(x) if isinstance(after, Tensor) else np.asarray(x, dtype=after.dtype)
        if self.shortcut is None:
            raise ValueError(
                f"{self.name!r} changes the shape of the state from {self.shape_before} to {self.shape_after}, and its "
                "shortcut could not be told from its branch, so it has no residual; take unit(x) itself."
            )
        return self.shortcut(x)


class Summand:
    """A part of a unit, as a map of arrays or tensors with one batch axis.

    Attributes
    ----------
    is_identity : bool
        Whether it hands on what it is given.
    """

    def __init__(self, unit: Unit, module: nn.Module, *, takes_sum: bool = False) -> None:
        self.unit, self.takes_sum = unit, takes_sum
        self.is_identity = isinstance(module, nn.Identity)
        # a branch may begin with an in-place activation even where the unit as a whole spares its input
        self.function = _Kept(module, unit.placement)

    def __call__(self, x: Any) -> Any:
        """The part at states of the unit; what comes after the addition, at sums."""
        shape = self.unit.shape_between if self.takes_sum else self.unit.shape_before
        return self.unit._run(self.function, self.unit.checked(x, shape, "x"))


class _Kept(Placed):
    """A module that writes into its input, given a copy of it."""

    def __call__(self, x: Tensor) -> Tensor:
        return super().__call__(x.clone())


def _size(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape)) or "one number"
