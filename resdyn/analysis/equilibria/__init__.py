"""Fixed points: all of them where that can be promised, found by Newton's method where it cannot."""

from resdyn.analysis.equilibria.logistic import iterate_fixed_points
from resdyn.analysis.equilibria.result import Continuum, FixedPoint, FixedPoints
from resdyn.analysis.equilibria.search import fixed_points

__all__ = ["Continuum", "FixedPoint", "FixedPoints", "fixed_points", "iterate_fixed_points"]
