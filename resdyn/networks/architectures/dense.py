r"""Dense networks of equal layers: :math:`x_{k+1} = (1 - h\lambda)\,x_k + h\,\alpha\,\varphi(W_k x_k + b_k)`.

λ = 0, h = α = 1 and one W for all layers is the network of [lagzi2021]_; h = λ = α = 1 is the plain network,
:math:`x_{k+1} = \varphi(W_k x_k + b_k)`. The parametrisation is that of :class:`resdyn.ResidualMap`.
"""

from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, pad

from resdyn import _validation as validate
from resdyn.networks.architectures.contract import (
    Preprocessing,
    ResidualNetwork,
    ResidualStage,
    SharedStage,
)
from resdyn.networks.architectures.pointwise import ACTIVATIONS, activation_name

Embedding = Literal["pad", "linear"]

_COUNTS = ("inputs", "units", "depth", "classes")
_BIASES = {"logistic": -3.0, "softplus": -3.0}
_PLAIN_SPREADS = {"logistic": 4.0, "tanh": 1.0, "relu": 2**0.5, "softplus": 2.0, "identity": 1.0}


class DenseBlock(nn.Module):
    r"""One layer, :math:`x' = (1 - h\lambda)\,x + h\,\alpha\,\varphi(W x + b)`.

    Attributes
    ----------
    weight : parameter, shape (N, N)
        W.
    bias : parameter, shape (N,)
        b.
    activation : str
        The name of φ: "logistic", "tanh", "relu", "softplus" or "identity".
    step, damping, gain : float
        h > 0, λ, α.
    name : str or None
        Of the residual map that it was made of.
    """

    name: str | None = None

    def __init__(
        self,
        units: int,
        *,
        activation: str = "logistic",
        step: float = 1.0,
        damping: float = 0.0,
        gain: float = 1.0,
        spread: float = 0.3,
        bias: float = 0.0,
    ) -> None:
        super().__init__()
        units = validate.count(units, "units", least=1)
        self.activation = activation_name(activation)
        self.step = validate.positive(step, "step")
        self.damping, self.gain = _number(damping, "damping"), _number(gain, "gain")
        spread = validate.nonnegative(spread, "spread")
        self.weight = nn.Parameter(torch.randn(units, units) * (spread / units**0.5))
        self.bias = nn.Parameter(torch.full((units,), _number(bias, "bias")))

    def forward(self, x: Tensor) -> Tensor:
        """The state after the layer; x has shape (..., N)."""
        residual = ACTIVATIONS[self.activation](linear(x, self.weight, self.bias))
        # in this form the plain network is φ(W x + b) to the last bit
        return (1 - self.step * self.damping) * x + (self.step * self.gain) * residual

    def extra_repr(self) -> str:
        return (
            f"{len(self.bias)}, activation={self.activation!r}, step={self.step:g}, damping={self.damping:g}, "
            f"gain={self.gain:g}"
        )


class FlatInputs(nn.Module):
    """The stem of dense networks: inputs times ``scale``, flattened, as states of N units.

    Parameters
    ----------
    inputs, units : int
        Numbers per input, and N.
    embedding : "pad" or "linear"
        Append zeros, or multiply by a learned matrix and add a bias.
    scale : float
    """

    def __init__(self, inputs: int, units: int, embedding: Embedding = "pad", scale: float = 1.0) -> None:
        super().__init__()
        self.inputs, self.units = validate.count(inputs, "inputs", least=1), validate.count(units, "units", least=1)
        self.scale = _number(scale, "scale")
        validate.choice(embedding, "embedding", ("pad", "linear"))
        if embedding == "pad" and self.inputs > self.units:
            raise ValueError(
                f"{inputs} inputs do not fit into {units} units; take more units, or embedding='linear', "
                "a learned matrix."
            )
        self.matrix = nn.Linear(self.inputs, self.units) if embedding == "linear" else None

    def forward(self, x: Tensor) -> Tensor:
        """The first state; x has shape (n, …) with ``inputs`` numbers after the batch axis."""
        if x.ndim < 2 or x.shape[1:].numel() != self.inputs:
            raise ValueError(
                f"inputs have shape {tuple(x.shape)}, but this network takes {self.inputs} numbers each, for example "
                f"shape (n, {self.inputs}); pass a batch of them."
            )
        x = self.scale * x.flatten(1)
        return pad(x, (0, self.units - self.inputs)) if self.matrix is None else self.matrix(x)


