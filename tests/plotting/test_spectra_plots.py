"""Singular values and projections: what is drawn is what was measured."""

from dataclasses import replace

import numpy as np
import pytest

from resdyn.networks.linearization.density import SpectralDensity
from resdyn.networks.linearization.projection import GROUPS, Projection
from resdyn.networks.linearization.streaming import UnitSpectra
from resdyn.networks.linearization.values import Atom, Triplets
from resdyn.plotting import projection, singular_values, spectrum, unit_spectra

RNG = np.random.default_rng(0)
LOOSE = np.sort(RNG.uniform(0.2, 2.0, 20))[::-1]


class Unit:
    """A linearization of which 6 values are 1 and 4 are 0."""

    atoms = (Atom(1.0, 6), Atom(0.0, 4))

    def singular_values(self):
        return np.sort(np.concatenate([LOOSE, np.ones(6), np.zeros(4)]))[::-1]


def spectra(inputs=2):
    sizes, units = np.array([6, 4]), ("one", "two")
    values = RNG.uniform(0.1, 3.0, (2, inputs, 10))
    values[1, :, 2:5] = 1.0
    values[1, :, 6:8] = 0.0
    whole = np.zeros((2, 2, inputs), dtype=int)
    atoms = np.zeros((2, 2, inputs, 2), dtype=int)
    return UnitSpectra(
        "net", units, ("before", "after"), sizes, whole, whole, whole, atoms, np.ones(2), values, whole + 0.1
    )


def shares(n=5, k=3, seed=0):
    parts = np.random.default_rng(seed).dirichlet(np.ones(5), n).T
    at_random = dict(zip(GROUPS, (0.1, 0.4, 0.1, 0.2, 0.2), strict=True))
    ends = np.ones(k)
    return Projection("unit", k, *parts, at_random, np.ones(n), np.array([3, 12, 3, 6, 6]), ends, ends)


def test_ordered_values_descend_and_the_axis_is_their_share():
    ax = singular_values({"a": RNG.permutation(LOOSE), "b": Unit()})
    first, second = (line for line in ax.lines if line.get_label() in ("a", "b"))
    np.testing.assert_array_equal(first.get_ydata(), LOOSE)
    np.testing.assert_allclose(first.get_xdata(), (np.arange(20) + 0.5) / 20)
    np.testing.assert_array_equal(second.get_ydata(), Unit().singular_values())
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["a", "b"]
    assert ax.get_ylabel() == r"singular value $\sigma$"


def test_several_inputs_have_a_median_and_a_range():
    values = -np.sort(-RNG.uniform(0, 2, (5, 7)), axis=1)
    ax = singular_values(values)
    np.testing.assert_allclose(ax.lines[0].get_ydata(), np.median(values, axis=0))
    heights = ax.collections[0].get_paths()[0].vertices[:, 1]
    assert (heights.min(), heights.max()) == (values.min(), values.max())
    assert ax.get_legend() is None
    with pytest.raises(ValueError, match=r"shape \(n,\) or \(inputs, n\), but came \(0,\)"):
        singular_values([])


def test_atoms_are_stems_and_the_rest_a_histogram():
    ax = spectrum(Unit(), bins=10)
    assert sorted(text.get_text() for text in ax.texts) == ["4 at 0", "6 at 1"]
    heights = sorted(float(line.get_ydata()[0]) for line in ax.lines)
    assert heights == pytest.approx([4 / 30, 6 / 30])
    assert sum(bar.get_height() for bar in ax.patches) == pytest.approx(20 / 30)
    assert ax.get_ylabel() == "share of the 30 values"
    assert ax.get_yscale() == "log"


def test_values_of_an_array_that_occur_more_than_once_are_atoms():
    ax = spectrum(Unit().singular_values() + 1e-12 * RNG.standard_normal(30), bins=10)
    assert sorted(text.get_text().split(" at ")[0] for text in ax.texts) == ["4", "6"]
    assert sum(bar.get_height() for bar in ax.patches) == pytest.approx(20 / 30)


def test_a_spectral_density_is_drawn_by_its_weights():
    nodes, weights = np.array([0.5, 1.5, 1.6]), np.array([0.3, 0.1, 0.2])
    density = SpectralDensity("unit", 1000, nodes, weights, np.array([1.0]), np.array([0.4]), 0.01, 0.0, 4, 50)
    ax = spectrum(density, bins=2)
    assert [text.get_text() for text in ax.texts] == ["400 at 1"]
    assert [bar.get_height() for bar in ax.patches] == pytest.approx([0.3, 0.3])
    assert ax.get_ylabel() == "share of the 1000 values"


