"""Generated kernels: where they are kept, and that a second process does not compile again."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from resdyn.kernels.codegen import load_kernel
from resdyn.kernels.rules import BlockRule, LaneRule, inner_matrix_rules, matrix_rules

PROGRAM = """
import sys
import numpy as np
import resdyn
{make}
final = resdyn.simulate(system, np.full((100, system.shape[0]), 0.1), depth=5, save="final").final
print(repr(float(final.sum())))
"""
SYSTEMS = {
    "matrix": "system = resdyn.ResidualMap(np.eye(3), step=0.1)",
    "symbolic": "system = resdyn.systems.henon()",
}


def run(program: str, cache: Path) -> str:
    environment = {**os.environ, "RESDYN_CACHE": str(cache)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    return done.stdout


@pytest.mark.parametrize("name", SYSTEMS)
def test_second_process_finds_the_machine_code_on_disk(name, tmp_path):
    program = PROGRAM.format(make=SYSTEMS[name])
    first = run(program, tmp_path)
    files = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.suffix in (".py", ".nbi", ".nbc")}
    assert any(path.suffix == ".nbc" for path in files)
    assert run(program, tmp_path) == first
    after = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.suffix in (".py", ".nbi", ".nbc")}
    assert after == files  # a compilation would have written its result


def test_weights_are_data_and_share_one_kernel():
    sources = {matrix_rules(3, "logistic(z)", "").map.map_source(1000) for _ in range(2)}
    assert len(sources) == 1
    kernels = {load_kernel(source, "float64") for source in sources}
    assert len(kernels) == 1


def test_few_units_are_written_out_and_many_go_to_blas():
    assert isinstance(matrix_rules(8, "z", "").map, LaneRule)
    assert isinstance(matrix_rules(9, "z", "").map, BlockRule)
    assert isinstance(inner_matrix_rules(4, "z", "").flow, LaneRule)
    assert isinstance(inner_matrix_rules(5, "z", "").flow, BlockRule)


def test_unwritable_cache_falls_back_to_a_temporary_folder(tmp_path, monkeypatch):
    from resdyn._cache import cache_directory

    blocker = tmp_path / "file"
    blocker.write_text("not a folder")
    monkeypatch.setenv("RESDYN_CACHE", str(blocker))
    folder = cache_directory("kernels")
    assert folder.is_dir()
    assert os.access(folder, os.W_OK)
    assert blocker.read_text() == "not a folder"


def test_float32_kernels_compute_in_float32():
    # a literal that is not wrapped would promote the whole expression to float64
    import sympy

    import resdyn

    z = sympy.Symbol("z")
    expression = sympy.Max(0, z) ** 3 / (1 + sympy.exp(-2 * z)) + sympy.Rational(1, 3) * sympy.tanh(z)
    system = resdyn.ResidualMap(np.eye(2), activation=expression, step=0.5)
    x0 = np.random.default_rng(0).normal(size=(50, 2))
    single = resdyn.simulate(system, x0, depth=1, dtype=np.float32).final
    double = resdyn.simulate(system, x0, depth=1).final
    assert single.dtype == np.float32
    assert np.abs(single - double).max() < 1e-5
    assert np.abs(single - double).max() > 0
