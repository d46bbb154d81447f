"""Systems from rules and formulas, and the contract that check_system enforces."""

import copy
import pickle
from dataclasses import replace

import numpy as np
import pytest
import sympy
from scipy.sparse.linalg import aslinearoperator

import resdyn
from resdyn.operators import BlockJacobian, DenseOperator, Product
from resdyn.system import central_differences
from resdyn.testing import check_system
from resdyn_theory import SymbolicSystem

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("name", resdyn.systems.catalogue())
def test_every_system_of_the_catalogue_keeps_the_contract(name):
    check_system(resdyn.systems.catalogue()[name]())


def duffing(t, x, params):
    position, speed = x[..., 0], x[..., 1]
    return np.stack([speed, position - position**3 - params["damping"] * speed], axis=-1)


def duffing_jacobian(t, x, params):
    A = np.zeros((*x.shape, 2))
    A[..., 0, 1] = 1
    A[..., 1, 0] = 1 - 3 * x[..., 0] ** 2
    A[..., 1, 1] = -params["damping"]
    return A


def test_rule_with_and_without_jacobian_keep_the_contract():
    params = {"damping": 0.2}
    exact = resdyn.ResidualSystem(duffing, 2, params=params, jacobian=duffing_jacobian, step=0.1)
    rough = resdyn.ResidualSystem(duffing, (2,), params=params, step=0.1)
    check_system(exact)
    check_system(rough)
    x = RNG.normal(size=2)
    operator = rough.linearize(0.0, x)
    error = np.abs(operator.to_dense() - exact.linearize(0.0, x).to_dense()).max()
    assert exact.linearize(0.0, x).error == 0
    assert 0 < operator.error < 1e-8
    assert error <= 10 * operator.error  # the stated error is an estimate, not a bound
    assert exact.name == "duffing"


def test_states_with_several_axes_are_flattened_for_linearizations():
    system = resdyn.ResidualSystem(lambda t, x, p: -x + np.roll(x, 1, axis=-1), (2, 3), name="grid")
    check_system(system)
    assert system.linearize(0.0, np.ones((2, 3))).shape == (6, 6)
    assert resdyn.simulate(system, np.ones((4, 2, 3)), depth=2).x.shape == (3, 4, 2, 3)
    flow = resdyn.simulate(system, RNG.normal(size=(2, 2, 3)), depth=2, method="LSODA")
    assert flow.x.shape == (3, 2, 2, 3)


def test_rule_with_depth_may_depend_on_time():
    system = resdyn.ResidualSystem(lambda t, x, p: np.full_like(x, np.cos(t)), 1, step=0.1, depth=20, name="clock")
    check_system(system)
    assert resdyn.simulate(system, [0.0]).final[0] == pytest.approx(0.1 * np.cos(0.1 * np.arange(20)).sum())
    assert resdyn.simulate(system, [0.0], method="DOP853").final[0] == pytest.approx(np.sin(2.0), abs=1e-6)


@pytest.mark.parametrize(
    ("arguments", "options", "error", "match"),
    [
        (("rule", 2), {}, TypeError, "rule must be a function"),
        ((duffing, 0), {}, ValueError, "shape must be at least 1"),
        ((duffing, (2.5,)), {}, TypeError, "shape must be an integer"),
        ((duffing, 2), {"step": 0}, ValueError, "step"),
        ((duffing, 2), {"depth": 0}, ValueError, "depth must be at least 1"),
        ((duffing, 2), {"jacobian": "exact"}, TypeError, "jacobian must be a function"),
    ],
)
def test_residual_system_refuses(arguments, options, error, match):
    with pytest.raises(error, match=match):
        resdyn.ResidualSystem(*arguments, **options)


def test_wrong_shapes_from_the_callers_functions_are_reported():
    lost = resdyn.ResidualSystem(lambda t, x, p: x.sum(axis=-1), 2, name="lost axis")
    with pytest.raises(ValueError, match=r"the rule of 'lost axis' returned shape \(\) for states of shape \(2,\)"):
        lost.residual(0.0, np.ones(2))
    wrong = resdyn.ResidualSystem(duffing, 2, params={"damping": 0}, jacobian=lambda t, x, p: np.eye(3))
    with pytest.raises(ValueError, match=r"returned shape \(3, 3\).*must return \(2, 2\)"):
        wrong.linearize(0.0, np.ones(2))


