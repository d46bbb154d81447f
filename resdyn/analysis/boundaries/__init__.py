"""The geometry of basins: how mixed and how fine their boundaries are, what lies on them, and how far they are."""

from resdyn.analysis.boundaries.box_entropy import BasinEntropy, basin_entropy
from resdyn.analysis.boundaries.sensitivity import UncertaintyExponent, uncertainty_exponent

__all__ = ["BasinEntropy", "UncertaintyExponent", "basin_entropy", "uncertainty_exponent"]
