"""resdyn: residual networks as dynamical systems.

Public names are loaded when they are first used, so that ``import resdyn`` costs nothing and pulls in
neither torch, matplotlib, SymPy, SciPy nor numba.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from resdyn import data as data
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
    from resdyn.analysis.certificates import Certificate as Certificate
    from resdyn.analysis.certificates import lyapunov_function as lyapunov_function
    from resdyn.analysis.equilibria import Continuum as Continuum
    from resdyn.analysis.equilibria import FixedPoint as FixedPoint
    from resdyn.analysis.equilibria import FixedPoints as FixedPoints
    from resdyn.analysis.equilibria import fixed_points as fixed_points
    from resdyn.analysis.equilibria import iterate_fixed_points as iterate_fixed_points
    from resdyn.analysis.exponents import LyapunovSpectrum as LyapunovSpectrum
    from resdyn.analysis.exponents import lyapunov_spectrum as lyapunov_spectrum
    from resdyn.analysis.finite_time import FiniteTimeExponents as FiniteTimeExponents
    from resdyn.analysis.finite_time import finite_time_exponents as finite_time_exponents
    from resdyn.analysis.interactions import Cooperation as Cooperation
    from resdyn.analysis.interactions import cooperation as cooperation
    from resdyn.analysis.layerwise import Transients as Transients
    from resdyn.analysis.layerwise import transients as transients
    from resdyn.analysis.perturbations import Propagation as Propagation
    from resdyn.analysis.perturbations import propagate as propagate
    from resdyn.analysis.stopping import DepthRule as DepthRule
    from resdyn.analysis.stopping import depth_rule as depth_rule
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
    "Certificate": "resdyn.analysis.certificates",
    "CompiledForm": "resdyn._types",
    "Continuum": "resdyn.analysis.equilibria",
    "Cooperation": "resdyn.analysis.interactions",
    "DepthRule": "resdyn.analysis.stopping",
    "FiniteTimeExponents": "resdyn.analysis.finite_time",
    "FixedPoint": "resdyn.analysis.equilibria",
    "FixedPoints": "resdyn.analysis.equilibria",
    "IteratedMap": "resdyn.iterated",
    "LogisticResiduals": "resdyn.matrix_family",
    "LyapunovSpectrum": "resdyn.analysis.exponents",
    "NetworkTrace": "resdyn._types",
    "NetworkUnit": "resdyn._types",
    "Propagation": "resdyn.analysis.perturbations",
    "ResidualMap": "resdyn.matrix_family",
    "ResidualSystem": "resdyn.system",
    "Status": "resdyn._types",
    "System": "resdyn._types",
    "TracedNetwork": "resdyn._types",
    "Trajectory": "resdyn.trajectory",
    "Transients": "resdyn.analysis.layerwise",
    "__version__": "resdyn._version",
    "block_jacobian": "resdyn.tangent",
    "cooperation": "resdyn.analysis.interactions",
    "depth_rule": "resdyn.analysis.stopping",
    "finite_time_exponents": "resdyn.analysis.finite_time",
    "fixed_points": "resdyn.analysis.equilibria",
    "from_symbolic": "resdyn.system",
    "iterate_fixed_points": "resdyn.analysis.equilibria",
    "logistic_residuals": "resdyn.matrix_family",
    "lyapunov_function": "resdyn.analysis.certificates",
    "lyapunov_spectrum": "resdyn.analysis.exponents",
    "propagate": "resdyn.analysis.perturbations",
    "simulate": "resdyn.simulation",
    "tangent_map": "resdyn.tangent",
    "transients": "resdyn.analysis.layerwise",
}
_SUBPACKAGES = ("data", "plotting", "systems", "testing")

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
