"""Numbers of trained nets: of each net, of each kind of net over its seeds, damped units beside the same with λ = 0."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

KINDS = {"in": "In-ResNet", "lambda-in": "λ-In-ResNet", "plain": "ResNet"}


def kind_of(name: str) -> str:
    """Of a net, from the name of its weights."""
    words = name.removeprefix("untrained ")
    return "lambda-in" if words.startswith("lambda-in") else "in" if words.startswith("in") else "plain"


def titles(names: Iterable[str], kind: str | None = None) -> list[str]:
    """What nets are called, of one kind or of all, with their depth and without their seeds: each once."""
    found: dict[str, None] = {}
    for name in names:
        own = kind_of(name)
        if kind in (None, own):
            depth = re.search(r"resnet(\d+)-", name)
            found[KINDS[own] + (f"-{depth[1]}" if depth else ", untrained")] = None
    return list(found)


def of_trained_nets(names: Sequence[str], arrays: dict[str, Array]) -> dict[str, Any]:
    """Nets one by one, and kinds of nets."""
    nets = {}
    for k, name in enumerate(names):
        prefix = f"net{k}_"
        nets[name] = _of_net({key.removeprefix(prefix): a for key, a in arrays.items() if key.startswith(prefix)})
    kinds = {
        kind: _of_kind([net for name, net in nets.items() if kind_of(name) == kind])
        for kind in KINDS
        if any(kind_of(name) == kind for name in names)
    }
    return {"nets": nets, "kinds": kinds}


def _median(values: Array) -> float | None:
    """Over those that are known."""
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else None


def _of_net(own: dict[str, Array]) -> dict[str, Any]:
    """Units one by one, medians over images; stages: exponents per block."""
    units = {
        str(place + 1): {
            "stage": int(stage) + 1,
            "damping": float(own["damping"][j]),
            **{name: _median(own[name][j]) for name in ("largest", "undamped_largest", "above", "undamped_above")},
        }
        for j, (place, stage) in enumerate(own["blocks"])
    }
    stages = {
        str(s + 1): {name: _median(own[name][s]) for name in ("exponent", "undamped_exponent")}
        | {"range": [float(own["exponent"][s].min()), float(own["exponent"][s].max())]}
        for s in range(len(own["exponent"]))
    }
    return {"units": units, "stages": stages}


def _of_kind(nets: list[dict[str, Any]]) -> dict[str, Any]:
    """Medians over the units of each net, a list over nets; over damped units, how many gain less than with λ = 0."""
    units = [list(net["units"].values()) for net in nets]
    damped = [unit for of_net in units for unit in of_net if unit["damping"] != 0]
    stages = [
        stage for net in nets for stage in net["stages"].values() if stage["exponent"] != stage["undamped_exponent"]
    ]
    return {
        "nets": len(nets),
        "units": sum(map(len, units)),
        "damped": len(damped),
        "dampings": [unit["damping"] for unit in damped],
        "above": [_over(of_net, "above") for of_net in units],
        "largest": [_over(of_net, "largest") for of_net in units],
        "exponent": [_over(list(net["stages"].values()), "exponent") for net in nets],
        "stage_exponents": [[stage["exponent"] for stage in net["stages"].values()] for net in nets],
        "damped_above": [[unit["undamped_above"], unit["above"]] for unit in damped],
        "damped_largest": [[unit["undamped_largest"], unit["largest"]] for unit in damped],
        "damped_exponent": [[stage["undamped_exponent"], stage["exponent"]] for stage in stages],
    }


def _over(rows: list[dict[str, Any]], name: str) -> float:
    known = [row[name] for row in rows if row[name] is not None]
    return float(np.median(known)) if known else float("nan")
