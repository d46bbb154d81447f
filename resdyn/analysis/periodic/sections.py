r"""The map that a flow makes of a section: where an orbit that leaves a hyperplane next crosses it.

The flow is integrated over pieces of time until :math:`g = n\cdot x - c` changes its sign; from the last state before,
Runge–Kutta steps and Newton's method for :math:`g = 0` find the time of the crossing. Where these steps do not reach
the tolerances, the integrator asked for first makes the piece shorter. The derivative is that of the flow, corrected
for the time of flight,

.. math:: DP = \Bigl(I - \frac{f\, n^{\mathsf T}}{n\cdot f}\Bigr)\, D\varphi_\tau,

seen in coordinates on the section.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from resdyn import _validation as validate
from resdyn._types import System
from resdyn.analysis.periodic.flowing import Tolerances, flow_with_derivative, orbit
from resdyn.operators import DenseOperator

Array = NDArray[Any]

# layers integrated at once before crossings are looked for
_PIECE = 32
# bisection alone closes a bracket in some fifty halvings
_NEWTON, _SUBSTEPS = 100, (2, 4, 8, 16, 32, 64)
# finer layers within one, and how often they are made finer still
_FINER, _NARROWER = 16, 6
_UNIT = float(np.finfo(float).eps)
_MAX_LAYERS = 5000

OUTCOMES = ("returned", "no return", "diverged", "failed")
"""What may become of a state."""


def poincare_map(
    system: System,
    section: tuple[Any, Any],
    *,
    direction: int = 1,
    max_time: float | None = None,
    rtol: float | None = None,
    atol: float | None = None,
    method: str | None = None,
) -> "PoincareMap":
    r"""The return map of a flow to a hyperplane, as a system for every analysis of maps.

    .. math:: u' = P(u), \qquad \text{lift}(u') = \varphi_{\tau(u)}(\text{lift}(u))

    Parameters
    ----------
    system : System
        Autonomous; its flow is followed, and ``step`` says how densely it is searched for crossings.
    section : (int, float) or (array, float)
        ``(i, value)`` for the hyperplane :math:`x_i =` value, whose coordinates u are the other variables in order;
        ``(normal, offset)`` for :math:`n\cdot x =` offset, with coordinates along an orthonormal basis of it.
    direction : 1, −1 or 0
        Count crossings where :math:`n\cdot x` grows (1), falls (−1), or both (0).
    max_time : float, optional
        A state that has not returned after this time has no image: NaN. By default 5000 steps of the system.
    rtol, atol, method
        Of the integration, by default 1e-10, 1e-12, "RK45". In the piece of time that holds the crossing, explicit
        Runge–Kutta steps of order five close in on it to the same tolerances; where they do not reach these, as in
        stiff flows, the piece is first made shorter by the method asked for.

    Returns
    -------
    PoincareMap
        A :class:`resdyn.System` with states of shape (d − 1,), step 1 and no depth.

    Raises
    ------
    TypeError, ValueError
        For a layer-wise system, one variable only, or a section that is none.

    Notes
    -----
    Two crossings within one ``step`` are not seen, and an orbit that only touches the section is not seen to cross it:
    the map is discontinuous there. A smaller ``step`` (``system.replace(step=...)``) finds closer crossings.
    Sources: [henon1982]_, [guckenheimer1983]_.
    """
    return PoincareMap(system, section, direction=direction, max_time=max_time, rtol=rtol, atol=atol, method=method)


class PoincareMap:
    """A flow seen where it crosses a section; made by :func:`resdyn.poincare_map`.

    Attributes
    ----------
    flow : System
    normal : array, shape (d,)
        Unit normal of the section.
    offset : float
        n·x on the section.
    basis : array, shape (d, d − 1)
        Orthonormal directions of the section.
    """

    step = 1.0
    depth = None

    def __init__(
        self,
        system: System,
        section: tuple[Any, Any],
        *,
        direction: int = 1,
        max_time: float | None = None,
        rtol: float | None = None,
        atol: float | None = None,
        method: str | None = None,
    ) -> None:
        if not isinstance(system, System):
            raise TypeError(f"poincare_map needs a System, but got {type(system).__name__}.")
        validate.autonomous(system, "a return map")
        self.flow, self._size = system, int(np.prod(system.shape))
        if self._size < 2:
            raise ValueError(
                f"{system.name!r} has one variable, so its orbits never return; a section needs two or more."
            )
        self.normal, self.offset, self.basis, where = _section(section, self._size)
        if isinstance(direction, bool) or np.ndim(direction) or direction not in (-1, 0, 1):
            raise ValueError(f"direction must be 1, −1 or 0, but is {direction!r}.")
        self.direction = int(direction)
        longest = _MAX_LAYERS * system.step if max_time is None else validate.positive(max_time, "max_time")
        self.max_time = longest
        self._tolerances = Tolerances.of(rtol, atol, method)
        self.name = f"{system.name}, returns to {where}"
        self.shape = (self._size - 1,)

    def __repr__(self) -> str:
        ways = {1: "upwards", -1: "downwards", 0: "either way"}[self.direction]
        return (
            f"PoincareMap {self.name!r} ({ways}): states of shape {self.shape}, at most {self.max_time:g} of time, "
            f"tolerances {self._tolerances.rtol:g} and {self._tolerances.atol:g}, of {self.flow!r}"
        )

    def tolerance(self, u: Array) -> Array:
        r"""What the integrator allows of error in one of its steps, (\*batch, 1), near states (\*batch, d − 1)."""
        size = np.abs(u @ self.basis.T + self.offset * self.normal).max(axis=-1, keepdims=True)
        return np.asarray(self._tolerances.atol + self._tolerances.rtol * size)

    # --- coordinates -------------------------------------------------------------------------------------

    def lift(self, u: Any) -> Array:
        r"""States on the section, (\*batch, \*flow.shape), from coordinates (\*batch, d − 1)."""
        given = validate.states(validate.real_array(u, "u", nan=True), self.shape, self.name, name="u")
        x = given @ self.basis.T + self.offset * self.normal
        return np.asarray(x.reshape(*given.shape[:-1], *self.flow.shape))

    def project(self, x: Any) -> Array:
        r"""Coordinates (\*batch, d − 1) of states (\*batch, \*flow.shape), seen along the normal."""
        given = validate.states(validate.real_array(x, "x", nan=True), self.flow.shape, self.flow.name)
        batch = given.shape[: given.ndim - len(self.flow.shape)]
        return np.asarray(given.reshape(*batch, self._size) @ self.basis)

    # --- a system ----------------------------------------------------------------------------------------

    def residual(self, t: float, x: Array) -> Array:
        """P(u) − u; NaN where there is no return."""
        u = validate.states(x, self.shape, self.name)
        states, _, _ = self._returns(u)
        return np.asarray(states @ self.basis - u)

    def jacobian(self, t: float, x: Array) -> Array:
        r"""DP − I, (\*batch, d − 1, d − 1), by the variational equation; one state after the other."""
        u = validate.states(x, self.shape, self.name)
        flat = u.reshape(-1, *self.shape)
        _, times, _ = self._returns(flat)
        out = np.full((len(flat), *self.shape, *self.shape), np.nan)
        for i in np.flatnonzero(np.isfinite(times)):
            end, derivative = flow_with_derivative(
                self.flow, self.lift(flat[i])[None], float(times[i]), self._tolerances
            )
            velocity = self._slope(end.reshape(1, -1))[0]
            with np.errstate(all="ignore"):
                flight = np.outer(velocity, self.normal) / float(self.normal @ velocity)
            onto = (np.eye(self._size) - flight) @ derivative[0]
            out[i] = self.basis.T @ onto @ self.basis - np.eye(self._size - 1)
        return out.reshape(*u.shape, *self.shape)

    def linearize(self, t: float, x: Array) -> DenseOperator:
        """DP − I at one state."""
        return DenseOperator(self.jacobian(t, validate.one_state(x, self.shape, self.name)))

    def return_time(self, u: Any) -> Array:
        r"""The time of flight τ(u), (\*batch,); NaN where there is no return."""
        given = validate.states(validate.real_array(u, "u"), self.shape, self.name, name="u")
        return self._returns(given)[1]

    def outcome(self, u: Any) -> Array:
        r"""What becomes of each state, (\*batch,) of words.

        "returned", "no return" within ``max_time``, "diverged", or "failed" where the crossing could not be resolved.
        """
        given = validate.states(validate.real_array(u, "u"), self.shape, self.name, name="u")
        return np.asarray(OUTCOMES)[self._returns(given)[2]]

    # --- crossings ---------------------------------------------------------------------------------------

    def _slope(self, x: Array) -> Array:
        """f of flattened states (M, d)."""
        with np.errstate(all="ignore"):
            f = self.flow.residual(0.0, x.reshape(len(x), *self.flow.shape))
        return np.asarray(f, dtype=float).reshape(len(x), self._size)

    def _height(self, x: Array) -> Array:
        return np.asarray(x @ self.normal - self.offset)

    def _returns(self, u: Array) -> tuple[Array, Array, NDArray[np.int64]]:
        r"""The next states on the section (\*batch, d), the times and the outcomes, (\*batch,)."""
        batch = u.shape[:-1]
        current = self.lift(u).reshape(-1, self._size)
        size = len(current)
        states, times = np.full((size, self._size), np.nan), np.full(size, np.nan)
        outcome = np.full(size, 1)
        outcome[~np.isfinite(current).all(axis=1)] = 2
        rows = np.flatnonzero(outcome == 1)
        # on the section itself the height is rounding: the side is the one that the flow goes to
        side = np.sign(self._slope(current) @ self.normal)
        before, after, passed = np.empty_like(current), np.empty_like(current), np.full(size, -1)
        h, done = self.flow.step, 0
        layers = int(np.ceil(self.max_time / h * (1 - 1e-12)))
        while rows.size and done < layers:
            n = min(_PIECE, layers - done)
            x = orbit(self.flow, current[rows].reshape(-1, *self.flow.shape), h, n, self._tolerances)
            x = x.reshape(n + 1, rows.size, self._size)
            height = self._height(x)
            signs = np.sign(height)
            if done == 0:
                signs[0] = side
            crossed = (signs[:-1] != signs[1:]) & (signs[:-1] != 0) & np.isfinite(height[1:])
            crossed |= (signs[:-1] == 0) & (signs[1:] != 0) & np.isfinite(height[1:]) & (done > 0)
            if self.direction:
                crossed &= (signs[1:] == self.direction) | (signs[:-1] == -self.direction)
            hit = crossed.any(axis=0)
            first = np.argmax(crossed, axis=0)
            if hit.any():
                column = np.flatnonzero(hit)
                before[rows[hit]], after[rows[hit]] = (x[first[hit] + k, column] for k in (0, 1))
                passed[rows[hit]] = done + first[hit]
            gone = ~np.isfinite(x[-1]).all(axis=1) & ~hit
            outcome[rows[gone]] = 2
            stay = ~hit & ~gone
            current[rows[stay]] = x[-1, stay]
            rows, done = rows[stay], done + n
        met = np.flatnonzero(passed >= 0)
        if met.size:
            # all crossings at once: each step of the search for them costs a call of f
            states[met], spent = self._crossing(before[met], after[met], h, start=passed[met] == 0)
            times[met] = passed[met] * h + spent
            outcome[met] = np.where(np.isfinite(spent) & np.isfinite(states[met]).all(axis=1), 0, 3)
        late = times > self.max_time
        states[late], times[late], outcome[late] = np.nan, np.nan, 1
        return states.reshape(*batch, self._size), times.reshape(batch), outcome.reshape(batch)

    def _crossing(self, before: Array, ahead: Array, h: float, start: Array) -> tuple[Array, Array]:
        """States (M, d) where g = 0, and times, between ``before`` and ``ahead``, later by h; NaN where not met."""
        before, ahead, start = before.copy(), ahead.copy(), start.copy()
        passed, width = np.zeros(len(before)), np.full(len(before), h)
        states, times = np.full_like(before, np.nan), np.full(len(before), np.nan)
        left = np.arange(len(before))
        for depth in range(_NARROWER + 1):
            # explicit steps of order five close the bracket, where they reach the tolerances
            _, fine = self._advance(before[left], width[left])
            ready, left = left[fine], left[~fine]
            if ready.size:
                found = self._closed(before[ready], ahead[ready], width[ready], start[ready])
                states[ready], times[ready] = found[0], passed[ready] + found[1]
            if not left.size or depth == _NARROWER:
                break
            # elsewhere the integrator asked for looks in finer layers
            step = float(width[left[0]]) / _FINER
            x = orbit(self.flow, before[left].reshape(-1, *self.flow.shape), step, _FINER, self._tolerances)
            x = x.reshape(_FINER + 1, left.size, self._size)
            beyond = np.sign(self._height(x[1:])) == np.sign(self._height(ahead[left]))
            met, first, rows = beyond.any(axis=0), np.argmax(beyond, axis=0), np.arange(left.size)
            before[left], ahead[left] = x[first, rows], x[first + 1, rows]
            passed[left] += first * step
            width[left], start[left] = step, start[left] & (first == 0)
            left = left[met]
        return states, times

    def _closed(self, before: Array, ahead: Array, h: Array, start: Array) -> tuple[Array, Array]:
        """The crossing and its time by Newton's method within a bracket of widths h (M,), and bisection."""
        # a state that starts on the section must not be found there again at time 0
        low, high = np.where(start, 1e-6 * h, 0.0), h.copy()
        g_low, g_high = self._height(before), self._height(ahead)
        # its own height is rounding: it has left to the other side of where it returns
        g_low = np.where(start, -np.sign(g_high) * np.finfo(float).tiny, g_low)
        with np.errstate(all="ignore"):
            time = np.where(start, h / 2, h * g_low / (g_low - g_high))
        x, left = self._advance(before, time)[0], np.arange(len(before))
        for _ in range(_NEWTON):
            g = self._height(x[left])
            same = np.sign(g) == np.sign(g_high[left])
            low[left] = np.where(same, low[left], time[left])
            high[left] = np.where(same, time[left], high[left])
            with np.errstate(all="ignore"):
                after = time[left] - g / (self._slope(x[left]) @ self.normal)
            # Newton within the bracket, bisection where it would leave it
            inside = (after >= low[left]) & (after <= high[left])
            after = np.where(inside, after, (low[left] + high[left]) / 2)
            more = after - time[left]
            # what is left of g is rounding of the sum n·x
            rounding = 4 * _UNIT * (np.abs(x[left]).max(axis=1) + abs(self.offset))
            settled = (np.abs(g) <= rounding) | (np.abs(more) <= 4 * _UNIT * h[left])
            left, more = left[~settled], more[~settled]
            if not left.size:
                break
            x[left] = self._advance(x[left], more)[0]
            time[left] += more
        x[left], time[left] = np.nan, np.nan
        # a return before the bracket begins, right after the start, was not seen
        at_start = start & (time <= 2e-6 * h)
        x[at_start], time[at_start] = np.nan, np.nan
        return x, time

    def _advance(self, x: Array, times: Array) -> tuple[Array, NDArray[np.bool_]]:
        """The flow over at most one layer, each state for a time of its own, and whether it was found to tolerances."""
        fine = np.zeros(len(x), dtype=bool)
        out, rows = self._steps(x, times, 1), np.arange(len(x))
        for n in _SUBSTEPS:
            finer = self._steps(x[rows], times[rows], n)
            allowed = self._tolerances.atol + self._tolerances.rtol * np.abs(finer)
            # halved steps leave a 32nd of the error, so the difference is nearly all of it
            with np.errstate(all="ignore"):
                good = (np.abs(finer - out[rows]) <= 31 * allowed / 32).all(axis=1)
            out[rows], fine[rows] = finer, good
            rows = rows[~good & np.isfinite(finer).all(axis=1)]
            if not rows.size:
                break
        return out, fine

    def _steps(self, x: Array, times: Array, n: int) -> Array:
        """n Runge–Kutta steps of order five."""
        from scipy.integrate import RK45

        dt = (times / n)[:, None]
        with np.errstate(all="ignore"):
            for _ in range(n):
                slopes = [self._slope(x)]
                for weights in RK45.A[1:]:
                    inner = sum(w * k for w, k in zip(weights, slopes, strict=False))
                    slopes.append(self._slope(x + dt * inner))
                x = x + dt * sum(w * k for w, k in zip(RK45.B, slopes, strict=True))
        return x


