"""``ode_flow``: the flow that a stage of a residual network takes Euler steps of."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor, nn

from resdyn import _validation as validate
from resdyn.networks.continuous import methods
from resdyn.networks.continuous.flows import ODEFlow
from resdyn.networks.continuous.vector_fields import BlockResidual, CastUnit, DampedField, coefficients


def ode_flow(
    stage_or_block: Any,
    *,
    horizon: float | None = None,
    method: str = "dopri5",
    rtol: float = 1e-6,
    atol: float = 1e-8,
    adjoint: bool = False,
    damping: Any = 0.0,
    gain: Any = 1.0,
    step: float | None = None,
    block_step: float | None = None,
    options: dict[str, Any] | None = None,
) -> ODEFlow:
    r"""The flow of residual blocks, :math:`\dot x = \alpha f(t, x) - \lambda x` with :math:`f = (B_k(x) - x)/h`.

    Block k acts for :math:`t \in [kh, (k+1)h)`: the weights of a stage are piecewise constant in t, and the integrator
    starts anew at each block. With λ = 0 and α = 1 the stage itself takes one Euler step per block.

    Parameters
    ----------
    stage_or_block : stage, or module
        A stage of :class:`resdyn.networks.ResidualNetwork` or of an unrolled network, of which the blocks are taken and
        not the entry; a list of blocks; or one block, a module that keeps the shape of its states. A module that
        is a vector field itself goes into :class:`resdyn.networks.ODEBlock`. A network of one stage counts as that
        stage. Weights are shared, not copied, but for a stage that was unrolled in another dtype or on another device
        than its model: it runs with copies, and its flow has no parameters and cannot be trained.
    horizon : float, optional
        T; by default :math:`h` times the number of blocks. A stage of blocks that differ ends there; one block, or
        one that is shared, has no end.
    method : str
        "dopri5", "dopri8", "bosh3", "fehlberg2" or "adaptive_heun", which choose their steps; "euler", "midpoint",
        "heun2", "heun3" or "rk4", whose step is given.
    rtol, atol : float
        Tolerances of the adaptive methods, for the root mean square of the worst state of a batch. In float32 keep
        rtol above 1e-6. The step is the same for all states of a batch.
    adjoint : bool
        Gradients by the adjoint equation, integrated backwards, in memory that does not grow with the number of steps;
        else by back-propagation through the steps.
    damping, gain : float, ``nn.Parameter``, or a sequence of one of these per block
        λ and α; parameters, with one entry each, are learned. A shared block with a sequence ends with its stage.
    step : float, optional
        Of a method with fixed steps, a whole part of h; by default h, one step per block.
    block_step : float, optional
        h; by default the ``step`` of the stage or of its blocks, where they have one, else 1.
    options : dict, optional
        Further options of torchdiffeq's integrator, e.g. ``{"max_step": 0.1}``.

    Returns
    -------
    ODEFlow
        A module: ``flow(x)`` is x(T) for x of shape (n, \*shape), ``flow.trajectory(x, times)`` the states between.

    Raises
    ------
    TypeError, ValueError
        For a method or an option that is not there, a step that does not divide h, something that has no blocks, or
        ``adjoint`` or parameters for a stage that runs with copies of the weights.

    Notes
    -----
    [chen2018]_, [haber2018]_; the damped flow is that of [yang2020]_.
    """
    blocks, shared = _blocks(stage_or_block)
    h = _block_step(block_step, stage_or_block, blocks)
    end = h * len(blocks)
    if shared and not _differ(damping, gain):
        blocks = blocks[:1]
    shared = len(blocks) == 1
    if horizon is None:
        horizon = end
    elif validate.positive(horizon, "horizon") > end + methods.SAME * h and not shared:
        raise ValueError(
            f"horizon is {horizon!r}, but {len(blocks)} blocks of step {h:g} end at {end:g}; only one block, or one "
            "that is shared by all layers, can act for longer."
        )
    lambdas, alphas = coefficients(damping, len(blocks), "damping"), coefficients(gain, len(blocks), "gain")
    if any(isinstance(block, CastUnit) for block in blocks):
        _refuse_learning(adjoint, (*lambdas, *alphas))
    fields = [
        DampedField(BlockResidual(block, h), *numbers) for block, *numbers in zip(blocks, lambdas, alphas, strict=True)
    ]
    return ODEFlow(
        fields,
        duration=h,
        horizon=float(horizon),
        method=method,
        rtol=rtol,
        atol=atol,
        adjoint=adjoint,
        step=step,
        options=options,
    )


def _blocks(given: Any) -> tuple[list[nn.Module], bool]:
    """The blocks, and whether they are all one."""
    given = _only_stage(given)
    if hasattr(given, "stages"):
        raise TypeError(
            f"a {type(given).__name__} has several stages, and the state changes its shape between them; "
            f"pass one of its {len(given.stages)} stages, e.g. net.stages[0]."
        )
    parts = getattr(given, "blocks", None)
    if parts is None:
        parts = given if isinstance(given, list | tuple | nn.ModuleList) else [given]
    blocks = [_module(part) for part in parts]
    if blocks and getattr(given, "is_shared", False):
        blocks = blocks[:1] * len(blocks)
    if not blocks:
        raise ValueError("the stage has no blocks that keep the shape of the state, so that it has no flow.")
    return blocks, all(block is blocks[0] for block in blocks)


def _only_stage(given: Any) -> Any:
    """The stage of a network that has one."""
    return given.stages[0] if len(getattr(given, "stages", ())) == 1 else given


def _differ(*values: Any) -> bool:
    """Whether one of them is given block by block."""
    sequences = (value for value in values if isinstance(value, list | tuple | nn.ParameterList) or _has_axis(value))
    return any(len(value) > 1 for value in sequences)


def _has_axis(value: Any) -> bool:
    return isinstance(value, np.ndarray | Tensor) and not isinstance(value, nn.Parameter) and value.ndim > 0


def _refuse_learning(adjoint: bool, numbers: Sequence[Any]) -> None:
    learned = any(isinstance(number, nn.Parameter) for number in numbers)
    if adjoint or learned:
        what = "adjoint=True is for training" if adjoint else "damping and gain would be trained alone"
        raise ValueError(
            f"the stage was unrolled in another dtype or on another device than its model, and runs with copies of the "
            f"weights: {what}, but its weights get no gradient. Convert the model first, e.g. net.double(), and unroll "
            "it without dtype= and device=, or take net.stages."
        )


def _module(part: Any) -> nn.Module:
    """The module of a block: itself, or what a unit of an unrolled network runs."""
    if isinstance(part, nn.Module):
        return part
    if not hasattr(part, "placement"):
        raise TypeError(
            f"a flow is made of a stage, or of a torch module that keeps the shape of the state, not of a "
            f"{type(part).__name__}; for a resdyn System use resdyn.simulate(system, x0, method='RK45')."
        )
    return part.piece.function if part.placement.is_native else CastUnit(part)


def _block_step(given: Any, stage: Any, blocks: Sequence[nn.Module]) -> float:
    if given is not None:
        return validate.positive(given, "block_step")
    # the h of an unrolled stage was chosen by whoever unrolled it, and may be another than that of its blocks
    stage = _only_stage(stage)
    owners = [stage] if isinstance(getattr(stage, "step", None), float) else blocks
    steps = {owner.step for owner in owners if isinstance(getattr(owner, "step", None), float)}
    if len(steps) > 1:
        raise ValueError(f"the blocks have the steps {sorted(steps)}; pass the h of all as block_step.")
    return steps.pop() if steps else 1.0
