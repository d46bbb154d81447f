r"""Directional derivatives of a map of tensors and their transposes, state by state of a batch.

For a map that treats each state of a batch alone, :math:`y_i = F(x_i)`, one pass gives
:math:`DF(x_i)\,v_i` for all i, and one :math:`DF(x_i)^{\mathsf T} w_i`.
"""

import warnings
from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor
from torch.autograd import forward_ad

Map = Callable[[Tensor], Tensor]

differentiating = torch.inference_mode(mode=False)
"""Inference mode records nothing, so that derivatives would come out as zeros without a word."""


def jvp(function: Map, x: Tensor, tangent: Tensor) -> Tensor:
    """DF(x) v by forward differentiation; by two transposes where an operation has no forward derivative."""
    try:
        return forward_jvp(function, x, tangent)
    except RuntimeError as error:
        if isinstance(error, torch.OutOfMemoryError) or not _lacks_forward_derivative(error):
            raise
    return transposed_jvp(function, x, tangent)


@differentiating
def forward_jvp(function: Map, x: Tensor, tangent: Tensor) -> Tensor:
    """DF(x) v, with dual numbers."""
    _prepare_dual_numbers()
    with torch.no_grad(), forward_ad.dual_level():
        after = function(forward_ad.make_dual(recordable(x), recordable(tangent)))
        primal, derivative = forward_ad.unpack_dual(after)
        return torch.zeros_like(primal) if derivative is None else derivative


@differentiating
def transposed_jvp(function: Map, x: Tensor, tangent: Tensor) -> Tensor:
    r"""DF(x) v as the gradient of :math:`w \mapsto \langle DF(x)^{\mathsf T} w, v\rangle`."""
    with torch.enable_grad():
        point = recordable(x).detach().requires_grad_()
        after = function(point)
        weights = torch.zeros_like(after, requires_grad=True)
        if not after.requires_grad:
            return torch.zeros_like(after)
        (pulled,) = torch.autograd.grad(after, point, weights, create_graph=True, materialize_grads=True)
        if not pulled.requires_grad:
            return torch.zeros_like(after.detach())
        (pushed,) = torch.autograd.grad(pulled, weights, recordable(tangent), materialize_grads=True)
    return pushed


def vjp(function: Map, x: Tensor, cotangent: Tensor) -> Tensor:
    """DF(x)ᵀ w; no gradient of a weight is computed or stored."""
    return pullback(function, x)(cotangent)


@differentiating
def pullback(function: Map, x: Tensor) -> Map:
    """The map from w to DF(x)ᵀ w, for any number of w at one x."""
    with torch.enable_grad():
        point = recordable(x).detach().requires_grad_()
        after = function(point)

    @differentiating
    def pull(cotangent: Tensor) -> Tensor:
        if not after.requires_grad:
            return torch.zeros_like(x)
        (pulled,) = torch.autograd.grad(after, point, recordable(cotangent), retain_graph=True, materialize_grads=True)
        return pulled.detach()

    return pull


def recordable(x: Tensor) -> Tensor:
    """A tensor of which autograd keeps a record: a copy of one that was made in inference mode."""
    return x.clone() if x.is_inference() else x


@cache
def _prepare_dual_numbers() -> None:
    # torch compiles some rules when the first dual number is made, by means that it deprecates itself
    with warnings.catch_warnings(), torch.no_grad(), forward_ad.dual_level():
        warnings.simplefilter("ignore", DeprecationWarning)
        forward_ad.make_dual(torch.zeros(1), torch.zeros(1))


def _lacks_forward_derivative(error: RuntimeError) -> bool:
    text = str(error).lower()
    return "forward ad" in text or "forward mode" in text or "jvp" in text