def _section(section: Any, d: int) -> tuple[Array, float, Array, str]:
    """Normal, offset, basis, and the section in words."""
    if not isinstance(section, tuple | list) or len(section) != 2:
        raise ValueError(f"section must be (index, value) or (normal, offset), but is {section!r}.")
    first, offset = section
    given = validate.real_array(offset, "section")
    if given.size != 1:
        raise ValueError(f"section must end in one number, the value or offset, but ends in {offset!r}.")
    value = float(given.reshape(()))
    if isinstance(first, int | np.integer) and not isinstance(first, bool):
        if not 0 <= first < d:
            raise ValueError(f"section {section!r} names variable {first}, but states have {d}: 0 to {d - 1}.")
        identity = np.eye(d)
        return identity[first], value, np.delete(identity, first, axis=1), f"x_{first} = {value:g}"
    normal = validate.real_array(first, "section").ravel()
    # the largest entry first: squares of very large or very small ones are out of range
    largest = float(np.abs(normal).max(initial=0.0)) if normal.size == d else 0.0
    if largest == 0:
        raise ValueError(
            f"the normal of the section is {first!r}, but must be a vector of {d} numbers, not all zero; "
            "or give the index of a variable."
        )
    length = float(np.linalg.norm(normal / largest))
    with np.errstate(over="ignore"):
        normal, value = normal / largest / length, value / largest / length
    if not np.isfinite(value):
        raise ValueError(f"section {section!r} lies at an infinite distance; give a normal and an offset of one size.")
    # a QR decomposition of the normal alone: the other columns span the section
    basis = np.linalg.qr(normal[:, None], mode="complete")[0][:, 1:]
    return normal, value, basis, f"n·x = {value:g}"
