"""What a network takes: inputs checked, and small batches made from an example."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

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
    """The caller's example: one tensor, or keyword tensors of which the first is the input.

    Raises
    ------
    TypeError, ValueError
        For what is no tensor, array or mapping of them, an empty batch, or inputs that the model cannot take.
    """

    def __init__(self, example: Any, model: nn.Module) -> None:
        given = dict(example) if isinstance(example, Mapping) else {"": example}
        if not given:
            raise ValueError("example is an empty mapping; pass at least the input of the model.")
        integers = takes_integers(model)
        self.integers = integers
        self.tensors = {name: self._tensor(value, name, integers) for name, value in given.items()}
        self.input = next(iter(self.tensors.values()))
        if self.input.ndim < 2 or not len(self.input):
            raise ValueError(
                f"example has shape {tuple(self.input.shape)}, but needed is a batch of at least one input, "
                "(batch, *shape); pass x[None] for a single one."
            )
        self.is_mapping = isinstance(example, Mapping)

    @staticmethod
    def _tensor(value: Any, name: str, integers: bool) -> Tensor:
        if not isinstance(value, Tensor):
            try:
                value = torch.from_numpy(np.array(value))
            except TypeError:
                raise TypeError(
                    f"example{f'[{name!r}]' if name else ''} must be a tensor or an array, but is {value!r}."
                ) from None
        return checked_input(value.detach(), integers=integers or bool(name))

    def batch(self, n: int) -> dict[str, Tensor]:
        """A batch of n different inputs, made from those of the example."""
        given = len(self.input)
        return {
            name: _rows(tensor, n) if tensor.ndim and len(tensor) == given else tensor
            for name, tensor in self.tensors.items()
        }


def _rows(tensor: Tensor, n: int) -> Tensor:
    """The first n rows; where there are fewer, moved and, if they are real numbers, slightly changed copies."""
    rows = [tensor[k % len(tensor)] for k in range(n)]
    generator = torch.Generator().manual_seed(0)
    for k in range(len(tensor), n):
        rows[k] = torch.roll(rows[k], k, dims=-1) if rows[k].ndim else rows[k]
        if rows[k].is_floating_point():
            noise = torch.randn(rows[k].shape, generator=generator, dtype=torch.float32)
            rows[k] = rows[k] + 0.1 * noise.to(rows[k])
    return torch.stack(rows)


def logits_of(output: Any) -> Tensor:
    """The tensor that a model's result means: itself, its logits, or the only tensor in it."""
    if isinstance(output, Tensor):
        return output
    if isinstance(output, Mapping):
        if isinstance(output.get("logits"), Tensor):
            return output["logits"]
        output = tuple(output.values())
    if isinstance(getattr(output, "logits", None), Tensor):
        return output.logits
    tensors = [value for value in output if isinstance(value, Tensor)] if isinstance(output, tuple | list) else []
    if len(tensors) == 1:
        return tensors[0]
    raise ValueError(
        f"the model returns a {type(output).__name__} with {len(tensors)} tensors and no 'logits'; wrap it in a module "
        "that returns its logits alone."
    )
