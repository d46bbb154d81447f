"""Trained nets by their names: where they lie, how they are made, and whether they are those of earlier results."""

from collections.abc import Mapping
from pathlib import Path

from experiments._harness.experiment import ROOT
from resdyn._weights_read import digest_of

SHIPPED = ROOT.parent / "resdyn" / "networks" / "weights"
LARGE = ROOT.parent / "results" / "networks"
"""Those that are too large to travel with the package."""


def file_of(name: str) -> Path | None:
    """The file of a net that a plan of :mod:`experiments.train` trains; None where it is not trained."""
    places = (folder / f"{name}.safetensors" for folder in (LARGE, SHIPPED))
    return next((path for path in places if path.is_file()), None)


def stored(name: str) -> Path:
    """The file of a net.

    Raises
    ------
    SystemExit
        If it is not trained yet, with the command that trains it.
    """
    path = file_of(name)
    if path is None:
        raise _not_trained([name])
    return path


def require(*names: str) -> None:
    """Look for all nets of a script before its work begins, so that none is missed after minutes.

    Raises
    ------
    SystemExit
        If nets are not trained yet: which, and the commands that train them.
    """
    missing = [name for name in names if file_of(name) is None]
    if missing:
        raise _not_trained(missing)


def _not_trained(names: list[str]) -> SystemExit:
    from experiments.train import PLANS

    # where several plans train a net, the first, which is the smallest
    plans = {net.file_name: plan for plan in reversed(list(PLANS)) for net in PLANS[plan]}
    commands: dict[str, list[str]] = {}
    unknown = [name for name in names if name not in plans]
    if unknown:
        return SystemExit(f"there is no net {', '.join(unknown)}, and no plan of experiments.train that trains it.")
    for name in names:
        commands.setdefault(plans[name], []).append(name)
    lines = [
        f"    python -m experiments.train --plan {plan} --budget 600 --only {' '.join(of)}"
        for plan, of in commands.items()
    ]
    return SystemExit("\n".join([f"not trained yet: {', '.join(names)}. Train with", *lines]))


def replaced(nets: Mapping[str, str]) -> list[str]:
    """Of the nets that results were made with, given with their digests, those that are others here."""
    files = {name: file_of(name) for name in nets}
    return [name for name, path in files.items() if path is not None and digest_of(path) != nets[name]]