def test_each_unit_is_a_row_of_shares_that_add_up():
    found = spectra()
    density, exact = unit_spectra(found, bins=20)
    image = density.collections[0].get_array()
    assert image.shape == (2, 20)
    np.testing.assert_allclose(np.nansum(np.asarray(image), axis=1), 1)
    assert [label.get_text() for label in density.get_yticklabels()] == ["one", "two"]
    assert density.get_title() == "after the last activation"
    widths = [bar.get_width() for bar in exact.patches]
    expected = [(found.of(unit, "after")[0] == value).mean() for value in (1.0, 0.0) for unit in found.units]
    assert widths == pytest.approx(expected)
    assert max(expected) > 0
    assert unit_spectra(found, "before")[0].get_title() == "before the last activation"


def test_the_values_of_the_skip_path_are_those_that_are_counted():
    found = spectra()
    found.values[1, :, 2:5] = 0.8
    for gains, word in (([0.8, 0.8], "0.8"), ([0.8, 1.0], "|a|"), ([np.nan, np.nan], "1")):
        exact = unit_spectra(replace(found, skip=np.array(gains)))[1]
        of = [
            np.median((found.of(unit, "after") == a).mean(axis=1)) for unit, a in zip(found.units, gains, strict=True)
        ]
        assert [bar.get_width() for bar in exact.patches[:2]] == pytest.approx(np.nan_to_num(of))
        assert rf"|\sigma - {word}|" in exact.get_legend().get_texts()[0].get_text()


def test_values_beyond_the_end_are_in_the_last_bin():
    found = spectra()
    image = np.asarray(unit_spectra(found, "before", bins=4, upper=1.0)[0].collections[0].get_array())
    expected = [(found.of(unit, "before") >= 0.75).mean() for unit in found.units]
    np.testing.assert_allclose(image[:, -1], expected)


def test_shares_are_stacked_and_those_of_a_random_direction_marked():
    first, second = shares(seed=0), shares(seed=1)
    first.leading[0] = first.rest[0] = np.nan  # a perturbation without a direction
    ax = projection({"random": first, "adversarial": second})
    heights = np.array([bar.get_height() for bar in ax.patches]).reshape(5, 2)
    np.testing.assert_allclose(heights[:, 1], second.shares.mean(axis=1))
    np.testing.assert_allclose(heights[0, 0], first.leading[1:].mean())
    tops = [bar.get_y() + bar.get_height() for bar in ax.patches]
    assert tops[-1] == pytest.approx(1)
    marks = sorted({float(y) for lines in ax.collections for path in lines.get_paths() for y in path.vertices[:, 1]})
    assert marks == pytest.approx([0.1, 0.5, 0.6, 0.8])
    assert [label.get_text() for label in ax.get_xticklabels()] == ["random", "adversarial"]
    words = [text.get_text() for text in ax.get_legend().get_texts()]
    assert words == ["leading 3", "skip value |a|", "trailing 3", "null space", "rest", "random direction"]


def test_they_draw_into_axes_that_are_given():
    ax = singular_values(LOOSE)
    assert singular_values(LOOSE, ax=ax) is ax
    one, *two = ax.figure.subplots(1, 3)
    assert projection(shares(), ax=one) is one
    last = ax.figure.add_subplot()
    assert spectrum(np.ones(3), ax=last) is last  # nothing but an atom
    assert unit_spectra(spectra(), ax=two)[0] is two[0]
    with pytest.raises(ValueError, match=r"must be two Axes, .* but has shape \(1,\)"):
        unit_spectra(spectra(), ax=[ax])


def test_what_cannot_be_drawn_is_refused():
    triplets = Triplets(np.eye(3), np.ones(3), np.eye(3))
    for draw in (singular_values, spectrum):
        with pytest.raises(TypeError, match=r"several units; pass those of one, .of\(unit, reading\)"):
            draw(spectra())
        with pytest.raises(TypeError, match=r"pass their singular values, .values"):
            draw(triplets)
    with pytest.raises(TypeError, match=r"what resdyn.networks.unit_spectra returned"):
        unit_spectra(LOOSE)
    with pytest.raises(TypeError, match=r"what resdyn.networks.project returned, .* an empty mapping"):
        projection({})
    with pytest.raises(TypeError, match=r"what resdyn.networks.project returned"):
        projection(spectra())