def dense_resnet(
    inputs: int,
    units: int,
    depth: int,
    classes: int,
    *,
    shared: bool = True,
    activation: str = "logistic",
    embedding: Embedding = "pad",
    scale: float = 1.0,
    step: float = 1.0,
    damping: float = 0.0,
    gain: float = 1.0,
    spread: float = 0.3,
    bias: float | None = None,
    preprocessing: Preprocessing | None = None,
) -> ResidualNetwork:
    r"""A dense residual network, :math:`x_{k+1} = (1 - h\lambda)\,x_k + h\,\alpha\,\varphi(W x_k + b)` [lagzi2021]_.

    Inputs are flattened, brought to N units, run through the layers, and read out linearly.

    Parameters
    ----------
    inputs, units, depth, classes : int
        Numbers per input (784 for MNIST, 3072 for CIFAR, 64 for digits), N, layers, classes.
    shared : bool
        One W and b for all layers (then the stage is autonomous), or one of each per layer.
    activation : str
        φ: "logistic", "tanh", "relu", "softplus" or "identity".
    embedding : "pad" or "linear"
        How inputs become N units: zeros are appended, or a learned matrix maps them. [lagzi2021]_ does not say.
    scale : float
        Inputs are multiplied by it.
    step, damping, gain : float
        h, λ, α.
    spread, bias : float
        W begins as :math:`N(0, \mathrm{spread}^2 / N)`, b as ``bias``: −3 for "logistic" and "softplus", which are
        positive, and 0 for the others. These are our choice. From b = 0 logistic units add about 1/2 per layer, and
        after 15 layers what all units have in common, 7.5, hides the input; from −3 they add 0.7, and training is
        faster by far.
    preprocessing : Preprocessing, optional

    Raises
    ------
    TypeError, ValueError
        For numbers out of range, unknown words, or more inputs than units with ``embedding="pad"``.
    """
    bias = _BIASES.get(activation_name(activation), 0.0) if bias is None else bias
    block = {
        "activation": activation,
        "step": validate.positive(step, "step"),
        "damping": _number(damping, "damping"),
        "gain": _number(gain, "gain"),
        "spread": validate.nonnegative(spread, "spread"),
        "bias": _number(bias, "bias"),
    }
    described = {
        "name": "dense_resnet",
        "inputs": inputs,
        "units": units,
        "depth": depth,
        "classes": classes,
        "shared": bool(shared),
        "embedding": embedding,
        "scale": scale,
        **block,
    }
    return _dense(described, block, preprocessing)


def mlp(
    inputs: int,
    units: int,
    depth: int,
    classes: int,
    *,
    shared: bool = True,
    activation: str = "logistic",
    embedding: Embedding = "pad",
    scale: float = 1.0,
    spread: float | None = None,
    preprocessing: Preprocessing | None = None,
) -> ResidualNetwork:
    r"""The plain network of equal size, :math:`x_{k+1} = \varphi(W x_k + b)`: no skip path.

    With equal arguments its weights have the names and shapes of those of :func:`resdyn.networks.dense_resnet`,
    so either takes the weights of the other.

    Parameters
    ----------
    inputs, units, depth, classes, shared, activation, embedding, scale, preprocessing
        As for :func:`resdyn.networks.dense_resnet`; ``shared=False`` is the usual MLP.
    spread : float, optional
        W begins as :math:`N(0, \mathrm{spread}^2 / N)`. By default the inverse of the slope φ′(0) (√2 for "relu"), so
        that small differences neither grow nor shrink at first; logistic units get the bias
        :math:`-\tfrac12 \sum_j W_{ij}`, which takes away their mean of 1/2. Both are our choice.

    Raises
    ------
    TypeError, ValueError
        As for :func:`resdyn.networks.dense_resnet`.
    """
    spread = _PLAIN_SPREADS[activation_name(activation)] if spread is None else validate.nonnegative(spread, "spread")
    block = {"activation": activation, "step": 1.0, "damping": 1.0, "gain": 1.0, "spread": spread}
    described = {
        "name": "mlp",
        "inputs": inputs,
        "units": units,
        "depth": depth,
        "classes": classes,
        "shared": bool(shared),
        "activation": activation,
        "embedding": embedding,
        "scale": scale,
        "spread": spread,
    }
    net = _dense(described, block, preprocessing)
    if activation == "logistic":
        with torch.no_grad():
            for layer in net.units:
                layer.bias.copy_(-layer.weight.sum(1) / 2)
    return net


def _dense(architecture: dict[str, Any], block: dict[str, Any], preprocessing: Preprocessing | None) -> ResidualNetwork:
    # as numbers of Python, which JSON can say
    counts = {name: validate.count(architecture[name], name, least=1) for name in _COUNTS}
    architecture = {**architecture, **counts, "scale": _number(architecture["scale"], "scale")}
    units, depth, classes = counts["units"], counts["depth"], counts["classes"]
    stem = FlatInputs(counts["inputs"], units, architecture["embedding"], architecture["scale"])
    stage: ResidualStage
    if architecture["shared"]:
        stage = SharedStage(DenseBlock(units, **block), depth)
    else:
        stage = ResidualStage(None, [DenseBlock(units, **block) for _ in range(depth)])
    head = nn.Linear(units, classes)
    return ResidualNetwork(stem, [stage], head, architecture=architecture, preprocessing=preprocessing)


def _number(value: Any, name: str) -> float:
    return validate.within(value, name, -1e300, 1e300)
