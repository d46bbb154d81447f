"""A network cut into pieces: what the ways of finding residual units hand to :func:`resdyn.networks.unroll`."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn


@dataclass(frozen=True, eq=False)
class Piece:
    """A part of a network that maps one tensor to one tensor, batch first.

    Attributes
    ----------
    name : str
        The path of the submodule, such as ``layer1.0``; of a part of one, ``layers.0[attention]`` or ``layers.0[2]``.
    function : module
        What runs. It shares its parameters and buffers with the caller's network and copies none; parameters
        can be replaced for a call with ``torch.func.functional_call``.
    module : module or None
        The caller's own submodule, if the piece is one.
    branch, shortcut : module or None
        The summands of the last addition of a unit, each with its gain: the one with the weights, and the skip path, so
        that the unit is what comes after ``shortcut(x) + branch(x)``; None where they cannot be told apart or are not
        known.
    shortcut_is_identity : bool
        Whether the skip path hands on the state as it is, with no gain.
    before, after : module or None
        The unit up to its last addition, and what follows: the unit is ``after(before(x))``, in which ``before(x)`` is
        the sum of the summands. An ``nn.Identity`` where nothing follows; both None where the addition is not known.
    activations : module or None
        What the literature calls the activations y, where that is not the branch.
    """

    name: str
    function: nn.Module
    module: nn.Module | None = None
    branch: nn.Module | None = None
    shortcut: nn.Module | None = None
    shortcut_is_identity: bool = False
    before: nn.Module | None = None
    after: nn.Module | None = None
    activations: nn.Module | None = None


@dataclass(frozen=True, eq=False)
class Pieces:
    """A network as ``head(unit_n(… unit_1(stem(x))))``."""

    stem: Piece
    units: Sequence[Piece]
    head: Piece
    converts: bool = False
    """Whether the network converts to a floating-point type that its code names, such as ``x.to(torch.float32)``."""
