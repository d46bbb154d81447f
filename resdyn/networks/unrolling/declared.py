"""The pieces of a network that says itself what its stem, stages and head are."""

from torch import nn

from resdyn.networks.architectures.contract import ResidualNetwork, SharedStage
from resdyn.networks.unrolling.pieces import Piece, Pieces


def declared_pieces(network: ResidualNetwork) -> Pieces:
    """The units of all stages, as they stand; nothing is run."""
    units = []
    for s, stage in enumerate(network.stages):
        if stage.entry is not None:
            units.append(_unit(f"stages.{s}.entry", stage.entry))
        for k, block in enumerate(stage.blocks):
            path = f"block[{k}]" if isinstance(stage, SharedStage) else f"blocks.{k}"
            units.append(_unit(f"stages.{s}.{path}", block))
    return Pieces(_whole("stem", network.stem), tuple(units), _whole("head", network.head))


def _whole(name: str, module: nn.Module) -> Piece:
    return Piece(name, module, module)


def _unit(name: str, module: nn.Module) -> Piece:
    branch, shortcut = getattr(module, "branch", None), getattr(module, "shortcut", None)
    return Piece(
        name,
        module,
        module,
        branch=branch if isinstance(branch, nn.Module) else None,
        shortcut=shortcut if isinstance(shortcut, nn.Module) else None,
        shortcut_is_identity=isinstance(shortcut, nn.Identity),
    )
