"""Trained nets by their names, and results that know which nets they were made with."""

import textwrap

import pytest

from experiments._harness import claims, command_line, finished, nets
from experiments._harness.experiment import ROOT, experiments_in
from experiments._harness.running import Run
from experiments.train import PLANS
from resdyn._weights_read import digest_of, weights_read

torch = pytest.importorskip("torch")
import resdyn  # noqa: E402

SCRIPT = """
    from dataclasses import dataclass

    import numpy as np

    import resdyn
    from experiments._harness.nets import stored

    made = []


    @dataclass(frozen=True)
    class Config:
        name: str = "tiny-seed0"


    PRESETS = {"smoke": Config()}


    def compute(config, run):
        def norm():
            made.append("norm")
            net = resdyn.networks.load(stored(config.name))
            return {"norm": np.array(sum(float((p.detach() ** 2).sum()) for p in net.parameters()))}

        found = run.part("norm", norm, keep=True)
        made.append("all")
        return found


    def summarize(config, arrays):
        return {"norm": arrays["norm"]}


    def plot(config, arrays, summary):
        from matplotlib.figure import Figure

        return Figure(figsize=(1, 1))
"""
CLAIMS = """
    from experiments._harness import Claim

    CLAIMS = (Claim("norm", "Nets have a norm", "1", "norms", str, lambda summary: "measured", presets=("smoke",)),)
"""


@pytest.fixture
def places(tmp_path, monkeypatch):
    """Folders of nets that ship and of large ones, both empty."""
    for name in ("SHIPPED", "LARGE"):
        (tmp_path / name).mkdir()
        monkeypatch.setattr(nets, name, tmp_path / name)
    return tmp_path / "SHIPPED", tmp_path / "LARGE"


@pytest.fixture
def script(tmp_path, monkeypatch, places):
    """A script that reads a net; called, it is imported anew."""
    import sys

    paper = tmp_path / "readers" / "reader2000_nets"
    paper.mkdir(parents=True)
    for path, text in {paper / "norms.py": SCRIPT, paper / "claims.py": CLAIMS}.items():
        path.write_text(textwrap.dedent(text))
    for folder in (paper.parent, paper):
        (folder / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    (experiment,) = experiments_in("reader2000_nets", paper.parent)
    yield experiment
    for name in [name for name in sys.modules if name.partition(".")[0] == "readers"]:
        del sys.modules[name]


def write(folder, seed, name="tiny-seed0"):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = resdyn.networks.build({"name": "residual_mlp", "blocks": 1, "inputs": 2, "units": 2, "classes": 2})
    resdyn.networks.save(net, folder / f"{name}.safetensors")
    return folder / f"{name}.safetensors"


def test_results_say_which_nets_they_were_made_with(script, places):
    path = write(places[0], 0)
    done = finished(script, "smoke")
    assert done.provenance["nets"] == {"tiny-seed0": digest_of(path)}
    # found again by an interrupted run, a part still tells its nets
    (done.folder / "arrays.npz").unlink()
    again = finished(script, "smoke")
    assert script.module.made == ["norm", "all", "all"]
    assert again.provenance["nets"] == done.provenance["nets"]


def test_after_a_net_is_trained_anew_results_and_parts_with_it_are_made_again(script, places):
    write(places[0], 0)
    before = finished(script, "smoke")
    assert finished(script, "smoke").reloaded
    write(places[0], 1)
    assert "smoke: out of date" in command_line.listing(script.source.parents[1])
    assert claims.rows("reader2000_nets", root=script.source.parents[1])[0].preset == "smoke (out of date)"
    after = finished(script, "smoke")
    assert not after.reloaded
    assert script.module.made == ["norm", "all"] * 2
    assert after.summary["norm"] != before.summary["norm"]
    assert "smoke: done" in command_line.listing(script.source.parents[1])


def test_where_a_net_is_not_here_its_results_count(script, places):
    path = write(places[1], 0)
    finished(script, "smoke")
    path.unlink()
    assert finished(script, "smoke").reloaded


def test_results_from_before_nets_were_noted_count(tmp_path):
    assert nets.replaced({}) == []
    run = Run(tmp_path, quiet=True)
    assert run.part("none", lambda: {}) == {}


def test_a_large_net_goes_before_one_that_ships(places):
    shipped, large = (write(folder, seed) for seed, folder in enumerate(places))
    assert nets.stored("tiny-seed0") == large
    large.unlink()
    assert nets.stored("tiny-seed0") == shipped


def test_nets_that_are_missing_are_named_all_with_the_commands_that_train_them(places):
    write(places[0], 0, "resnet20-cifar10-seed0")
    names = ("resnet20-cifar10-seed0", "resnet20-cifar10-seed1", "in-resnet56-cifar10-seed2", "resnet56-cifar10-seed0")
    with pytest.raises(SystemExit) as found:
        nets.require(*names)
    first, *commands = str(found.value).splitlines()
    assert "not trained yet: resnet20-cifar10-seed1, in-resnet56-cifar10-seed2, resnet56-cifar10-seed0." in first
    train = "    python -m experiments.train --plan {} --budget 600 --only {}"
    assert commands == [train.format("laptop", names[1]), train.format("gpu", f"{names[2]} {names[3]}")]


def test_the_command_names_a_plan_that_has_the_net(places):
    for plan, members in PLANS.items():
        for net in members:
            with pytest.raises(SystemExit, match=rf"--plan {plan} .*{net.file_name}$"):
                nets.stored(net.file_name)


def test_a_net_that_no_plan_trains_is_said_to_be_none():
    with pytest.raises(SystemExit, match="no net dense-nowhere-seed0, and no plan"):
        nets.stored("dense-nowhere-seed0")


def test_places_are_those_of_the_package_and_of_results():
    assert nets.SHIPPED == ROOT.parent / "resdyn" / "networks" / "weights"
    assert nets.stored("resnet20-digits-seed0").is_file()


def test_records_of_weights_hold_what_is_read_within_and_nest(tmp_path):
    paths = [write(tmp_path, k, f"net{k}") for k in range(3)]
    resdyn.networks.load(paths[0])
    with weights_read() as outer:
        resdyn.networks.load(paths[1])
        with weights_read() as inner:
            resdyn.networks.load(paths[2])
    resdyn.networks.load(paths[0])
    assert inner == {"net2": digest_of(paths[2])}
    assert outer == {"net1": digest_of(paths[1])} | inner
    assert len(set(outer.values())) == 2
