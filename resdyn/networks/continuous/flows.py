r"""Flows of networks: :math:`\dot x = \alpha f_k(x) - \lambda x` for :math:`t \in [kh, (k+1)h)`, by torchdiffeq.

f is piecewise constant in t, so that the integrator starts anew at each block: a method that runs across a jump of f
loses its order.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from resdyn import _validation as validate
from resdyn._types import Status
from resdyn.networks.continuous import methods
from resdyn.networks.continuous.vector_fields import DampedField

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
        self.duration, self.horizon = duration, horizon
        self.method = methods.check_method(method)
        methods.steps_per_block(self.method, step, duration)
        self.rtol, self.atol = validate.positive(rtol, "rtol"), validate.positive(atol, "atol")
        self.adjoint, self.solver_step, self.options = bool(adjoint), step, dict(options or {})
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
        r"""x(t) at times from 0 to T, in ascending order: shape (len(times), n, \*shape)."""
        wanted = self._times(times)
        if not isinstance(x, Tensor):
            with torch.no_grad():
                return self._run(self._tensor(x), wanted).cpu().numpy()
        return self._run(self._checked(x), wanted)

    # --- arguments -----------------------------------------------------------------------------------

    def _times(self, times: Any) -> list[float]:
        wanted = validate.real_array(times, "times")
        if wanted.ndim != 1 or wanted.size == 0 or (np.diff(wanted) <= 0).any():
            raise ValueError(f"times must be numbers in ascending order, shape (n,), but are {times!r}.")
        last = self.horizon * (1 + 1e-12)
        if not (wanted[0] >= 0 and wanted[-1] <= last):
            raise ValueError(
                f"times run from {wanted[0]:g} to {wanted[-1]:g}, but the flow from 0 to its horizon {self.horizon:g}; "
                "make a flow with a longer horizon, if its blocks reach so far."
            )
        return [min(float(time), self.horizon) for time in wanted]

    def _tensor(self, x: Any) -> Tensor:
        like = next(self._weights(), torch.empty(0, dtype=torch.float64))
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
        for weight in self._weights():
            if weight.dtype != x.dtype or weight.device != x.device:
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

    def _weights(self) -> Iterator[Tensor]:
        """The parameters and buffers that are real numbers."""
        for weight in (*self.parameters(), *self.buffers()):
            if weight.is_floating_point():
                yield weight

    # --- integration ---------------------------------------------------------------------------------

    def _fields(self) -> list[DampedField]:
        return list(self.fields)  # type: ignore[arg-type]

    def _run(self, x: Tensor, times: list[float]) -> Tensor:
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
                    "looser tolerances or a method with fixed steps. Under torch.no_grad() the states are computed "
                    "one by one, and are NaN where they cannot be reached."
                ) from error
            states, self._status = self._one_by_one(x, times)
        for field in self._fields():
            field.last = None
        return states

    def _one_by_one(self, x: Tensor, times: list[float]) -> tuple[Tensor, np.ndarray]:
        """Each state with steps of its own, so that one that runs off does not take the others along."""
        states = x.new_full((len(times), *x.shape), torch.nan)
        status = np.zeros(len(x), dtype=np.uint8)
        for i in range(len(x)):
            reached: list[Tensor] = []
            try:
                for state in self._pieces(x[i : i + 1], times):
                    reached.append(state)
            except AssertionError as error:
                reason = _reason(error)
                size = max(float(field.last.abs().max()) for field in self._fields() if field.last is not None)
                far = reason.startswith("non-finite") or not size < _LARGE
                status[i] = Status.DIVERGED if far else Status.FAILED
            for slot, state in enumerate(torch.cat(reached) if reached else ()):
                states[slot, i] = state[0]
        return states, status

    def _pieces(self, x: Tensor, times: list[float]) -> Iterator[Tensor]:
        """The states at the wanted times, block by block."""
        for field in self._fields():
            field.last = None
        if times[0] == 0:
            yield x[None]
        for k, begin, end in self._blocks(times[-1]):
            wanted = [time - begin for time in times if begin < time <= end]
            states = self._solve(self._fields()[k], x, end - begin, wanted)
            x = states[-1]
            if wanted:
                yield states[1 : 1 + len(wanted)]

    def _blocks(self, last: float) -> Iterator[tuple[int, float, float]]:
        """(k, begin, end) of the blocks up to a time; one field alone acts all the time."""
        if len(self.fields) == 1:
            if last > 0:
                yield 0, 0.0, last
            return
        for k in range(len(self.fields)):
            # a time that is the end of a block but for rounding begins no other
            if k * self.duration >= last * (1 - 1e-12):
                return
            yield k, k * self.duration, (k + 1) * self.duration

    def _solve(self, field: DampedField, x: Tensor, duration: float, wanted: list[float]) -> Tensor:
        """The states at 0, the wanted times and the end of a block, whose clock starts at 0."""
        from torchdiffeq import odeint, odeint_adjoint

        methods.check_method(self.method)
        grid = self._grid(duration)
        wanted = [methods.snapped(time, grid) for time in wanted]
        if not wanted or wanted[-1] < duration * (1 - 1e-12):
            wanted = [*wanted, duration]
        times = torch.tensor([0.0, *wanted], dtype=torch.float64, device=x.device)
        options = methods.solver_options(self.method, grid, times, self.options)
        adjoint = self.adjoint and torch.is_grad_enabled()
        solve = odeint_adjoint if adjoint else odeint
        states = solve(field, x, times, rtol=self.rtol, atol=self.atol, method=self.method, options=options)
        if adjoint and states.requires_grad:
            states.register_hook(_refuse_second_derivatives)
        return states

    def _grid(self, duration: float) -> list[float]:
        """The points of a method with fixed steps, from 0 to the end of what is integrated."""
        per_block = methods.steps_per_block(self.method, self.solver_step, self.duration)
        if not per_block:
            return []
        step = self.duration / per_block
        whole = int(np.floor(duration / step + 1e-9))
        grid = [i * step for i in range(whole + 1)]
        if abs(grid[-1] - duration) <= 1e-9 * step:
            grid[-1] = duration
        else:
            grid.append(duration)
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
