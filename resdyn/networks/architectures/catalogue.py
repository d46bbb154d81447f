"""Architectures by name, so that a checkpoint can say what it holds."""

import inspect
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from resdyn.networks.architectures.cifar_resnets import resnet, resnext
from resdyn.networks.architectures.contract import ResidualNetwork
from resdyn.networks.architectures.dense import dense_resnet, mlp
from resdyn.networks.architectures.many_blocks import residual_cnn, residual_mlp

_BUILDERS: dict[str, Callable[..., ResidualNetwork]] = {
    builder.__name__: builder for builder in (resnet, resnext, dense_resnet, mlp, residual_mlp, residual_cnn)
}

ARCHITECTURES: Mapping[str, str] = MappingProxyType(
    {
        "resnet": "ResNet for CIFAR, depth 6n + 2 or 9n + 2, post- or pre-activation; with interpolation, an In-ResNet",
        "resnext": "ResNeXt for CIFAR, depth 9n + 2: bottlenecks with grouped convolutions",
        "dense_resnet": "dense residual network, x' = (1 - hλ) x + hα φ(Wx + b), shared or layer-wise weights",
        "mlp": "plain dense network of equal size, x' = φ(Wx + b)",
        "residual_mlp": "any number of dense blocks, x' = x + V φ(Ux + a) + b",
        "residual_cnn": "any number of convolutional blocks of one shape, pre-activation",
    }
)
"""The architectures that :func:`resdyn.networks.build` knows: name and one line about each."""


def build(architecture: str | Mapping[str, Any], **arguments: Any) -> ResidualNetwork:
    """A network, untrained, from its name and arguments.

    ``build(net.architecture)`` is a network whose parameters have the names and shapes of those of ``net``.

    Parameters
    ----------
    architecture : str or mapping
        A name in :data:`resdyn.networks.ARCHITECTURES`; or a mapping with this name as ``"name"`` and with arguments,
        such as ``net.architecture``.
    **arguments
        Of the function of this name; they come before those of the mapping.

    Returns
    -------
    ResidualNetwork
        In training mode.

    Raises
    ------
    TypeError
        If arguments are unknown or missing; the message lists those that there are.
    ValueError
        If there is no such architecture, or as the function of this name raises.
    """
    given = {"name": architecture} if isinstance(architecture, str) else architecture
    if not isinstance(given, Mapping) or not isinstance(given.get("name"), str):
        raise TypeError(
            "architecture must be a name or a mapping with a 'name', such as net.architecture, "
            f"but is {architecture!r}."
        )
    merged = {**given, **arguments}
    name = merged.pop("name")
    if name not in _BUILDERS:
        raise ValueError(f"there is no architecture {name!r}; there are {', '.join(_BUILDERS)}.")
    builder = _BUILDERS[name]
    signature = inspect.signature(builder)
    unknown = [argument for argument in merged if argument not in signature.parameters]
    missing = [
        argument
        for argument, parameter in signature.parameters.items()
        if parameter.default is parameter.empty and argument not in merged
    ]
    if unknown or missing:
        problems = [f"no argument {', '.join(map(repr, unknown))}"] if unknown else []
        problems += [f"needs {', '.join(missing)}"] if missing else []
        raise TypeError(f"{name}: {', and '.join(problems)}; its arguments are {', '.join(signature.parameters)}.")
    return builder(**merged)
