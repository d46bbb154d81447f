"""How many threads a kernel uses, and none below it.

The blocks of a kernel fill numba's threads. A BLAS call inside them must not start threads of its own:
nested pools on busy cores cost more than a factor of ten. And numba's fallback scheduler ends the process
when two Python threads enter a parallel kernel at once, so a lock lets one in at a time.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import numba
from threadpoolctl import ThreadpoolController

_lock = threading.Lock()


@cache
def _blas() -> ThreadpoolController:
    import scipy.linalg  # noqa: F401  numba's np.dot calls the BLAS that SciPy loads

    return ThreadpoolController()


@contextmanager
def kernel_threads(threads: int | None) -> Iterator[None]:
    """Run the body with at most ``threads`` numba threads (None: all) and single-threaded BLAS."""
    most = numba.config.NUMBA_NUM_THREADS
    with _lock, _blas().limit(limits=1, user_api="blas"):
        before = numba.get_num_threads()
        numba.set_num_threads(most if threads is None else min(threads, most))
        try:
            yield
        finally:
            numba.set_num_threads(before)
