"""Why singular values are exactly 1: the claim on sparsity, for all networks."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from experiments._harness import Claim
from experiments._harness.files import read_json
from experiments.rothauge2019_linearization import judging

Summary = dict[str, Any]
Rows = dict[str, list[Summary]]
STATEMENT = "exact ones are those that few active inner units force (ours)"
OTHERS = Path(__file__).parent / "kept" / "other_networks.laptop.json"


def _rows(summary: Summary, prefix: str) -> Rows:
    """Units whose ones were found without the rank, by reading."""
    rows: Rows = {}
    for weights, readings in summary["networks"].items():
        if weights.startswith(prefix):
            for reading, units in readings.items():
                words = reading if len(readings) > 1 else "both readings"
                rows.setdefault(words, []).extend(unit for unit in units.values() if unit["found"] is not None)
    return rows


def _measured(prefix: str) -> Any:
    def words(summary: Summary) -> str | None:
        rows = _rows(summary, prefix)
        return "; ".join(f"{reading}: {_of_reading(units)}" for reading, units in rows.items()) if rows else None

    return words


def _of_reading(units: Sequence[Summary]) -> str:
    forced = [unit for unit in units if unit["forced"]]
    surplus = [unit["found"] - unit["forced"] for unit in units]
    by_places = [unit["found"] - unit["forced_by_places"] for unit in units]
    return (
        f"p/s {judging.spread([unit['p'] / unit['s'] for unit in units])}; ones are forced in {len(forced)} of "
        f"{len(units)} units, {sum(unit['forced'] for unit in units)} of {sum(unit['found'] for unit in units)} that "
        f"were found by inertia at one image; found − (s − 2p) between {min(surplus)} and {max(surplus)}, found − "
        f"forced by the places of active units between {min(by_places)} and {max(by_places)}"
    )


def _verdict(prefix: str) -> Any:
    def judged(summary: Summary) -> str:
        units = [unit for of_reading in _rows(summary, prefix).values() for unit in of_reading]
        return judging.forced([unit["found"] for unit in units], [unit["forced_by_places"] for unit in units])

    return judged


def beside(weights: str, measured: str) -> str:
    """What stands in the row of a net that was not run: one that was, with the accuracy that another script tells."""
    known = (read_json(OTHERS) or {}).get("summary", {}).get("networks", {}).get(weights)
    accuracy = f", accuracy {100 * known['accuracy']:.1f} %" if known else ""
    return f"not run; beside it {weights}, one net of depth 20{accuracy}: {measured}"


def _beside(summary: Summary) -> str | None:
    known = [weights for weights in summary["networks"] if weights.startswith("resnet20-cifar10")]
    return beside(known[0], _measured("resnet20-cifar10")(summary)) if known else None


def _claim(key: str, network: str, prefix: str, presets: tuple[str, ...], beside: Any = "") -> Claim:
    return Claim(
        key,
        f"{network}: {STATEMENT}" if network else STATEMENT.capitalize(),
        "not stated",
        "sparsity",
        _measured(prefix),
        _verdict(prefix),
        presets,
        beside,
    )


SPARSITY = _claim("ones-come-from-sparsity", "", "resnet56", ("laptop",))
OF_NETWORKS = (
    _claim("preresnet20-ones-come-from-sparsity", "pre-activation ResNet-20", "resnet20-cifar10", ("laptop",)),
    _claim(
        "preresnet110-ones-come-from-sparsity",
        "pre-activation ResNet-110",
        "resnet110-cifar10",
        ("resnet110",),
        _beside,
    ),
)
