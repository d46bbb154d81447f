r"""Vector fields: the residual of a block, :math:`f(x) = (B(x) - x)/h`, and :math:`\alpha f - \lambda x` of one."""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from resdyn import _validation as validate
from resdyn.networks.architectures.blocks import ResidualBlock
from resdyn.networks.architectures.dense import DenseBlock
from resdyn.networks.architectures.pointwise import ACTIVATIONS


class BlockResidual(nn.Module):
    r"""The residual of a block that keeps the shape of the state, :math:`f(x) = (B(x) - x)/h`.

    A :class:`resdyn.networks.ResidualBlock` with an identity shortcut and nothing after the addition is evaluated as
    :math:`((a - 1)x + b\,g(x))/h`, and a dense block as :math:`-\lambda x + \alpha\varphi(Wx + b)`: the difference
    B(x) − x would lose digits where a block moves the state by little.
    """

    def __init__(self, block: nn.Module, step: float) -> None:
        super().__init__()
        self.block, self.step = block, step

    def forward(self, x: Tensor) -> Tensor:
        """f(x)."""
        residual = self._residual(x)
        if residual.shape != x.shape:
            raise ValueError(
                f"the block maps states of shape {tuple(x.shape[1:])} to {tuple(residual.shape[1:])}, but only a block "
                "that keeps the shape has a flow; take the blocks of one stage, without its entry."
            )
        return residual

    def _residual(self, x: Tensor) -> Tensor:
        block = self.block
        if isinstance(block, DenseBlock) and block.step == self.step:
            y = ACTIVATIONS[block.activation](linear(x, block.weight, block.bias))
            return block.gain * y - block.damping * x if block.damping else block.gain * y
        # a block may work in place, and x still belongs to the integrator
        if isinstance(block, ResidualBlock) and _adds_only(block):
            branch = block.branch(x.clone())
            if block.interpolation is not None:
                a, b = block.gains()
                branch = (a - 1) * x + b * branch
            return branch / self.step
        after = block(x.clone())
        return after if after.shape != x.shape else (after - x) / self.step


class CastUnit(nn.Module):
    """A unit of an unrolled network that runs with copies of the weights, in another dtype or on another device."""

    def __init__(self, unit: Any) -> None:
        super().__init__()
        self.function = unit.function
        self.register_buffer("place", torch.empty(0, dtype=unit.placement.dtype, device=unit.placement.device))

    def forward(self, x: Tensor) -> Tensor:
        """The state after the unit."""
        return self.function(x)


def _adds_only(block: ResidualBlock) -> bool:
    return isinstance(block.shortcut, nn.Identity) and isinstance(block.after, nn.Identity)


class DampedField(nn.Module):
    r"""The field that is integrated, :math:`\alpha f(x) - \lambda x`; it counts its evaluations.

    Parameters
    ----------
    field : module
        f, called as ``field(x)``, or as ``field(t, x)`` if it depends on time.
    damping, gain : float or tensor
        λ and α; an ``nn.Parameter`` is learned.
    depends_on_time : bool
    """

    def __init__(self, field: nn.Module, damping: Any, gain: Any, depends_on_time: bool = False) -> None:
        super().__init__()
        self.field, self.depends_on_time = field, depends_on_time
        self.damping, self.gain = damping, gain
        self.evaluations = 0
        self.last: Tensor | None = None

    def forward(self, t: Tensor, x: Tensor) -> Tensor:
        """The time derivative of x."""
        self.evaluations += 1
        f = self.field(t.to(x.dtype), x) if self.depends_on_time else self.field(x)
        if f.shape != x.shape:
            raise ValueError(
                f"the vector field maps states of shape {tuple(x.shape)} to {tuple(f.shape)}; it must keep the shape."
            )
        if not _is_number(self.gain, 1.0):
            f = self.gain * f
        return f if _is_number(self.damping, 0.0) else f - self.damping * x

    def callback_step(self, t: Tensor, x: Tensor, dt: Tensor) -> None:
        """Keep the state from which the integrator takes its next step: where it gave up, if it does."""
        self.last = x.detach()


def coefficients(value: Any, n: int, name: str) -> list[Any]:
    """λ or α of each of n blocks: floats, or parameters that are learned."""
    if isinstance(value, Tensor):
        return [_learned(value, name)] * n if value.requires_grad else coefficients(value.tolist(), n, name)
    if isinstance(value, list | tuple | nn.ParameterList) and any(isinstance(number, Tensor) for number in value):
        if len(value) != n:
            raise ValueError(f"{name} has {len(value)} entries; pass a number, or one per block, {n}.")
        return [coefficients(number, 1, name)[0] for number in value]
    numbers = validate.real_array(value, name)
    if numbers.shape not in ((), (n,)):
        raise ValueError(f"{name} has shape {numbers.shape}; pass a number, or one per block, shape ({n},).")
    return [float(number) for number in np.broadcast_to(numbers, n)]


def _learned(value: Tensor, name: str) -> nn.Parameter:
    if not isinstance(value, nn.Parameter):
        raise TypeError(
            f"{name} is a tensor that requires a gradient, but only a parameter is learned; pass "
            f"nn.Parameter({name}.detach())."
        )
    if value.numel() != 1 or not value.is_floating_point():
        raise ValueError(
            f"{name} is a parameter of shape {tuple(value.shape)} and dtype {value.dtype}; a learned one has one "
            "entry, a real number. For one per block pass a list of parameters."
        )
    return value


def _is_number(value: Any, number: float) -> bool:
    return not isinstance(value, torch.Tensor) and value == number
