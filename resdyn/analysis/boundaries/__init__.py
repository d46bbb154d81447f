"""The geometry of basins: how mixed and how fine their boundaries are, what lies on them, and how far they are."""

from resdyn.analysis.boundaries.box_entropy import BasinEntropy, basin_entropy
from resdyn.analysis.boundaries.edges import EdgeState, edge_state
from resdyn.analysis.boundaries.labelled import ClassifiedGrid, LabelledGrid
from resdyn.analysis.boundaries.recovery import Resilience, resilience
from resdyn.analysis.boundaries.segments import BoundaryPoints, boundary_points
from resdyn.analysis.boundaries.sensitivity import UncertaintyExponent, uncertainty_exponent
from resdyn.analysis.boundaries.shocks import MinimalShock, minimal_shock

__all__ = [
    "BasinEntropy",
    "BoundaryPoints",
    "ClassifiedGrid",
    "EdgeState",
    "LabelledGrid",
    "MinimalShock",
    "Resilience",
    "UncertaintyExponent",
    "basin_entropy",
    "boundary_points",
    "edge_state",
    "minimal_shock",
    "resilience",
    "uncertainty_exponent",
]
