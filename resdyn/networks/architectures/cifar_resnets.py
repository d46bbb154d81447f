"""Residual networks for small images: ResNets [he2016]_, ResNeXts [xie2017]_, In-ResNets [yang2020]_."""

from collections.abc import Sequence
from functools import partial
from typing import Any, Literal

import numpy as np
from torch import nn

from resdyn import _validation as validate
from resdyn.networks.architectures.blocks import (
    Interpolation,
    InterpolationCoefficient,
    PaddedSubsampling,
    ResidualBlock,
    interpolation_kind,
    interval,
)
from resdyn.networks.architectures.contract import Preprocessing, ResidualNetwork, ResidualStage

_BOTTLENECK_FROM = 164
Order = Literal["post", "pre"]
Shortcut = Literal["pad", "projection"]


def resnet(
    depth: int = 20,
    *,
    order: Order = "post",
    shortcut: Shortcut | None = None,
    bottleneck: bool | None = None,
    widths: Sequence[int] = (16, 32, 64),
    channels: int = 3,
    classes: int = 10,
    interpolation: Interpolation | None = None,
    coefficient: float | None = None,
    start: Sequence[float] | None = None,
    preprocessing: Preprocessing | None = None,
) -> ResidualNetwork:
    r"""A ResNet for CIFAR, of the depths 20, 32, 44, 56, 110 (two convolutions a unit) or 164 (bottlenecks of three).

    Post-activation units are :math:`\mathrm{relu}(S(x) + \mathrm{BN\,conv\,relu\,BN\,conv}\,x)` [he2016]_;
    pre-activation units :math:`S(x) + (\mathrm{conv\,relu\,BN})^2 x` [he2016identity]_, with batch norm and ReLU
    before the pooling.

    Parameters
    ----------
    depth : int
        Any 6n + 2 with two convolutions a unit, 9n + 2 with bottlenecks: n units in each of three stages.
    order : "post" or "pre"
        Whether activations stand after the addition or before the convolutions.
    shortcut : "pad" or "projection", optional
        Where the shape changes: option A of [he2016]_ (subsampling, new channels zero), or a 1×1 convolution
        (conv–BN in post-activation order, BN–ReLU–conv in pre-activation order). By default "pad" for "post" and
        "projection" for "pre", as in [he2016]_ and [yang2020]_.
    bottleneck : bool, optional
        1×1, 3×3, 1×1 convolutions with four times the width outside. By default from depth 164 on.
    widths : three ints
        Channels inside the units of each stage.
    channels, classes : int
        Of the images.
    interpolation : "in" or "lambda-in", optional
        In-ResNet or λ-In-ResNet [yang2020]_: each unit but the first and those that change the shape has its own
        coefficient λ, see :class:`resdyn.networks.InterpolationCoefficient`.
    coefficient : float, optional
        A fixed λ for all; learned if left out.
    start : pair of floats, optional
        Between which the learned k are drawn. By default as in [yang2020]_: (0.75, 0.8) for "in", (0.2, 0.25) for
        "lambda-in"; with 164 layers or more (0.8, 0.9) and (0.1, 0.2).
    preprocessing : Preprocessing, optional

    Returns
    -------
    ResidualNetwork

    Raises
    ------
    TypeError, ValueError
        For a depth that is none, numbers out of range, or an unknown word.
    """
    depth = validate.count(depth, "depth")
    bottleneck = depth >= _BOTTLENECK_FROM if bottleneck is None else bool(bottleneck)
    _one_of("order", order, ("post", "pre"))
    shortcut = shortcut or ("pad" if order == "post" else "projection")
    widths = _widths(widths, shortcut)
    channels, classes = _counts(channels=channels, classes=classes)
    n_units = _units_per_stage(depth, 3 if bottleneck else 2)
    outside = tuple(width * (4 if bottleneck else 1) for width in widths)
    convolutions = _bottleneck if bottleneck else _basic
    rules = _Rules(order, shortcut, interpolation, coefficient, start, depth)
    stages = _stages(rules, convolutions, (widths[0], *outside), widths, n_units)
    return ResidualNetwork(
        _stem(channels, widths[0], order),
        stages,
        _head(outside[-1], classes, order),
        architecture=_described(
            "resnet",
            depth=depth,
            order=order,
            shortcut=shortcut,
            bottleneck=bottleneck,
            widths=list(widths),
            channels=channels,
            classes=classes,
            interpolation=interpolation,
            coefficient=rules.coefficient,
            start=None if interpolation is None or coefficient is not None else list(rules.start),
        ),
        preprocessing=preprocessing,
    ).apply(_initialise)


