"""The named activations of :mod:`resdyn.activations`, for tensors."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "logistic": torch.sigmoid,
    "tanh": torch.tanh,
    "relu": torch.relu,
    # not torch's softplus, which is the identity above 20
    "softplus": lambda z: torch.logaddexp(z, z.new_zeros(())),
    "identity": lambda z: z,
}


def activation_name(name: object) -> str:
    """The name, if it is one of an activation.

    Raises
    ------
    ValueError
        If it is none.
    """
    if not isinstance(name, str) or name not in ACTIVATIONS:
        raise ValueError(f"activation is {name!r}; there are {', '.join(sorted(ACTIVATIONS))}.")
    return name


class Pointwise(nn.Module):
    """A named activation as a module."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = activation_name(name)

    def forward(self, z: Tensor) -> Tensor:
        """φ(z), number by number."""
        return ACTIVATIONS[self.name](z)

    def extra_repr(self) -> str:
        return self.name
