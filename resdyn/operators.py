"""The linear operators that linearizations are made of, each a SciPy ``LinearOperator``.

Each knows its adjoint, acts on many vectors at once (``matmat``), and forms a matrix only in ``to_dense``.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.linalg import LinearOperator

Array = NDArray[Any]


class RealOperator(LinearOperator):
    """A real operator given by its action on the columns of a matrix and by its transpose.

    Its dtype tells how exact it is: float32 only if a network in single precision is part of it.
    """

    def __init__(self, size: int | tuple[int, int], dtype: Any = np.float64) -> None:
        super().__init__(dtype=np.dtype(dtype), shape=size if isinstance(size, tuple) else (size, size))

    def _matvec(self, x: Array) -> Array:
        return self._matmat(x.reshape(-1, 1)).ravel()

    def _rmatvec(self, x: Array) -> Array:
        return self._adjoint()._matmat(x.reshape(-1, 1)).ravel()

    def _rmatmat(self, x: Array) -> Array:
        return self._adjoint()._matmat(x)

    def _transpose(self) -> LinearOperator:
        return self._adjoint()

    def to_dense(self) -> Array:
        """The matrix."""
        return self._matmat(np.eye(self.shape[1]))


class DenseOperator(RealOperator):
    """A matrix, with the error of its entries where it is an approximation."""

    def __init__(self, matrix: Array, error: float = 0.0) -> None:
        super().__init__(len(matrix))
        self.matrix = matrix
        self.error = error
        """Estimated largest error of an entry; 0 for an exact Jacobian."""

    def _matmat(self, x: Array) -> Array:
        return self.matrix @ x

    def _adjoint(self) -> "DenseOperator":
        return DenseOperator(self.matrix.T, self.error)


class ScaledMatrix(RealOperator):
    """``shift·I + diag(left) M diag(right)``: the Jacobian of one layer of a network with matrix M."""

    def __init__(self, matrix: Array, *, left: Array | float = 1.0, right: Array | float = 1.0, shift: float = 0.0):
        super().__init__(len(matrix))
        self.matrix, self.shift = matrix, shift
        self.left = np.broadcast_to(np.asarray(left, dtype=float), (len(matrix),))
        self.right = np.broadcast_to(np.asarray(right, dtype=float), (len(matrix),))

    def _matmat(self, x: Array) -> Array:
        product = self.left[:, None] * (self.matrix @ (self.right[:, None] * x))
        return product + self.shift * x

    def _adjoint(self) -> "ScaledMatrix":
        return ScaledMatrix(self.matrix.T, left=self.right, right=self.left, shift=self.shift)


class BlockJacobian(RealOperator):
    """``I + weight·A`` for a linear operator A: one block of a residual network, with weight h."""

    def __init__(self, operator: LinearOperator, weight: float) -> None:
        super().__init__(operator.shape[0], _precision([operator]))
        self.operator, self.weight = operator, weight

    def _matmat(self, x: Array) -> Array:
        return x + self.weight * self.operator.matmat(x)

    def _adjoint(self) -> "BlockJacobian":
        return BlockJacobian(self.operator.adjoint(), self.weight)


class Product(RealOperator):
    """``F_m ⋯ F_2 F_1``: the factors in the order in which they act."""

    def __init__(self, factors: Sequence[LinearOperator], size: int) -> None:
        super().__init__(size, _precision(factors))
        self.factors = tuple(factors)

    def _matmat(self, x: Array) -> Array:
        for factor in self.factors:
            x = factor.matmat(x)
        return x

    def _adjoint(self) -> "Product":
        return Product([factor.adjoint() for factor in reversed(self.factors)], self.shape[0])


def _precision(operators: Sequence[LinearOperator]) -> Any:
    """That of the least exact one; float32 counts, integers do not."""
    return np.float32 if any(operator.dtype == np.float32 for operator in operators) else np.float64