def resnext(
    depth: int = 29,
    *,
    cardinality: int = 8,
    width: int = 64,
    outside: Sequence[int] = (256, 512, 1024),
    order: Order = "post",
    channels: int = 3,
    classes: int = 10,
    interpolation: Interpolation | None = None,
    coefficient: float | None = None,
    start: Sequence[float] | None = None,
    preprocessing: Preprocessing | None = None,
) -> ResidualNetwork:
    """A ResNeXt for CIFAR [xie2017]_: bottlenecks whose middle convolution has ``cardinality`` groups.

    Parameters
    ----------
    depth : int
        Any 9n + 2: n units in each of three stages.
    cardinality, width : int
        Groups, and channels per group in the first stage; they double from stage to stage. 8 × 64 is the net of
        [xie2017]_.
    outside : three ints
        Channels between the units of each stage. The stem makes 64.
    order, channels, classes, interpolation, coefficient, start, preprocessing
        As for :func:`resdyn.networks.resnet`. Shortcuts are projections where the shape changes.

    Raises
    ------
    TypeError, ValueError
        For a depth that is none, numbers out of range, or an unknown word.
    """
    depth = validate.count(depth, "depth")
    _one_of("order", order, ("post", "pre"))
    n_units = _units_per_stage(depth, 3)
    cardinality, width = _counts(cardinality=cardinality, width=width)
    channels, classes = _counts(channels=channels, classes=classes)
    inside = tuple(cardinality * width * 2**k for k in range(3))
    outside = _widths(outside, "projection", "outside")
    rules = _Rules(order, "projection", interpolation, coefficient, start, depth)
    stages = _stages(rules, partial(_bottleneck, groups=cardinality), (64, *outside), inside, n_units)
    return ResidualNetwork(
        _stem(channels, 64, order),
        stages,
        _head(outside[-1], classes, order),
        architecture=_described(
            "resnext",
            depth=depth,
            cardinality=cardinality,
            width=width,
            outside=list(outside),
            order=order,
            channels=channels,
            classes=classes,
            interpolation=interpolation,
            coefficient=rules.coefficient,
            start=None if interpolation is None or coefficient is not None else list(rules.start),
        ),
        preprocessing=preprocessing,
    ).apply(_initialise)


# --- units -------------------------------------------------------------------------------------------


class _Rules:
    """What all units of a net have in common."""

    def __init__(
        self,
        order: Order,
        shortcut: Shortcut,
        interpolation: Interpolation | None,
        coefficient: float | None,
        start: Sequence[float] | None,
        depth: int,
    ) -> None:
        _one_of("shortcut", shortcut, ("pad", "projection"))
        if interpolation is None and (coefficient is not None or start is not None):
            raise ValueError(
                "coefficient and start belong to interpolation, which is None; pass interpolation='in' or 'lambda-in'."
            )
        if interpolation is not None:
            interpolation_kind(interpolation)
        if coefficient is not None and start is not None:
            raise ValueError("coefficient is a fixed λ, and start is where learned ones begin; pass one of them.")
        deep = depth >= _BOTTLENECK_FROM
        usual = {"in": (0.8, 0.9) if deep else (0.75, 0.8), "lambda-in": (0.1, 0.2) if deep else (0.2, 0.25)}
        self.order, self.shortcut = order, shortcut
        self.interpolation = interpolation
        self.coefficient = None if coefficient is None else validate.nonnegative(coefficient, "the coefficient λ")
        self.start = interval(start) if start is not None else usual.get(str(interpolation), (0.0, 0.0))

    def unit(self, branch: nn.Module, before: int, after: int, stride: int, *, damped: bool) -> ResidualBlock:
        """The unit around a branch."""
        interpolation = None
        if damped and self.interpolation is not None:
            interpolation = InterpolationCoefficient(self.interpolation, self.start, self.coefficient)
        activation = nn.ReLU() if self.order == "post" else None
        return ResidualBlock(branch, self._shortcut(before, after, stride), activation, interpolation)

    def _shortcut(self, before: int, after: int, stride: int) -> nn.Module | None:
        if stride == 1 and before == after:
            return None
        if self.shortcut == "pad":
            return PaddedSubsampling(before, after, stride)
        if self.order == "post":
            return nn.Sequential(_convolution(before, after, 1, stride), nn.BatchNorm2d(after))
        return nn.Sequential(nn.BatchNorm2d(before), nn.ReLU(), _convolution(before, after, 1, stride))


