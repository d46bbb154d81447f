"""Sparse matrices of layers against torch, products of factors against SciPy's own."""

import numpy as np
import pytest
import torch
from scipy import sparse

from resdyn.networks.linearization import assembly
from resdyn.networks.linearization.factors import Factors

# channels before and after, image, kernel, options
LAYERS = {
    "basic": (3, 4, (5, 5), (3, 3), {"padding": 1}),
    "strided": (2, 3, (6, 6), (3, 3), {"padding": 1, "stride": 2}),
    "rectangular": (2, 3, (5, 7), (3, 1), {"padding": (1, 0), "stride": (1, 2)}),
    "even kernel": (2, 2, (5, 6), (2, 4), {"padding": (1, 2)}),
    "dilated": (2, 2, (8, 7), (3, 3), {"padding": 2, "dilation": (2, 1)}),
    "all at once": (4, 6, (9, 8), (3, 2), {"padding": (2, 1), "dilation": (2, 3), "stride": (3, 2), "groups": 2}),
    "grouped": (4, 6, (4, 4), (3, 3), {"padding": 1, "groups": 2}),
    "depthwise": (3, 6, (4, 5), (3, 3), {"padding": 1, "groups": 3, "stride": 2}),
    "pointwise": (3, 5, (3, 3), (1, 1), {"stride": 2}),
    "without padding": (2, 2, (5, 5), (3, 3), {}),
    "wide padding": (1, 2, (2, 3), (3, 3), {"padding": 3}),
    "no input seen": (1, 1, (1, 1), (1, 1), {"padding": 2}),
}


