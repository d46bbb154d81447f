r"""A unit taken apart: :math:`B(x) = \phi(a\,S(x) + b\,g(x))`, each path a chain of layers and of activations.

Between two layers acts a diagonal: the derivatives of the pointwise operations there, batch norm among them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from resdyn.networks.linearization.reading.layers import Convolution, Linear, Selection
from resdyn.networks.linearization.reading.nodes import (
    Input,
    Layer,
    Node,
    Opaque,
    Pointwise,
    Unreadable,
    derivative,
    value_at,
)

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Position:
    """A place between two layers of a path.

    Attributes
    ----------
    shape : tuple of int
        Of the state there.
    diagonal : array
        The derivative of all pointwise operations there, flattened.
    activations : tuple of arrays
        Those of the ones that are no factors and no batch norm, of that shape.
    """

    shape: tuple[int, ...]
    diagonal: Array
    activations: tuple[Array, ...]

    def then(self, other: "Position") -> "Position":
        """Both, one after the other."""
        return Position(other.shape, self.diagonal * other.diagonal, self.activations + other.activations)


@dataclass(frozen=True, eq=False)
class Path:
    """A chain from the state: the first position, a layer, a position, …, the last position; times a gain."""

    gain: float
    positions: tuple[Position, ...]
    layers: tuple[Linear, ...]

    @property
    def effort(self) -> tuple[int, int, int]:
        """By which the skip path and the branch are told apart: layers with weights, activations, other layers."""
        weights = sum(layer.has_weights for layer in self.layers)
        return weights, sum(len(p.activations) for p in self.positions), len(self.layers)

    @property
    def is_selection(self) -> bool:
        """Whether it hands on the state, or places of it that do not depend on the state."""
        chosen = all(isinstance(layer, Selection) and not layer.is_largest for layer in self.layers)
        return chosen and not self.effort[1]

    @property
    def is_dense(self) -> bool:
        """Whether it has a layer with weights, and none of them is a convolution."""
        weighted = [layer for layer in self.layers if layer.has_weights]
        return bool(weighted) and not any(isinstance(layer, Convolution) for layer in weighted)


@dataclass(frozen=True, eq=False)
class Anatomy:
    """What a unit consists of; skip and addition are None where it adds nothing."""

    after: Node
    addition: Pointwise | None
    skip: Path | None
    branch: Path
    terms: tuple[Tensor, Tensor] | None
    """The summands with their gains, skip first, as they are at the state."""

    is_declared: bool = False
    """Whether the unit itself says which of its summands is the skip path."""

    @property
    def is_ambiguous(self) -> bool:
        """Whether nothing tells the skip path from the branch."""
        return self.skip is not None and not self.is_declared and not _tells_apart(self.skip, self.branch)

    @property
    def is_dense(self) -> bool:
        """Whether all layers with weights are dense, and there is one."""
        paths = [self.branch] if self.skip is None else [self.branch, self.skip]
        return self.weight_layers > 0 and all(path.is_dense or path.effort[0] == 0 for path in paths)

    @property
    def weight_layers(self) -> int:
        """Of the branch."""
        return self.branch.effort[0]

    def total(self, skip_scale: float, branch_scale: float) -> Tensor:
        """The sum of the scaled summands."""
        assert self.terms is not None
        return skip_scale * self.terms[0] + branch_scale * self.terms[1]

    def outer(self) -> Array:
        """The diagonal of D, flattened: what follows the addition, at the sum."""
        if self.addition is None:
            last = self.branch.positions[-1]
            return last.diagonal if last.activations else np.ones_like(last.diagonal)
        return outer(self.after, self.addition)


def outer(after: Node, addition: Node) -> Array:
    """The derivative of what follows an addition, flattened."""
    return _flat(derivative(after, addition))


def anatomy(after: Node, shortcut: Tensor | None = None, *, is_declared: bool = False) -> Anatomy:
    """A unit taken apart, from how its result came about.

    Parameters
    ----------
    after : Node
    shortcut : tensor, optional
        The skip path of the unit, with its gain, at the state.
    is_declared : bool
        Whether the unit itself says that this is its skip path; else it was guessed.

    Raises
    ------
    Unreadable
        With the reason, where it cannot be.
    """
    if isinstance(after, Opaque):
        raise Unreadable(after.reason)
    addition = last_addition(after)
    if addition is None:
        return Anatomy(after, None, None, _path(after, 1.0, "a layer follows its addition"), None)
    # x + x has one operand, and two terms
    operands = [a for a in addition.args if isinstance(a, Node)]
    coefficients = addition.coefficients()
    paths = [
        _path(node, gain, "it has more than one addition") for node, gain in zip(operands, coefficients, strict=True)
    ]
    values = [gain * node.value for node, gain in zip(operands, coefficients, strict=True)]
    if any(value.shape != addition.value.shape for value in values):
        raise Unreadable("its summands have different shapes")
    skip, branch = sorted((0, 1), key=lambda k: paths[k].effort)
    known = [k for k in (0, 1) if shortcut is not None and _are_equal(values[k], shortcut)]
    if len(known) == 1:
        skip, branch = known[0], 1 - known[0]
    value_at(after, addition, addition.value)  # or it is no function of the sum
    terms = values[skip], values[branch]
    return Anatomy(after, addition, paths[skip], paths[branch], terms, is_declared=is_declared and len(known) == 1)


def _are_equal(a: Tensor, b: Tensor) -> bool:
    # rounding of one layer, computed in two ways
    return a.shape == b.shape and bool((a - b).abs().max() <= 1e-10 * max(a.abs().max(), b.abs().max()))


def _tells_apart(skip: Path, branch: Path) -> bool:
    """Whether one of two paths is clearly the simpler one; a convolution beside a pooling is not."""
    if skip.is_selection:
        return not branch.is_selection
    (weights, activations, _), (more_weights, more_activations, _) = skip.effort, branch.effort
    if more_weights < weights or more_activations < activations:
        return False
    return more_activations > activations or more_weights > max(weights, 1)


def last_addition(node: Node) -> Pointwise | None:
    """The addition of two paths of which a value is a pointwise function."""
    while isinstance(node, Pointwise):
        if node.is_addition and (node.root is node or isinstance(node.root, Input)):
            return node
        # several values that are functions of one, as in y · sigmoid(y)
        node = node.operands[0] if len(node.operands) == 1 else node.root
    return None


def _path(end: Node, gain: float, why_not: str) -> Path:
    position, layers = _position(end), []
    positions: list[Position] = []
    node = end.root
    while not isinstance(node, Input):
        if isinstance(node, Opaque):
            raise Unreadable(node.reason)
        if not isinstance(node, Layer):
            raise Unreadable(why_not)
        before = _position(node.parent)
        if isinstance(node.linear, Selection) and node.linear.is_identity:
            position = before.then(position)
        else:
            positions.append(position)
            layers.append(node.linear)
            position = before
        node = node.parent.root
    positions.append(position)
    return Path(gain, tuple(reversed(positions)), tuple(reversed(layers)))


def _position(end: Node) -> Position:
    shape = end.shape if len(end.value) == 1 else tuple(end.value.shape)
    first, last, activations = _activation(end)
    diagonal = _flat(derivative(end, end.root))
    if first is not last:
        core = _flat(derivative(last, first))
        activations = (core.reshape(shape),)
    return Position(shape, diagonal, activations)


def _activation(end: Node) -> tuple[Node, Node, tuple[Array, ...]]:
    """Between which values the pointwise operations are more than factors and shifts."""
    chain = _single_operands(end)
    affine = [isinstance(node, Pointwise) and node.is_affine for node in chain]
    last = next((k for k in range(len(chain) - 1) if not affine[k]), None)
    if last is None:
        return end.root, end.root, ()
    first = len(chain) - 1
    while first - 1 > last and affine[first - 1]:
        first -= 1
    return chain[first], chain[last], ()


def _single_operands(end: Node) -> Sequence[Node]:
    """From a value back to its root, each of which is made of the next."""
    chain = [end]
    while chain[-1] is not end.root:
        node = chain[-1]
        assert isinstance(node, Pointwise)
        chain.append(node.operands[0] if len(node.operands) == 1 and not node.is_addition else node.root)
    return chain


def _flat(tensor: Tensor) -> Array:
    return tensor.detach().reshape(-1).cpu().numpy().astype(np.float64)
