r"""Residual units: :math:`x' = \phi(a\,S(x) + b\,g(x))` with branch g, shortcut S and activation φ.

Without interpolation a = b = 1. The interpolation coefficient λ of [yang2020]_ damps the skip path:
a = 1 − λ, and b = 1 (In-ResNet) or b = 1 + λ (λ-In-ResNet).
"""

from collections.abc import Sequence
from math import isfinite
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from resdyn import _validation as validate

Interpolation = Literal["in", "lambda-in"]
INTERPOLATIONS: tuple[Interpolation, ...] = ("in", "lambda-in")


def interpolation_kind(kind: Any) -> Interpolation:
    """The word, if it is one of the two.

    Raises
    ------
    ValueError
        If it is none.
    """
    if kind not in INTERPOLATIONS:
        raise ValueError(f"interpolation is {kind!r}; there are 'in' (In-ResNet) and 'lambda-in' (λ-In-ResNet).")
    return kind


def interval(start: Any) -> tuple[float, float]:
    """Between which k begins, as two floats.

    Raises
    ------
    ValueError
        If they are not finite or not in order.
    """
    try:
        low, high = map(float, start)
    except (TypeError, ValueError):
        low, high = float("nan"), float("nan")
    if not (isfinite(low) and isfinite(high) and low <= high):
        raise ValueError(f"start is {start!r}, but k is drawn between two finite numbers, the smaller one first.")
    return low, high


class InterpolationCoefficient(nn.Module):
    r"""One coefficient λ of [yang2020]_, learned through a number k, or fixed.

    In-ResNet: :math:`\lambda = \max(1 - k, 0)`, gains :math:`(1 - \lambda, 1)`.
    λ-In-ResNet: :math:`\lambda = \max(k, 0)`, gains :math:`(1 - \lambda, 1 + \lambda)`.
    λ has no upper bound.

    Parameters
    ----------
    kind : "in" or "lambda-in"
    start : pair of floats
        k is drawn uniformly between them, from torch's generator.
    fixed : float, optional
        λ itself, not learned. It is a number of the network, exact in every precision, and none of its weights: the
        weights of the same ResNet without interpolation are then those of this net.

    Raises
    ------
    TypeError
        For a λ that is no number.
    ValueError
        For another kind, ends that are not finite or not in order, or a negative λ.
    """

    def __init__(self, kind: Interpolation, start: Sequence[float], fixed: float | None = None) -> None:
        super().__init__()
        self.kind = interpolation_kind(kind)
        self.fixed = None if fixed is None else validate.nonnegative(fixed, "the coefficient λ")
        if self.fixed is None:
            self.k = nn.Parameter(torch.empty(()).uniform_(*interval(start)))

    @property
    def value(self) -> Tensor:
        """λ, a tensor without axes; in double precision if it is fixed."""
        if self.fixed is not None:
            return torch.tensor(self.fixed, dtype=torch.float64)
        return torch.relu(1 - self.k if self.kind == "in" else self.k)

    def gains(self) -> tuple[Tensor | float, Tensor | float]:
        """What the skip path and the branch are multiplied by: floats if λ is fixed."""
        value = self.value if self.fixed is None else self.fixed
        return 1 - value, (1.0 if self.kind == "in" else 1 + value)

    def extra_repr(self) -> str:
        how = "learned" if self.fixed is None else "fixed"
        return f"{self.kind!r}, λ={self.value.item():.4g}, {how}"


class PaddedSubsampling(nn.Module):
    """Option A of [he2016]_: every second pixel, and zeros for the channels that are new."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.missing, self.stride = after - before, stride

    def forward(self, x: Tensor) -> Tensor:
        """The shortcut of x."""
        below = self.missing // 2
        return pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, below, self.missing - below))


class ResidualBlock(nn.Module):
    r"""A residual unit, :math:`x' = \phi(a\,S(x) + b\,g(x))`.

    Attributes
    ----------
    branch : module
        g.
    shortcut : module
        S, the identity where shape and width stay.
    after : module
        φ, the identity in pre-activation units.
    interpolation : InterpolationCoefficient or None
        Where a and b come from; None for a = b = 1.
    """

    def __init__(
        self,
        branch: nn.Module,
        shortcut: nn.Module | None = None,
        after: nn.Module | None = None,
        interpolation: InterpolationCoefficient | None = None,
    ) -> None:
        super().__init__()
        self.branch = branch
        self.shortcut = nn.Identity() if shortcut is None else shortcut
        self.after = nn.Identity() if after is None else after
        self.interpolation = interpolation

    def gains(self) -> tuple[Any, Any]:
        """a and b: floats, or tensors without axes."""
        return (1.0, 1.0) if self.interpolation is None else self.interpolation.gains()

    def forward(self, x: Tensor) -> Tensor:
        """The state after the unit."""
        return self.after(self.before(x))  # type: ignore[no-any-return]

    def before(self, x: Tensor) -> Tensor:
        """The sum of both paths, before the activation: a S(x) + b g(x)."""
        skip, branch = self.shortcut(x), self.branch(x)
        if self.interpolation is None:
            return skip + branch  # type: ignore[no-any-return]
        a, b = self.interpolation.gains()
        if self.interpolation.kind != "in":
            branch = b * branch
        return a * skip + branch  # type: ignore[no-any-return]
