"""How a network is called: with one tensor, or by a keyword; and which tensor of its result is the answer."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel


class SingleTensor(nn.Module):
    """A network as a map from one tensor to one tensor; the network is its child ``model``, not a copy."""

    def __init__(self, model: nn.Module, keyword: str | None = None, rest: Mapping[str, Any] | None = None) -> None:
        super().__init__()
        self.model = model
        self.keyword, self.rest = keyword, dict(rest or {})

    def forward(self, x: Tensor) -> Tensor:
        """The logits of a batch."""
        if self.keyword is None:
            return logits(self.model(x, **self.rest))
        return logits(self.model(**{self.keyword: x}, **self.rest))


def logits(result: Any) -> Tensor:
    """The answer of a network: the tensor itself, what is called ``logits``, or the only tensor there is.

    Raises
    ------
    TypeError
        If the result holds no tensor, or several without that name.
    """
    if isinstance(result, Tensor):
        return result
    named = result.get("logits") if isinstance(result, Mapping) else getattr(result, "logits", None)
    if isinstance(named, Tensor):
        return named
    if isinstance(result, Mapping):
        values, names = list(result.values()), [str(key) for key in result]
    elif isinstance(result, tuple | list):
        values, names = list(result), [str(k) for k in range(len(result))]
    else:
        raise TypeError(
            f"the network returns a {type(result).__name__}, but needed is a tensor, or a dict with the key 'logits'."
        )
    tensors = [value for value in values if isinstance(value, Tensor)]
    if len(tensors) != 1:
        raise TypeError(
            f"the network returns {len(tensors)} tensors in a {type(result).__name__} ({', '.join(names) or 'empty'}), "
            "none called 'logits'; wrap it in a module that returns the one you mean."
        )
    return tensors[0]


def single_tensor(model: nn.Module, example: Any) -> tuple[SingleTensor, Tensor]:
    """The network as a map of one tensor, and a batch of two samples of the example.

    Two, because what is traced with a batch of one would be true for batches of one only.

    Raises
    ------
    TypeError
        If the model is no module, or the example holds no tensor, or several.
    ValueError
        If the example has no batch axis, or no samples.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be a torch.nn.Module, but is {model!r} of type {type(model).__name__}.")
    model = getattr(model, "_orig_mod", model)  # what torch.compile wraps
    keyword, rest, example = split_example(example)
    if not _is_array(example):
        raise TypeError(
            f"example is of type {type(example).__name__}, but needed is a batch of inputs: a tensor, an array, or "
            "a dict with one of them under the name of an argument."
        )
    network = SingleTensor(model, keyword, rest)
    network.training = model.training
    return network, _two_samples(_as_tensor(model, example))


def split_example(example: Any) -> tuple[str | None, dict[str, Any], Any]:
    """The keyword of the input, the fixed keywords, and the input; no keyword where the example is no mapping.

    Raises
    ------
    TypeError
        If a mapping holds no tensor or array with axes, or several.
    ValueError
        If a mapping is empty.
    """
    if not isinstance(example, Mapping):
        return None, {}, example
    if not example:
        raise ValueError("example is an empty mapping; pass at least the input of the model.")
    arrays = [key for key, value in example.items() if _is_array(value) and value.ndim]
    if len(arrays) != 1:
        raise TypeError(
            f"example is a {type(example).__name__} with {len(arrays)} tensors ({', '.join(map(str, arrays))}), "
            "but a network as a system has one input; pass one tensor by its keyword, and fix the others in a "
            "module around the network."
        )
    (keyword,) = arrays
    return str(keyword), {str(key): value for key, value in example.items() if key != keyword}, example[keyword]


def _is_array(value: Any) -> bool:
    return isinstance(value, Tensor) or (hasattr(value, "__array__") and hasattr(value, "ndim"))


def _as_tensor(model: nn.Module, example: Any) -> Tensor:
    tensor = example.detach() if isinstance(example, Tensor) else torch.as_tensor(example)
    parameter = next((p for p in model.parameters() if p.is_floating_point()), None)
    if parameter is None:
        return tensor
    return tensor.to(parameter.device, parameter.dtype if tensor.is_floating_point() else None)


def _two_samples(example: Tensor) -> Tensor:
    if example.ndim < 2 or not len(example):
        raise ValueError(
            f"example has shape {tuple(example.shape)}, but needed is a batch of inputs, shape (n, …) with n at least "
            "1; for one input pass example[None]."
        )
    # samples that are equal would hide that they interact
    return rows_of(example, 2)


def rows_of(tensor: Tensor, n: int) -> Tensor:
    """The first n rows; where there are fewer, moved and, if they are real numbers, slightly changed copies."""
    made = [tensor[k % len(tensor)] for k in range(n)]
    generator = torch.Generator().manual_seed(0)
    for k in range(len(tensor), n):
        made[k] = torch.roll(made[k], k, dims=-1) if made[k].ndim else made[k]
        if made[k].is_floating_point():
            noise = torch.randn(made[k].shape, generator=generator, dtype=torch.float32)
            made[k] = made[k] + 0.1 * noise.to(made[k])
    return torch.stack(made)


@contextmanager
def differentiable_kernels() -> Iterator[None]:
    """Attention by plain operations while it lasts: fused kernels have no forward derivative."""
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


def refuse_randomness(
    network: Callable[[Tensor], Tensor], x: Tensor, name: str = "the network", first: Tensor | None = None
) -> None:
    """Refuse a network that answers the same question in two ways; one answer may be known.

    Raises
    ------
    ValueError
        If two answers to the same samples differ.
    """
    with torch.no_grad(), differentiable_kernels():
        first, second = network(x) if first is None else first, network(x)
    if not _close(first, second):
        raise ValueError(f"{name} answers the same input in two ways; call model.eval() before, and take out noise.")


def refuse_interaction(network: nn.Module, x: Tensor) -> None:
    """Refuse a network whose answer to one sample depends on the others of the batch.

    Raises
    ------
    ValueError
        If the answer to two samples is not that to each.
    """
    with torch.no_grad(), differentiable_kernels():
        together, apart = network(x), torch.cat([network(x[:1]), network(x[1:])])
    if together.shape[:1] != x.shape[:1] or together.shape != apart.shape or not _close(together, apart):
        raise ValueError(
            f"samples of a batch act on each other (inputs of shape {tuple(x.shape)}, results "
            f"{tuple(together.shape)}): the answer to two samples is not that to each of them. The first axis must "
            "count samples (for attention batch_first=True), and norms must not use statistics of the batch."
        )


def _close(a: Tensor, b: Tensor) -> bool:
    if not a.is_floating_point():
        return torch.equal(a, b)
    # kernels sum in another order for another batch: some hundred roundings, relative to the largest answer
    bound = 1000 * torch.finfo(a.dtype).eps * float(torch.nan_to_num(a).abs().max())
    return torch.allclose(a, b, rtol=0, atol=bound, equal_nan=True)
