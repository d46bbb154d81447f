r"""Flows of networks: :math:`\dot x = \alpha f_k(x) - \lambda x` for :math:`t \in [kh, (k+1)h)`, by torchdiffeq.

f is piecewise constant in t, so that the integrator starts anew at each block: a method that runs across a jump of f
loses its order.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from resdyn import _validation as validate
from resdyn._types import Status
from resdyn.networks.continuous import methods
from resdyn.networks.continuous.vector_fields import DampedField

Array = NDArray[Any]

# a state this big where the integrator gives up is running off to infinity: as in resdyn.simulate
_LARGE = 1e6
_GAVE_UP = ("underflow in dt", "non-finite values in state", "max_num_steps exceeded")


class ODEFlow(nn.Module):
    r"""The flow of vector fields that act one after the other, :math:`x(0) \mapsto x(T)`.

    Made by :func:`resdyn.networks.ode_flow` and :class:`resdyn.networks.ODEBlock`, which say what the arguments mean.

    Attributes
    ----------
    horizon : float
        T.
    duration : float
        How long each field acts: h.
    method, rtol, atol, solver_step, adjoint, options
        Of the integrator; they can be set anew.
    step : float
        T again: the h of the flow where it is a block of a network.
    evaluations : int
        Of the field, in the last call; with ``adjoint`` those of the backward pass are added when it runs.
    status : array of :class:`resdyn.Status`, shape (n,)
        How each state of the last call ended.
    """

    def __init__(
        self,
        fields: Sequence[DampedField],
        *,
        duration: float,
        horizon: float,
        method: str = "dopri5",
        rtol: float = 1e-6,
        atol: float = 1e-8,
        adjoint: bool = False,
        step: float | None = None,
        options: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.fields = nn.ModuleList(fields)
        self.duration = duration
        self.horizon = float(methods.on_block_ends(np.array([horizon]), duration)[0])
        self.method = methods.check_method(method)
        methods.steps_per_block(self.method, step, duration)
        self.rtol, self.atol = validate.positive(rtol, "rtol"), validate.positive(atol, "atol")
        self.adjoint, self.solver_step, self.options = bool(adjoint), step, dict(options or {})
        methods.check_options(self.method, self.options)
        self._status: Tensor | np.ndarray = np.zeros(0, dtype=np.uint8)

    def extra_repr(self) -> str:
        """The integrator, for ``repr``."""
        how = (
            f"rtol={self.rtol:g}, atol={self.atol:g}" if self.method in methods.ADAPTIVE else f"step={self.solver_step}"
        )
        return f"horizon={self.horizon:g}, method={self.method!r}, {how}, adjoint={self.adjoint}"

    @property
    def step(self) -> float:
        """h of the flow as a block: T."""
        return self.horizon

    @property
    def evaluations(self) -> int:
        """Evaluations of the vector field in the last call."""
        return sum(field.evaluations for field in self._fields())

    @property
    def status(self) -> np.ndarray:
        """How each state of the last call ended; empty after a call under a transform of ``torch.func``."""
        if isinstance(self._status, Tensor):
            finite = self._status.cpu().numpy()
            return np.where(finite, Status.OK, Status.DIVERGED).astype(np.uint8)
        return self._status

    def _set_status(self, x: Tensor) -> None:
        # fixed steps run through infinity without a word; the answer stays on the device until somebody asks for it
        hidden = torch._C._functorch.is_functorch_wrapped_tensor(x)
        self._status = np.zeros(0, dtype=np.uint8) if hidden else x.detach().flatten(1).isfinite().all(1)

    def forward(self, x: Any) -> Any:
        r"""x(T), a tensor of a tensor and an array of an array, shape (n, \*shape).

        Raises
        ------
        ArithmeticError
            If the integrator gave up and a gradient is recorded. Without gradients the states that were not reached
            are NaN, and ``status`` says why.
        """
        return self.trajectory(x, [self.horizon])[-1]

    def trajectory(self, x: Any, times: Any) -> Any:
        r"""x(t) at times from 0 to T, in ascending order: shape (len(times), n, \*shape).

        A time that is the end of a block but for rounding (1e-9 h) is that end.
        """
        wanted = self._times(times)
        if not isinstance(x, Tensor):
            with torch.no_grad():
                return self._run(self._tensor(x), wanted).cpu().numpy()
        return self._run(self._checked(x), wanted)

    # --- arguments -----------------------------------------------------------------------------------

    def _times(self, times: Any) -> Array:
        wanted = validate.real_array(times, "times").astype(np.float64)
        if wanted.ndim != 1 or wanted.size == 0 or (np.diff(wanted) <= 0).any():
            raise ValueError(f"times must be numbers in ascending order, shape (n,), but are {times!r}.")
        settled = methods.on_block_ends(wanted, self.duration, self.horizon)
        if not (wanted[0] >= 0 and settled[-1] <= self.horizon):
            raise ValueError(
                f"times run from {wanted[0]:g} to {wanted[-1]:g}, but the flow from 0 to its horizon {self.horizon:g}; "
                "make a flow with a longer horizon, if its blocks reach so far."
            )
        return settled

    def _tensor(self, x: Any) -> Tensor:
        _, like = next(self._weights(), ("", torch.empty(0, dtype=torch.float64)))
        array = validate.real_array(x, "x")
        return self._checked(torch.tensor(array, dtype=like.dtype, device=like.device))

    def _checked(self, x: Tensor) -> Tensor:
        if x.ndim < 2 or x.shape[0] == 0:
            raise ValueError(
                f"x has shape {tuple(x.shape)}, but a flow takes a batch of states, shape (n, *shape); "
                "pass x[None] for one state."
            )
        if x.dtype not in (torch.float32, torch.float64):
            raise TypeError(
                f"x has dtype {x.dtype}, but flows are integrated in float32 or float64; convert x and the "
                "network first, e.g. net.float()."
            )
        for name, weight in self._weights():
            if weight.dtype != x.dtype or weight.device != x.device:
                owner, _, last = name.rpartition(".")
                if isinstance(self.get_submodule(owner), DampedField):
                    raise TypeError(
                        f"x is {x.dtype} on {x.device}, but the learned {last} {weight.dtype} on {weight.device}; "
                        "move it with the flow, e.g. flow.to(device, dtype), or make it "
                        f"nn.Parameter(torch.tensor(0.1, dtype={x.dtype}))."
                    )
                raise TypeError(
                    f"x is {x.dtype} on {x.device}, but the network {weight.dtype} on {weight.device}; "
                    "move one to the other, e.g. x.to(device, dtype)."
                )
        for name, module in self.named_modules():
            noisy = isinstance(module, nn.modules.dropout._DropoutNd) and module.p > 0
            if module.training and (noisy or isinstance(module, nn.modules.batchnorm._BatchNorm)):
                raise ValueError(
                    f"{name} is a {type(module).__name__} in training mode: it mixes the states of a batch or draws "
                    "random numbers, so that there is no vector field; call eval() on the network first, or use "
                    "GroupNorm in a layer to be trained."
                )
        return x

    def _weights(self) -> Iterator[tuple[str, Tensor]]:
        """The parameters and buffers that are real numbers, those of the blocks before λ and α."""
        named = (*self.named_parameters(), *self.named_buffers())
        for name, weight in sorted(named, key=lambda one: one[0].count(".") < 3):
            if weight.is_floating_point():
                yield name, weight

    # --- integration ---------------------------------------------------------------------------------

    def _fields(self) -> list[DampedField]:
        return list(self.fields)  # type: ignore[arg-type]

    def _run(self, x: Tensor, times: Array) -> Tensor:
        for field in self._fields():
            field.evaluations = 0
        try:
            states = torch.cat(list(self._pieces(x, times)))
            self._set_status(states[-1])
        except AssertionError as error:
            reason = _reason(error)
            if torch.is_grad_enabled() and (x.requires_grad or any(p.requires_grad for p in self.parameters())):
                raise ArithmeticError(
                    f"{self.method} gave up on a batch of {len(x)} states ({reason}), so that there is no gradient: "
                    "the field is too stiff, or states run off to infinity. Add damping, take a smaller learning rate, "
                    "looser tolerances or a method with fixed steps. Under torch.no_grad() the states that can be "
                    "reached are computed, and the others are NaN."
                ) from error
            states, self._status = self._apart(x, times)
        for field in self._fields():
            field.last = None
        assert len(states) == len(times)
        return states

    def _apart(self, x: Tensor, times: Array) -> tuple[Tensor, np.ndarray]:
        """The states of a batch that gave up just now: those that ran off and the others, or else its halves."""
        if len(x) == 1:
            return self._alone(x, times)
        far = self._far()
        if not 0 < int(far.sum()) < len(x):
            far = torch.arange(len(x), device=x.device) < len(x) // 2
        states = x.new_empty((len(times), *x.shape))
        status = np.zeros(len(x), dtype=np.uint8)
        for part in (far, ~far):
            try:
                states[:, part] = torch.cat(list(self._pieces(x[part], times)))
            except AssertionError as error:
                _reason(error)
                states[:, part], status[part.cpu().numpy()] = self._apart(x[part], times)
        return states, status

    def _far(self) -> Tensor:
        """Which states were far out where the integrator gave up."""
        last = [field.last for field in self._fields() if field.last is not None][-1]
        return ~(last.flatten(1).abs().amax(1) < _LARGE)

    def _alone(self, x: Tensor, times: Array) -> tuple[Tensor, np.ndarray]:
        """One state that gives up: the times that it reaches, and NaN for the others."""
        states = x.new_full((len(times), *x.shape), torch.nan)
        reached, status = 0, Status.OK
        try:
            for piece in self._pieces(x, times, anew=True):
                states[reached : reached + len(piece)] = piece
                reached += len(piece)
        except AssertionError as error:
            reason = _reason(error)
            size = max(float(field.last.abs().max()) for field in self._fields() if field.last is not None)
            far = reason.startswith("non-finite") or not size < _LARGE
            status = Status.DIVERGED if far else Status.FAILED
        return states, np.array([status], dtype=np.uint8)

    def _pieces(self, x: Tensor, times: Array, *, anew: bool = False) -> Iterator[Tensor]:
        """The states at the wanted times, block by block, or from time to time where the integrator starts ``anew``."""
        for field in self._fields():
            field.last = None
        beginnings = int((times == 0).sum())
        if beginnings:
            yield x.expand(beginnings, *x.shape)
        for k, wanted, duration in self._blocks(times):
            stops = wanted if len(wanted) and wanted[-1] == duration else np.append(wanted, duration)
            start, given = 0.0, 0
            for part in np.split(stops, len(stops)) if anew else (stops,):
                if part[-1] > start:
                    states = self._solve(self._fields()[k], x, start, part, duration)
                    x, start = states[-1], float(part[-1])
                else:  # two times that are one but for rounding
                    states = x[None]
                kept = min(len(part), len(wanted) - given)
                given += kept
                if kept:
                    yield states[:kept]

    def _blocks(self, times: Array) -> Iterator[tuple[int, Array, float]]:
        """Block, times within it and duration, on its own clock; one field alone acts all the time."""
        last = float(times[-1])
        if len(self.fields) == 1:
            if last > 0:
                yield 0, times[times > 0], last
            return
        for k in range(len(self.fields)):
            begin, end = k * self.duration, (k + 1) * self.duration
            if begin >= last:
                return
            within = times[(begin < times) & (times <= end)]
            # fixed steps are finished beyond the last time; adaptive ones end there
            duration = last - begin if last < end and self.method in methods.ADAPTIVE else self.duration
            yield k, np.where(within == end, self.duration, within - begin), duration

    def _solve(self, field: DampedField, x: Tensor, start: float, wanted: Array, duration: float) -> Tensor:
        """The states at the wanted times of a block, on its own clock."""
        from torchdiffeq import odeint, odeint_adjoint

        methods.check_method(self.method)
        grid = self._grid(duration)
        stops, slots = np.unique(methods.snapped(wanted, grid), return_inverse=True)
        times = torch.tensor([start, *stops], dtype=torch.float64, device=x.device)
        options = methods.solver_options(self.method, grid, times, self.options)
        adjoint = self.adjoint and torch.is_grad_enabled()
        solve = odeint_adjoint if adjoint else odeint
        states = solve(field, x, times, rtol=self.rtol, atol=self.atol, method=self.method, options=options)
        if adjoint and states.requires_grad:
            states.register_hook(_refuse_second_derivatives)
        return states[1:] if len(stops) == len(wanted) else states[1 + slots]

    def _grid(self, duration: float) -> Array:
        """The points of a method with fixed steps, from 0 to the end of what is integrated."""
        per_block = methods.steps_per_block(self.method, self.solver_step, self.duration)
        if not per_block:
            return np.empty(0)
        step = self.duration / per_block
        grid = np.arange(int(np.floor(duration / step + methods.SAME)) + 1) * step
        if abs(grid[-1] - duration) > methods.SAME * step:
            return np.append(grid, duration)
        grid[-1] = duration
        return grid


def _reason(error: AssertionError) -> str:
    """Why torchdiffeq gave up; what another assertion says goes through."""
    text = str(error)
    for reason in _GAVE_UP:
        if text.startswith(reason):
            return reason
    raise error


def _refuse_second_derivatives(_: Tensor) -> None:
    # gradients are recorded in a backward pass only if it is to be differentiated itself; torchdiffeq's adjoint
    # would then pass for a constant, without a word
    if torch.is_grad_enabled():
        raise RuntimeError(
            "the adjoint method gives first derivatives only, and a second one was asked for (products with the "
            "Jacobian are made of two, too); set flow.adjoint = False first."
        )
