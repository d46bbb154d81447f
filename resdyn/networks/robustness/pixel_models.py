"""A network as a function from pixels to logits, whatever normalises its inputs."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from resdyn.networks.architectures.contract import Preprocessing

OWN = "own"
"""The default of ``preprocessing``: what the network itself says."""

# methods that take what their network takes; on_pixels and others take what they take
_FROM_INPUTS = ("forward", "__call__", "_wrapped_call_impl")


@dataclass(frozen=True, eq=False)
class PixelModel:
    """Logits of pixels, on one device, in one precision.

    Attributes
    ----------
    function : callable
        From inputs to logits.
    preprocessing : Preprocessing or None
        From pixels to inputs; None if the function takes pixels.
    device : torch.device or None
        None: wherever the images are.
    dtype : torch.dtype or None
        None: the precision of the images.
    """

    function: Callable[[Tensor], Any]
    preprocessing: Preprocessing | None
    device: torch.device | None
    dtype: torch.dtype | None

    def __call__(self, pixels: Tensor) -> Tensor:
        """Logits (n, classes), at least in single precision."""
        # the normalisation in the precision of the pixels: a step of 1/255 is coarse in half precision; without one
        # a network that works in place is given pixels of its own
        inputs = pixels.clone() if self.preprocessing is None else self.preprocessing(pixels)
        logits = _logits(self.function(inputs.to(self.dtype or inputs.dtype)))
        if not isinstance(logits, Tensor) or logits.ndim != 2 or len(logits) != len(pixels):
            came = f"shape {tuple(logits.shape)}" if isinstance(logits, Tensor) else f"a {type(logits).__name__}"
            raise ValueError(
                f"the network returned {came} for {len(pixels)} images, but an attack needs logits of shape "
                f"({len(pixels)}, classes)."
            )
        if logits.shape[1] < 2:
            raise ValueError(
                "the network returned one logit per image, whose cross-entropy is always zero; give it one logit per "
                "class, e.g. lambda x: torch.cat([torch.zeros_like(net(x)), net(x)], dim=1) for a logit whose sign "
                "is the decision."
            )
        return logits.float() if logits.dtype in (torch.float16, torch.bfloat16) else logits

    def checked(self, pixels: Tensor) -> Tensor:
        """Logits, which are finite."""
        logits = self(pixels)
        if not bool(torch.isfinite(logits).all()):
            raise ValueError(
                "the network returns NaN or infinite logits for finite images; use float32 if it runs in half "
                "precision, and look at its weights."
            )
        return logits


def pixel_gradient(values: Tensor, pixels: Tensor, weights: Tensor | None = None) -> Tensor:
    """The gradient of values, times weights where there are any, with respect to pixels.

    Raises
    ------
    ValueError
        If torch knows of no path from the pixels to the values.
    """
    gradient = None
    if values.requires_grad:
        (gradient,) = torch.autograd.grad(values, pixels, weights, allow_unused=True)
    if gradient is None:
        raise ValueError(
            "the logits do not depend on the pixels as far as torch can tell, so that there is no gradient to follow; "
            "the network must not detach its input, run under torch.no_grad(), or compute outside of torch."
        )
    return gradient


def pixel_model(net: Any, preprocessing: Any) -> PixelModel:
    """What an attack differentiates.

    Raises
    ------
    TypeError
        If ``net`` cannot be called.
    ValueError
        If it is not known how pixels become inputs, or the network is in train mode.
    """
    if not callable(net):
        raise TypeError(f"net must be a network or a function from pixels to logits, but is {net!r}.")
    modules = list(_modules(net))
    for module in modules:
        _require_evaluation(module)
    tensors = [tensor for module in modules for tensor in (*module.parameters(), *module.buffers())]
    floating = [tensor for tensor in tensors if tensor.is_floating_point()]
    first = floating[0] if floating else None
    return PixelModel(
        net,
        normalisation(net, preprocessing),
        None if first is None else first.device,
        None if first is None else first.dtype,
    )


def normalisation(net: Any, preprocessing: Any = OWN) -> Preprocessing | None:
    """What turns pixels into inputs of the network; None where it takes pixels."""
    if preprocessing is None or isinstance(preprocessing, Preprocessing):
        return preprocessing
    if isinstance(preprocessing, Mapping) and {"mean", "std"} <= set(preprocessing):
        return Preprocessing(preprocessing["mean"], preprocessing["std"])
    if isinstance(preprocessing, str) and preprocessing == OWN:
        owner = _owner(net)
        own = getattr(owner, "preprocessing", None)
        if own is not None:
            return normalisation(owner, own)
        if isinstance(owner, nn.Module) or hasattr(owner, "units"):
            raise ValueError(
                f"{type(owner).__name__} does not know how its inputs were normalised; pass preprocessing=(mean, std), "
                "or preprocessing=None if it takes pixels from 0 to 1."
            )
        return None
    try:
        mean, std = preprocessing
        return Preprocessing(mean, std)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"preprocessing is {preprocessing!r}; pass (mean, std), one number of each per channel, a Preprocessing, "
            f"or None for a network that takes pixels ({error})."
        ) from error


def _owner(net: Any) -> Any:
    """What takes the inputs: behind ``partial(net)``, ``net.forward`` and ``net.__call__`` the network itself."""
    while isinstance(net, partial):
        net = net.func
    if getattr(net, "__name__", "") not in _FROM_INPUTS:
        return net
    return getattr(net, "__self__", net)


def _modules(net: Any) -> Iterator[nn.Module]:
    """The modules behind a network: itself, or the owner of a bound method."""
    while isinstance(net, partial):
        net = net.func
    for candidate in (net, getattr(net, "__self__", None)):
        if isinstance(candidate, nn.Module):
            yield candidate
            return


def _require_evaluation(net: nn.Module) -> None:
    for name, module in net.named_modules():
        if module.training:
            where = f", beginning with {name!r}" if name else ""
            raise ValueError(
                f"{type(net).__name__} is in train mode{where}: batch norm would mix the images of a batch and change "
                "its running statistics; call net.eval() first."
            )
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.running_mean is None:
            raise ValueError(
                f"{name or type(net).__name__!r} is a batch norm without running statistics, which mixes the images of "
                "a batch; use one with track_running_stats=True."
            )


def _logits(result: Any) -> Any:
    if isinstance(result, Mapping) and "logits" in result:
        return result["logits"]
    return getattr(result, "logits", result)
