"""Residual systems from a Python function, and from the formulas of the theory."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache, partial
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from resdyn import _validation as validate
from resdyn.operators import DenseOperator

if TYPE_CHECKING:
    from resdyn.kernels.forms import SemilinearForm
    from resdyn.kernels.rules import Rules
    from resdyn.kernels.tangent_lanes import TangentLanes
    from resdyn_theory import SymbolicSystem

Array = NDArray[Any]

# The rounding error of a central difference falls and its truncation error grows with the displacement;
# they meet at the cube root of the rounding unit.
_DISPLACEMENT = float(np.cbrt(np.finfo(float).eps))


def central_differences(function: Callable[[Array], Array], x: Array) -> tuple[Array, float]:
    r"""The Jacobian of ``function`` at one state, and an estimate of its largest error.

    .. math:: A_{ij} \approx \frac{f_i(x + \delta_j e_j) - f_i(x - \delta_j e_j)}{2\delta_j},
              \qquad \delta_j = \epsilon^{1/3}\max(1, |x_j|).

    The error is O(δ²) + O(ε/δ), about 1e-10 for a function and derivatives of size one. It is estimated by
    the difference to the same quotient with 2δ, which has four times the truncation error.

    Parameters
    ----------
    function : callable, ``(batch, *shape)`` to ``(batch, *shape)``
    x : array, shape ``shape``

    Returns
    -------
    jacobian : array, shape (d, d)
    error : float
    """
    jacobians, errors = _central_differences(function, np.asarray(x, dtype=float)[None])
    return jacobians[0], float(errors[0])


def _central_differences(function: Callable[[Array], Array], x: Array) -> tuple[Array, Array]:
    """The same at many states (M, *shape), with one call of the function: (M, d, d) and (M,)."""
    flat = x.reshape(len(x), -1)
    size = flat.shape[1]
    delta = _DISPLACEMENT * np.maximum(1.0, np.abs(flat))
    shifts = delta[:, :, None] * np.eye(size)
    points = flat[:, None] + np.concatenate([shifts, -shifts, 2 * shifts, -2 * shifts], axis=1)
    values = np.asarray(function(points.reshape(-1, *x.shape[1:]))).reshape(len(x), 4, size, size)
    with np.errstate(invalid="ignore"):  # outside the domain of the function
        # displacement along rows, components of f along columns
        near = np.swapaxes((values[:, 0] - values[:, 1]) / (2 * delta[:, :, None]), 1, 2)
        far = np.swapaxes((values[:, 2] - values[:, 3]) / (4 * delta[:, :, None]), 1, 2)
        truncation = np.abs(near - far).max(axis=(1, 2), initial=0.0) / 3
    largest = np.abs(values).max(axis=(1, 2, 3), initial=0.0)
    return near, truncation + np.finfo(float).eps * largest / delta.min(axis=1, initial=1.0)


def _length(depth: int | None) -> str:
    return "autonomous" if depth is None else f"{depth} layers"


@dataclass(frozen=True, eq=False, repr=False)
class ResidualSystem:
    r"""A residual system from a Python function: :math:`x_{k+1} = x_k + h\,f(t_k, x_k; p)`.

    Parameters
    ----------
    rule : callable
        ``rule(t, x, params) -> f``, batched: x of shape ``(*batch, *shape)`` to f of the same shape.
    shape : tuple of int
        The shape of one state.
    step : float
        h > 0.
    params : optional
        Passed to ``rule`` and ``jacobian`` as it is.
    jacobian : callable, optional
        ``jacobian(t, x, params) -> (*batch, d, d)``, with d the product of ``shape``. If None, central
        differences take its place; :func:`resdyn.system.central_differences` states their error, and the ``error``
        of the operator that :meth:`linearize` returns estimates it.
    depth : int, optional
        The number of blocks, for a rule that depends on t. None says that it does not.
    name : str, optional
        By default the name of ``rule``.
    """

    rule: Callable[[float, Array, Any], Array]
    shape: tuple[int, ...]
    step: float = field(default=1.0, kw_only=True)
    params: Any = field(default=None, kw_only=True)
    jacobian_rule: Callable[[float, Array, Any], Array] | None = field(default=None, kw_only=True)
    depth: int | None = field(default=None, kw_only=True)
    name: str = field(default="", kw_only=True)

    def __init__(
        self,
        rule: Callable[[float, Array, Any], Array],
        shape: tuple[int, ...] | int,
        *,
        step: float = 1.0,
        params: Any = None,
        jacobian: Callable[[float, Array, Any], Array] | None = None,
        depth: int | None = None,
        name: str | None = None,
    ) -> None:
        for function, argument in ((rule, "rule"), (jacobian, "jacobian")):
            if not (callable(function) or (function is None and argument == "jacobian")):
                raise TypeError(f"{argument} must be a function {argument}(t, x, params), but is {function!r}.")
        sizes = shape if isinstance(shape, tuple | list) else (shape,)
        assign = object.__setattr__
        assign(self, "rule", rule)
        assign(self, "shape", tuple(validate.count(size, "shape", least=1) for size in sizes))
        assign(self, "step", validate.positive(step, "step"))
        assign(self, "params", params)
        assign(self, "jacobian_rule", jacobian)
        assign(self, "depth", None if depth is None else validate.count(depth, "depth", least=1))
        assign(self, "name", getattr(rule, "__name__", "residual system") if name is None else str(name))

    def replace(self, **changes: Any) -> Self:
        """The same system with some arguments of the constructor changed, e.g. ``replace(params=0.5)``."""
        names = ("rule", "shape", "step", "params", "depth", "name")
        arguments = {name: getattr(self, name) for name in names} | {"jacobian": self.jacobian_rule}
        return type(self)(**validate.changed(arguments, changes, "ResidualSystem"))

    def __repr__(self) -> str:
        jacobian = "by central differences" if self.jacobian_rule is None else "given"
        return (
            f"ResidualSystem {self.name!r}: states of shape {self.shape}, {_length(self.depth)}, step {self.step:g}, "
            f"Jacobian {jacobian}."
        )

    def residual(self, t: float, x: Array) -> Array:
        r"""f(t, x), shape (\*batch, \*shape)."""
        x = validate.states(x, self.shape, self.name)
        f = np.asarray(self.rule(t, x, self.params))
        if f.shape != x.shape:
            raise ValueError(
                f"the rule of {self.name!r} returned shape {f.shape} for states of shape {x.shape}; "
                f"it must return one f per state, for any batch: {validate.batch_of(self.shape)} to the same."
            )
        if f.dtype.kind not in "biuf":
            raise TypeError(f"the rule of {self.name!r} returned {f.dtype} numbers; f must be real.")
        return f

    def jacobian(self, t: float, x: Array) -> Array:
        r"""∂f/∂x on flattened states, shape (\*batch, d, d)."""
        x = validate.states(x, self.shape, self.name)
        size = int(np.prod(self.shape))
        batch = x.shape[: x.ndim - len(self.shape)]
        if self.jacobian_rule is None:
            states = x.reshape(-1, *self.shape)
            found = [central_differences(lambda points: self.residual(t, points), state)[0] for state in states]
            return np.reshape(found, (*batch, size, size))
        A = np.asarray(self.jacobian_rule(t, x, self.params), dtype=float)
        if A.shape != (*batch, size, size):
            raise ValueError(
                f"the jacobian of {self.name!r} returned shape {A.shape} for states of shape {x.shape}; "
                f"it must return {(*batch, size, size)}."
            )
        return A

    def linearize(self, t: float, x: Array) -> DenseOperator:
        """∂f/∂x at one state, with the estimated ``error`` of its entries."""
        x = validate.one_state(x, self.shape, self.name)
        if self.jacobian_rule is None:
            return DenseOperator(*central_differences(lambda points: self.residual(t, points), x))
        return DenseOperator(self.jacobian(t, x))


@dataclass(frozen=True)
class _Compiled:
    """What one SymbolicSystem compiles to, for all values of its parameters."""

    residual: Callable[..., Array]
    jacobian: Callable[..., Array]


def _stacked(arguments: list[Any], entries: list[Any], shape: tuple[int, ...]) -> Callable[..., Array]:
    """A function of (x, params, t) that stacks the entries behind the batch axes."""
    import sympy

    function = sympy.lambdify(arguments, entries, modules=["scipy", "numpy"], cse=True)

    def evaluate(x: Array, params: tuple[float, ...], t: float) -> Array:
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            values = function(*np.moveaxis(x, -1, 0), *params, t)
        # a constant entry comes as a number: spread it over the batch
        columns = [np.broadcast_to(value, x.shape[:-1]) for value in values]
        return np.stack(columns, axis=-1).reshape(*x.shape[:-1], *shape)

    return evaluate


@lru_cache(maxsize=256)
def _compile(symbolic: "SymbolicSystem") -> _Compiled:
    import sympy

    from resdyn.activations import check_real, differentiate

    d = symbolic.dimension
    time = symbolic.time if symbolic.time is not None else sympy.Dummy("t")
    symbols = [*symbolic.state, *symbolic.defaults, time]
    # dummies, so that a parameter named pi or exp stands for itself; real ones, so that Abs has a derivative
    real = {symbol: sympy.Dummy(f"s{i}", real=True) for i, symbol in enumerate(symbols)}
    residual = [check_real(f.xreplace(real), symbolic.name) for f in symbolic.residual]
    state = [real[symbol] for symbol in symbolic.state]
    jacobian = [differentiate(f, symbol, symbolic.name) for f in residual for symbol in state]
    return _Compiled(
        residual=_stacked(list(real.values()), residual, (d,)),
        jacobian=_stacked(list(real.values()), jacobian, (d, d)),
    )


@lru_cache(maxsize=256)
def _rules(symbolic: "SymbolicSystem") -> "Rules":
    from resdyn.kernels.lanes import LaneRule
    from resdyn.kernels.printing import kernel_statements
    from resdyn.kernels.rules import Rules, unrolls

    residual = _with_kernel_names(symbolic)
    rule = LaneRule(
        dimension=symbolic.dimension,
        n_parameters=len(symbolic.defaults),
        text="\n".join(kernel_statements([f"g{i}" for i in range(len(residual))], residual)),
        uses_time=symbolic.time is not None,
    )
    return Rules(rule, rule, lambda k: _tangents(symbolic) if unrolls(symbolic.dimension, k) else None)


def _with_kernel_names(symbolic: "SymbolicSystem") -> list[Any]:
    """The residual in x0, …, p0, … and t."""
    import sympy

    names: dict[Any, Any] = {s: sympy.Symbol(f"x{i}", real=True) for i, s in enumerate(symbolic.state)}
    names |= {s: sympy.Symbol(f"p{i}", real=True) for i, s in enumerate(symbolic.defaults)}
    if symbolic.time is not None:
        names[symbolic.time] = sympy.Symbol("t", real=True)
    return [f.xreplace(names) for f in symbolic.residual]


@lru_cache(maxsize=256)
def _tangents(symbolic: "SymbolicSystem") -> "TangentLanes":
    """Residual and Jacobian as statements that share their common subexpressions."""
    import sympy

    from resdyn.activations import differentiate
    from resdyn.kernels.printing import kernel_statements
    from resdyn.kernels.tangent_lanes import TangentLanes

    residual = _with_kernel_names(symbolic)
    values = {f"g{i}": f for i, f in enumerate(residual)}
    products = []
    for i, f in enumerate(residual):
        terms = []
        for j in range(symbolic.dimension):
            entry = differentiate(f, sympy.Symbol(f"x{j}", real=True), symbolic.name)
            if entry != 0:
                values[f"j{i}_{j}"] = entry
                terms.append(f"j{i}_{j} * v{j}")
        products.append(f"dv{i} = {' + '.join(terms) or 'real(0.0)'}")
    return TangentLanes(
        dimension=symbolic.dimension,
        n_parameters=len(symbolic.defaults),
        text="\n".join(kernel_statements(list(values), list(values.values()))),
        product="\n".join(products),
        uses_time=symbolic.time is not None,
    )


@dataclass(frozen=True, eq=False, repr=False)
class SymbolicResidualSystem:
    """A system compiled from formulas; made by :func:`resdyn.from_symbolic`."""

    symbolic: "SymbolicSystem" = field(repr=False)
    params: Mapping[str, float]
    step: float
    depth: int | None
    name: str

    @property
    def shape(self) -> tuple[int, ...]:
        """(d,)."""
        return (self.symbolic.dimension,)

    @cached_property
    def _values(self) -> tuple[float, ...]:
        return tuple(self.params[str(symbol)] for symbol in self.symbolic.defaults)

    def residual(self, t: float, x: Array) -> Array:
        r"""f(t, x), shape (\*batch, d)."""
        return _compile(self.symbolic).residual(self._states(x), self._values, t)

    def jacobian(self, t: float, x: Array) -> Array:
        r"""∂f/∂x as SymPy derived it, shape (\*batch, d, d)."""
        return _compile(self.symbolic).jacobian(self._states(x), self._values, t)

    def linearize(self, t: float, x: Array) -> DenseOperator:
        """∂f/∂x at one state."""
        return DenseOperator(self.jacobian(t, validate.one_state(x, self.shape, self.name)))

    def replace(self, **changes: Any) -> Self:
        """The same system with another step, depth or name, or other parameters, e.g. ``replace(r=0.5, step=0.1)``."""
        own = {name: changes.pop(name, getattr(self, name)) for name in ("step", "depth", "name")}
        return from_symbolic(self.symbolic, params={**self.params, **changes}, **own)  # type: ignore[return-value]

    def __reduce__(self) -> tuple[Any, ...]:
        options: dict[str, Any] = {
            "params": dict(self.params),
            "step": self.step,
            "depth": self.depth,
            "name": self.name,
        }
        return partial(from_symbolic, **options), (self.symbolic,)

    def __repr__(self) -> str:
        values = ", ".join(f"{name} = {value:g}" for name, value in self.params.items()) or "no parameters"
        states = ", ".join(map(str, self.symbolic.state))
        return f"System {self.name!r} from formulas in {states}: {values}, {_length(self.depth)}, step {self.step:g}."

    def compiled_form(self) -> "SemilinearForm":
        """The fast path of :func:`resdyn.simulate`."""
        return self._form

    @cached_property
    def _form(self) -> "SemilinearForm":
        from resdyn.kernels.forms import SemilinearForm

        return SemilinearForm(
            rules=_rules(self.symbolic),
            parameters=np.array([self._values]).reshape(1, -1),
            bias=np.empty((1, 0)),
            damping=np.zeros(1),
            gain=np.ones(1),
            step=self.step,
        )

    def _states(self, x: Array) -> Array:
        # integers to the power of a negative integer are an error in NumPy
        array = validate.states(x, self.shape, self.name)
        return np.asarray(array, dtype=np.result_type(array, np.float32))


def from_symbolic(
    symbolic: "SymbolicSystem",
    *,
    params: Mapping[str, float] | None = None,
    step: float = 1.0,
    depth: int | None = None,
    name: str | None = None,
) -> SymbolicResidualSystem:
    r"""A system from formulas: :math:`f` and its Jacobian are derived, compiled and checked.

    Parameters
    ----------
    symbolic : resdyn_theory.SymbolicSystem
    params : mapping from name to number, optional
        Parameters that differ from their defaults.
    step : float
        h > 0.
    depth : int, optional
        The number of blocks; needed by a system that depends on time, and otherwise None.
    name : str, optional

    Raises
    ------
    ValueError
        For a parameter the system does not have, a number that is not finite, a missing ``depth``, or a
        compiled Jacobian that disagrees with central differences of f (a function without derivative, say).

    Notes
    -----
    The Jacobian is checked at a few random states where f is finite, with the default parameters and with those given.
    The formulas are compiled once for all values of the parameters, so a family over a parameter is cheap.
    """
    names = [str(symbol) for symbol in symbolic.defaults]
    values = dict(zip(names, symbolic.defaults.values(), strict=True))
    reserved = sorted({"step", "depth", "name"} & set(names))
    if reserved:
        raise ValueError(
            f"a parameter of {symbolic.name!r} is called {reserved[0]!r}, "
            "which names an argument of the system itself; rename the symbol."
        )
    for key, value in dict(params or {}).items():
        if str(key) not in values:
            raise ValueError(f"{symbolic.name!r} has no parameter {str(key)!r}; it has {', '.join(names) or 'none'}.")
        try:
            number = float(value)
        except (TypeError, ValueError):
            number = np.nan
        if not np.isfinite(number):
            raise ValueError(f"parameter {key} of {symbolic.name!r} must be a finite number, but is {value!r}.")
        values[str(key)] = number
    if symbolic.time is not None and depth is None:
        raise ValueError(
            f"{symbolic.name!r} depends on time, so it is not autonomous; give depth=, the number of blocks it runs."
        )
    system = SymbolicResidualSystem(
        symbolic=symbolic,
        params=values,
        step=validate.positive(step, "step"),
        depth=None if depth is None else validate.count(depth, "depth", least=1),
        name=symbolic.name if name is None else str(name),
    )
    _check_jacobian(symbolic, tuple(symbolic.defaults.values()))
    if params and not _is_elementary(symbolic):
        _check_jacobian(symbolic, tuple(values.values()))
    return system


@lru_cache(maxsize=256)
def _is_elementary(symbolic: "SymbolicSystem") -> bool:
    """Whether f has derivatives wherever it is defined, so that one set of parameters says as much as any other.

    A family of a thousand values then takes no longer to make than to run.
    """
    import sympy
    from sympy.core.function import Application

    smooth = {sympy.exp, sympy.log, sympy.sin, sympy.cos, sympy.sinh, sympy.cosh, sympy.tanh, sympy.atan}
    # Max and Min are Applications, but not Functions, in SymPy
    return all({type(g) for g in f.atoms(Application)} <= smooth for f in symbolic.residual)


@lru_cache(maxsize=1024)
def _check_jacobian(symbolic: "SymbolicSystem", params: tuple[float, ...]) -> None:
    """Compare the derived Jacobian with central differences at a few states."""
    compiled = _compile(symbolic)
    points = np.random.default_rng(0).normal(size=(3, symbolic.dimension))
    points = np.concatenate([points, np.abs(points) + 0.5])  # also where logarithms and roots are defined
    derived = compiled.jacobian(points, params, 0.0)
    found, errors = _central_differences(lambda states: compiled.residual(states, params, 0.0), points)
    with np.errstate(invalid="ignore"):  # outside the domain of f, where nothing is compared
        worst = np.abs(derived - found).max(axis=(1, 2))
        allowed = 100 * errors + 1e-6 * (1 + np.abs(derived).max(axis=(1, 2)))
        wrong = np.isfinite(worst) & (worst > allowed)
    if wrong.any():
        at = int(wrong.argmax())
        raise ValueError(
            f"the Jacobian of {symbolic.name!r} that SymPy derived differs from central differences by "
            f"{worst[at]:.3g} at x = {points[at].tolist()} (allowed {allowed[at]:.3g}); check for functions without a "
            "derivative."
        )
