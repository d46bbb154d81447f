"""Trained nets whose normalisation is known: by their card, or as published."""

from pathlib import Path
from typing import Any

import resdyn

# of the public weights, which have no card
PREPROCESSING = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
PUBLIC = ("resnet20-12fca82f", "resnet56-4bfd9763")


def trained_net(weights: str) -> Any:
    """The net of this name or file, which knows how its inputs were normalised."""
    net = resdyn.networks.load(weights, preprocessing=PREPROCESSING if Path(weights).stem in PUBLIC else None)
    if net.preprocessing is None:
        raise SystemExit(f"{weights} has no card that says how its inputs were normalised.")
    return net
