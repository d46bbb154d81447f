r"""Dense layers of torch as residual maps, :math:`x' = (1 - h\lambda)x + h\alpha\varphi(Wx + b)`, and back.

Weights go over as they are: float32 to float64 is exact, and so is the way back.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from resdyn.activations import NAMED
from resdyn.activations import activation as make_activation
from resdyn.matrix_family import ResidualMap
from resdyn.networks.architectures.contract import ResidualStage
from resdyn.networks.architectures.dense import DenseBlock
from resdyn.networks.devices import named_device
from resdyn.networks.torch_layers import Layer, is_recurrent, linear_layer, recurrent_layer, weight_array


def to_residual_map(
    module: Any,
    *,
    activation: Any = None,
    step: float | None = None,
    damping: float | None = None,
    gain: float | None = None,
    name: str | None = None,
) -> ResidualMap:
    r"""A dense layer of torch as a residual map, :math:`x' = (1 - h\lambda)x + h\alpha\,\varphi(Wx + b)`.

    Parameters
    ----------
    module : module
        * a dense block, a stage of dense blocks, a :func:`resdyn.networks.dense_resnet` or ``mlp`` (its stage), a stage
          of one that is unrolled: with the h, λ, α and φ that they have. Blocks that differ become the layers of the
          map;
        * ``nn.RNNCell``, or ``nn.RNN`` of one layer and one direction:
          :math:`x' = \varphi(W_{hh} x + b_{hh} + b_{ih} + W_{ih} u)` is the map with h = λ = α = 1; its drive goes
          into ``simulate(..., inputs=u @ weight_ih.T)``;
        * ``nn.Linear``, square, with an ``activation``, or ``nn.Sequential(nn.Linear, activation)``: :math:`Wx + b`
          only, and by default the residual network h = 1, λ = 0, α = 1.
    activation : str, torch activation or SymPy expression, optional
        φ of a linear layer.
    step, damping, gain : float, optional
        h, λ and α of a linear layer or a cell, by default as above. With a ``damping`` and no ``gain``, α is 1: so
        ``damping=0.0`` makes the residual network :math:`x' = x + h\varphi(Wx + b)` of a cell.
    name : str, optional

    Returns
    -------
    ResidualMap
        Of float64 copies of the weights. Training the module afterwards does not change it.

    Raises
    ------
    TypeError, ValueError
        For modules that are not of this form: gated cells, several layers or directions, W that is not square, complex
        weights, an activation that is not known; or numbers that contradict those of a block.
    """
    given = {"activation": activation, "step": step, "damping": damping, "gain": gain}
    if is_recurrent(module) or isinstance(module, nn.Linear | nn.Sequential):
        layers = [recurrent_layer(module, given) if is_recurrent(module) else linear_layer(module, given)]
    else:
        layers = [_dense(block) for block in _dense_blocks(module)]
        _agree(layers[0], given)
    return _map(layers, name or type(module).__name__)


def from_residual_map(
    system: ResidualMap, *, dtype: torch.dtype = torch.float64, device: Any = None
) -> DenseBlock | ResidualStage:
    r"""A residual map as a module of torch: a dense block, or a stage with one block per layer.

    Parameters
    ----------
    system : ResidualMap
        With a named activation.
    dtype : torch.dtype
        Of the weights. In float64 no bit of them changes.
    device : optional

    Returns
    -------
    DenseBlock or ResidualStage
        A block for shared weights; a stage where W, b, λ or α differ from layer to layer.

    Raises
    ------
    TypeError, ValueError
        If it is no ResidualMap, φ is an expression, or torch knows no such device.
    RuntimeError
        If CUDA is asked for and absent.
    """
    if not isinstance(system, ResidualMap):
        raise TypeError(
            f"only a ResidualMap is a dense layer of torch, not {system!r} of type {type(system).__name__}."
        )
    if system.activation is not NAMED.get(system.activation.name):
        raise ValueError(
            f"φ of {system.name!r} is the expression {system.activation.name}, but dense blocks know "
            f"{', '.join(sorted(NAMED))}; write a module of your own for it."
        )
    place = None if device is None else named_device(device)
    if system.depth is None:
        return _block(system, 0.0, dtype, place)
    # times in the middle of the layers: no rounding moves them into a neighbour
    times = [(k + 0.5) * system.step for k in range(system.depth)]
    return ResidualStage(None, [_block(system, t, dtype, place) for t in times])


def _block(system: ResidualMap, t: float, dtype: torch.dtype, device: torch.device | None) -> DenseBlock:
    W, b, damping, gain = system.layer(t)
    # made without memory, so that no random numbers are drawn for weights that are replaced
    with torch.device("meta"):
        block = DenseBlock(len(b), activation=system.activation.name, step=system.step, damping=damping, gain=gain)
    block.weight = nn.Parameter(torch.tensor(W, dtype=dtype, device=device))
    block.bias = nn.Parameter(torch.tensor(b, dtype=dtype, device=device))
    return block


def _map(layers: Sequence[Layer], name: str) -> ResidualMap:
    first = layers[0]
    for what in ("activation", "step"):
        found = {getattr(layer, what) for layer in layers}
        if len(found) > 1:
            words = ", ".join(sorted(str(getattr(value, "name", value)) for value in found))
            raise ValueError(f"the blocks have several {what}s ({words}), but the layers of one map share it.")
    numbers = {}
    for what in ("damping", "gain"):
        values = [getattr(layer, what) for layer in layers]
        numbers[what] = values[0] if len(set(values)) == 1 else values
    many = len(layers) > 1
    W, b = (np.stack([getattr(layer, what) for layer in layers]) if many else getattr(first, what) for what in "Wb")
    return ResidualMap(W, b, activation=first.activation, step=first.step, name=name, **numbers)


# --- blocks of ours ----------------------------------------------------------------------------------


def _dense_blocks(module: Any) -> list[DenseBlock]:
    """The dense blocks of a block, a stage, a network or an unrolled stage; one if they share their weights."""
    if hasattr(module, "stages"):
        if len(module.stages) != 1:
            raise TypeError(
                f"this {type(module).__name__} has {len(module.stages)} stages, but one map is one stage; convert "
                "the stages that are dense, e.g. net.stages[0]."
            )
        module = module.stages[0]
    if getattr(module, "entry", None) is not None:
        raise TypeError("the stage begins with a unit that changes the shape of the state; convert its blocks alone.")
    parts = getattr(module, "blocks", module if isinstance(module, list | tuple | nn.ModuleList) else [module])
    blocks = [_unwrapped(part) for part in parts]
    if not blocks:
        raise ValueError("there are no blocks to convert.")
    return blocks[:1] if all(block is blocks[0] for block in blocks) else blocks


def _unwrapped(part: Any) -> DenseBlock:
    """A dense block, which may be the module of a unit of an unrolled network."""
    block = part if isinstance(part, nn.Module) else getattr(part, "module", part)
    if not isinstance(block, DenseBlock):
        raise TypeError(
            f"a {type(block).__name__} is no layer x' = (1 − hλ)x + hαφ(Wx + b); nn.RNNCell, nn.Linear with an "
            "activation, dense blocks and networks of them can be converted. Other blocks are systems through "
            "resdyn.networks.unroll."
        )
    return block


def _dense(block: DenseBlock) -> Layer:
    numbers = {name: float(getattr(block, name)) for name in ("step", "damping", "gain")}
    return Layer(weight_array(block.weight), weight_array(block.bias), make_activation(block.activation), **numbers)


def _agree(layer: Layer, given: dict[str, Any]) -> None:
    for name, value in given.items():
        own = layer.activation.name if name == "activation" else getattr(layer, name)
        if value is not None and value != own:
            raise ValueError(
                f"{name}={value!r} contradicts the block, whose {name} is {own!r}; leave it out, and change the map "
                f"afterwards if you want another one: to_residual_map(block).replace({name}={value!r})."
            )
