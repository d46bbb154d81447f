"""A network as a chain of residual units between a stem and a head."""

from collections.abc import Callable, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from resdyn.networks.unrolling.placement import Placement
from resdyn.networks.unrolling.stage import Stage
from resdyn.networks.unrolling.tracing import Quantity, Trace, trace_of
from resdyn.networks.unrolling.unit import Part, Unit


class Input(Part):
    """The first part of a network, which takes what the network takes."""

    takes_integers = False

    def _real(self, x: Any, name: str) -> Any:
        from resdyn.networks.unrolling.inputs import checked_input

        return checked_input(x, integers=self.takes_integers)


class UnrolledNetwork:
    r"""A residual network as ``head(unit_n(… unit_1(stem(x))))``; a :class:`resdyn.TracedNetwork`.

    What :func:`resdyn.networks.unroll` returns. ``unrolled(x)`` equals ``model(x)`` to rounding, for any batch; arrays
    come back as arrays and tensors as tensors.

    Attributes
    ----------
    name : str
    stem, head : Part
        From the input to the first state, and from the last state to the logits.
    stages : tuple of Stage
        A new one begins at each unit that changes the shape of the state; that unit is its ``entry``.
    units : tuple of Unit
        All residual units, in order.
    shapes : tuple of tuples
        Of the state before the first unit and after each.
    preprocessing : Preprocessing or None
        How pixels become inputs, where the model said so when it was unrolled. ``unrolled(x)`` takes inputs; attacks,
        which take pixels, use it.
    """

    def __init__(
        self,
        name: str,
        stem: Part,
        units: Sequence[Unit],
        head: Part,
        placement: Placement,
        *,
        step: float = 1.0,
    ) -> None:
        self.name, self.stem, self.units, self.head = name, stem, tuple(units), head
        self.placement = placement
        self.preprocessing: Any = None
        self.stages = _stages(name, self.units, step)

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """Of the state before the first unit and after each."""
        return (self.units[0].shape_before, *(unit.shape_after for unit in self.units))

    def __call__(self, x: Any) -> Any:
        r"""Logits of a batch of inputs, shape (batch, \*shape).

        Raises
        ------
        TypeError, ValueError
            For another shape, numbers that are not finite, or integers where the network takes real numbers.
        """
        x = self.stem(x)
        for unit in self.units:
            x = unit(x)
        return self.head(x)

    def unit(self, name: str) -> Unit:
        """The unit of this name.

        Raises
        ------
        KeyError
            If there is none.
        """
        for unit in self.units:
            if unit.name == name:
                return unit
        names = [unit.name for unit in self.units]
        near = get_close_matches(str(name), names, n=3) or names[:3]
        raise KeyError(f"{self.name!r} has no unit {name!r}; names are those of its units, such as {', '.join(near)}.")

    def locate(self, unit: Unit | str) -> tuple[Stage, float | None]:
        """The stage in which a unit stands, and the depth-time t = kh at which it acts; None at an entry.

        Of a block, ``resdyn.block_jacobian(*network.locate(unit), x)`` is ``unit.linearize(x)``.

        Raises
        ------
        KeyError
            If the network has no unit of this name.
        ValueError
            If the unit is of another network.
        """
        unit = self.unit(unit) if isinstance(unit, str) else unit
        for stage in self.stages:
            if unit is stage.entry:
                return stage, None
            if unit in stage.blocks:
                return stage, stage.blocks.index(unit) * stage.step
        raise ValueError(f"{unit!r} is no unit of {self.name!r}; pass one of network.units, or its name.")

    def trace(
        self,
        x: Any,
        *,
        keep: Sequence[Quantity] = ("states", "residuals", "branches"),
        reduce: Callable[[Any], Any] | None = None,
        path: str | Path | None = None,
        batch_size: int | None = None,
    ) -> Trace:
        r"""States, residuals and branches of all units for a batch of inputs.

        The norms of states and residuals and the logits are kept in any case.

        Parameters
        ----------
        x : array or tensor, shape (batch, \*shape)
        keep : words
            Of "states", "residuals" and "branches". Residuals are B(x) − x, not divided by h, and at a unit that
            changes the shape B(x) − shortcut(x). Branches cost a second run of each branch.
        reduce : callable, optional
            What to keep instead: from an array (n, \*shape) to an array with n rows, such as
            ``lambda a: a.mean(axis=(2, 3))``. It is called for one part of the batch after another.
        path : str or Path, optional
            A folder for the arrays, as ``.npy`` files that are read when they are used; :meth:`Trace.load` opens it
            again. A file is there when it is complete, and not before.
        batch_size : int, optional
            Inputs at a time. By default so many that a state takes 32 MiB.

        Returns
        -------
        Trace

        Raises
        ------
        MemoryError
            If the result cannot fit, before anything is run: pass ``path`` or ``reduce``, or keep less.
        OSError
            If the disk has no room for it, or the folder holds a trace already.
        """
        return trace_of(self, x, keep=keep, reduce=reduce, path=path, batch_size=batch_size)

    def __repr__(self) -> str:
        n = len(self.units)
        sizes = ", ".join(f"{len(stage.units)} at {'×'.join(map(str, stage.shape))}" for stage in self.stages)
        return f"UnrolledNetwork {self.name!r}: {n} residual unit{'s' * (n != 1)} ({sizes}), {self.placement!r}"


def _stages(name: str, units: Sequence[Unit], step: float) -> tuple[Stage, ...]:
    """Cut before each unit that changes the shape."""
    groups: list[tuple[Unit | None, list[Unit]]] = []
    for unit in units:
        if unit.changes_shape:
            groups.append((unit, []))
        elif groups:
            groups[-1][1].append(unit)
        else:
            groups.append((None, [unit]))
    return tuple(
        Stage(f"{name}, stage {k}", entry, blocks, step=step) for k, (entry, blocks) in enumerate(groups, start=1)
    )
