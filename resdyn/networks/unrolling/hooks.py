"""Units of a network that cannot be traced: what the caller's submodules take and return in a run.

Each named submodule is a piece as it is. The stem is the network, stopped before the first of them. The head is the
network, run on a stand-in input, in which the last named submodule returns the state in question: it costs a whole
forward pass, and derivatives of the head pass the rest of the network without a gradient.

Hooks are put on the caller's modules for the time of a call. They act in the thread that put them there and in no
other, and two such calls wait for each other.
"""

import threading
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from resdyn.networks.unrolling.calls import SingleTensor, differentiable_kernels
from resdyn.networks.unrolling.pieces import Piece, Pieces

_ONE_AT_A_TIME = threading.RLock()


class _Stopped(BaseException):
    """Carries a value out of a forward pass, past what the network itself catches."""

    def __init__(self, value: Tensor) -> None:
        super().__init__()
        self.value = value


class CalledModule(nn.Module):
    """A submodule, called with the further arguments that the network gave it."""

    def __init__(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        super().__init__()
        self.module = module
        self._rest = (args, kwargs)
        self.training = False

    def forward(self, x: Tensor) -> Tensor:
        """The state after it."""
        args, kwargs = self._rest
        with differentiable_kernels():
            # a module that overwrites its input would change a state that somebody keeps
            return _only_tensor(self.module(x.clone(), *args, **kwargs))


class Before(nn.Module):
    """A network up to the input of a submodule."""

    def __init__(self, network: SingleTensor, path: str) -> None:
        super().__init__()
        self.network = network
        self._until = path
        self.training = False

    def forward(self, x: Tensor) -> Tensor:
        """The input of the submodule."""

        def stop(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            if threading.get_ident() == caller:
                raise _Stopped((*args, *kwargs.values())[0])

        caller = threading.get_ident()
        with _ONE_AT_A_TIME:
            handle = self.network.model.get_submodule(self._until).register_forward_pre_hook(stop, with_kwargs=True)
            try:
                with differentiable_kernels():
                    self.network(x)
            except _Stopped as stopped:
                return stopped.value
            finally:
                handle.remove()
        raise RuntimeError("the network did not call the first unit for this input, but did for the example.")


class After(nn.Module):
    """A network from the output of a submodule on."""

    def __init__(self, network: SingleTensor, path: str, stand_in: Tensor) -> None:
        super().__init__()
        self.network = network
        self._since = path
        self.register_buffer("stand_in", stand_in[:1], persistent=False)
        self.training = False

    def forward(self, x: Tensor) -> Tensor:
        """The logits, where the submodule returns x."""

        def replace(_: nn.Module, args: Any, result: Any) -> Any:
            return _with_tensor(result, x) if threading.get_ident() == caller else None

        caller = threading.get_ident()
        stand_in = self.stand_in.to(x.device, x.dtype if self.stand_in.is_floating_point() else None)
        with _ONE_AT_A_TIME:
            handle = self.network.model.get_submodule(self._since).register_forward_hook(replace)
            try:
                with differentiable_kernels():
                    return self.network(stand_in.expand(len(x), *stand_in.shape[1:]))  # type: ignore[no-any-return]
            finally:
                handle.remove()


def pieces_by_hooks(network: SingleTensor, x: Tensor, paths: Sequence[str], reason: str) -> Pieces:
    """The pieces of a network, of submodules that follow each other.

    Raises
    ------
    ValueError
        If one is called more or less than once, or does not take what the one before returned.
    """
    modules = {path: network.model.get_submodule(path) for path in paths}
    record = _recorded(network, x, modules)
    why = f"(the network cannot be traced: {reason})"
    for path in paths:
        times = sum(name == path for name, *_ in record)
        if times != 1:
            raise ValueError(f"{path!r} is called {times} times, but without a trace a unit is called once {why}.")
    for (before, _, _, result), (after, args, *_) in pairwise(record):
        if args[0] is not result:
            raise ValueError(
                f"{after!r} does not take what {before!r} returns; name a submodule around what lies between, or units "
                f"that follow each other directly {why}."
            )
    units = [
        Piece(path, CalledModule(modules[path], args[1:], kwargs), modules[path]) for path, args, kwargs, _ in record
    ]
    first, last = record[0][0], record[-1][0]
    return Pieces(Piece("stem", Before(network, first)), units, Piece("head", After(network, last, x)))


def _recorded(network: SingleTensor, x: Tensor, modules: dict[str, nn.Module]) -> list[tuple[str, Any, Any, Tensor]]:
    record: list[tuple[str, Any, Any, Tensor]] = []

    def listener(path: str) -> Any:
        def listen(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
            if not args:
                first = next(iter(kwargs))
                args = (kwargs[first],)
                kwargs = {key: value for key, value in kwargs.items() if key != first}
            record.append((path, args, kwargs, _only_tensor(result)))

        return listen

    handles = [module.register_forward_hook(listener(path), with_kwargs=True) for path, module in modules.items()]
    try:
        with torch.no_grad(), differentiable_kernels():
            network(x)
    finally:
        for handle in handles:
            handle.remove()
    return record


def _only_tensor(result: Any) -> Tensor:
    """The tensor a submodule returns, alone or first in a tuple."""
    value = result[0] if isinstance(result, tuple | list) and result else result
    if not isinstance(value, Tensor):
        raise TypeError(f"a unit returns a {type(result).__name__}, but needed is a tensor, or a tuple with one first.")
    return value


def _with_tensor(result: Any, x: Tensor) -> Any:
    if isinstance(result, tuple):
        return (x, *result[1:])
    return [x, *result[1:]] if isinstance(result, list) else x
