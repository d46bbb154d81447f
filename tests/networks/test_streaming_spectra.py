"""Spectra of all units for a batch: the same in one process and in two, and after an interruption."""

import json

import numpy as np
import pytest
import torch
from torch import nn

from resdyn.networks import dense_resnet, linearize, load, resnet, unroll
from resdyn.networks.linearization import batches
from resdyn.networks.linearization.streaming import UnitCounts, UnitSpectra, unit_counts, unit_spectra

RNG = np.random.default_rng(0)
X = RNG.uniform(-1, 1, (3, 1, 8, 8))
UNITS = ["stages.2.entry", "stages.2.blocks.1"]


@pytest.fixture(scope="module")
def network():
    return unroll(load("resnet20-digits-seed0"), np.zeros((1, 1, 8, 8)))


@pytest.fixture(scope="module")
def spectra(network):
    return unit_spectra(network, X, units=UNITS)


class Interruption(Exception):
    pass


@pytest.fixture
def linearizations(monkeypatch):
    """Those that were made, and after how many to stop."""
    made, limit = [], [None]

    def counted(unit, x, **options):
        if len(made) == limit[0]:
            raise Interruption
        made.append((unit.name, options["reading"]))
        return linearize(unit, x, **options)

    monkeypatch.setattr(batches, "linearize", counted)
    return made, limit


def same(one, other):
    np.testing.assert_array_equal(one.values, other.values)
    np.testing.assert_array_equal(one.atoms, other.atoms)
    assert (one.name, one.units, one.readings) == (other.name, other.units, other.readings)


def test_each_unit_is_linearized_at_the_state_of_its_input_in_double_precision(network, spectra):
    double = unroll(load("resnet20-digits-seed0"), np.zeros((1, 1, 8, 8)), dtype=torch.float64)
    assert spectra.sizes.tolist() == [128, 128]
    states = double.stem(X)
    for unit in double.units:
        if unit.name in UNITS:
            for reading in ("before", "after"):
                expected = [linearize(unit, x, reading=reading).singular_values() for x in states]
                np.testing.assert_allclose(spectra.of(unit.name, reading), expected, rtol=0, atol=1e-12)
        states = unit(states)


def test_states_are_followed_in_double_precision_also_where_the_network_runs_in_single():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = dense_resnet(5, 5, 3, 2, step=0.5)  # logistic: its Jacobian depends on every digit of the state
    single, double = (unroll(model, np.zeros((1, 5)), dtype=dtype) for dtype in (torch.float32, torch.float64))
    x = RNG.standard_normal((1, 5))
    found, state = unit_spectra(single, x, readings=["after"]), double.stem(x)
    for unit in double.units:
        expected = linearize(unit, state[0]).singular_values()
        np.testing.assert_allclose(found.of(unit.name, "after")[0], expected, rtol=0, atol=1e-13)
        state = unit(state)


def test_structure_is_that_of_the_linearizations(network, spectra):
    states = X
    for part in (network.stem, *network.units[:-1]):
        states = part(states)
    unit = network.units[-1]
    for i, x in enumerate(states):
        found = linearize(unit, x, reading="after")
        numbers = (found.active_inner, found.active_outer, found.rank if found.factors is not None else None)
        expected = [-1 if number is None else number for number in numbers]
        got = [getattr(spectra, name)[1, 1, i] for name in ("active_inner", "active_outer", "ranks")]
        assert got == expected
        if found.factors is None:
            assert spectra.atoms[1, 1, i].tolist() == [-1, -1]
        else:
            for value, multiplicity in zip((spectra.skip[1], 0.0), spectra.atoms[1, 1, i], strict=True):
                assert multiplicity == sum(atom.multiplicity for atom in found.atoms if atom.value == value)


def test_all_units_and_both_readings_by_default(network):
    found = unit_spectra(network, X[:1])
    assert found.units == tuple(unit.name for unit in network.units)
    assert found.readings == ("before", "after")
    assert found.values.shape == (2, 1, found.sizes.sum())
    assert (found.seconds > 0).all()
    pre = unroll(resnet(14, order="pre", widths=(2, 3, 4)).eval(), np.zeros((1, 3, 8, 8)))
    before, after = unit_spectra(pre, RNG.standard_normal((1, 3, 8, 8))).values
    np.testing.assert_allclose(before, after, atol=1e-13)  # nothing follows the addition


def test_two_processes_find_what_one_finds(network, spectra, tmp_path):
    found = unit_spectra(network, X, units=UNITS, path=tmp_path / "run", workers=2)
    # threads of the BLAS may add in another order
    np.testing.assert_allclose(found.values, spectra.values, rtol=0, atol=1e-12)
    assert len(list((tmp_path / "run").glob("*.npz"))) == 3 * 2 * 2


