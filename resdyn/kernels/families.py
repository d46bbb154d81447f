"""Many maps of one rule side by side, each with its own numbers: a family along a parameter, in one kernel call.

The lanes of lanes.py share their parameters. Here every lane has its own, which lie unit by unit beside the states, so
that the loop over lanes is SIMD code again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from textwrap import indent
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resdyn.kernels.codegen import load_kernel
from resdyn.kernels.forms import SemilinearForm
from resdyn.kernels.lanes import LaneRule
from resdyn.kernels.threads import run_blocks

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class FamilyForm:
    """Forms of one rule, stacked. ``numbers`` (n, P + B + 2): parameters, bias, decay and gain of each of n maps."""

    rule: LaneRule
    numbers: Array

    def iterate(self, states: Array, out: Array, gaps: NDArray[np.int64], *, threads: int | None = None) -> None:
        """Run all maps, as :meth:`SemilinearForm.iterate` runs one.

        ``states`` (n·B, N), the B states of the first map first; ``out`` (len(gaps), n·B, N).
        """
        width = self.rule.map_width(len(states))
        kernel = load_kernel(_source(self.rule, width), "float64")
        n_blocks = -(-len(states) // width)
        each = max(1, len(states) // max(1, len(self.numbers)))
        run_blocks(kernel.iterate_family, n_blocks, threads, states, out, gaps, each, self.numbers)


def stacked(forms: Sequence[SemilinearForm]) -> FamilyForm | None:
    """The forms as one, if they are of one rule that is written out unit by unit, and the same in every layer."""
    rule = forms[0].rules.map
    if not isinstance(rule, LaneRule) or rule.uses_time or rule.driven:
        return None
    if any(
        (form.rules.map is not rule and form.rules.map != rule) or len(form.parameters) > 1 or len(form.bias) > 1
        for form in forms
    ):
        return None
    h = np.array([form.step for form in forms])
    damping, gain = (np.array([getattr(form, name)[0] for form in forms]) for name in ("damping", "gain"))
    parameters = np.concatenate([form.parameters[:, : rule.n_parameters] for form in forms])
    bias = np.concatenate([form.bias[:, : rule.n_bias] for form in forms])  # a rule may have none
    numbers = np.column_stack([parameters, bias, 1.0 - h * damping, h * gain])
    return FamilyForm(rule, np.ascontiguousarray(numbers))


def _block(levels: int, *lines: str) -> str:
    return indent("\n".join(lines), "    " * levels)


@cache
def _source(rule: LaneRule, width: int) -> str:
    """``iterate_family``: x ← decay·x + gain·g for gaps[0], gaps[1], … layers, storing x after each."""
    n, n_p, n_b = rule.dimension, rule.n_parameters, rule.n_bias
    n_numbers = n_p + n_b + 2
    names = [*(f"p{i}" for i in range(n_p)), *(f"b{i}" for i in range(n_b)), "a", "c"]
    return "\n".join(
        [
            "@kernel",
            "def iterate_family(begin, end, states, out, gaps, each, numbers):",
            f"    width = {width}",
            "    for block in range(begin, end):",
            f"        s = np.empty({n} * width)",
            f"        own = np.empty({n_numbers} * width)",
            "        low = block * width",
            "        m = min(width, states.shape[0] - low)",
            "        for lane in range(width):",
            "            who = low + min(lane, m - 1)",
            _block(
                3,
                *(f"s[{i} * width + lane] = states[who, {i}]" for i in range(n)),
                *(f"own[{i} * width + lane] = numbers[who // each, {i}]" for i in range(n_numbers)),
            ),
            "        for slot in range(gaps.size):",
            "            for _ in range(gaps[slot]):",
            "                for lane in range(width):",
            _block(
                5,
                *(f"{name} = own[{i} * width + lane]" for i, name in enumerate(names)),
                *(f"x{i} = s[{i} * width + lane]" for i in range(n)),
                *rule.text.splitlines(),
                *(f"s[{i} * width + lane] = a * x{i} + c * g{i}" for i in range(n)),
            ),
            "            for lane in range(m):",
            _block(4, *(f"out[slot, low + lane, {i}] = s[{i} * width + lane]" for i in range(n))),
            "",
        ]
    )
