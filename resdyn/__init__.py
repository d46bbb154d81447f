"""resdyn: residual networks as dynamical systems.

Public names are loaded when they are first used, so that ``import resdyn`` costs nothing and pulls in
neither torch, matplotlib, SymPy, SciPy nor numba.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from resdyn import data as data
    from resdyn import networks as networks
    from resdyn import plotting as plotting
    from resdyn import systems as systems
    from resdyn import testing as testing
    from resdyn._types import CompiledForm as CompiledForm
    from resdyn._types import NetworkTrace as NetworkTrace
    from resdyn._types import NetworkUnit as NetworkUnit
    from resdyn._types import Status as Status
    from resdyn._types import System as System
    from resdyn._types import TracedNetwork as TracedNetwork
    from resdyn._version import __version__ as __version__
    from resdyn.analysis.attraction import Attractor as Attractor
    from resdyn.analysis.attraction import Attractors as Attractors
    from resdyn.analysis.attraction import Basins as Basins
    from resdyn.analysis.attraction import attractors as attractors
    from resdyn.analysis.attraction import basins_of_attraction as basins_of_attraction
    from resdyn.analysis.boundaries import BasinEntropy as BasinEntropy
    from resdyn.analysis.boundaries import BoundaryPoints as BoundaryPoints
    from resdyn.analysis.boundaries import EdgeState as EdgeState
    from resdyn.analysis.boundaries import MinimalShock as MinimalShock
    from resdyn.analysis.boundaries import Resilience as Resilience
    from resdyn.analysis.boundaries import UncertaintyExponent as UncertaintyExponent
    from resdyn.analysis.boundaries import basin_entropy as basin_entropy
    from resdyn.analysis.boundaries import boundary_points as boundary_points
    from resdyn.analysis.boundaries import edge_state as edge_state
    from resdyn.analysis.boundaries import minimal_shock as minimal_shock
    from resdyn.analysis.boundaries import resilience as resilience
    from resdyn.analysis.boundaries import uncertainty_exponent as uncertainty_exponent
    from resdyn.analysis.branches import Bifurcation as Bifurcation
    from resdyn.analysis.branches import Branch as Branch
    from resdyn.analysis.branches import continuation as continuation
    from resdyn.analysis.certificates import Certificate as Certificate
    from resdyn.analysis.certificates import lyapunov_function as lyapunov_function
    from resdyn.analysis.equilibria import Continuum as Continuum
    from resdyn.analysis.equilibria import FixedPoint as FixedPoint
    from resdyn.analysis.equilibria import FixedPoints as FixedPoints
    from resdyn.analysis.equilibria import fixed_points as fixed_points
    from resdyn.analysis.equilibria import iterate_fixed_points as iterate_fixed_points
    from resdyn.analysis.exponents.alignment import ChaosIndicators as ChaosIndicators
    from resdyn.analysis.exponents.alignment import chaos_indicators as chaos_indicators
    from resdyn.analysis.exponents.covariant import CovariantVectors as CovariantVectors
    from resdyn.analysis.exponents.covariant import covariant_vectors as covariant_vectors
    from resdyn.analysis.exponents.finite_time import FiniteTimeExponents as FiniteTimeExponents
    from resdyn.analysis.exponents.finite_time import finite_time_exponents as finite_time_exponents
    from resdyn.analysis.exponents.spectrum import LyapunovSpectrum as LyapunovSpectrum
    from resdyn.analysis.exponents.spectrum import lyapunov_spectrum as lyapunov_spectrum
    from resdyn.analysis.families.matching import GlobalContinuation as GlobalContinuation
    from resdyn.analysis.families.matching import global_continuation as global_continuation
    from resdyn.analysis.families.orbit_diagrams import OrbitDiagram as OrbitDiagram
    from resdyn.analysis.families.orbit_diagrams import orbit_diagram as orbit_diagram
    from resdyn.analysis.interactions.relations import Cooperation as Cooperation
    from resdyn.analysis.interactions.relations import cooperation as cooperation
    from resdyn.analysis.layers.deepening import sufficient_depth as sufficient_depth
    from resdyn.analysis.layers.layerwise import Transients as Transients
    from resdyn.analysis.layers.layerwise import transients as transients
    from resdyn.analysis.layers.stopping import DepthRule as DepthRule
    from resdyn.analysis.layers.stopping import depth_rule as depth_rule
    from resdyn.analysis.manifolds import Manifold as Manifold
    from resdyn.analysis.manifolds import invariant_manifold as invariant_manifold
    from resdyn.analysis.periodic import Cycle as Cycle
    from resdyn.analysis.periodic import Cycles as Cycles
    from resdyn.analysis.periodic import PoincareMap as PoincareMap
    from resdyn.analysis.periodic import cycles as cycles
    from resdyn.analysis.periodic import poincare_map as poincare_map
    from resdyn.analysis.perturbations.following import Propagation as Propagation
    from resdyn.analysis.perturbations.following import propagate as propagate
    from resdyn.iterated import IteratedMap as IteratedMap
    from resdyn.matrix_family import LogisticResiduals as LogisticResiduals
    from resdyn.matrix_family import ResidualMap as ResidualMap
    from resdyn.matrix_family import logistic_residuals as logistic_residuals
    from resdyn.simulation import simulate as simulate
    from resdyn.system import ResidualSystem as ResidualSystem
    from resdyn.system import from_symbolic as from_symbolic
    from resdyn.tangent import block_jacobian as block_jacobian
    from resdyn.tangent import tangent_map as tangent_map
    from resdyn.trajectory import Trajectory as Trajectory

_HOME = {
    "Attractor": "resdyn.analysis.attraction",
    "Attractors": "resdyn.analysis.attraction",
    "BasinEntropy": "resdyn.analysis.boundaries",
    "Basins": "resdyn.analysis.attraction",
    "Bifurcation": "resdyn.analysis.branches",
    "BoundaryPoints": "resdyn.analysis.boundaries",
    "Branch": "resdyn.analysis.branches",
    "Certificate": "resdyn.analysis.certificates",
    "ChaosIndicators": "resdyn.analysis.exponents.alignment",
    "CompiledForm": "resdyn._types",
    "Continuum": "resdyn.analysis.equilibria",
    "Cooperation": "resdyn.analysis.interactions.relations",
    "CovariantVectors": "resdyn.analysis.exponents.covariant",
    "Cycle": "resdyn.analysis.periodic",
    "Cycles": "resdyn.analysis.periodic",
    "DepthRule": "resdyn.analysis.layers.stopping",
    "EdgeState": "resdyn.analysis.boundaries",
    "FiniteTimeExponents": "resdyn.analysis.exponents.finite_time",
    "FixedPoint": "resdyn.analysis.equilibria",
    "FixedPoints": "resdyn.analysis.equilibria",
    "GlobalContinuation": "resdyn.analysis.families.matching",
    "IteratedMap": "resdyn.iterated",
    "LogisticResiduals": "resdyn.matrix_family",
    "LyapunovSpectrum": "resdyn.analysis.exponents.spectrum",
    "Manifold": "resdyn.analysis.manifolds",
    "MinimalShock": "resdyn.analysis.boundaries",
    "NetworkTrace": "resdyn._types",
    "NetworkUnit": "resdyn._types",
    "OrbitDiagram": "resdyn.analysis.families.orbit_diagrams",
    "PoincareMap": "resdyn.analysis.periodic",
    "Propagation": "resdyn.analysis.perturbations.following",
    "ResidualMap": "resdyn.matrix_family",
    "ResidualSystem": "resdyn.system",
    "Resilience": "resdyn.analysis.boundaries",
    "Status": "resdyn._types",
    "System": "resdyn._types",
    "TracedNetwork": "resdyn._types",
    "Trajectory": "resdyn.trajectory",
    "Transients": "resdyn.analysis.layers.layerwise",
    "UncertaintyExponent": "resdyn.analysis.boundaries",
    "__version__": "resdyn._version",
    "attractors": "resdyn.analysis.attraction",
    "basin_entropy": "resdyn.analysis.boundaries",
    "basins_of_attraction": "resdyn.analysis.attraction",
    "block_jacobian": "resdyn.tangent",
    "boundary_points": "resdyn.analysis.boundaries",
    "chaos_indicators": "resdyn.analysis.exponents.alignment",
    "continuation": "resdyn.analysis.branches",
    "cooperation": "resdyn.analysis.interactions.relations",
    "covariant_vectors": "resdyn.analysis.exponents.covariant",
    "cycles": "resdyn.analysis.periodic",
    "depth_rule": "resdyn.analysis.layers.stopping",
    "edge_state": "resdyn.analysis.boundaries",
    "finite_time_exponents": "resdyn.analysis.exponents.finite_time",
    "fixed_points": "resdyn.analysis.equilibria",
    "from_symbolic": "resdyn.system",
    "global_continuation": "resdyn.analysis.families.matching",
    "invariant_manifold": "resdyn.analysis.manifolds",
    "iterate_fixed_points": "resdyn.analysis.equilibria",
    "logistic_residuals": "resdyn.matrix_family",
    "lyapunov_function": "resdyn.analysis.certificates",
    "lyapunov_spectrum": "resdyn.analysis.exponents.spectrum",
    "minimal_shock": "resdyn.analysis.boundaries",
    "orbit_diagram": "resdyn.analysis.families.orbit_diagrams",
    "poincare_map": "resdyn.analysis.periodic",
    "propagate": "resdyn.analysis.perturbations.following",
    "resilience": "resdyn.analysis.boundaries",
    "simulate": "resdyn.simulation",
    "sufficient_depth": "resdyn.analysis.layers.deepening",
    "tangent_map": "resdyn.tangent",
    "transients": "resdyn.analysis.layers.layerwise",
    "uncertainty_exponent": "resdyn.analysis.boundaries",
}
_SUBPACKAGES = ("data", "networks", "plotting", "systems", "testing")

__all__ = sorted([*_HOME, *_SUBPACKAGES])


def __getattr__(name: str) -> Any:
    if name in _SUBPACKAGES:
        return importlib.import_module(f"resdyn.{name}")
    if name not in _HOME:
        raise AttributeError(f"module 'resdyn' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