def _stages(
    rules: _Rules, convolutions: Any, outside: Sequence[int], inside: Sequence[int], n_units: int
) -> list[ResidualStage]:
    """Three stages; ``outside`` begins with the width of the stem."""
    stages = []
    for k in range(3):
        before, after, stride = outside[k], outside[k + 1], 1 if k == 0 else 2
        units = []
        for j in range(n_units):
            branch = _branch(rules.order, convolutions(before, inside[k], after, stride))
            keeps_shape = before == after and stride == 1
            units.append(rules.unit(branch, before, after, stride, damped=keeps_shape and (k, j) != (0, 0)))
            before, stride = after, 1
        changes = outside[k] != after or k > 0
        stages.append(ResidualStage(units[0] if changes else None, units[1:] if changes else units))
    return stages


def _branch(order: Order, convolutions: Sequence[nn.Conv2d]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for convolution in convolutions:
        if order == "pre":
            layers += [nn.BatchNorm2d(convolution.in_channels), nn.ReLU(), convolution]
        else:
            layers += [convolution, nn.BatchNorm2d(convolution.out_channels), nn.ReLU()]
    # in post-activation order the last ReLU stands after the addition
    return nn.Sequential(*(layers if order == "pre" else layers[:-1]))


def _basic(before: int, inside: int, after: int, stride: int) -> list[nn.Conv2d]:
    return [_convolution(before, inside, 3, stride), _convolution(inside, after, 3)]


def _bottleneck(before: int, inside: int, after: int, stride: int, groups: int = 1) -> list[nn.Conv2d]:
    return [
        _convolution(before, inside, 1),
        _convolution(inside, inside, 3, stride, groups),
        _convolution(inside, after, 1),
    ]


def _convolution(before: int, after: int, size: int, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    return nn.Conv2d(before, after, size, stride, padding=size // 2, groups=groups, bias=False)


# --- the rest ----------------------------------------------------------------------------------------


def _stem(channels: int, width: int, order: Order) -> nn.Sequential:
    convolution = _convolution(channels, width, 3)
    if order == "pre":
        return nn.Sequential(convolution)
    return nn.Sequential(convolution, nn.BatchNorm2d(width), nn.ReLU())


def _head(width: int, classes: int, order: Order) -> nn.Sequential:
    pooled = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, classes)]
    return nn.Sequential(*([nn.BatchNorm2d(width), nn.ReLU()] if order == "pre" else []), *pooled)


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d):
        # N(0, 2 / (k² · out)), as in [he2016identity]_ and [yang2020]_
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


def _units_per_stage(depth: int, convolutions: int) -> int:
    per_stage, rest = divmod(depth - 2, 3 * convolutions)
    if rest or per_stage < 1:
        form = f"{3 * convolutions}n + 2"
        examples = ", ".join(str(3 * convolutions * n + 2) for n in (1, 3, 9))
        raise ValueError(f"depth is {depth}, but with {convolutions} convolutions a unit it is {form}: {examples}, …")
    return per_stage


def _counts(**numbers: Any) -> tuple[int, ...]:
    return tuple(validate.count(value, name, least=1) for name, value in numbers.items())


def _widths(widths: Sequence[int], shortcut: Shortcut, name: str = "widths") -> tuple[int, ...]:
    if not isinstance(widths, Sequence | np.ndarray) or isinstance(widths, str):
        raise TypeError(f"{name} must be three integers, such as (16, 32, 64), but is {widths!r}.")
    found = tuple(validate.count(width, "a width", least=1) for width in widths)
    if len(found) != 3:
        raise ValueError(f"{name} holds {found}, but there are three stages; give three.")
    if shortcut == "pad" and list(found) != sorted(found):
        raise ValueError(
            f"widths are {found}, but padding only adds channels; give widths that do not shrink, or "
            "shortcut='projection'."
        )
    return found


def _one_of(what: str, word: Any, words: Sequence[str]) -> None:
    if word not in words:
        raise ValueError(f"{what} is {word!r}; there are {' and '.join(map(repr, words))}.")


def _described(name: str, **arguments: Any) -> dict[str, Any]:
    return {"name": name, **{key: value for key, value in arguments.items() if value is not None}}
