r"""Residual networks of many equal blocks, :math:`x_{k+1} = x_k + f_k(x_k)`, for a study of depth as in [hauser2019]_.

All skips are identities and no shape changes after the stem, so that :math:`\|f_k(x_k)\| / \|x_k\|` means the same at
every block and depth. Architecture and initialisation are our choice.
"""

from collections.abc import Callable
from typing import Literal

import torch
from torch import nn

from resdyn import _validation as validate
from resdyn.networks.architectures.blocks import ResidualBlock
from resdyn.networks.architectures.contract import Preprocessing, ResidualNetwork, ResidualStage
from resdyn.networks.architectures.dense import FlatInputs
from resdyn.networks.architectures.pointwise import Pointwise, activation_name

Initial = Literal["scaled", "zero", "plain"]


def residual_mlp(
    blocks: int,
    *,
    inputs: int = 784,
    units: int = 64,
    hidden: int | None = None,
    classes: int = 10,
    activation: str = "relu",
    scale: float = 1.0,
    initial: Initial = "scaled",
    preprocessing: Preprocessing | None = None,
) -> ResidualNetwork:
    r"""A residual network of dense blocks, :math:`x' = x + V \varphi(U x + a) + b`, of any depth.

    Inputs are flattened and brought to ``units`` numbers by a learned matrix; the read-out is linear.

    Parameters
    ----------
    blocks : int
        L; [hauser2019]_ goes from 6 to 300.
    inputs, units, classes : int
        Numbers per input (784 for MNIST, 3072 for CIFAR), per state, and classes.
    hidden : int, optional
        Numbers between U and V; as many as ``units`` if left out.
    activation : str
        φ, as for :func:`resdyn.networks.dense_resnet`.
    scale : float
        Inputs are multiplied by it.
    initial : "scaled", "zero" or "plain"
        How the last weights of each branch, V, begin. "plain": normal, with the variance that makes ‖V φ(U x)‖ about
        ‖x‖ for relu, so that states grow as :math:`2^{L/2}`. "scaled": this over √L, so that
        :math:`\mathrm{E}\|x_L\|^2 \approx (1 + 1/L)^L \|x_0\|^2 < e\,\|x_0\|^2` at any depth, and gradients reach every
        weight from the first step on. "zero": every block begins as the identity. This is a start and no factor
        in the network: training may choose any size.
    preprocessing : Preprocessing, optional

    Raises
    ------
    TypeError, ValueError
        For numbers out of range or unknown words.
    """
    n_blocks = validate.count(blocks, "blocks", least=1)
    hidden = validate.count(units if hidden is None else hidden, "hidden", least=1)
    classes = validate.count(classes, "classes", least=1)
    activation_name(activation)
    stem = FlatInputs(inputs, units, "linear", scale)
    units = stem.units
    head = nn.Linear(units, classes)

    def branch() -> nn.Sequential:
        return nn.Sequential(nn.Linear(units, hidden), Pointwise(activation), nn.Linear(hidden, units))

    return ResidualNetwork(
        stem,
        [_equal_blocks(branch, n_blocks, initial)],
        head,
        architecture={
            "name": "residual_mlp",
            "blocks": n_blocks,
            "inputs": stem.inputs,
            "units": units,
            "hidden": hidden,
            "classes": classes,
            "activation": activation,
            "scale": stem.scale,
            "initial": initial,
        },
        preprocessing=preprocessing,
    )


def residual_cnn(
    blocks: int,
    *,
    channels: int = 3,
    width: int = 16,
    classes: int = 10,
    stride: int = 2,
    initial: Initial = "scaled",
    preprocessing: Preprocessing | None = None,
) -> ResidualNetwork:
    r"""A convolutional residual network of one stage, :math:`x' = x + (\mathrm{conv\,relu\,BN})^2 x`, of any depth.

    The stem is one 3×3 convolution; batch norm, ReLU, average pooling and a linear read-out end the network.

    Parameters
    ----------
    blocks : int
        L; [hauser2019]_ goes from 6 to 300.
    channels, width, classes : int
        Of the images, of the states, and classes.
    stride : int
        Of the stem: 2 makes states of 16×16 pixels from images of 32×32, at a quarter of the cost of 1.
    initial : "scaled", "zero" or "plain"
        How the second convolution of each branch begins, as for :func:`resdyn.networks.residual_mlp`. Since batch norm
        opens each branch, "plain" states grow only as √L.
    preprocessing : Preprocessing, optional

    Raises
    ------
    TypeError, ValueError
        For numbers out of range or unknown words.
    """
    n_blocks = validate.count(blocks, "blocks", least=1)
    given = {"channels": channels, "width": width, "classes": classes, "stride": stride}
    arguments = {name: validate.count(value, name, least=1) for name, value in given.items()}
    channels, width, classes, stride = arguments.values()
    stem = nn.Conv2d(channels, width, 3, stride, padding=1, bias=False)
    head = nn.Sequential(
        nn.BatchNorm2d(width), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, classes)
    )

    def branch() -> nn.Sequential:
        first, second = (nn.Conv2d(width, width, 3, padding=1, bias=False) for _ in range(2))
        return nn.Sequential(nn.BatchNorm2d(width), nn.ReLU(), first, nn.BatchNorm2d(width), nn.ReLU(), second)

    return ResidualNetwork(
        stem,
        [_equal_blocks(branch, n_blocks, initial)],
        head,
        architecture={"name": "residual_cnn", "blocks": n_blocks, **arguments, "initial": initial},
        preprocessing=preprocessing,
    )


def _equal_blocks(branch: Callable[[], nn.Sequential], n_blocks: int, initial: Initial) -> ResidualStage:
    validate.choice(initial, "initial", ("scaled", "zero", "plain"))
    factor = {"scaled": n_blocks**-0.5, "zero": 0.0, "plain": 1.0}[initial]
    stage = ResidualStage(None, [ResidualBlock(branch()) for _ in range(n_blocks)])
    with torch.no_grad():
        for unit in stage.blocks:
            for place, layer in enumerate(unit.branch):
                if isinstance(layer, nn.Conv2d | nn.Linear):
                    # twice the variance where a ReLU has halved the square before
                    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu" if place else "linear")
                if isinstance(layer, nn.Linear):
                    nn.init.zeros_(layer.bias)
            unit.branch[-1].weight.mul_(factor)
    return stage
