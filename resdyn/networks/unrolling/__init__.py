"""Any residual network of torch as a chain of units, and its stages as systems."""

from resdyn.networks.unrolling.construction import unroll
from resdyn.networks.unrolling.stage import Stage
from resdyn.networks.unrolling.tracing import Trace, UnitNorms
from resdyn.networks.unrolling.unit import Part, Unit
from resdyn.networks.unrolling.unrolled import UnrolledNetwork

__all__ = ["Part", "Stage", "Trace", "Unit", "UnitNorms", "UnrolledNetwork", "unroll"]