def test_a_second_call_goes_on_where_the_first_was_stopped(network, spectra, linearizations, tmp_path):
    made, limit = linearizations
    limit[0] = 5
    with pytest.raises(Interruption):
        unit_spectra(network, X, units=UNITS, path=tmp_path)
    assert len(list(tmp_path.glob("*.npz"))) == 5
    assert not list(tmp_path.glob("*.tmp"))
    limit[0] = None
    same(unit_spectra(network, X, units=UNITS, path=tmp_path), spectra)
    assert len(made) == 12
    same(unit_spectra(network, X, units=UNITS, path=tmp_path), spectra)
    assert len(made) == 12


def test_more_inputs_units_and_readings_may_follow(network, spectra, linearizations, tmp_path):
    made, _ = linearizations
    first = unit_spectra(network, X[:2], units=UNITS[:1], readings=["after"], path=tmp_path)
    assert (len(made), first.readings) == (2, ("after",))
    same(unit_spectra(network, X, units=UNITS, path=tmp_path), spectra)
    assert len(made) == 12
    fewer = unit_spectra(network, X[:1], units=UNITS[1:], path=tmp_path)
    assert len(made) == 12
    np.testing.assert_array_equal(fewer.of(UNITS[1], "before"), spectra.of(UNITS[1], "before")[:1])
    assert len(json.loads((tmp_path / "settings.json").read_text())["inputs"]) == 3


