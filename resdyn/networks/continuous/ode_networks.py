r"""Layers that are flows, :math:`x(0) \mapsto x(T)` of :math:`\dot x = f(x)`, and a classifier with one [chen2018]_."""

from collections.abc import Sequence
from typing import Any, Literal

from torch import nn

from resdyn import _validation as validate
from resdyn.networks.architectures.contract import Preprocessing, ResidualNetwork, ResidualStage
from resdyn.networks.continuous.flows import ODEFlow
from resdyn.networks.continuous.methods import ADAPTIVE
from resdyn.networks.continuous.vector_fields import DampedField, coefficients

Kind = Literal["dense", "convolutional"]


class ODEBlock(ODEFlow):
    r"""A trainable layer that is a flow, :math:`x(0) \mapsto x(T)` of :math:`\dot x = \alpha f(x) - \lambda x`.

    Parameters
    ----------
    vector_field : module
        f: from states (n, \*shape) to the same shape. With ``depends_on_time`` it is called as f(t, x).
    horizon : float
        T.
    step : float, optional
        Of a method with fixed steps, a whole part of T; by default one step.
    depends_on_time : bool
    method, rtol, atol, adjoint, damping, gain, options
        As in :func:`resdyn.networks.ode_flow`.

    Raises
    ------
    TypeError, ValueError
        If f is no module, or for arguments that :func:`resdyn.networks.ode_flow` refuses, too.

    Notes
    -----
    The layer is a block with h = T. ``torch.func`` passes through methods with fixed steps only. An unrolled network
    is linearized with all methods, but not with ``adjoint``, which has no second derivatives: set
    ``block.adjoint = False``.
    """

    def __init__(
        self,
        vector_field: nn.Module,
        *,
        horizon: float = 1.0,
        method: str = "dopri5",
        rtol: float = 1e-6,
        atol: float = 1e-8,
        adjoint: bool = False,
        damping: Any = 0.0,
        gain: Any = 1.0,
        step: float | None = None,
        depends_on_time: bool = False,
        options: dict[str, Any] | None = None,
    ) -> None:
        if not isinstance(vector_field, nn.Module):
            raise TypeError(
                f"vector_field must be a torch module, but is {vector_field!r} of type {type(vector_field).__name__}; "
                "put a function into the forward of one."
            )
        duration = validate.positive(horizon, "horizon")
        super().__init__(
            [
                DampedField(
                    vector_field,
                    coefficients(damping, 1, "damping")[0],
                    coefficients(gain, 1, "gain")[0],
                    depends_on_time,
                )
            ],
            duration=duration,
            horizon=duration,
            method=method,
            rtol=rtol,
            atol=atol,
            adjoint=adjoint,
            step=step,
            options=options,
        )

    @property
    def vector_field(self) -> nn.Module:
        """f, as it was given."""
        return self._fields()[0].field


def ode_net(
    inputs: Sequence[int],
    classes: int = 10,
    *,
    kind: Kind = "dense",
    width: int = 64,
    horizon: float = 1.0,
    method: str = "rk4",
    step: float | None = None,
    rtol: float = 1e-4,
    atol: float = 1e-6,
    adjoint: bool = False,
    preprocessing: Preprocessing | None = None,
) -> ResidualNetwork:
    r"""A small classifier whose one block is a flow: stem, :class:`resdyn.networks.ODEBlock`, head.

    Dense: :math:`f(x) = W_2\tanh(W_1 x + b_1) + b_2`. Convolutional: group norm, SiLU and a 3×3 convolution, twice.
    Both are smooth, so that methods of high order keep their order.

    Parameters
    ----------
    inputs : ints
        The shape (C, H, W) of an image, or (d,) for vectors with ``kind="dense"``.
    classes : int
    kind : "dense" or "convolutional"
    width : int
        Units, or channels, of the state.
    horizon : float
        T.
    method, step, rtol, atol, adjoint
        Of the integration, see :func:`resdyn.networks.ode_flow`. By default rk4 with a step of T/4: a known cost, and
        a layer that is smooth in its weights; adaptive methods train as well.
    preprocessing : Preprocessing, optional

    Returns
    -------
    ResidualNetwork

    Raises
    ------
    ValueError
        For an unknown word, or inputs that are no images where images are needed.
    """
    validate.choice(kind, "kind", ("dense", "convolutional"))
    shape = tuple(validate.count(size, "inputs", least=1) for size in inputs)
    width, classes = validate.count(width, "width", least=1), validate.count(classes, "classes", least=1)
    if kind == "convolutional" and len(shape) != 3:
        raise ValueError(f"inputs is {shape}, but convolutions need the shape (C, H, W) of an image.")
    if step is None and method not in ADAPTIVE:
        step = validate.positive(horizon, "horizon") / 4
    parts = _dense(shape, width, classes) if kind == "dense" else _convolutional(shape, width, classes)
    stem, field, head = parts
    flow = ODEBlock(field, horizon=horizon, method=method, step=step, rtol=rtol, atol=atol, adjoint=adjoint)
    return ResidualNetwork(
        stem,
        [ResidualStage(None, [flow])],
        head,
        architecture={
            "name": "ode_net",
            "inputs": list(shape),
            "classes": classes,
            "kind": kind,
            "width": width,
            "horizon": flow.horizon,
            "method": method,
            "step": None if step is None else float(step),
            "rtol": flow.rtol,
            "atol": flow.atol,
            "adjoint": flow.adjoint,
        },
        preprocessing=preprocessing,
    )


def _dense(shape: tuple[int, ...], width: int, classes: int) -> tuple[nn.Module, nn.Module, nn.Module]:
    size = 1
    for n in shape:
        size *= n
    stem = nn.Sequential(nn.Flatten(), nn.Linear(size, width))
    field = nn.Sequential(nn.Linear(width, width), nn.Tanh(), nn.Linear(width, width))
    return stem, field, nn.Linear(width, classes)


def _convolutional(shape: tuple[int, ...], width: int, classes: int) -> tuple[nn.Module, nn.Module, nn.Module]:
    # group norm treats each image alone; batch norm would make the field depend on the batch
    groups = max(n for n in (8, 4, 2, 1) if width % n == 0)
    stem = nn.Conv2d(shape[0], width, 3, padding=1)
    layers: list[nn.Module] = []
    for _ in range(2):
        layers += [nn.GroupNorm(groups, width), nn.SiLU(), nn.Conv2d(width, width, 3, padding=1)]
    head = nn.Sequential(
        nn.GroupNorm(groups, width), nn.SiLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, classes)
    )
    return stem, nn.Sequential(*layers), head
