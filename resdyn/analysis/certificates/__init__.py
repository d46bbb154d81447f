"""Lyapunov functions in closed form, with the conditions that make them so."""

from resdyn.analysis.certificates.result import Certificate, Condition
from resdyn.analysis.certificates.search import FORMS, lyapunov_function

__all__ = ["FORMS", "Certificate", "Condition", "lyapunov_function"]