def test_replace_keeps_the_rest():
    system = resdyn.ResidualSystem(duffing, 2, params={"damping": 0.2}, jacobian=duffing_jacobian, step=0.1)
    other = system.replace(params={"damping": 0.5})
    assert other.params == {"damping": 0.5}
    assert (other.step, other.name, other.jacobian_rule) == (0.1, "duffing", duffing_jacobian)
    with pytest.raises(TypeError, match="no argument 'h'"):
        system.replace(h=1)


def test_central_differences_state_their_error():
    for scale in (1e-3, 1.0, 1e3):
        x = scale * RNG.normal(size=4)
        jacobian, error = central_differences(lambda p: np.sin(p) * p[..., ::-1], x)
        exact = np.diag(np.cos(x) * x[::-1]) + np.fliplr(np.diag(np.sin(x)))
        worst = np.abs(jacobian - exact).max()
        assert worst <= 10 * error
        assert error <= 1e-6 * max(1, scale)


# --- from formulas ----------------------------------------------------------------------------------------

x, y, r = sympy.symbols("x y r")
SYSTEM = SymbolicSystem("demo", (x, y), (r * x * y, x + sympy.exp(-y)), {r: 2.0})


def test_formulas_compile_to_f_and_jacobian():
    system = resdyn.from_symbolic(SYSTEM, params={"r": 3.0}, step=0.5, name="mine")
    states = RNG.normal(size=(2, 3, 2))
    a, b = states[..., 0], states[..., 1]
    assert np.allclose(system.residual(0.0, states), np.stack([3 * a * b, a + np.exp(-b)], axis=-1))
    jacobian = system.jacobian(0.0, states)
    assert jacobian.shape == (2, 3, 2, 2)
    assert np.allclose(jacobian[..., 0, 0], 3 * b)
    assert np.allclose(jacobian[..., 1, 0], 1.0)  # a constant entry fills the batch
    assert (system.step, system.name, system.shape, system.depth) == (0.5, "mine", (2,), None)
    assert np.allclose(system.residual(0, [1, 2]), [6, 1 + np.exp(-2)])  # integers and lists


def test_parameters_change_without_compiling_again():
    family = [resdyn.systems.pitchfork(r=value) for value in (0.25, 1.0)]
    assert family[0].compiled_form().rules is family[1].compiled_form().rules
    finals = [resdyn.simulate(system, [0.1], depth=2000).final[0] for system in family]
    assert finals == pytest.approx([0.5, 1.0], rel=1e-9)
    assert family[0].replace(r=4.0, step=0.05, name="other").params == {"r": 4.0}


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"params": {"q": 1}}, ValueError, "'demo' has no parameter 'q'; it has r"),
        ({"params": {"r": np.nan}}, ValueError, "parameter r of 'demo' must be a finite number"),
        ({"step": -1}, ValueError, "step"),
    ],
)
def test_from_symbolic_refuses(options, error, match):
    with pytest.raises(error, match=match):
        resdyn.from_symbolic(SYSTEM, **options)


def test_time_dependence_needs_a_depth():
    t = sympy.Symbol("t")
    clock = SymbolicSystem("clock", (x,), (sympy.cos(t) - x,), time=t)
    with pytest.raises(ValueError, match="'clock' depends on time.*depth="):
        resdyn.from_symbolic(clock)
    check_system(resdyn.from_symbolic(clock, depth=10, step=0.1))


def test_function_without_the_derivative_that_sympy_claims_is_noticed():
    # floor has derivative zero where SymPy is asked to believe it; the check at construction compares
    stairs = sympy.Function("stairs")

    class Lying(stairs):
        def fdiff(self, argindex=1):
            return sympy.Integer(5)

        def _numpycode(self, printer, **kwargs):
            return printer._print(self.args[0])

    with pytest.raises(ValueError, match="Jacobian of 'liar'.*differs from central differences by 4"):
        resdyn.from_symbolic(SymbolicSystem("liar", (x,), (Lying(x),)))


