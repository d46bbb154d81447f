"""From the text of a kernel to an imported module, compiled once per machine.

numba caches compiled code beside the file that defines a function. A function made by ``exec``
or by ``lambdify`` has no file, and is compiled again in every process. So each generated kernel
is written to the user's cache folder under the hash of all that determines it, and imported from
there: the next process finds the machine code.
"""

import hashlib
import importlib.util
import os
import sys
import tempfile
from functools import cache
from pathlib import Path
from types import ModuleType

import numba

from resdyn._cache import cache_directory

_HEADER = '''"""A kernel that resdyn generated; safe to delete."""

import math

import numpy as np
from numba import njit

from resdyn.kernels.lane_math import {real} as lane

real = lane.real
exp, full_exp, expm1 = lane.exp, lane.full_exp, lane.expm1
logistic, tanh = lane.logistic, lane.tanh
relu, softplus, rough_log2 = lane.relu, lane.softplus, lane.rough_log2
logistic_with_slope, tanh_with_slope = lane.logistic_with_slope, lane.tanh_with_slope
relu_with_slope, softplus_with_slope = lane.relu_with_slope, lane.softplus_with_slope


def kernel(function):
    return njit(nogil=True, fastmath={{"contract"}}, error_model="numpy", cache=True)(function)

'''


@cache
def _helpers_digest() -> str:
    """What the generated text leans on: numba does not notice when a callee in another file changes."""
    text = Path(__file__).with_name("lane_math.py").read_bytes()
    return hashlib.sha256(text + numba.__version__.encode()).hexdigest()


@cache
def load_kernel(body: str, real: str) -> ModuleType:
    """Import the kernel module with this text, in ``real`` ("float64" or "float32") arithmetic."""
    source = _HEADER.format(real=real) + body
    digest = hashlib.sha256((_helpers_digest() + source).encode()).hexdigest()[:20]
    name = f"resdyn_kernel_{digest}"
    path = cache_directory("kernels") / f"{name}.py"
    if not path.exists():
        # several processes may write at once: each writes its own file, the last rename wins
        with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=path.parent, suffix=".tmp", delete=False) as handle:
            handle.write(source)
        os.replace(handle.name, path)
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
