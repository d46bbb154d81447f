r"""Dense layers of torch as residual maps, :math:`x' = (1 - h\lambda)x + h\alpha\varphi(Wx + b)`, and back.

Weights go over as they are: float32 to float64 is exact, and so is the way back.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import nn

from resdyn import _validation as validate
from resdyn.activations import NAMED
from resdyn.activations import activation as make_activation
from resdyn.matrix_family import ResidualMap
from resdyn.networks.architectures.contract import ResidualStage, SharedStage
from resdyn.networks.architectures.dense import DenseBlock
from resdyn.networks.devices import named_device
from resdyn.networks.torch_layers import (
    Layer,
    is_recurrent,
    linear_layer,
    named_activation,
    recurrent_layer,
    require_settled,
    weight_array,
)
from resdyn.networks.unrolling.stage import Stage
from resdyn.networks.unrolling.unit import Unit


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
          of one that is unrolled: with the h, λ, α and φ that they have (where the unrolled stage has another h, λ and
          α follow it, so that the states stay). The blocks of a stage become the layers of the map, unless they are
          one shared block;
        * ``nn.RNNCell``, or ``nn.RNN`` of one layer and one direction:
          :math:`x' = \varphi(W_{hh} x + b_{hh} + b_{ih} + W_{ih} u)` is the map with h = λ = α = 1; its drive goes
          into ``simulate(..., inputs=u @ weight_ih.T)``;
        * ``nn.Linear``, square, with an ``activation``, or ``nn.Sequential(nn.Linear, activation)``: :math:`Wx + b`
          only, and by default the residual network h = 1, λ = 0, α = 1.
    activation : str, torch activation or SymPy expression, optional
        φ of a linear layer; elsewhere only the one that the module has.
    step, damping, gain : float, optional
        h, λ and α of a linear layer or a cell, by default as above; elsewhere only those that the module has. With a
        ``damping`` and no ``gain``, α is 1: so ``damping=0.0`` makes the residual network
        :math:`x' = x + h\varphi(Wx + b)` of a cell.
    name : str, optional

    Returns
    -------
    ResidualMap
        Of float64 copies of the weights. Training the module afterwards does not change it.

    Raises
    ------
    TypeError, ValueError
        For modules that are not of this form: gated cells, several layers or directions, W that is not square, complex
        weights, an activation that is not known, parametrised weights in train mode; or an activation or numbers that
        contradict those of the module.
    """
    given = {
        "activation": activation,
        "step": None if step is None else validate.positive(step, "step"),
        "damping": _number(damping, "damping"),
        "gain": _number(gain, "gain"),
    }
    shared = True
    if is_recurrent(module) or isinstance(module, nn.Linear | nn.Sequential):
        layers = [recurrent_layer(module, given) if is_recurrent(module) else linear_layer(module, given)]
    else:
        blocks, shared = _dense_blocks(module)
        layers = [_at_step(_dense(block), _own_step(module)) for block in blocks]
        for layer in layers:
            _agree(layer, given)
    return _map(layers, shared, name or _name(module))


def from_residual_map(
    system: ResidualMap, *, dtype: Any = torch.float64, device: Any = None
) -> DenseBlock | ResidualStage:
    r"""A residual map as a module of torch: a dense block, or a stage with one block per layer.

    Parameters
    ----------
    system : ResidualMap
        With a named activation.
    dtype : torch.dtype, or its name
        Of the weights. In float64 no bit of them changes.
    device : str or torch.device, optional

    Returns
    -------
    DenseBlock or ResidualStage
        A block for shared weights; a stage where W, b, λ or α differ from layer to layer. It has the ``name`` of the
        map, which :func:`resdyn.networks.to_residual_map` gives back.

    Raises
    ------
    TypeError, ValueError
        If it is no ResidualMap, φ is an expression, the dtype is not of real numbers, or torch knows no such device.
    RuntimeError
        If CUDA is asked for and absent.
    """
    dtype, device = _real_dtype(dtype), None if device is None else named_device(device)
    if not isinstance(system, ResidualMap):
        raise TypeError(
            f"only a ResidualMap is a dense layer of torch, not {system!r} of type {type(system).__name__}."
        )
    if system.activation is not NAMED.get(system.activation.name):
        raise ValueError(
            f"φ of {system.name!r} is the expression {system.activation.name}, but dense blocks know "
            f"{', '.join(sorted(NAMED))}; write a module of your own for it."
        )
    if system.depth is None:
        block = _block(system, 0.0, dtype, device)
        block.name = system.name
        return block
    # times in the middle of the layers: no rounding moves them into a neighbour
    times = [(k + 0.5) * system.step for k in range(system.depth)]
    stage = ResidualStage(None, [_block(system, t, dtype, device) for t in times])
    stage.name = system.name
    return stage


