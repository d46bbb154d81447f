"""The mathematics of resdyn, in SymPy alone: definitions of systems, and statements that are checked.

Numerics, tests and docs read it here; nothing is stated twice.
"""

from resdyn_theory.symbolic import Statement, SymbolicSystem

__all__ = ["Statement", "SymbolicSystem"]
