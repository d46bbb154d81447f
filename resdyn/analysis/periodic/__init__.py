"""Cycles of maps and of flows, and the map that a flow makes of a section."""

from resdyn.analysis.periodic.result import Cycle, Cycles
from resdyn.analysis.periodic.search import cycles
from resdyn.analysis.periodic.sections import PoincareMap, poincare_map

__all__ = ["Cycle", "Cycles", "PoincareMap", "cycles", "poincare_map"]
