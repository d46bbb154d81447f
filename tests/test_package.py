"""The package as a whole: what an import costs, names, docstrings, the README's example."""

import importlib
import inspect
import os
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

import resdyn
import resdyn_theory

ROOT = Path(__file__).parents[1]
HEAVY = ["torch", "matplotlib", "sympy", "xarray", "scipy", "numba", "numpy"]


def test_import_loads_nothing_heavy():
    code = f"import sys, resdyn; print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_core_runs_without_sympy_matplotlib_torch_and_xarray():
    code = (
        "import sys\n"
        "for name in ('sympy', 'matplotlib', 'torch', 'xarray', 'sklearn'): sys.modules[name] = None\n"
        "import resdyn\n"
        "net = resdyn.systems.trained('circles')\n"
        "points, labels = resdyn.data.circles(50)\n"
        "trajectory = resdyn.simulate(net.system, net.embed(points), depth=15, method='RK45')\n"
        "print(resdyn.tangent_map(resdyn.simulate(net.system, [0, 0, 0], depth=3)).shape, trajectory.residuals.shape)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "(3, 3) (16, 50, 3)", done.stderr


def submodules(package):
    return [name for _, name, _ in pkgutil.walk_packages(package.__path__, package.__name__ + ".")]


def test_no_module_bears_the_name_of_a_public_name_of_its_package():
    # `import resdyn.simulate` would put the module in the place of the function
    for package in (resdyn, resdyn.systems, resdyn.data, resdyn_theory):
        modules = {
            name.rpartition(".")[2]
            for name in submodules(package)
            if name.count(".") == 1 + package.__name__.count(".")
        }
        subpackages = {name for name in package.__all__ if inspect.ismodule(getattr(package, name))}
        assert not modules & (set(package.__all__) - subpackages)


def test_public_names_survive_the_import_of_every_submodule():
    for package in (resdyn, resdyn_theory):
        for name in submodules(package):
            importlib.import_module(name)
    for package in (resdyn, resdyn.systems, resdyn.data):
        for name in package.__all__:
            value = getattr(package, name)
            expected = inspect.ismodule(value) or callable(value) or isinstance(value, str)
            assert expected, name
    assert callable(resdyn.simulate)
    assert callable(resdyn.systems.trained)


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'simulat'"):
        _ = resdyn.simulat
    assert set(resdyn.__all__) <= set(dir(resdyn))


def public_objects():
    for package in (resdyn, resdyn.systems, resdyn.data, resdyn.plotting, resdyn.testing):
        names = getattr(package, "__all__", None) or [
            name for name, value in vars(package).items() if inspect.isfunction(value) and not name.startswith("_")
        ]
        for name in names:
            value = getattr(package, name)
            if inspect.isclass(value) or inspect.isfunction(value):
                yield f"{package.__name__}.{name}", value


@pytest.mark.parametrize(("name", "value"), list(public_objects()))
def test_public_objects_and_their_public_methods_are_documented(name, value):
    assert inspect.getdoc(value), name
    if inspect.isclass(value) and value.__module__.startswith("resdyn"):
        for attribute, member in vars(value).items():
            if not attribute.startswith("_") and (inspect.isfunction(member) or isinstance(member, property)):
                assert inspect.getdoc(member), f"{name}.{attribute}"


def test_sources_name_no_absolute_path_of_a_machine():
    pattern = re.compile(r"(?<![\w./~])/(home|root|work|Users)/\w+")
    files = [
        path for folder in ("resdyn", "theory", "experiments", "benchmarks") for path in (ROOT / folder).rglob("*.py")
    ]
    assert not [path for path in files if pattern.search(path.read_text(encoding="utf-8"))]


def readme_examples():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    return re.findall(r"```python\n(.*?)```\n\n.*?```text\n(.*?)```", text, flags=re.DOTALL)


NEEDS_DATA = pytest.mark.skipif(
    not os.environ.get("RESDYN_DATA"), reason="RESDYN_DATA names no folder with CIFAR-10 and the public weights"
)


@pytest.mark.parametrize("numbers", [[0], pytest.param([1, 2], marks=NEEDS_DATA)])
def test_readme_examples_print_what_the_readme_shows(numbers):
    # the third goes on where the second ends
    code, output = ("".join(texts) for texts in zip(*(readme_examples()[number] for number in numbers), strict=True))
    done = subprocess.run(
        [sys.executable, "-W", "error::UserWarning", "-c", code],
        capture_output=True,
        text=True,
        check=True,
        # other tests may be running: two threads that wait for each other's cores cost more than they give
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert done.stdout.strip() == output.strip()


def test_the_readme_has_three_examples_of_which_the_first_is_about_ten_lines():
    (code, _), *_ = examples = readme_examples()
    assert len(examples) == 3
    assert len([line for line in code.splitlines() if line.strip()]) <= 12
