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
    from resdyn._types import Status as Status
    from resdyn._types import System as System
    from resdyn._version import __version__ as __version__
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
    "CompiledForm": "resdyn._types",
    "LogisticResiduals": "resdyn.matrix_family",
    "ResidualMap": "resdyn.matrix_family",
    "ResidualSystem": "resdyn.system",
    "Status": "resdyn._types",
    "System": "resdyn._types",
    "Trajectory": "resdyn.trajectory",
    "__version__": "resdyn._version",
    "block_jacobian": "resdyn.tangent",
    "from_symbolic": "resdyn.system",
    "logistic_residuals": "resdyn.matrix_family",
    "simulate": "resdyn.simulation",
    "tangent_map": "resdyn.tangent",
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
