"""Branches of fixed points and cycles over a parameter, and where they bifurcate."""

from resdyn.analysis.branches.following import continuation
from resdyn.analysis.branches.result import Bifurcation, Branch

__all__ = ["Bifurcation", "Branch", "continuation"]
