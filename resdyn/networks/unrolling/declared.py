"""The pieces of a network that says itself what its stem, stages and head are."""

from typing import Literal

from torch import Tensor, nn
from torch.nn.functional import linear

from resdyn.networks.architectures.blocks import ResidualBlock
from resdyn.networks.architectures.contract import ResidualNetwork, SharedStage
from resdyn.networks.architectures.dense import DenseBlock
from resdyn.networks.architectures.pointwise import ACTIVATIONS
from resdyn.networks.unrolling.pieces import Piece, Pieces


class Preactivated(nn.Module):
    """φ(W x + b) of a dense block, without its gain and step: the residuals y of [lagzi2021]_."""

    def __init__(self, block: DenseBlock) -> None:
        super().__init__()
        self.block = block

    def forward(self, x: Tensor) -> Tensor:
        """The branch of the block at x."""
        return _activated(self.block, x)


def _activated(block: DenseBlock, x: Tensor) -> Tensor:
    return ACTIVATIONS[block.activation](linear(x, block.weight, block.bias))


class Summand(nn.Module):
    """A summand of a block with its gain: a S(x) or b g(x)."""

    def __init__(self, block: ResidualBlock | DenseBlock, kind: Literal["shortcut", "branch"]) -> None:
        super().__init__()
        self.block, self.kind = block, kind

    def forward(self, x: Tensor) -> Tensor:
        """The summand at x."""
        block, is_branch = self.block, self.kind == "branch"
        if isinstance(block, ResidualBlock):
            gain, summand = block.gains()[is_branch], block.branch if is_branch else block.shortcut
            return gain * summand(x)  # type: ignore[no-any-return]
        if is_branch:
            return (block.step * block.gain) * _activated(block, x)
        return (1 - block.step * block.damping) * x


class Addition(nn.Module):
    """A block up to its addition: a S(x) + b g(x)."""

    def __init__(self, block: ResidualBlock) -> None:
        super().__init__()
        self.block = block

    def forward(self, x: Tensor) -> Tensor:
        """The sum at x."""
        return self.block.before(x)


def declared_pieces(network: ResidualNetwork) -> Pieces:
    """The units of all stages, as they stand; nothing is run."""
    units = []
    for s, stage in enumerate(network.stages):
        if stage.entry is not None:
            units.append(declared_piece(f"stages.{s}.entry", stage.entry))
        for k, block in enumerate(stage.blocks):
            path = f"block[{k}]" if isinstance(stage, SharedStage) else f"blocks.{k}"
            units.append(declared_piece(f"stages.{s}.{path}", block))
    return Pieces(_whole("stem", network.stem), tuple(units), _whole("head", network.head))


def declared_step(pieces: Pieces) -> float:
    """h, where all units say the same one; else 1."""
    steps = {getattr(piece.function, "step", None) for piece in pieces.units}
    (step,) = steps if len(steps) == 1 else (None,)
    return step if isinstance(step, float) and step > 0 else 1.0


def _whole(name: str, module: nn.Module) -> Piece:
    return Piece(name, module, module)


def declared_piece(name: str, module: nn.Module) -> Piece:
    """A unit with what its block says about its parts."""
    if isinstance(module, DenseBlock):
        damped = module.damping != 0
        return Piece(
            name,
            module,
            module,
            branch=Summand(module, "branch"),
            shortcut=Summand(module, "shortcut") if damped else None,
            shortcut_is_identity=not damped,
            activations=Preactivated(module),
            before=module,
            after=nn.Identity(),
        )
    # a subclass with a forward of its own need not be after(before(x))
    is_plain = isinstance(module, ResidualBlock) and type(module).forward is ResidualBlock.forward
    before, after = (Addition(module), module.after) if is_plain else (None, None)
    if isinstance(module, ResidualBlock) and module.interpolation is not None:
        summands = Summand(module, "branch"), Summand(module, "shortcut")
        return Piece(name, module, module, *summands, before=before, after=after)
    branch, shortcut = getattr(module, "branch", None), getattr(module, "shortcut", None)
    return Piece(
        name,
        module,
        module,
        branch=branch if isinstance(branch, nn.Module) else None,
        shortcut=shortcut if isinstance(shortcut, nn.Module) else None,
        shortcut_is_identity=isinstance(shortcut, nn.Identity),
        before=before,
        after=after,
    )
