"""Why singular values are exactly 1: the claim on sparsity, for all networks."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from experiments._harness import Claim
from experiments._harness.files import read_json
from experiments._harness.spreads import between
from experiments.rothauge2019_linearization import claims_words, judging

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


def _units(summary: Summary, prefix: str) -> list[Summary]:
    return [unit for of_reading in _rows(summary, prefix).values() for unit in of_reading]


def _measured(prefix: str) -> Any:
    def words(summary: Summary) -> str | None:
        units = _units(summary, prefix)
        if not units:
            return None
        found = [unit["found"] for unit in units]
        forced = [unit["forced_by_places"] for unit in units]
        more = [one - other for one, other in zip(found, forced, strict=True)]
        share = f" ({100 * sum(forced) / sum(found):.2f} %)" if sum(found) else ""
        rows = _rows(summary, prefix)
        readings = " in each reading" * (len(rows) > 1)
        nets = sum(weights.startswith(prefix) for weights in summary["networks"])
        return (
            f"{sum(forced)} of {sum(found)} exact ones are forced{share}; found − forced between {min(more)} and "
            f"{max(more)} in a unit; {between([len(row) for row in rows.values()])} units{readings}"
            f"{f' of {nets} nets' * (nets > 1)}, one image"
        )

    return words


def _details(prefix: str) -> Any:
    def words(summary: Summary) -> str:
        rows = {reading: units for reading, units in _rows(summary, prefix).items() if units}
        return " ".join(f"{claims_words.sentence(reading)}: {_of_reading(units)}." for reading, units in rows.items())

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
        units = _units(summary, prefix)
        return judging.forced([unit["found"] for unit in units], [unit["forced_by_places"] for unit in units])

    return judged


def instead(row: str, *weights: str) -> str:
    """What stands in the row of a net that was not run: that of others, whose accuracies another script tells."""
    networks = (read_json(OTHERS) or {}).get("summary", {}).get("networks", {})
    known = {name: networks[name] for name in weights if name in networks}
    return claims_words.instead(row, known) if known else f"not run; see {row}"


def _beside(summary: Summary) -> str | None:
    known = [weights for weights in summary["networks"] if weights.startswith("resnet20-cifar10")]
    return instead("preresnet20-ones-come-from-sparsity", *known) if known else None


def _claim(key: str, network: str, prefix: str, presets: tuple[str, ...], beside: Any = "") -> Claim:
    return Claim(
        key,
        f"{network}: {STATEMENT}" if network else claims_words.sentence(STATEMENT),
        "not stated",
        "sparsity",
        _measured(prefix),
        _verdict(prefix),
        presets,
        beside,
        _details(prefix),
    )


SPARSITY = _claim("ones-come-from-sparsity", "", "resnet56", ("laptop",))
OF_NETWORKS = (
    _claim("preresnet20-ones-come-from-sparsity", "Pre-activation ResNet-20", "resnet20-cifar10", ("laptop",)),
    _claim(
        "preresnet110-ones-come-from-sparsity",
        "Pre-activation ResNet-110",
        "resnet110-cifar10",
        ("resnet110",),
        _beside,
    ),
)
