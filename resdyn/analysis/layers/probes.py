"""How well classes can be told apart by a linear function: Fisher's ratio and a cross-validated linear probe.

Both follow from one matrix per layer that does not know the labels, so a null distribution from shuffled labels
costs next to nothing.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cholesky, solve_triangular

from resdyn import _validation as validate

Array = NDArray[Any]

# the rounding errors of XᵀX are about 1e-16 of its trace; a smaller ridge would not keep it positive definite
SMALLEST_RIDGE = 1e-10


def fisher_ratio(x: Any, labels: Any, *, ridge: float = 1e-3) -> float:
    r"""The variance between classes over the variance within them, along the directions that separate best.

    .. math:: J = \mathrm{tr}\bigl((S_W + \rho I)^{-1} S_B\bigr), \qquad \rho = \text{ridge}\cdot\mathrm{tr}(S_T)/d,

    with the scatter matrices (per state) within and between classes and :math:`S_T = S_W + S_B`. Without a ridge it
    does not change under invertible affine maps of the states (:eq:`fisher-affine`).

    Parameters
    ----------
    x : array, shape (n, \*shape)
    labels : array, shape (n,)
    ridge : float
        At least 1e-10; keeps J finite where d exceeds n or a unit does not vary.

    Raises
    ------
    TypeError, ValueError
        For wrong shapes, or fewer than two classes.
    """
    states, codes, _ = _labelled(x, labels)
    return float(_fisher(ridge_basis(states, checked_ridge(ridge)), codes[None], int(codes.max()) + 1)[0])


def probe_accuracy(x: Any, labels: Any, folds: Any, *, ridge: float = 1e-3) -> float:
    r"""The share of states whose class a linear probe tells right when it was fitted to the other folds.

    The probe is least-squares regression on one column per class with an intercept; the largest prediction wins:

    .. math:: \min_{V, c} \sum_i \lVert V x_i + c - e_{\mathrm{class}(i)} \rVert^2 + a \lVert V \rVert^2,
              \qquad a = \text{ridge}\cdot n\,\mathrm{tr}(S_T)/d .

    The penalty a is set once, from all n states without their labels. Predictions for a fold come in closed form from
    the errors of the fit to all states (:eq:`deleted-fold`).

    Parameters
    ----------
    x : array, shape (n, \*shape)
    labels : array, shape (n,)
    folds : integer array, shape (n,)
        The fold of each state; :func:`stratified_folds` makes them.
    ridge : float

    Raises
    ------
    TypeError, ValueError
        For wrong shapes, or fewer than two classes or folds.
    """
    states, codes, _ = _labelled(x, labels)
    parts = np.asarray(folds)
    if parts.shape != codes.shape or len(np.unique(parts)) < 2:
        raise ValueError(
            f"folds has shape {parts.shape} and {len(np.unique(parts))} different values, but {len(codes)} states need "
            f"shape ({len(codes)},) and at least two folds; make them with stratified_folds(labels)."
        )
    basis = ridge_basis(states, checked_ridge(ridge))
    return float(_accuracy(basis, codes[None], int(codes.max()) + 1, parts)[0])


def stratified_folds(labels: Any, n_folds: int = 5, *, rng: np.random.Generator | int = 0) -> Array:
    """A fold for each state, at random, so that every class is spread evenly over the folds.

    Parameters
    ----------
    labels : array, shape (n,)
    n_folds : int
        At most so many: no more than the smallest class has states, and at least 2.
    rng : numpy Generator or seed

    Returns
    -------
    integer array, shape (n,)
    """
    codes = np.unique(np.asarray(labels), return_inverse=True)[1]
    smallest = int(np.bincount(codes).min())
    n_folds = max(2, min(validate.count(n_folds, "n_folds", least=2), smallest))
    generator = np.random.default_rng(rng)
    shuffled = generator.permutation(len(codes))
    order = shuffled[np.argsort(codes[shuffled], kind="stable")]
    folds = np.empty(len(codes), dtype=np.int64)
    # dealt like cards, class after class, so that the folds differ by one state at most
    folds[order] = np.arange(len(codes)) % n_folds
    return folds


def shuffled_within_folds(codes: Array, folds: Array, n_shuffles: int, rng: np.random.Generator | int) -> Array:
    """The labels, then ``n_shuffles`` permutations of them that leave each fold its classes: (1 + n_shuffles, n).

    Shuffling within folds keeps the folds stratified, so that the probe of shuffled labels is fitted exactly as that
    of the true ones, and the null distribution is exact.
    """
    generator = np.random.default_rng(rng)
    labellings = np.tile(codes, (1 + n_shuffles, 1))
    for fold in np.unique(folds):
        members = np.flatnonzero(folds == fold)
        for labelling in labellings[1:]:
            labelling[members] = codes[generator.permutation(members)]
    return labellings


def separability(x: Array, labellings: Array, n_classes: int, folds: Array, ridge: float) -> tuple[Array, Array]:
    """Fisher's ratio and the accuracy of the probe, for each row of ``labellings``; x of shape (n, d)."""
    basis = ridge_basis(x, ridge)
    return _fisher(basis, labellings, n_classes), _accuracy(basis, labellings, n_classes, folds)