@pytest.fixture(params=LAYERS)
def layer(request):
    before, after, image, kernel, options = LAYERS[request.param]
    rng = np.random.default_rng(0)
    weight = rng.standard_normal((after, before // options.get("groups", 1), *kernel))
    shape = (before, *image)
    units = torch.eye(int(np.prod(shape)), dtype=torch.float64).reshape(-1, *shape)
    images = torch.nn.functional.conv2d(units, torch.from_numpy(weight), **options)
    return weight, shape, options, images.reshape(len(units), -1).T.numpy()


def in_order(matrix):
    """Sorted indices without repetition: also what SciPy's own flags say."""
    other = matrix.copy()
    other.has_sorted_indices = False
    other.sort_indices()
    return np.array_equal(other.indices, matrix.indices) and matrix.has_canonical_format


def test_rows_and_columns_are_those_of_the_convolution(layer):
    weight, shape, options, dense = layer
    rng = np.random.default_rng(1)
    rows, columns = rng.permutation(dense.shape[0])[::2], rng.permutation(dense.shape[1])[::2]
    by_rows = assembly.convolution_rows(weight, shape, **options, rows=rows)
    by_columns = assembly.convolution_columns(weight, shape, **options, columns=columns)
    assert np.array_equal(by_rows.toarray(), dense[rows])
    assert np.array_equal(by_columns.toarray(), dense[:, columns])
    assert (by_rows.format, by_columns.format) == ("csr", "csc")
    assert all(map(in_order, (by_rows, by_columns)))
    assert by_rows.indices.dtype == by_columns.indices.dtype == by_rows.indptr.dtype == np.int32
    assert np.array_equal(assembly.convolution_rows(weight, shape, **options).toarray(), dense)
    assert np.array_equal(assembly.convolution_columns(weight, shape, **options).toarray(), dense)


def test_a_selection_takes_entries_or_nothing():
    x = np.array([3.0, 5.0, 7.0])
    assert np.array_equal(assembly.selection([[2, -1], [0, 2]], 3) @ x, [7, 0, 3, 7])
    assert assembly.selection([], 3).shape == (0, 3)


def test_what_does_not_fit_is_refused():
    weight, shape = np.ones((2, 1, 3, 3)), (2, 4, 4)
    with pytest.raises(ValueError, match=r"weights of shape \(2, 1, 3, 3\) in 1 group"):
        assembly.convolution_rows(weight, shape)
    with pytest.raises(ValueError, match=r"does not fit into an image \(2, 2\)"):
        assembly.convolution_rows(weight, (2, 2, 2), groups=2)
    with pytest.raises(ValueError, match="rows must be flat indices from 0 to 7"):
        assembly.convolution_rows(weight, shape, groups=2, rows=[8])
    with pytest.raises(ValueError, match="columns must be flat indices from 0 to 31"):
        assembly.convolution_columns(weight, shape, groups=2, columns=[0.5])
    with pytest.raises(ValueError, match="integers from -1 to 2"):
        assembly.selection([3], 3)


# --- units --------------------------------------------------------------------------------------------


def convolution(rng, before, after, kernel=3, groups=1):
    return rng.standard_normal((after, before // groups, kernel, kernel)) / np.sqrt(before * kernel**2)


def factors(
    kind="post", *, image=(6, 5), channels=3, width=4, inner=0.4, outer=0.6, a=1.0, seed=0, groups=1, derivative=None
):
    """Factors of a random unit of a kind, with masks at random."""
    rng = np.random.default_rng(seed)
    stride = 2 if kind in ("option A", "projection") else 1
    before, after = (channels, *image), channels * stride
    options = {"stride": stride, "padding": 1, "groups": groups}
    first = convolution(rng, channels, width, groups=groups)
    between = (width, *(-(-pixels // stride) for pixels in image))
    last = (after, *between[1:])
    n, hidden = int(np.prod(last)), int(np.prod(between))
    active = np.flatnonzero(rng.random(hidden) < inner)
    slopes = rng.uniform(0.5, 1.5, len(active))
    V = sparse.diags_array(slopes) @ assembly.convolution_rows(first, before, **options, rows=active)
    U = assembly.convolution_columns(convolution(rng, width, after), between, padding=1, columns=active)
    if kind == "pre":
        V = V @ sparse.diags_array((rng.random(V.shape[1]) < outer) * rng.uniform(0.5, 1.5, V.shape[1]))
    if kind == "bottleneck":
        middle = sparse.diags_array((rng.random(n) < 0.5) * 1.0)
        U = assembly.convolution_rows(convolution(rng, after, after, 1), last) @ (middle @ U)
    skip = {
        "option A": lambda: shortcut_a(before, last),
        "projection": lambda: assembly.convolution_rows(convolution(rng, channels, after, 1), before, stride=2),
    }.get(kind, lambda: None)()
    D = np.ones(n) if kind == "pre" else (rng.random(n) < outer) * 1.0
    if derivative == "smooth":
        D = rng.uniform(0.2, 1.0, n) * (rng.random(n) < 0.9)
    mask = np.zeros(hidden)
    mask[active] = slopes
    return Factors(
        a, skip, sparse.csc_array(U), sparse.csr_array(V), D, (mask.reshape(between),), active % np.prod(between[1:])
    )


def shortcut_a(before, after):
    """Every second pixel, and zeros for new channels."""
    entries = np.pad(
        np.arange(np.prod(before)).reshape(before)[:, ::2, ::2] + 1, [(1, after[0] - before[0] - 1), (0, 0), (0, 0)]
    )
    return assembly.selection(entries - 1, int(np.prod(before)))


CASES = {
    "post": {},
    "one channel": {"channels": 1, "width": 1},
    "all fire": {"inner": 1.1, "outer": 1.1},
    "few fire": {"inner": 0.02},
    "none fires inside": {"inner": 0.0},
    "none fires outside": {"outer": 0.0},
    "option A": {"kind": "option A", "image": (6, 8)},
    "option A, scaled": {"kind": "option A", "a": -0.7},
    "pre": {"kind": "pre"},
    "bottleneck": {"kind": "bottleneck"},
    "grouped": {"channels": 4, "groups": 2},
    "no skip": {"a": 0.0},
    "long image": {"image": (1, 20)},
}


@pytest.fixture(params=CASES)
def unit(request):
    return factors(**CASES[request.param])


def test_the_matrix_of_a_unit_is_the_sum_of_its_paths(unit):
    S = np.eye(*unit.shape) if unit.skip is None else unit.skip.toarray()
    J = unit.outer[:, None] * (unit.a * S + unit.U.toarray() @ unit.V.toarray())
    assert np.allclose(assembly.full_matrix(unit).toarray(), J, atol=1e-14)
    assert np.allclose(unit.active_matrix.toarray(), J[unit.rows], atol=1e-14)
    assert in_order(unit.active_matrix)


def test_the_matrix_of_a_unit_is_the_callers():
    f = factors()
    first = assembly.full_matrix(f)
    first.data[:] = 0
    assert assembly.full_matrix(f).data.any()
    assert f.active_matrix.data.any()
