"""Weights without a card: which ResNet they belong to, read off their names and shapes.

Two ways of naming are known: our own, and ``conv1``, ``bn1``, ``layer1.0.conv1``, …, ``linear`` or ``fc`` with
``shortcut`` or ``downsample``, which most ResNets for CIFAR share.
"""

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

from torch import Tensor

_UNIT = re.compile(r"layer(\d+)\.(\d+)\.(conv|bn)(\d)\.(.+)")
_SHORTCUT = re.compile(r"layer(\d+)\.(\d+)\.(?:shortcut|downsample)\.(.+)")
_BRANCH = re.compile(r"stages\.(\d+)\.(entry|blocks\.\d+)\.branch\.(\d+)\.weight")


class NotInferred(ValueError):
    """Why names and shapes do not say which network it is."""


def in_our_names(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same tensors by the names of our ResNets, where they follow the naming ``layer1.0.conv1``; else unchanged."""
    first = tensors.get("layer1.0.conv1.weight")
    if "conv1.weight" not in tensors or first is None or first.ndim != 4:
        return dict(tensors)
    pre, with_entry = _norms_come_first(tensors), _stages_with_entry(tensors)
    renamed = {_our_name(name, pre, with_entry): tensor for name, tensor in tensors.items()}
    return renamed if len(renamed) == len(tensors) else dict(tensors)


def _norms_come_first(tensors: Mapping[str, Tensor]) -> bool:
    """Whether the order is pre-activation: a batch norm before a convolution has as many channels as that reads."""
    convolution, norm = tensors.get("layer2.0.conv1.weight"), tensors.get("layer2.0.bn1.weight")
    if convolution is None or norm is None or convolution.ndim != 4 or norm.ndim != 1:
        return False
    return len(norm) == convolution.shape[1] != convolution.shape[0]


def _stages_with_entry(tensors: Mapping[str, Tensor]) -> set[int]:
    """All stages but the first, which has an entry where its first unit changes the number of channels."""
    first = [
        tensor.shape
        for name, tensor in sorted(tensors.items())
        if tensor.ndim == 4 and re.fullmatch(r"layer1\.0\.conv\d\.weight", name)
    ]
    return {2, 3} if first[0][1] == first[-1][0] else {1, 2, 3}


def _our_name(name: str, pre: bool, with_entry: set[int]) -> str:
    if match := _UNIT.fullmatch(name):
        stage, unit, kind, place, rest = int(match[1]), int(match[2]), match[3], int(match[4]), match[5]
        later = {("conv", True): 2, ("bn", True): 0, ("conv", False): 0, ("bn", False): 1}[kind, pre]
        return f"{_our_unit(stage, unit, with_entry)}.branch.{3 * (place - 1) + later}.{rest}"
    if match := _SHORTCUT.fullmatch(name):
        return f"{_our_unit(int(match[1]), int(match[2]), with_entry)}.shortcut.{match[3]}"
    head, _, rest = name.partition(".")
    first = {
        "conv1": "stem.0",
        "bn1": "head.0" if pre else "stem.1",
        "bn": "head.0" if pre else "bn",
        "linear": "head.4" if pre else "head.2",
        "fc": "head.4" if pre else "head.2",
    }
    return f"{first.get(head, head)}.{rest}"


def _our_unit(stage: int, unit: int, with_entry: set[int]) -> str:
    if stage not in with_entry:
        return f"stages.{stage - 1}.blocks.{unit}"
    return f"stages.{stage - 1}.entry" if unit == 0 else f"stages.{stage - 1}.blocks.{unit - 1}"


def inferred_architecture(tensors: Mapping[str, Tensor], *, told: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The ResNet or ResNeXt to which tensors with our names belong, as :func:`resdyn.networks.build` takes it.

    Parameters
    ----------
    tensors : mapping
    told : mapping, optional
        Arguments that the caller knows; they are taken as they are.

    Raises
    ------
    NotInferred
        If names and shapes do not say it.
    """
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    units = _branches(shapes)
    if not units or len(shapes.get("stem.0.weight", ())) != 4:
        raise NotInferred("these are not the names of a ResNet")
    told = told or {}
    if any(".interpolation." in name for name in shapes) and "interpolation" not in told:
        raise NotInferred("there are interpolation coefficients, but not whether they are 'in' or 'lambda-in'")
    per_stage = list(Counter(stage for stage, _ in units).values())
    if len(per_stage) != 3:
        raise NotInferred(f"there are {len(per_stage)} stages, and ResNets for CIFAR have 3")
    if len(set(per_stage)) > 1:
        raise NotInferred(f"the stages have {', '.join(map(str, per_stage))} units, and ours have equally many")
    counts = {len(convolutions) for convolutions in units.values()}
    if counts not in ({2}, {3}):
        raise NotInferred("the units have neither 2 nor 3 convolutions each")
    pre = len(shapes.get("head.0.weight", ())) == 1
    read_out = shapes.get("head.4.weight" if pre else "head.2.weight", ())
    if len(read_out) != 2:
        raise NotInferred("there is no linear read-out")
    (n_convolutions,) = counts
    found = {
        "depth": 2 + 3 * per_stage[0] * n_convolutions,
        "order": "pre" if pre else "post",
        "channels": shapes["stem.0.weight"][1],
        "classes": read_out[0],
    }
    first_of_stage = [next(convolutions for (k, _), convolutions in units.items() if k == stage) for stage in range(3)]
    after, per_group = first_of_stage[0][1][:2]
    if n_convolutions == 3 and per_group < after:
        outside = [convolutions[-1][0] for convolutions in first_of_stage]
        sizes = {"cardinality": after // per_group, "width": per_group, "outside": outside}
        return {"name": "resnext", **sizes, **found, **told}
    return {
        "name": "resnet",
        "bottleneck": n_convolutions == 3,
        "shortcut": "projection" if any(".shortcut." in name for name in shapes) else "pad",
        "widths": [convolutions[0][0] for convolutions in first_of_stage],
        **found,
        **told,
    }


def _branches(shapes: Mapping[str, tuple[int, ...]]) -> dict[tuple[int, str], list[tuple[int, ...]]]:
    """The shapes of the convolutions of each branch, in order, by stage and unit."""
    found = sorted(
        (int(match[1]), match[2], int(match[3]), shape)
        for name, shape in shapes.items()
        if len(shape) == 4 and (match := _BRANCH.fullmatch(name))
    )
    units: dict[tuple[int, str], list[tuple[int, ...]]] = {}
    for stage, unit, _, shape in found:
        units.setdefault((stage, unit), []).append(shape)
    return units
