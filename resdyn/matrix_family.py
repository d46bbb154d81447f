r"""Systems with a weight matrix: ``ResidualMap`` and the closed dynamics of its residuals."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Self, Union, overload

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from resdyn import _validation as validate
from resdyn._types import block_index
from resdyn.activations import Activation
from resdyn.activations import activation as make_activation
from resdyn.operators import ScaledMatrix

if TYPE_CHECKING:
    import sympy

    from resdyn.kernels.forms import SemilinearForm

Array = NDArray[Any]
ActivationLike = Union[str, "sympy.Expr", Activation]


def _weight_matrix(W: Any, *, layerwise: bool) -> Array:
    array = validate.frozen(validate.real_array(W, "W"))
    allowed = (2, 3) if layerwise else (2,)
    if array.ndim not in allowed or array.shape[-1] != array.shape[-2] or array.size == 0:
        kinds = "(N, N), shared by all layers" + (", or (T, N, N), one matrix per layer" if layerwise else "")
        raise ValueError(f"W has shape {array.shape}, but must have shape {kinds}.")
    return array


def _bias(b: Any, n: int, *, layerwise: bool) -> Array:
    array = np.zeros(n) if b is None else validate.real_array(b, "b")
    allowed = (1, 2) if layerwise else (1,)
    if array.ndim not in allowed or array.shape[-1] != n or array.size == 0:
        kinds = f"({n},)" + (f", or (T, {n}), one bias per layer" if layerwise else "")
        raise ValueError(f"b has shape {array.shape}, but W acts on {n} units; b must have shape {kinds}.")
    return validate.frozen(array)


def _per_layer(value: Any, name: str) -> Array:
    array = validate.frozen(validate.real_array(value, name))
    if array.ndim > 1 or array.size == 0:
        raise ValueError(f"{name} has shape {array.shape}, but must be a number, or one number per layer, shape (T,).")
    return array


class _Residual:
    """Two things of one name: ``ResidualMap.residual(W, b)`` makes a residual network, and ``system.residual(t, x)``
    evaluates f, as on every System. The class and its instances never share a call, so a descriptor tells them apart.
    """

    @overload
    def __get__(self, system: None, owner: type["ResidualMap"]) -> Callable[..., "ResidualMap"]: ...
    @overload
    def __get__(self, system: "ResidualMap", owner: type["ResidualMap"]) -> Callable[..., Array]: ...
    def __get__(self, system: "ResidualMap | None", owner: type["ResidualMap"]) -> Callable[..., Any]:
        return owner._residual_network if system is None else system._residual


def _named(constructor: str, options: dict[str, Any], *, fixed: dict[str, Any], **defaults: Any) -> dict[str, Any]:
    """The options of a named constructor: what it fixes cannot be given, what it suggests can be overridden."""
    given = sorted(set(options) & set(fixed))
    if given:
        raise TypeError(
            f"ResidualMap.{constructor} sets {', '.join(fixed)} itself, so {given[0]}={options[given[0]]!r} has no "
            "meaning there; call ResidualMap(...) to choose each freely."
        )
    return defaults | options | fixed


@dataclass(frozen=True, eq=False, init=False, repr=False)
class ResidualMap:
    r"""The matrix family of residual networks.

    .. math::

        x_{k+1} = (1 - h\lambda_k)\, x_k + h\,\alpha_k\, \varphi(W_k x_k + b_k),
        \qquad f(t_k, x) = -\lambda_k x + \alpha_k\, \varphi(W_k x + b_k)

    Damping λ = 0 is the residual network (ResNet), λ = h = α = 1 the plain network (MLP), λ > 0 with
    α = 1 + λ the λ-interpolated one of [yang2020]_, λ = α the leaky recurrent network.

    Parameters
    ----------
    W : array, shape (N, N) or (T, N, N)
        Weights, shared by all layers or one matrix per layer.
    b : array, shape (N,) or (T, N), optional
        Biases; zero if left out.
    activation : str or SymPy expression
        φ: "logistic", "tanh", "relu", "softplus", "identity", or any SymPy expression in one symbol.
    step : float
        h > 0, the depth-time of one layer.
    damping : float or array, shape (T,)
        λ.
    gain : float or array, shape (T,)
        α.
    name : str, optional
        Used in messages and plots.

    Raises
    ------
    TypeError, ValueError
        If shapes disagree, or a number is NaN or infinite; nothing is broadcast.

    Notes
    -----
    Arrays are copied and read-only: a system is immutable; :meth:`replace` makes a changed one. The residual
    network with shared weights is that of [lagzi2021]_.
    """

    W: Array
    b: Array
    activation: Activation
    step: float
    damping: Array
    gain: Array
    name: str
    depth: int | None = field(repr=False)

    def __init__(
        self,
        W: Any,
        b: Any = None,
        *,
        activation: ActivationLike = "logistic",
        step: float = 1.0,
        damping: Any = 0.0,
        gain: Any = 1.0,
        name: str | None = None,
    ) -> None:
        weights = _weight_matrix(W, layerwise=True)
        bias = _bias(b, weights.shape[-1], layerwise=True)
        layerwise = {
            argument: array
            for argument, array, shared in (
                ("W", weights, 2),
                ("b", bias, 1),
                ("damping", _per_layer(damping, "damping"), 0),
                ("gain", _per_layer(gain, "gain"), 0),
            )
            if array.ndim > shared
        }
        depths = {argument: len(array) for argument, array in layerwise.items()}
        if len(set(depths.values())) > 1:
            raise ValueError(
                f"the layer-wise arguments disagree on the number of layers: {depths}; "
                "give each the same T, or share it."
            )
        assign = object.__setattr__
        assign(self, "W", weights)
        assign(self, "b", bias)
        assign(self, "activation", make_activation(activation))
        assign(self, "step", validate.positive(step, "step"))
        assign(self, "damping", _per_layer(damping, "damping"))
        assign(self, "gain", _per_layer(gain, "gain"))
        assign(self, "name", "residual map" if name is None else str(name))
        assign(self, "depth", next(iter(depths.values()), None))

    # --- named members of the family -------------------------------------------------------------

    residual = _Residual()

    @classmethod
    def _residual_network(cls, W: Any, b: Any = None, **options: Any) -> Self:
        r"""The residual network, :math:`x' = x + h\varphi(Wx + b)`: no damping. Options as in :class:`ResidualMap`."""
        fixed = {"damping": 0.0, "gain": 1.0}
        return cls(W, b, **_named("residual", options, fixed=fixed, name="residual network"))

    @classmethod
    def mlp(cls, W: Any, b: Any = None, **options: Any) -> Self:
        r"""The plain (non-residual) network, :math:`x' = \varphi(Wx + b)`: damping, gain and step are 1."""
        fixed = {"damping": 1.0, "gain": 1.0, "step": 1.0}
        return cls(W, b, **_named("mlp", options, fixed=fixed, name="plain network"))

    @classmethod
    def interpolated(cls, W: Any, b: Any = None, *, coefficient: Any, **options: Any) -> Self:
        r"""Between residual (λ = 0) and plain (λ = 1): :math:`x' = (1 - h\lambda)x + h\varphi(Wx + b)`.

        ``coefficient`` is λ, a float or shape (T,). The In-ResNet of [yang2020]_.
        """
        fixed = {"damping": coefficient, "gain": 1.0}
        return cls(W, b, **_named("interpolated", options, fixed=fixed, name="interpolated network"))

    @classmethod
    def lambda_interpolated(cls, W: Any, b: Any = None, *, coefficient: Any, **options: Any) -> Self:
        r"""The λ-interpolated network, :math:`x' = (1 - h\lambda)x + h(1 + \lambda)\varphi(Wx + b)`.

        ``coefficient`` is λ, a float or shape (T,). The λ-In-ResNet of [yang2020]_.
        """
        fixed = {"damping": coefficient, "gain": 1.0 + validate.real_array(coefficient, "coefficient")}
        return cls(W, b, **_named("lambda_interpolated", options, fixed=fixed, name="λ-interpolated network"))

    @classmethod
    def leaky_rnn(cls, W: Any, b: Any = None, *, leak: float, **options: Any) -> Self:
        r"""The leaky recurrent network (echo-state map), :math:`x' = (1 - a)x + a\varphi(Wx + b + u_k)`.

        ``leak`` is a, in (0, 1]; tanh unless ``activation`` says otherwise; the drive u goes into
        ``simulate(..., inputs=u)``. As a flow it is the continuous-time RNN with time constant 1/a.
        [jaeger2007]_
        """
        leak = validate.positive(leak, "leak")
        if leak > 1:
            raise ValueError(
                f"leak must lie in (0, 1], but is {leak!r}; a is the share of the state replaced per step."
            )
        fixed = {"damping": leak, "gain": leak, "step": 1.0}
        return cls(W, b, **_named("leaky_rnn", options, fixed=fixed, name="leaky RNN", activation="tanh"))

    @classmethod
    def hopfield(cls, W: Any, b: Any = None, *, tau: float = 1.0, step: float = 0.1, **options: Any) -> Self:
        r"""The continuous Hopfield network, :math:`\tau\dot x = -x + \varphi(Wx + b)`, and its Euler map.

        x are the firing rates; u = Wx + b is the usual :math:`\tau\dot u = -u + W\varphi(u) + b`. W must be symmetric
        (the energy exists only then; for any other W use :meth:`leaky_rnn`); tanh unless ``activation``
        says otherwise. [hopfield1984]_
        """
        weights = _weight_matrix(W, layerwise=False)
        asymmetry = float(np.abs(weights - weights.T).max())
        if asymmetry > 1e-12 * float(np.abs(weights).max()):
            raise ValueError(
                f"a Hopfield network has symmetric weights, but max |W − Wᵀ| = {asymmetry:.3g}; "
                "symmetrise W, or use ResidualMap.leaky_rnn, which takes any W."
            )
        rate = 1.0 / validate.positive(tau, "tau")
        fixed = {"damping": rate, "gain": rate}
        named = _named("hopfield", options, fixed=fixed, name="Hopfield network", activation="tanh")
        return cls(W, b, step=step, **named)

    def replace(self, **changes: Any) -> Self:
        """The same system with some arguments of the constructor changed, e.g. ``replace(step=0.1)``."""
        return type(self)(**validate.changed(self._arguments(), changes, "ResidualMap"))

    def _arguments(self) -> dict[str, Any]:
        names = ("W", "b", "activation", "step", "damping", "gain", "name")
        return {name: getattr(self, name) for name in names}

    def __reduce__(self) -> tuple[Any, ...]:
        # through the constructor, so that a copy is as immutable as the original
        return partial(type(self), **self._arguments()), ()

    def __repr__(self) -> str:
        layers = "shared weights" if self.depth is None else f"{self.depth} layers"
        numbers = ", ".join(
            f"{what} {value.min():g}" + ("" if value.min() == value.max() else f" to {value.max():g}")
            for what, value in (("damping", self.damping), ("gain", self.gain))
        )
        units = f"{self.shape[0]} {self.activation.name} unit" + ("s" if self.shape[0] > 1 else "")
        return f"ResidualMap {self.name!r}: {units}, {layers}, step {self.step:g}, {numbers}."

    # --- the System contract ---------------------------------------------------------------------

    @property
    def shape(self) -> tuple[int, ...]:
        """(N,)."""
        return (self.W.shape[-1],)

    def layer(self, t: float) -> tuple[Array, Array, float, float]:
        """(W, b, λ, α) of the layer that acts at depth-time t, with shapes (N, N), (N,), (), ()."""
        k = 0 if self.depth is None else block_index(t, self.step, self.depth)
        return (
            self.W[k] if self.W.ndim == 3 else self.W,
            self.b[k] if self.b.ndim == 2 else self.b,
            float(self.damping[k] if self.damping.ndim else self.damping),
            float(self.gain[k] if self.gain.ndim else self.gain),
        )

    def _preactivation(self, t: float, x: Array, inputs: Array | None) -> tuple[Array, Array, float, float]:
        """(z, W, λ, α) with z = W x + b + u."""
        W, b, damping, gain = self.layer(t)
        z = validate.states(x, self.shape, self.name) @ W.T + b
        if inputs is not None:
            drive = np.asarray(inputs)
            if drive.shape not in (self.shape, z.shape):
                raise ValueError(
                    f"inputs has shape {drive.shape}, but the drive of one layer has shape {self.shape}, "
                    f"or that of the states, {z.shape}."
                )
            z = z + drive
        return z, W, damping, gain

    def activations(self, t: float, x: Array, *, inputs: Array | None = None) -> Array:
        r"""y = φ(Wx + b + u), shape of x; the residuals of [lagzi2021]_ (there damping is 0 and gain 1)."""
        return self.activation.value(self._preactivation(t, x, inputs)[0])

    def _residual(self, t: float, x: Array, *, inputs: Array | None = None) -> Array:
        r"""f = −λx + αφ(Wx + b + u) at states of shape (\*batch, N); ``inputs`` is the drive u of this layer."""
        z, _, damping, gain = self._preactivation(t, x, inputs)
        f = gain * self.activation.value(z)
        return f - damping * np.asarray(x) if damping else f

    def jacobian(self, t: float, x: Array, *, inputs: Array | None = None) -> Array:
        r"""∂f/∂x = −λI + α diag φ′(Wx + b + u) W, shape (\*batch, N, N)."""
        z, W, damping, gain = self._preactivation(t, x, inputs)
        return gain * self.activation.derivative(z)[..., None] * W - damping * np.eye(len(W))

    def linearize(self, t: float, x: Array, *, inputs: Array | None = None) -> ScaledMatrix:
        """∂f/∂x at one state, shape (N,), as an operator: O(N²) per product, no matrix formed."""
        z, W, damping, gain = self._preactivation(t, validate.one_state(x, self.shape, self.name), inputs)
        return ScaledMatrix(W, left=gain * self.activation.derivative(z), shift=-damping)

    def compiled_form(self, inputs: Array | None = None) -> "SemilinearForm":
        """The fast path: ``inputs`` of shape (T, N) for all states, or (T, M, N) for each."""
        if inputs is None:
            return self._compiled
        if inputs.ndim == 2:
            layers = min(len(inputs), self.depth or len(inputs))
            bias = (self.b[:layers] if self.b.ndim == 2 else self.b) + inputs[:layers]
            return self._form(bias, None)
        return self._form(np.atleast_2d(self.b), inputs)

    @cached_property
    def _compiled(self) -> "SemilinearForm":
        return self._form(np.atleast_2d(self.b), None)

    def _form(self, bias: Array, drive: Array | None) -> "SemilinearForm":
        from resdyn.kernels.forms import SemilinearForm
        from resdyn.kernels.rules import matrix_rules

        n = self.shape[0]
        damping, gain = np.broadcast_arrays(np.atleast_1d(self.damping), np.atleast_1d(self.gain))
        return SemilinearForm(
            rules=matrix_rules(n, self.activation.kernel, self.activation.kernel_with_slope, driven=drive is not None),
            parameters=self.W.reshape(-1, n * n),
            bias=bias,
            damping=damping,
            gain=gain,
            step=self.step,
            drive=drive,
        )


@dataclass(frozen=True, eq=False, init=False, repr=False)
class LogisticResiduals:
    r"""The closed dynamics of the residuals of a logistic network with shared weights.

    With z = Wx + b and y = σ(z), the residual network x' = x + hσ(Wx + b) obeys

    .. math:: z' = z + h W \sigma(z), \qquad \dot z = W\sigma(z), \qquad \dot y = y(1 - y)\circ(Wy).

    The state is z: y rounds to 1 at z = 37 and then cannot come back. Equilibria of y with a coordinate 0 or 1
    lie at z = ∓∞, and infinite states are allowed. The bias enters only through the initial state,
    :meth:`from_input`. Made by :func:`resdyn.logistic_residuals`; [lagzi2021]_.
    """

    W: Array
    b: Array
    step: float
    name: str
    depth: None = field(default=None, repr=False)
    infinite_states: bool = field(default=True, repr=False)

    def __init__(self, W: Any, b: Any = None, *, step: float = 1.0, name: str | None = None) -> None:
        weights = _weight_matrix(W, layerwise=False)
        assign = object.__setattr__
        assign(self, "W", weights)
        assign(self, "b", _bias(b, len(weights), layerwise=False))
        assign(self, "step", validate.positive(step, "step"))
        assign(self, "name", "logistic residuals" if name is None else str(name))
        assign(self, "depth", None)
        assign(self, "infinite_states", True)

    @property
    def shape(self) -> tuple[int, ...]:
        """(N,)."""
        return (len(self.W),)

    def replace(self, **changes: Any) -> Self:
        """The same system with some arguments of the constructor changed, e.g. ``replace(step=0.1)``."""
        return type(self)(**validate.changed(self._arguments(), changes, "LogisticResiduals"))

    def _arguments(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("W", "b", "step", "name")}

    def __reduce__(self) -> tuple[Any, ...]:
        return partial(type(self), **self._arguments()), ()

    def __repr__(self) -> str:
        return f"LogisticResiduals {self.name!r}: state z of {self.shape[0]} units, y = σ(z), step {self.step:g}."

    def from_residuals(self, y: Any) -> Array:
        r"""The state z = log(y/(1−y)) with residuals y, shape (\*batch, N), each in [0, 1]; 0 and 1 give ∓∞."""
        y = validate.states(validate.real_array(y, "y"), self.shape, self.name, name="y")
        if y.size and (y.min() < 0 or y.max() > 1):
            raise ValueError(
                f"residuals of logistic units lie in [0, 1], but y runs from {y.min():.6g} to {y.max():.6g}."
            )
        return logit(y)

    def from_input(self, x: Any) -> Array:
        r"""The state z = Wx + b of a network state x, shape (\*batch, N)."""
        x = validate.states(validate.real_array(x, "x"), self.shape, self.name)
        return x @ self.W.T + self.b

    def activations(self, t: float, x: Array) -> Array:
        """y = σ(z), shape of z."""
        return expit(validate.states(x, self.shape, self.name))

    def residual(self, t: float, x: Array) -> Array:
        r"""f = Wσ(z) at states z of shape (\*batch, N)."""
        return self.activations(t, x) @ self.W.T

    def jacobian(self, t: float, x: Array) -> Array:
        r"""∂f/∂z = W diag(y(1−y)), shape (\*batch, N, N)."""
        return self.W * self._slope(validate.states(x, self.shape, self.name))[..., None, :]

    def linearize(self, t: float, x: Array) -> ScaledMatrix:
        """∂f/∂z at one state, shape (N,), as an operator."""
        return ScaledMatrix(self.W, right=self._slope(validate.one_state(x, self.shape, self.name)))

    @staticmethod
    def _slope(z: Array) -> Array:
        return make_activation("logistic").derivative(z)

    def compiled_form(self) -> "SemilinearForm":
        """The fast path of :func:`resdyn.simulate`."""
        return self._compiled

    @cached_property
    def _compiled(self) -> "SemilinearForm":
        from resdyn.kernels.forms import SemilinearForm
        from resdyn.kernels.rules import inner_matrix_rules

        n = self.shape[0]
        logistic = make_activation("logistic")
        return SemilinearForm(
            rules=inner_matrix_rules(n, logistic.kernel, logistic.kernel_with_slope),
            parameters=self.W.reshape(1, -1),
            bias=np.zeros((1, n)),
            damping=np.zeros(1),
            gain=np.ones(1),
            step=self.step,
        )


def logistic_residuals(W: Any, b: Any = None, *, step: float = 1.0) -> LogisticResiduals:
    r"""The closed dynamics of the residuals of :math:`x' = x + h\sigma(Wx + b)`, W of shape (N, N).

    State z, map :math:`z' = z + hW\sigma(z)`, flow :math:`\dot z = W\sigma(z)`, so that
    :math:`\dot y = y(1-y)\circ(Wy)` for y = σ(z). See :class:`resdyn.LogisticResiduals`.
    """
    return LogisticResiduals(W, b, step=step)