def _real_dtype(dtype: Any) -> torch.dtype:
    try:
        found = dtype if isinstance(dtype, torch.dtype) else getattr(torch, np.dtype(dtype).name)
    except (TypeError, AttributeError):
        found = getattr(torch, str(dtype), None)  # bfloat16 is unknown to NumPy
    if not isinstance(found, torch.dtype) or not found.is_floating_point:
        raise ValueError(f"dtype is {dtype!r}, but weights are real numbers; pass torch.float64 or torch.float32.")
    return found


def _block(system: ResidualMap, t: float, dtype: torch.dtype, device: torch.device | None) -> DenseBlock:
    W, b, damping, gain = system.layer(t)
    # made without memory, so that no random numbers are drawn for weights that are replaced
    with torch.device("meta"):
        block = DenseBlock(len(b), activation=system.activation.name, step=system.step, damping=damping, gain=gain)
    block.weight = nn.Parameter(torch.tensor(W, dtype=dtype, device=device))
    block.bias = nn.Parameter(torch.tensor(b, dtype=dtype, device=device))
    return block


def _name(module: Any) -> str:
    own = getattr(module, "name", None)
    return own if isinstance(own, str) and own else type(module).__name__


def _number(value: Any, name: str) -> float | None:
    return None if value is None else validate.within(value, name, -1e300, 1e300)


def _map(layers: Sequence[Layer], shared: bool, name: str) -> ResidualMap:
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
    W, b = (getattr(first, what) if shared else np.stack([getattr(layer, what) for layer in layers]) for what in "Wb")
    return ResidualMap(W, b, activation=first.activation, step=first.step, name=name, **numbers)


# --- blocks of ours ----------------------------------------------------------------------------------


def _dense_blocks(module: Any) -> tuple[list[DenseBlock], bool]:
    """The dense blocks of a block, a stage, a network or an unrolled stage, and whether they are one for all layers.

    A stage of one block has one layer, unless it is a shared stage: that can be run to any depth.
    """
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
    shared = isinstance(module, SharedStage | DenseBlock | Unit) or len(blocks) > 1
    shared = shared and all(block is blocks[0] for block in blocks)
    return blocks[:1] if shared else blocks, shared


def _own_step(module: Any) -> float | None:
    """The h of an unrolled stage: whoever unrolled it may have chosen another than that of the blocks."""
    stage = module.stages[0] if hasattr(module, "stages") else module
    return stage.step if isinstance(stage, Stage) else None


def _at_step(layer: Layer, step: float | None) -> Layer:
    """The same map x' with another h: h λ and h α stay."""
    if step is None or step == layer.step:
        return layer
    ratio = layer.step / step
    return replace(layer, step=step, damping=ratio * layer.damping, gain=ratio * layer.gain)


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
    require_settled(block)
    numbers = {name: float(getattr(block, name)) for name in ("step", "damping", "gain")}
    return Layer(weight_array(block.weight), weight_array(block.bias), make_activation(block.activation), **numbers)


def _agree(layer: Layer, given: dict[str, Any]) -> None:
    for name, value in given.items():
        if value is None:
            continue
        own = getattr(layer, name)
        if (named_activation(value) if name == "activation" else value) != own:
            raise ValueError(
                f"{name}={value!r} contradicts the block, whose {name} is {getattr(own, 'name', own)!r}; leave it out, "
                "and change the map afterwards if you want another one: "
                f"to_residual_map(block).replace({name}={value!r})."
            )
