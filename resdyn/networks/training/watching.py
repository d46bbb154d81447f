"""A callback of training that looks at the states that inputs go through."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from resdyn.data import ImageSet
from resdyn.networks.unrolling import unroll

Array = NDArray[Any]


class StateWatch:
    r"""A callback of :func:`resdyn.networks.fit` that judges the states of given inputs after each epoch.

    With ``partial(resdyn.depth_rule, rule="hauser2019")`` as the judge it applies the stopping rule of [hauser2019]_
    while a network is trained. Each epoch costs one run of the inputs.

    Parameters
    ----------
    inputs : ImageSet, or array of shape (n, \*shape)
        Images are normalised with ``net.preprocessing``; an array goes to the net as it is. A hundred will do for means
        over states.
    judge : callable
        Takes the list of states before the first unit and after each, arrays of shape ``(n, *shape_k)``.
    stop : callable, optional
        Takes the list of all that was found so far; training ends when it says true. Never, if left out.

    Attributes
    ----------
    epochs : list of int
        When the judge was asked. A run that is resumed begins with the last epoch that is stored.
    found : list
        What it said then.

    Examples
    --------
    >>> from functools import partial
    >>> judge = partial(resdyn.depth_rule, rule="hauser2019", threshold=0.1)
    >>> watch = networks.StateWatch(resdyn.data.digit_images("test").subset(slice(100)), judge)
    >>> net = networks.residual_mlp(4, inputs=64, units=16)
    >>> run = networks.fit(net, "digits", "smoke", progress=False, callbacks=[watch])
    >>> watch.epochs, watch.found[-1].deep_enough
    ([1, 2], False)
    """

    def __init__(
        self,
        inputs: ImageSet | Array,
        judge: Callable[[list[Array]], Any],
        *,
        stop: Callable[[Sequence[Any]], Any] | None = None,
    ) -> None:
        for what, name in ((judge, "judge"), (stop, "stop")):
            if not (callable(what) or (what is None and name == "stop")):
                raise TypeError(f"{name} must be a function, but is {what!r} of type {type(what).__name__}.")
        if not len(inputs):
            raise ValueError("there are no inputs; give at least one.")
        self.inputs, self.judge, self.stop = inputs, judge, stop
        self.epochs: list[int] = []
        self.found: list[Any] = []

    def __call__(self, epoch: int, net: nn.Module, metrics: Mapping[str, float]) -> bool:
        """Judge the net; whether training is to end."""
        given = self.inputs
        if isinstance(given, ImageSet):
            preprocessing: Any = getattr(net, "preprocessing", None)
            if preprocessing is None:
                raise ValueError(
                    "the net has no preprocessing, so images cannot be normalised; pass normalised inputs."
                )
            given = preprocessing(given.pixels())
        x = np.asarray(given, dtype=np.float32)
        states = unroll(net, x[:1]).trace(x, keep=("states",)).states
        self.epochs.append(epoch)
        self.found.append(self.judge(list(states)))
        return self.stop is not None and bool(self.stop(self.found))
