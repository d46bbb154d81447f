"""What a network takes: inputs checked, and small batches made from an example."""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from resdyn.networks.unrolling.calls import rows_of, split_example
from resdyn.networks.unrolling.placement import real_tensor


def checked_input(x: Any, *, integers: bool) -> Any:
    """Inputs of a network, finite real numbers; integers where it has an embedding for them."""
    kind = x.dtype if isinstance(x, Tensor) else np.asarray(x).dtype
    is_integer = not x.is_floating_point() if isinstance(x, Tensor) else kind.kind in "biu"
    if not is_integer:
        return real_tensor(x, "x", finite=True)
    if integers:
        return x
    raise TypeError(
        f"x has dtype {kind}, but the network takes real numbers; images of bytes are divided by 255 and normalised as "
        "in training first (net.preprocessing, ImageSet.pixels())."
    )


def takes_integers(model: nn.Module) -> bool:
    """Whether the model has an embedding, for which integers are legitimate inputs."""
    return any(isinstance(module, nn.Embedding | nn.EmbeddingBag) for module in model.modules())


class Example:
    """The caller's example: one tensor, or keywords of which one is a tensor, the input, and the others are fixed.

    Attributes
    ----------
    input : tensor
        A batch of inputs.
    keyword : str or None
        The name of the argument that it is.
    rest : dict
        The fixed keywords.

    Raises
    ------
    TypeError, ValueError
        For what is no tensor, array or mapping of them, an empty batch, or inputs that the model cannot take.
    """

    def __init__(self, example: Any, model: nn.Module) -> None:
        self.integers = takes_integers(model)
        self.keyword, self.rest, given = split_example(example)
        self.input = self._tensor(given, self.keyword, self.integers)
        if self.input.ndim < 2 or not len(self.input):
            raise ValueError(
                f"example has shape {tuple(self.input.shape)}, but needed is a batch of at least one input, "
                "(batch, *shape); pass x[None] for a single one."
            )

    @property
    def call(self) -> Any:
        """The example again, with a tensor for the input."""
        return self.input if self.keyword is None else {self.keyword: self.input, **self.rest}

    @staticmethod
    def _tensor(value: Any, name: str | None, integers: bool) -> Tensor:
        if not isinstance(value, Tensor):
            try:
                value = torch.from_numpy(np.array(value))
            except TypeError:
                raise TypeError(
                    f"example{f'[{name!r}]' if name else ''} must be a tensor or an array, but is {value!r}."
                ) from None
        return checked_input(value.detach(), integers=integers)

    def batch(self, n: int) -> Tensor:
        """A batch of n different inputs, made from those of the example."""
        return rows_of(self.input, n)