@pytest.mark.parametrize("name", ["e", "pi", "exp", "x0", "p0", "w0", "lambda"])
def test_parameters_of_any_name_stand_for_themselves(name):
    t, p = sympy.symbols(f"t {name}")
    symbolic = SymbolicSystem("named", (x,), (p * x + sympy.E * sympy.cos(t) + sympy.exp(x) * sympy.pi,), {p: 0.1}, t)
    system = resdyn.from_symbolic(symbolic, depth=2)
    state, time = np.array([0.3]), 0.7
    expected = 0.1 * 0.3 + np.e * np.cos(time) + np.exp(0.3) * np.pi
    assert system.residual(time, state)[0] == pytest.approx(expected, rel=1e-14)
    assert system.jacobian(time, state)[0, 0] == pytest.approx(0.1 + np.exp(0.3) * np.pi, rel=1e-14)
    check_system(system)


def test_names_must_tell_symbols_apart():
    twin = sympy.Symbol("x", positive=True)
    with pytest.raises(ValueError, match="uses the name x more than once"):
        SymbolicSystem("twins", (x,), (x + twin,), {twin: 1.0})
    with pytest.raises(ValueError, match="default of r in 'nan' must be a finite number"):
        SymbolicSystem("nan", (x,), (r * x,), {r: float("nan")})
    h = sympy.Symbol("step")
    with pytest.raises(ValueError, match="called 'step', which names an argument"):
        resdyn.from_symbolic(SymbolicSystem("reserved", (x,), (h * x,), {h: 1.0}))


def test_kinks_and_jumps_have_the_derivative_they_have_almost_everywhere():
    kinked = SymbolicSystem("kinked", (x,), (-2 * sympy.Abs(x) + sympy.Heaviside(x) + sympy.sign(x),))
    system = resdyn.from_symbolic(kinked)
    assert system.jacobian(0.0, [[2.0], [-2.0]]).ravel().tolist() == [-2.0, 2.0]
    check_system(system)


@pytest.mark.parametrize(
    ("formula", "match"),
    [
        (sympy.floor(x), "does not know the derivative"),
        (sympy.Piecewise((x, x > 0)), "without a last case"),
        (sympy.I * x, "imaginary unit"),
    ],
)
def test_formulas_that_cannot_be_simulated_are_refused(formula, match):
    with pytest.raises(ValueError, match=match):
        resdyn.from_symbolic(SymbolicSystem("odd", (x,), (formula,)))


@pytest.mark.parametrize("name", resdyn.systems.catalogue())
def test_systems_and_trajectories_survive_pickle_and_copy(name):
    system = resdyn.systems.catalogue()[name]()
    x0 = 0.1 * np.ones(system.shape)
    depth = min(3, system.depth or 3)
    trajectory = resdyn.simulate(system, x0, depth=depth)
    for other in (pickle.loads(pickle.dumps(trajectory)), copy.deepcopy(trajectory)):
        assert repr(other.system) == repr(system)
        assert np.array_equal(resdyn.simulate(other.system, x0, depth=depth).x, trajectory.x)
        if hasattr(system, "W"):
            assert not other.system.W.flags.writeable


def test_activations_survive_pickle():
    z = sympy.Symbol("z")
    for choice in ("relu", "softplus", "identity", sympy.sin(z) / 2):
        original = resdyn.ResidualMap(np.eye(2), activation=choice)
        system, x0 = pickle.loads(pickle.dumps(original)), [0.3, -0.4]
        assert np.allclose(system.residual(0.0, x0), original.residual(0.0, x0))


def test_rules_may_not_return_complex_numbers_or_work_in_place():
    root = resdyn.ResidualSystem(lambda t, x, p: np.emath.sqrt(x), 1, name="root")
    with pytest.raises(TypeError, match="'root' returned complex128 numbers; f must be real"):
        resdyn.simulate(root, [-1.0], depth=2)

    def in_place(t, x, p):
        x *= -1
        return x

    with pytest.raises(ValueError, match="read-only"):
        resdyn.simulate(resdyn.ResidualSystem(in_place, 1), [1.0], depth=1)


