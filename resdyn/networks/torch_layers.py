"""Recurrent and linear layers of torch as one layer φ(Wx + b), and what cannot be one."""

from dataclasses import dataclass
from types import BuiltinFunctionType, FunctionType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized

from resdyn.activations import NAMED, Activation
from resdyn.activations import activation as make_activation

Array = NDArray[Any]

_FUNCTIONS: dict[Any, str] = {
    torch.sigmoid: "logistic",
    nn.functional.sigmoid: "logistic",
    torch.tanh: "tanh",
    nn.functional.tanh: "tanh",
    torch.relu: "relu",
    nn.functional.relu: "relu",
}
_MODULES: dict[type, str] = {nn.Sigmoid: "logistic", nn.Tanh: "tanh", nn.ReLU: "relu", nn.Identity: "identity"}


@dataclass(frozen=True)
class Layer:
    """φ(Wx + b), and the h, λ and α that go with it."""

    W: Array
    b: Array
    activation: Activation
    step: float = 1.0
    damping: float = 0.0
    gain: float = 1.0


def is_recurrent(module: Any) -> bool:
    """Whether it is a recurrent layer or cell, of any kind."""
    return isinstance(module, nn.RNNCellBase | nn.RNNBase)


def recurrent_layer(module: Any, given: dict[str, Any]) -> Layer:
    """A plain recurrent layer; its own map is h = λ = α = 1."""
    if not isinstance(module, nn.RNNCell | nn.RNN):
        raise TypeError(
            f"{type(module).__name__} multiplies its states by gates, so that no map φ(Wx + b) is equal to it; take "
            "nn.RNNCell or nn.RNN, or write its residual as a resdyn.ResidualSystem."
        )
    require_settled(module)
    activation = make_activation(module.nonlinearity)
    if given["activation"] is not None and named_activation(given["activation"]) != activation:
        raise ValueError(
            f"activation={given['activation']!r} contradicts this {type(module).__name__}, whose activation is "
            f"{module.nonlinearity!r}; leave it out."
        )
    suffix = ""
    if isinstance(module, nn.RNN):
        suffix = "_l0"
        if module.num_layers != 1 or module.bidirectional:
            raise ValueError(
                f"this RNN has {module.num_layers} layers and {2 if module.bidirectional else 1} directions, but a "
                "residual map is one layer run forwards; convert layer by layer, each as an nn.RNNCell."
            )
    W = weight_array(getattr(module, f"weight_hh{suffix}"))
    b = np.zeros(len(W))
    if module.bias:
        b = weight_array(getattr(module, f"bias_ih{suffix}")) + weight_array(getattr(module, f"bias_hh{suffix}"))
    step, damping, gain = given["step"], given["damping"], given["gain"]
    h = 1.0 if step is None else step
    own = damping is None and gain is None
    if own and h != 1:
        raise ValueError(
            f"step is {step!r}, but the map of a recurrent layer, x' = φ(Wx + b), has the step 1; say also which map "
            "of step h you want: damping=0.0 is x' = x + hφ(Wx + b), damping=gain=a the leaky one."
        )
    return Layer(
        W,
        b,
        activation,
        h,
        1.0 if own else damping or 0.0,
        1.0 if gain is None else gain,
    )


def linear_layer(module: Any, given: dict[str, Any]) -> Layer:
    """A square linear layer with an activation; by default h = 1, λ = 0, α = 1."""
    activation = given["activation"]
    if isinstance(module, nn.Sequential):
        if len(module) != 2 or not isinstance(module[0], nn.Linear):
            raise TypeError(
                f"only nn.Sequential(nn.Linear(n, n), activation) is a layer φ(Wx + b), but this one holds "
                f"{', '.join(type(part).__name__ for part in module)}; convert its layers one by one."
            )
        require_settled(module[0])
        own = named_activation(module[1], module[0].weight.dtype)
        if activation is not None and named_activation(activation, module[0].weight.dtype) != own:
            raise ValueError(
                f"activation={activation!r} contradicts this layer, whose activation is {type(module[1]).__name__}; "
                "leave activation= out."
            )
        module, activation = module
    if activation is None:
        raise ValueError(
            "a linear layer does not say what φ is; pass activation=, e.g. 'tanh', torch.tanh or nn.Tanh() "
            "('identity' for a linear network)."
        )
    if module.in_features != module.out_features:
        raise ValueError(
            f"the layer maps {module.in_features} units to {module.out_features}, but the state of a residual map "
            "keeps its size; only nn.Linear(n, n) can be converted."
        )
    require_settled(module)
    W = weight_array(module.weight)
    numbers = {name: given[name] for name in ("step", "damping", "gain") if given[name] is not None}
    b = np.zeros(len(W)) if module.bias is None else weight_array(module.bias)
    return Layer(W, b, named_activation(activation, module.weight.dtype), **numbers)


def named_activation(choice: Any, dtype: torch.dtype = torch.float32) -> Activation:
    """An activation of torch, a name or an expression as one of ours."""
    if isinstance(choice, nn.Softplus):
        # torch takes softplus for the identity above a threshold; where that shows, it is another function
        gap = float(np.log1p(np.exp(-choice.threshold))) / max(choice.threshold, 1.0)
        if choice.beta == 1 and gap <= torch.finfo(dtype).eps:
            return make_activation("softplus")
        raise ValueError(
            f"{choice} is not softplus to the accuracy of {dtype} (torch's is the identity above its threshold, a gap "
            "of 2e-9 at 20); pass activation='softplus' for the exact function, or a SymPy expression for another beta."
        )
    if isinstance(choice, nn.Module):
        word = _MODULES.get(type(choice))
    elif isinstance(choice, FunctionType | BuiltinFunctionType):
        word = _FUNCTIONS.get(choice)
    else:
        return make_activation(choice)
    if word is None:
        known = ", ".join(kind.__name__ for kind in (*_MODULES, nn.Softplus))
        raise ValueError(
            f"activation {choice!r} is none of nn.{known}, nor their functions; pass a name "
            f"({', '.join(sorted(NAMED))}) or a SymPy expression in one symbol, which has a derivative."
        )
    return make_activation(word)


def require_settled(module: nn.Module) -> None:
    """Refuse a layer whose weights change when they are read: a spectral norm in training iterates."""
    if is_parametrized(module) and any(part.training for part in module.modules()):
        raise ValueError(
            f"the weights of this {type(module).__name__} are parametrised and in train mode, where reading them may "
            "change them (a spectral norm makes a step of its power iteration); call eval() on it first."
        )


def weight_array(weight: Tensor) -> Array:
    """Weights as float64, without rounding."""
    if weight.is_complex():
        raise TypeError(f"the weights are {weight.dtype}, but states of a residual map are real numbers.")
    # bfloat16 is unknown to NumPy; every float of torch is a float64 without rounding
    return weight.detach().to(device="cpu", dtype=torch.float64).numpy()
