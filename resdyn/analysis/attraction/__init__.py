"""Attractors, found without prior knowledge, and their basins."""

from resdyn.analysis.attraction.basins import basins_of_attraction
from resdyn.analysis.attraction.result import Attractor, Attractors, Basins
from resdyn.analysis.attraction.search import attractors

__all__ = ["Attractor", "Attractors", "Basins", "attractors", "basins_of_attraction"]
