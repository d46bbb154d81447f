"""Where the numbers of a network live and how exact they are: one device and one dtype, chosen once.

Where that is the model's own device and dtype, its modules run as they are and share their weights. Elsewhere run
copies of the weights, in clones of the modules (:mod:`resdyn.networks.unrolling.clones`); the model itself is neither
moved nor changed, not even for the time of a call.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from resdyn import _validation as validate
from resdyn.networks.devices import named_device
from resdyn.networks.unrolling.clones import Clones

Array = NDArray[Any]

_DTYPES: dict[torch.dtype, np.dtype[Any]] = {
    torch.float32: np.dtype(np.float32),
    torch.float64: np.dtype(np.float64),
}


class Placement:
    """The device and dtype at which the parts of one network run.

    Parameters
    ----------
    model : module
    device : str or torch.device, optional
        The one of the parameters if left out.
    dtype : torch.float32, torch.float64 or their NumPy names, optional
        The one of the parameters if left out.

    Raises
    ------
    ValueError
        For half precision, parameters of several dtypes or devices and none chosen, or a dtype that is neither.
    RuntimeError
        If CUDA is asked for and torch finds none.
    """

    def __init__(self, model: nn.Module, *, device: Any = None, dtype: Any = None) -> None:
        tensors = [tensor for _, tensor in _weights(model) if tensor.is_floating_point()]
        self.dtype = _dtype_of(tensors) if dtype is None else _dtype(dtype)
        self.device = _device_of([tensor for _, tensor in _weights(model)]) if device is None else _device(device)
        self.is_native = all(tensor.dtype == self.dtype for tensor in tensors) and all(
            tensor.device == self.device for _, tensor in _weights(model)
        )
        """Whether the model runs as it is."""
        self._clones = Clones(self._copy)

    @property
    def numpy(self) -> np.dtype[Any]:
        """The dtype of arrays."""
        return _DTYPES[self.dtype]

    @property
    def eps(self) -> float:
        """The distance from 1 to the next number, as far as products are concerned."""
        if self.device.type == "cuda" and self.dtype == torch.float32:
            return 2.0**-10  # a GPU may round the factors of convolutions to 11 bits (TF32)
        return float(torch.finfo(self.dtype).eps)

    def tensor(self, x: Any) -> Tensor:
        """An array or tensor at this place, without a copy where none is needed; integers stay integers."""
        if not isinstance(x, Tensor):
            array = np.asarray(x)
            if not array.flags.writeable or any(stride < 0 for stride in array.strides):
                array = array.copy()  # torch knows neither read-only memory nor negative strides
            x = torch.from_numpy(array)
        return x.to(device=self.device, dtype=self.dtype if x.is_floating_point() else x.dtype)

    def module(self, module: nn.Module) -> nn.Module:
        """A module at this place: itself where the model runs as it is, else its clone."""
        return module if self.is_native else self._clones(module)

    def _copy(self, tensor: Tensor) -> Tensor:
        dtype = self.dtype if tensor.is_floating_point() else tensor.dtype
        return tensor.detach().to(device=self.device, dtype=dtype, copy=True)

    def __getstate__(self) -> dict[str, Any]:
        # the clones are found by ids, which mean nothing elsewhere
        return {name: value for name, value in vars(self).items() if name != "_clones"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _clones=Clones(self._copy))

    def __repr__(self) -> str:
        return f"{self.numpy} on {self.device}"


class Placed:
    """A module, run at a placement.

    Parameters
    ----------
    module : module
    placement : Placement
    home : (module, str), optional
        The network, and the path in it at which the module is.
    """

    def __init__(self, module: nn.Module, placement: Placement, home: tuple[nn.Module, str] | None = None) -> None:
        self.module, self.placement = module, placement
        self._running = placement.module(module)
        self._home = home if placement.is_native else None
        self._modal = [part for part in module.modules() if depends_on_mode(part)]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """What the module returns; differentiable.

        Raises
        ------
        ValueError
            If a part of it was switched to training mode, or the network was converted or rebuilt since.
        """
        if any(part.training for part in self._modal):
            refuse_training(self.module)
        if self._home is not None:
            require_place(*self._home, self.module)
        try:
            return self._running(*args, **kwargs)
        except RuntimeError as error:
            if not isinstance(error, torch.OutOfMemoryError) and (now := self._elsewhere()):
                raise ValueError(
                    f"the network was unrolled as {self.placement!r}, but has weights of {now} now; unroll it again."
                ) from error
            raise

    def versions(self) -> tuple[tuple[int, int], ...]:
        """What changes when a weight does: which tensors there are, and how often each was written."""
        return tuple((id(tensor), tensor._version) for _, tensor in _weights(self._running))

    def _elsewhere(self) -> str:
        """Where the weights are, if that is not where they were; else nothing."""
        for _, tensor in _weights(self._running):
            if tensor.device != self.placement.device or (
                tensor.is_floating_point() and tensor.dtype != self.placement.dtype
            ):
                return f"{str(tensor.dtype).removeprefix('torch.')} on {tensor.device}"
        return ""


def require_place(network: nn.Module, path: str, module: nn.Module) -> None:
    """An error if a module is no longer at its path in a network."""
    try:
        found: nn.Module | None = network.get_submodule(path)
    except AttributeError:
        found = None
    if found is not module:
        raise ValueError(
            f"the module {path!r} of {type(network).__name__} was replaced after the network was unrolled; unroll it "
            "again. (Weights may be trained, loaded and replaced: the unrolled network follows.)"
        )


def depends_on_mode(module: nn.Module) -> bool:
    """Whether a module does in training what it does not do afterwards: batch statistics, dropout."""
    if isinstance(module, nn.modules.batchnorm._BatchNorm):
        return True
    rate = getattr(module, "p", getattr(module, "dropout", 0.0))
    named = isinstance(module, nn.modules.dropout._DropoutNd | nn.MultiheadAttention | nn.RNNBase)
    return named and isinstance(rate, float) and rate > 0


def refuse_training(model: nn.Module) -> None:
    """An error if a part of the model is in training mode that then does something else."""
    for name, module in model.named_modules():
        if module.training and depends_on_mode(module):
            what = "normalises by the batch" if hasattr(module, "running_mean") else "drops units at random"
            raise ValueError(
                f"{name or type(module).__name__!r} ({type(module).__name__}) is in training mode and {what}, so the "
                "network is no map of single states; call model.eval() first."
            )


def real_tensor(x: Any, name: str, *, finite: bool) -> Any:
    """An array or a floating tensor, or an error that says what came.

    Integer arrays are states like others; integers that are images are for the caller to refuse.
    """
    if not isinstance(x, Tensor):
        return validate.real_array(x, name, finite=finite, nan=not finite)
    if not x.is_floating_point():
        raise TypeError(
            f"{name} must be a tensor of real numbers, but has dtype {x.dtype}; convert it first, e.g. with .float()."
        )
    if finite and not bool(torch.isfinite(x).all()):
        bad = ~torch.isfinite(x)
        first = tuple(int(i) for i in bad.nonzero()[0])
        raise ValueError(
            f"{name} holds NaN or infinite values ({int(bad.sum())} of {x.numel()} entries, the first at index "
            f"{first}); pass finite numbers."
        )
    return x


def on_tensors(
    function: Callable[..., Tensor], placement: Placement, *values: Any, chunk: int, differentiable: bool = True
) -> Any:
    """``function`` of arrays or tensors with one batch axis, a part of the batch after another.

    Arrays come back as arrays of the placement's dtype. A tensor that requires a gradient gets a result that hands it
    on if the function is ``differentiable``; otherwise no graph is kept.
    """
    tensors = [placement.tensor(value) for value in values]
    graph = differentiable and torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)
    with torch.set_grad_enabled(graph):
        parts = [function(*part) for part in _chunks(tensors, chunk)]
        result = parts[0] if len(parts) == 1 else torch.cat(parts)
    if any(isinstance(value, Tensor) for value in values):
        return result
    array = result.detach().cpu().numpy()
    # a part that returns its input, or a view of it, must not hand out the caller's memory
    return array.copy() if any(np.may_share_memory(array, np.asarray(value)) for value in values) else array


def _chunks(tensors: list[Tensor], size: int) -> Iterator[list[Tensor]]:
    for begin in range(0, max(len(tensors[0]), 1), size):
        yield [tensor[begin : begin + size] for tensor in tensors]


def _weights(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    yield from module.named_parameters(remove_duplicate=False)
    yield from module.named_buffers(remove_duplicate=False)


def _dtype_of(tensors: list[Tensor]) -> torch.dtype:
    kinds = {tensor.dtype for tensor in tensors}
    if len(kinds) > 1:
        raise ValueError(
            f"the model's weights have several dtypes ({', '.join(sorted(map(str, kinds)))}); "
            "choose one: dtype=torch.float32 or dtype=torch.float64."
        )
    dtype = kinds.pop() if kinds else torch.get_default_dtype()
    if dtype not in _DTYPES:
        raise ValueError(
            f"the model's weights are {dtype}, which is too coarse for derivatives of residuals; "
            "pass dtype=torch.float32 (or float64): the weights are copied, and the model stays as it is."
        )
    return dtype


def _dtype(dtype: Any) -> torch.dtype:
    if isinstance(dtype, torch.dtype):
        if dtype in _DTYPES:
            return dtype
        raise ValueError(f"dtype must be torch.float32 or torch.float64, but is {dtype}; pass dtype=torch.float32.")
    try:
        wanted = np.dtype(dtype)
    except TypeError:
        raise TypeError(f"dtype must be torch.float32 or torch.float64, but is {dtype!r}.") from None
    for known, numpy in _DTYPES.items():
        if numpy == wanted:
            return known
    raise ValueError(f"dtype must be float32 or float64, but is {wanted}; pass dtype=torch.float32.")


def _device_of(tensors: list[Tensor]) -> torch.device:
    devices = {tensor.device for tensor in tensors}
    if len(devices) > 1:
        raise ValueError(
            f"the model's weights are on several devices ({', '.join(sorted(map(str, devices)))}); choose one: device=…"
        )
    return devices.pop() if devices else torch.device("cpu")


def _device(device: Any) -> torch.device:
    wanted = named_device(device)
    if wanted.type == "cuda" and wanted.index is None:  # the device that tensors will name
        return torch.device("cuda", torch.cuda.current_device())
    return wanted