def test_systems_say_what_they_are():
    layered = resdyn.ResidualMap(np.zeros((4, 3, 3)), damping=[0.0, 0.1, 0.2, 0.3], activation="tanh", name="mine")
    expected = {
        "ResidualMap 'mine': 3 tanh units, 4 layers, step 1, damping 0 to 0.3, gain 1.": layered,
        "ResidualMap 'residual map': 1 logistic unit, shared weights, step 1, damping 0, gain 1.": resdyn.ResidualMap(
            np.eye(1)
        ),
        "LogisticResiduals 'logistic residuals': state z of 2 units, y = σ(z), step 0.5.": resdyn.logistic_residuals(
            np.eye(2), step=0.5
        ),
        "System 'Hénon map' from formulas in x, y: a = 1.4, b = 0.3, autonomous, step 1.": resdyn.systems.henon(),
        "ResidualSystem 'duffing': states of shape (2,), autonomous, step 1, Jacobian by central differences.": (
            resdyn.ResidualSystem(duffing, 2)
        ),
    }
    for text, system in expected.items():
        assert repr(system) == text


# --- the contract -----------------------------------------------------------------------------------------


class Broken:
    """A correct system, to be broken one attribute at a time."""

    name, shape, step, depth = "broken", (2,), 1.0, None

    def residual(self, t, x):
        return -(np.asarray(x) ** 3)

    def linearize(self, t, x):
        return aslinearoperator(np.diag(-3 * np.asarray(x) ** 2))


def test_correct_system_of_a_user_passes():
    check_system(Broken())


class Adjointless(type(aslinearoperator(np.eye(2)))):
    def _rmatvec(self, v):
        return 2 * super()._rmatvec(v)

    def _adjoint(self):
        return aslinearoperator(2 * self.A.T)


def wrong_adjoint(self, t, x):
    return Adjointless(np.diag(-3 * np.asarray(x) ** 2))


def writes(self, t, x):
    x[:] = 0
    return -(x**3)


def counts(self, t, x):
    self.calls = getattr(self, "calls", 0) + 1
    return -(np.asarray(x) ** 3) * self.calls


def mixes(self, t, x):
    return np.asarray(x) - np.mean(x, axis=tuple(range(np.ndim(x) - 1)))


@pytest.mark.parametrize(
    ("attribute", "value", "match"),
    [
        ("name", "", "name must be"),
        ("shape", [2], "shape must be"),
        ("step", 1, "step must be a positive float"),
        ("depth", 0, "depth must be"),
        ("residual", lambda self, t, x: np.asarray(x)[..., :1], "residual returned shape"),
        ("residual", lambda self, t, x: np.asarray(x) * np.nan, "not finite"),
        ("residual", writes, "wrote into its argument"),
        ("residual", counts, "other values when called again"),
        ("residual", mixes, "one state and of the same state in a batch"),
        ("residual", lambda self, t, x: -(np.asarray(x) ** 3) + t, "depends on t"),
        ("linearize", lambda self, t, x: np.eye(2), "must return a scipy LinearOperator"),
        ("linearize", lambda self, t, x: aslinearoperator(np.eye(3)), r"shape \(3, 3\)"),
        ("linearize", lambda self, t, x: aslinearoperator(np.eye(2)), "central differences"),
        ("linearize", wrong_adjoint, "the adjoint is not one"),
    ],
)
def test_contract_names_what_is_broken(attribute, value, match):
    system = type("Variant", (Broken,), {attribute: value})()
    with pytest.raises(AssertionError, match=match):
        check_system(system)


def test_contract_compares_compiled_tangent_vectors():
    class Wrong(resdyn.ResidualMap):
        def compiled_form(self):
            form = super().compiled_form()
            tangents = form.rules.tangents(2)
            wrong = replace(tangents, product=tangents.product.replace("dv0 = ", "dv0 = real(1.1) * "))
            return replace(form, rules=form.rules._replace(tangents=lambda k: wrong))

    with pytest.raises(AssertionError, match="compiled tangent vectors and I \\+ h linearize"):
        check_system(Wrong(np.eye(2), step=0.3))


