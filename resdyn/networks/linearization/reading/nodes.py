"""How the values of a run come about from its input: linear layers, pointwise operations, and what is neither."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from resdyn.networks.linearization.reading.layers import Linear

ADDITIONS = ("add", "sub", "rsub")


class Unreadable(Exception):
    """Why a unit cannot be taken apart; the reason is for people."""


class Node:
    """A value of the run that depends on its input; a batch of one."""

    def __init__(self, value: Tensor) -> None:
        self.value = value

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one state."""
        return tuple(self.value.shape[1:])

    @property
    def root(self) -> Node:
        """The nearest value of which this one is a pointwise function."""
        return self


class Input(Node):
    """The state at which is linearized."""


class Layer(Node):
    """A linear map of another value, and a constant."""

    def __init__(self, value: Tensor, parent: Node, linear: Linear) -> None:
        super().__init__(value)
        self.parent, self.linear = parent, linear


class Opaque(Node):
    """A value that is a function of the input of no kind that is known here."""

    def __init__(self, value: Tensor, reason: str) -> None:
        super().__init__(value)
        self.reason = reason


class Pointwise(Node):
    """An operation that acts number by number, on one value or on several."""

    def __init__(self, value: Tensor, op: Any, name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        super().__init__(value)
        self.op, self.name, self.args, self.kwargs = op, name, args, dict(kwargs)
        self.operands = tuple(dict.fromkeys(a for a in (*args, *kwargs.values()) if isinstance(a, Node)))
        self.call: Any = None
        """Which call of the run it was."""
        self._n_slots = sum(isinstance(a, Node) for a in (*args, *kwargs.values()))
        roots = {operand.root for operand in self.operands}
        # the sum of two paths is where pointwise functions of it begin
        self._root: Node = self if len(roots) > 1 else next(iter(roots))

    @property
    def root(self) -> Node:
        return self._root

    @property
    def is_addition(self) -> bool:
        """Whether it adds or subtracts two values."""
        return self._n_slots == 2 and self.name in ADDITIONS

    @property
    def is_affine(self) -> bool:
        """Whether it multiplies by constants and adds constants: not an activation."""
        if self._n_slots != 1:
            return False
        if self.name == "div":  # and not a constant over a value
            return isinstance(self.args[0], Node)
        return self.name in (*ADDITIONS, "mul", "neg", "clone", "batch norm")

    def coefficients(self) -> tuple[float, float]:
        """The factors of both values of an addition, in the order of ``args``."""
        # torch's `alpha` multiplies the second operand, or the first of `rsub`
        alpha = self.kwargs.get("alpha", self.args[2] if len(self.args) > 2 else 1)
        alpha = float(alpha)
        return {"add": (1.0, alpha), "sub": (1.0, -alpha), "rsub": (-alpha, 1.0)}[self.name]

    def __call__(self, values: Mapping[Node, Tensor]) -> Tensor:
        """The operation again, at other values of its operands."""
        args = [values[a] if isinstance(a, Node) else a for a in self.args]
        kwargs = {key: values[a] if isinstance(a, Node) else a for key, a in self.kwargs.items()}
        if self.op._schema.is_mutable:
            args[0] = args[0].clone()
        result = self.op(*args, **kwargs)
        return result[0] if isinstance(result, tuple) else result  # type: ignore[no-any-return]


def value_at(end: Node, start: Node, value: Tensor) -> Tensor:
    """A pointwise function of the value at ``start``, at another value there."""
    values = {start: value}

    def visit(node: Node) -> None:
        if node in values:
            return
        if not isinstance(node, Pointwise):
            raise Unreadable("what follows its addition is no function of the sum alone")
        for operand in node.operands:
            visit(operand)
        values[node] = node(values)

    visit(end)
    return values[end]


def derivative(end: Node, start: Node, value: Tensor | None = None) -> Tensor:
    """Of a pointwise function, number by number: the diagonal of its Jacobian, by autograd.

    So that at kinks it is what torch takes it to be: 0 for a ReLU at 0.
    """
    point = (start.value if value is None else value).detach()
    if end is start:
        return torch.ones_like(point)
    with torch.enable_grad():
        point = point.clone().requires_grad_()
        try:
            after = value_at(end, start, point)
            if not after.requires_grad:
                return torch.zeros_like(point)
            (slope,) = torch.autograd.grad(after.sum(), point, materialize_grads=True)
        except RuntimeError as error:
            raise Unreadable(f"an activation has no derivative ({str(error).splitlines()[0]})") from error
    return slope.detach()
