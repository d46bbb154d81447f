"""Modules again with other weights: the same code and settings, and tensors of one's own.

A clone shares all that is no weight with its original, which is neither changed nor locked: several threads may call
both.
"""

from collections.abc import Callable
from types import MethodType
from typing import Any

from torch import Tensor, nn


class Clones:
    """Clones of modules, one for each original; a tensor that several modules share is shared by their clones too.

    Parameters
    ----------
    convert : callable
        From a weight to that of the clone.
    """

    def __init__(self, convert: Callable[[Tensor], Tensor]) -> None:
        self._convert = convert
        # the originals are kept, so that their ids stay their own
        self._made: dict[int, tuple[Any, Any]] = {}

    def __call__(self, module: nn.Module) -> nn.Module:
        """The clone of a module and of all below it."""
        for part in module.modules():
            if id(part) not in self._made:
                # what a class does when it is made has been done for the original
                self._made[id(part)] = (part, part.__class__.__new__(part.__class__))
                for tensor in (*part._parameters.values(), *part._buffers.values()):
                    if tensor is not None and id(tensor) not in self._made:
                        self._made[id(tensor)] = (tensor, self._convert(tensor))
        for part in module.modules():
            clone = self._made[id(part)][1]
            if not vars(clone):
                clone.__dict__ = {name: self._own(value) for name, value in vars(part).items()}
                if isinstance(clone, Detachable):
                    clone.detach_from_network()
        made: nn.Module = self._made[id(module)][1]
        return made

    def _own(self, value: Any) -> Any:
        """What stands for a value in a clone: for weights and modules theirs, for containers one of its own."""
        if isinstance(value, Tensor | nn.Module):
            return self._made.get(id(value), (None, value))[1]
        if isinstance(value, MethodType) and id(value.__self__) in self._made:
            return MethodType(value.__func__, self._made[id(value.__self__)][1])
        if isinstance(value, dict):
            again = value.copy()
            again.update({key: self._own(item) for key, item in value.items()})
            return again
        if type(value) in (list, tuple):
            return type(value)(self._own(item) for item in value)
        return value.copy() if isinstance(value, set) else value


class Detachable:
    """A module that reads from the network around it, until it is told not to."""

    def detach_from_network(self) -> None:
        """Stay with the weights one has."""
        raise NotImplementedError