def test_contract_compares_jacobian_and_compiled_form():
    good = resdyn.systems.henon()

    class WrongJacobian(type(good)):
        def jacobian(self, t, x):
            return 2 * super().jacobian(t, x)

        def linearize(self, t, x):
            return good.linearize(t, x)

    class WrongKernel(type(good)):
        def compiled_form(self):
            return resdyn.systems.henon(a=1.0).compiled_form()

    fields = {name: getattr(good, name) for name in ("symbolic", "params", "step", "depth", "name")}
    with pytest.raises(AssertionError, match="jacobian and linearize"):
        check_system(WrongJacobian(**fields))
    with pytest.raises(AssertionError, match="the compiled map and 3 steps"):
        check_system(WrongKernel(**fields))


def test_not_a_system_is_said():
    with pytest.raises(AssertionError, match="A? ?System has name"):
        check_system(object())
    with pytest.raises(AssertionError, match="at least two states"):
        check_system(Broken(), states=np.ones((1, 2)))


def test_formulas_without_kinks_are_checked_for_one_set_of_parameters():
    from resdyn.system import _check_jacobian, _is_elementary

    x, a = sympy.symbols("x a", real=True)
    smooth = SymbolicSystem("smooth", (x,), (sympy.tanh(a * x) - x**3,), {a: 1.0})
    kinked = SymbolicSystem("kinked", (x,), (sympy.Max(a * x, 0) - x,), {a: 1.0})
    assert [_is_elementary(system) for system in (smooth, kinked)] == [True, False]
    checks = []
    for system in (smooth, kinked):
        resdyn.from_symbolic(system)
        before = _check_jacobian.cache_info().misses
        resdyn.from_symbolic(system, params={"a": 2.5})
        checks.append(_check_jacobian.cache_info().misses - before)
    assert checks == [0, 1]


class Products:
    """ẋ = A x on states of shape (2, 2), with products at many states and no Jacobian; counts linearizations."""

    name, shape, step, depth = "products", (2, 2), 0.5, 3

    def __init__(self, wrong=0.0):
        self.A = np.random.default_rng(5).normal(size=(4, 4))
        self.wrong, self.n_linearized = wrong, 0

    def residual(self, t, x):
        return (x.reshape(*x.shape[:-2], 4) @ self.A.T).reshape(x.shape)

    def jvp(self, t, x, v):
        return self.residual(t, v) + self.wrong * v

    def linearize(self, t, x):
        self.n_linearized += 1
        return DenseOperator(self.A)


def test_a_system_may_offer_products_at_many_states():
    system = Products()
    check_system(system)
    with pytest.raises(AssertionError, match="jvp and linearize"):
        check_system(Products(wrong=1e-3))
    system.n_linearized = 0
    x = np.random.default_rng(1).normal(size=(6, 2, 2))
    spectrum = resdyn.lyapunov_spectrum(system, x)
    finite = resdyn.finite_time_exponents(system, x)
    result = resdyn.propagate(system, x, 1e-3 * x)
    assert system.n_linearized == 0
    sigma = np.linalg.svd(np.linalg.matrix_power(np.eye(4) + 0.5 * system.A, 3), compute_uv=False)
    assert finite.exponents == pytest.approx(np.tile(np.log(sigma) / 1.5, (6, 1)), abs=1e-12)
    assert spectrum.sum == pytest.approx(np.full(6, np.log(sigma).sum() / 1.5), abs=1e-12)
    assert result.linearized == pytest.approx(result.sizes, rel=1e-9)  # linear: differences of states, ε / 1e-3


def test_implicit_solvers_refuse_what_cannot_fit():
    def rule(t, x, params):
        return -x

    system = resdyn.ResidualSystem(rule, shape=(10**7,), step=1.0)
    for method in ("Radau", "BDF", "LSODA"):
        with pytest.raises(
            MemoryError, match=rf"{method}, which forms the Jacobian of the 10000000 variables .* \"RK45\""
        ):
            resdyn.simulate(system, np.zeros(10**7, dtype=np.float32), depth=1, method=method)


def test_the_precision_of_a_product_is_that_of_its_worst_factor():
    double, single = DenseOperator(np.eye(3)), DenseOperator(np.eye(3))
    single.dtype = np.dtype(np.float32)
    assert BlockJacobian(double, 0.5).dtype == Product([double, double], 3).dtype == np.float64
    assert BlockJacobian(single, 0.5).dtype == Product([double, single], 3).dtype == np.float32
