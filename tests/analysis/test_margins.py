"""Signs of matrices: what is said to be proven is true in exact arithmetic."""

from fractions import Fraction

import mpmath
import numpy as np
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from resdyn.analysis.certificates import margins

EPS = np.finfo(float).eps
QUICK = settings(max_examples=60, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])


@given(st.integers(0, 10**6), st.integers(1, 6), st.integers(-40, 40))
@QUICK
def test_proven_signs_are_true_in_exact_arithmetic(seed, n, shift):
    rng = np.random.default_rng(seed)
    B = rng.normal(size=(n, max(n - 1, 1)))
    A = -(B @ B.T) + shift * EPS * np.eye(n)  # singular but for a few units of rounding
    A = (A + A.T) / 2
    found = margins.sign(A, np.abs(A), lambda: margins.fractions(A))
    exactly = margins._is_semidefinite(-margins.fractions(A))
    if found.verdict in ("negative", "semidefinite"):
        assert exactly
    if found.verdict == "positive":
        assert not exactly
    assert found.excess >= 0
    largest = float(max(mpmath.eigsy(mpmath.matrix(A.tolist()), eigvals_only=True)))
    assert abs(found.value - largest) <= found.error


def test_exact_elimination_knows_semidefinite_matrices():
    for rows, expected in (
        ([[1, 1], [1, 1]], True),
        ([[0, 0], [0, 3]], True),
        ([[0, 1], [1, 3]], False),
        ([[2, 3], [3, 4]], False),
        ([[4, 2, 2], [2, 1, 1], [2, 1, 1]], True),
    ):
        assert margins._is_semidefinite(np.array([[Fraction(v) for v in row] for row in rows])) is expected
