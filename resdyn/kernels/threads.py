"""How many threads a kernel uses, and none below it.

Kernels release the interpreter's lock, so plain Python threads run them side by side, each on its own blocks of
states. Against numba's parallel loops this halves the time to compile, and it is safe to call from several threads
and after a fork. A BLAS call inside a block must not start threads of its own: nested pools on busy cores cost more
than a factor of ten.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import numba

from resdyn.kernels.blas import single_threaded_blas

# several ranges for each thread, so that a thread that is done early finds more to do
_RANGES_PER_THREAD = 4


def thread_count(threads: int | None) -> int:
    """At most ``threads``, at most numba's (``NUMBA_NUM_THREADS``, by default the number of cores)."""
    most = int(numba.config.NUMBA_NUM_THREADS)
    return most if threads is None else min(threads, most)


def run_blocks(kernel: Callable[..., None], n_blocks: int, threads: int | None, *arguments: Any) -> None:
    """Call ``kernel(first, last, *arguments)`` on ranges that cover 0 … n_blocks, side by side."""
    count = min(thread_count(threads), n_blocks)
    with single_threaded_blas():
        if count <= 1:
            kernel(0, n_blocks, *arguments)
            return
        pieces = min(n_blocks, count * _RANGES_PER_THREAD)
        edges = [n_blocks * i // pieces for i in range(pieces + 1)]
        with ThreadPoolExecutor(count) as pool:
            futures = [pool.submit(kernel, low, high, *arguments) for low, high in pairwise(edges)]
        for future in futures:
            future.result()