@pytest.mark.parametrize("damage", ["cut", "empty", "another size", "another kind"])
def test_a_damaged_file_is_made_again(damage, network, spectra, linearizations, tmp_path):
    made, _ = linearizations
    unit_spectra(network, X, units=UNITS, path=tmp_path)
    victim = sorted(tmp_path.glob("*.npz"))[3]
    content = victim.read_bytes()
    with np.load(victim) as stored:
        arrays = dict(stored)
    if damage == "another size":
        np.savez(victim, **(arrays | {"values": arrays["values"][1:]}))
    elif damage == "another kind":
        np.savez(victim, **(arrays | {"meta": np.array(json.dumps({"kind": "Trace"}))}))
    else:
        victim.write_bytes(content[: len(content) // 2] if damage == "cut" else b"")
    same(unit_spectra(network, X, units=UNITS, path=tmp_path), spectra)
    assert len(made) == 13
    same(unit_spectra(network, X, units=UNITS, path=tmp_path), spectra)
    assert len(made) == 13


def test_another_request_is_refused_and_says_what_differs(network, tmp_path):
    unit_counts(network, X[:2], [0.5, 2.0], units=UNITS[:1], readings=["after"], path=tmp_path)
    how = {"units": UNITS[:1], "readings": ["after"], "path": tmp_path}
    with pytest.raises(ValueError, match="thresholds was \\[0.5, 2.0\\] and is \\[0.5, 3.0\\]"):
        unit_counts(network, X[:2], [0.5, 3.0], **how)
    with pytest.raises(ValueError, match="other quantities were measured"):
        unit_spectra(network, X[:2], **how)
    with pytest.raises(ValueError, match="weight_scale was 1.0 and is 0.5"):
        unit_counts(network, X[:2], [0.5, 2.0], weight_scale=0.5, **how)
    with pytest.raises(ValueError, match="input 1 is another"):
        unit_counts(network, np.stack([X[0], X[2]]), [0.5, 2.0], **how)
    model = load("resnet20-digits-seed0")
    with torch.no_grad():
        next(model.parameters())[0, 0, 0, 0] += 1e-6
    with pytest.raises(ValueError, match="the network has other weights or layers"):
        unit_counts(unroll(model, np.zeros((1, 1, 8, 8))), X[:2], [0.5, 2.0], **how)
    (tmp_path / "settings.json").write_text("{")
    with pytest.raises(ValueError, match="it is not known what the files beside it belong to"):
        unit_counts(network, X[:2], [0.5, 2.0], **how)


class Scaled(nn.Module):
    """A unit that says nothing of its gain: neither among its weights nor when it is printed."""

    def __init__(self, gain):
        super().__init__()
        self.gain, self.layer = gain, nn.Linear(4, 4)

    def forward(self, x):
        return x + self.gain * torch.tanh(self.layer(x))


def scaled_network(gain):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(3, 4), Scaled(gain), Scaled(gain), nn.Linear(4, 2))
    return unroll(model, np.zeros((1, 3)))


@pytest.mark.parametrize("gain", [3.0, 1 + 1e-7])
def test_a_number_that_is_no_weight_makes_another_network(gain, tmp_path):
    x = RNG.standard_normal((2, 3))
    first = unit_spectra(scaled_network(1.0), x, path=tmp_path)
    same(unit_spectra(scaled_network(1.0), x, path=tmp_path), first)
    with pytest.raises(ValueError, match=r"request: the network has other weights or layers\. Take"):
        unit_spectra(scaled_network(gain), x, path=tmp_path)


def test_rounding_does_not_make_another_network(network, spectra, linearizations, tmp_path):
    made, _ = linearizations
    unit_spectra(network, X, units=UNITS, path=tmp_path)
    settings = json.loads((tmp_path / "settings.json").read_text())
    settings["states"] = [[value * (1 + 1e-13) for value in pair] for pair in settings["states"]]
    (tmp_path / "settings.json").write_text(json.dumps(settings))
    same(unit_spectra(network, X, units=UNITS, path=tmp_path), spectra)
    assert len(made) == 12


def test_a_file_of_another_place_or_request_is_made_again(network, spectra, linearizations, tmp_path):
    made, _ = linearizations
    here, there = tmp_path / "here", tmp_path / "there"
    unit_spectra(network, X, units=UNITS, path=here)
    unit_spectra(network, X, units=UNITS, path=there, weight_scale=0.5)
    files = sorted(path.name for path in here.glob("*.npz"))
    (here / files[0]).write_bytes((here / files[2]).read_bytes())
    (here / files[1]).write_bytes((there / files[1]).read_bytes())  # as of two processes that began at once
    made.clear()
    same(unit_spectra(network, X, units=UNITS, path=here), spectra)
    assert len(made) == 2


def test_a_folder_without_settings_or_a_file_is_refused(network, tmp_path):
    how = {"units": UNITS[:1], "readings": ["after"]}
    unit_spectra(network, X[:1], path=tmp_path, **how)
    (tmp_path / "settings.json").unlink()
    with pytest.raises(ValueError, match="settings.json' is missing, so it is not known what 'input-00000"):
        unit_spectra(network, X[:1], path=tmp_path, **how)
    with pytest.raises(NotADirectoryError, match="is a file; pass a folder"):
        unit_spectra(network, X[:1], path=next(tmp_path.glob("*.npz")), **how)


def test_counts_are_those_of_the_spectra(network, spectra):
    levels = np.array([0.1, 0.999, 1.001, 3.0])
    found = unit_counts(network, X, levels, units=UNITS)
    for unit in UNITS:
        for reading in ("before", "after"):
            expected = (spectra.of(unit, reading)[..., None] > levels).sum(axis=1)
            np.testing.assert_array_equal(found.of(unit, reading), expected)
    np.testing.assert_allclose(found.fraction_between(0.999, 1.001), spectra.fraction_within(1e-3), atol=1e-15)
    with pytest.raises(ValueError, match="0.5 is none of the thresholds"):
        found.fraction_between(0.5, 3.0)
    with pytest.raises(ValueError, match="exchange them"):
        found.fraction_between(3.0, 0.1)


def test_counts_do_not_find_the_spectrum(network, monkeypatch):
    """What would take minutes at large units."""

    class Counting:
        factors = active_inner = active_outer = None

        def count_above(self, t):
            return np.arange(len(t))[::-1]

    monkeypatch.setattr(batches, "linearize", lambda *_, **__: Counting())
    assert unit_counts(network, X, [1.0, 2.0], units=UNITS).counts.shape == (2, 2, 3, 2)


def test_fractions_extremes_and_spreads(spectra):
    of = np.stack([spectra.of(UNITS[1], reading) for reading in spectra.readings])
    assert spectra.fraction_within(0.1).shape == (2, 2, 3)
    np.testing.assert_array_equal(spectra.fraction_within(0.1)[:, 1], (abs(of - 1) <= 0.1).mean(axis=-1))
    np.testing.assert_array_equal(spectra.fraction_within(0.2, center=0.5)[:, 1], (abs(of - 0.5) <= 0.2).mean(axis=-1))
    np.testing.assert_array_equal(spectra.largest[:, 1], of[..., 0])
    np.testing.assert_array_equal(spectra.smallest[:, 1], of[..., -1])
    spread = spectra.spread(0.1)
    np.testing.assert_allclose(spread.largest[:, 1], np.std(of[..., 0], axis=-1, ddof=1))
    np.testing.assert_allclose(spread.fraction, np.std(spectra.fraction_within(0.1), axis=-1, ddof=1))
    with pytest.raises(KeyError, match="no unit 'nothing'; there are 'stages.2.entry'"):
        spectra.of("nothing", "after")
    with pytest.raises(KeyError, match="no reading 'between'"):
        spectra.of(UNITS[0], "between")


def test_shares_of_atoms_are_not_known_where_multiplicities_are_not():
    numbers = np.full((1, 2, 1), 3)
    atoms = np.array([[[[3, 0]], [[-1, -1]]]])
    found = UnitSpectra("net", ("a", "b"), ("after",), np.array([6, 2]), *[numbers] * 3, atoms, *np.ones((3, 1)))
    np.testing.assert_array_equal(found.atom_shares[0, :, 0], [[0.5, 0], [np.nan, np.nan]])


def test_one_input_has_no_spread(network):
    found = unit_spectra(network, X[:1], units=UNITS[:1])
    assert np.isnan(found.spread()).all()
    assert "1 unit of 'resnet-20' at 1 input:" in repr(found)


def test_results_come_back_from_the_disk(network, spectra, tmp_path):
    spectra.save(tmp_path / "spectra.npz")
    loaded = UnitSpectra.load(tmp_path / "spectra.npz")
    same(loaded, spectra)
    assert repr(loaded) == repr(spectra)
    data = loaded.to_dataset()
    chosen = data.singular_value.sel(reading="after").values[:, data.unit_of_value.values == UNITS[1]]
    np.testing.assert_array_equal(chosen, spectra.of(UNITS[1], "after"))
    header, rows = spectra._table()
    assert [row[0] for row in rows] == UNITS
    assert {len(row) for row in rows} == {len(header)}
    counts = unit_counts(network, X, [0.5, 2.0], units=UNITS)
    counts.save(tmp_path / "counts.npz")
    again = UnitCounts.load(tmp_path / "counts.npz")
    np.testing.assert_array_equal(again.counts, counts.counts)
    assert repr(again) == repr(counts)
    assert data.sizes["input"] == again.to_dataset()["count"].sizes["input"] == 3
    header, rows = again._table()
    assert {len(row) for row in rows} == {len(header)}


def test_scales_change_the_linearizations_and_not_the_states(network):
    double = unroll(load("resnet20-digits-seed0"), np.zeros((1, 1, 8, 8)), dtype=torch.float64)
    how = {"skip_scale": 0.5, "weight_scale": 2.0, "masks": "recomputed"}
    state = X[:1]
    for part in (double.stem, *double.units[:-1]):
        state = part(state)
    found = unit_spectra(network, X[:1], units=UNITS[1:], readings=["before"], **how)
    expected = linearize(double.units[-1], state[0], reading="before", **how)
    np.testing.assert_allclose(found.values[0, 0], expected.singular_values(), rtol=0, atol=1e-12)
    share = 100 * np.mean(abs(found.values - 0.5) <= 1e-3)
    assert f"within 0.001 of 0.5 lie, in the median, {share:.3g} % before" in repr(found)
    assert found._table()[0][2] == "within 0.001 of 0.5, before"


def test_progress_counts_what_is_there_already(network, tmp_path, capsys):
    unit_spectra(network, X[:1], units=UNITS, path=tmp_path)
    assert capsys.readouterr().err == ""
    unit_spectra(network, X[:2], units=UNITS, path=tmp_path, progress=True)
    assert "8/8" in capsys.readouterr().err


def test_networks_that_other_processes_cannot_have_are_refused(network):
    model = resnet(8, widths=(2, 3, 4)).eval()
    unrolled = unroll(model, np.zeros((1, 3, 8, 8)))
    model.stages[0].blocks[0].branch.secret = lambda: None
    with pytest.raises(TypeError, match="cannot be sent to other processes .* take workers=1"):
        unit_spectra(unrolled, np.zeros((2, 3, 8, 8)), workers=2)


def test_what_is_no_request_is_refused(network):
    with pytest.raises(TypeError, match="network must be an UnrolledNetwork"):
        unit_spectra(nn.Linear(2, 2), X)
    with pytest.raises(ValueError, match="pass x\\[None\\] for a single state"):
        unit_spectra(network, X[0])
    with pytest.raises(ValueError, match="no inputs"):
        unit_spectra(network, X[:0])
    with pytest.raises(KeyError, match="no unit 'nothing'"):
        unit_spectra(network, X, units=["nothing"])
    with pytest.raises(TypeError, match="sequences of words"):
        unit_spectra(network, X, units=UNITS[0])
    with pytest.raises(ValueError, match="units must be different words"):
        unit_spectra(network, X, units=UNITS[:1] * 2)
    with pytest.raises(ValueError, match="a reading must be 'before' or 'after'"):
        unit_spectra(network, X, readings=["between"])
    with pytest.raises(ValueError, match="masks must be 'held' or 'recomputed'"):
        unit_spectra(network, X, masks="lost")
    with pytest.raises(ValueError, match="skip_scale must be a number"):
        unit_spectra(network, X, skip_scale=[1.0, 2.0])
    with pytest.raises(ValueError, match="workers must be at least 1"):
        unit_spectra(network, X, workers=0)
    for wrong in ([], [1.0, 0.5], [0.0, 1.0], 1.0):
        with pytest.raises(ValueError, match="thresholds must be positive numbers, ascending"):
            unit_counts(network, X, wrong)