def checked_ridge(ridge: float) -> float:
    """``ridge`` as a number that keeps the scatter matrix positive definite."""
    number = validate.positive(ridge, "ridge")
    if number < SMALLEST_RIDGE:
        raise ValueError(
            f"ridge must be at least {SMALLEST_RIDGE:g}, below which it drowns in rounding; got {ridge!r}."
        )
    return number


def _labelled(x: Any, labels: Any) -> tuple[Array, Array, Array]:
    """States as (n, d), the class of each as a number, and the classes."""
    states = np.asarray(validate.real_array(x, "x"), dtype=np.float64)
    if states.ndim < 2:
        raise ValueError(f"x has shape {states.shape}, but must hold one state per row, shape (n, *shape).")
    codes, classes = validate.class_labels(labels, len(states))
    if len(classes) < 2:
        raise ValueError(
            f"classes are told apart, but all labels are {classes.tolist()[0]!r}; give two classes or more."
        )
    return states.reshape(len(states), -1), codes, classes


def ridge_basis(x: Array, ridge: float) -> Array:
    r"""Q with :math:`Q Q^{\mathsf T} = X (X^{\mathsf T} X + a I)^{-1} X^{\mathsf T}` for centred states X."""
    n, d = x.shape
    # seen from one of the states a unit that does not vary is exactly 0, and so is its mean
    centred = x - x[0]
    centred -= centred.mean(axis=0)
    largest = float(np.abs(centred).max(initial=0.0))
    if largest == 0.0:
        return np.zeros((n, 1))
    # the ridge is relative, so the scale is free: squares must neither overflow nor vanish
    centred /= largest
    if d > n:
        # only inner products matter, and coordinates within the span of the states keep them
        centred = np.asarray(np.linalg.qr(centred.T, mode="r")).T
    gram = centred.T @ centred
    gram[np.diag_indices_from(gram)] += ridge * np.trace(gram) / d
    return solve_triangular(cholesky(gram, lower=True), centred.T, lower=True).T


def _one_hot(labellings: Array, n_classes: int) -> Array:
    """Indicators of the classes, shape (n_labellings, n, n_classes)."""
    return (labellings[..., None] == np.arange(n_classes)).astype(np.float64)


def _fisher(basis: Array, labellings: Array, n_classes: int) -> Array:
    """tr G(I − G)⁻¹ with G = MᵀS_T⁻¹M, M the scaled class means: S_W itself is never formed or inverted."""
    indicators = _one_hot(labellings, n_classes)
    scaled = indicators / np.sqrt(np.maximum(indicators.sum(axis=1, keepdims=True), 1.0))
    means = basis.T @ scaled
    between = np.clip(np.linalg.eigvalsh(np.swapaxes(means, -1, -2) @ means), 0.0, 1.0)
    with np.errstate(divide="ignore"):
        return (between / (1.0 - between)).sum(axis=-1)


def _accuracy(basis: Array, labellings: Array, n_classes: int, folds: Array) -> Array:
    """Accuracy over all folds, for each labelling."""
    targets = np.moveaxis(_one_hot(labellings, n_classes), 0, 1).reshape(len(basis), -1)
    predicted = held_out_predictions(basis, targets, folds).reshape(len(basis), len(labellings), n_classes)
    return (predicted.argmax(axis=-1) == labellings.T).mean(axis=0)


def held_out_predictions(basis: Array, targets: Array, folds: Array) -> Array:
    """What ridge regression on the other folds predicts for each state; targets of shape (n, m)."""
    n = len(basis)
    # the intercept is one more column, orthogonal to the centred ones and not penalised
    hat = np.column_stack([basis, np.full(n, n**-0.5)])
    errors = targets - hat @ (hat.T @ targets)
    for fold in np.unique(folds):
        rows = np.flatnonzero(folds == fold)
        errors[rows] = _deleted(hat[rows], errors[rows])
    return targets - errors


def _deleted(rows: Array, errors: Array) -> Array:
    """The errors of a fit without these rows, (I − RRᵀ)⁻¹ errors, through the smaller of two systems."""
    n, r = rows.shape
    if n <= r:
        return np.linalg.solve(np.eye(n) - rows @ rows.T, errors)
    return errors + rows @ np.linalg.solve(np.eye(r) - rows.T @ rows, rows.T @ errors)
