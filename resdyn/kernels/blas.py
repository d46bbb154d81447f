"""BLAS without threads of its own, for code that runs on threads of ours or in small blocks."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from threadpoolctl import ThreadpoolController


@cache
def _blas() -> ThreadpoolController:
    import scipy.linalg  # noqa: F401  numba's np.dot calls the BLAS that SciPy loads

    return ThreadpoolController()


_lock = threading.Lock()
_inside = 0
_limiter: Any = None


@contextmanager
def single_threaded_blas() -> Iterator[None]:
    """One BLAS thread while any caller is inside; the first one in sets it, the last one out restores it."""
    global _inside, _limiter
    with _lock:
        if _inside == 0:
            _limiter = _blas().limit(limits=1, user_api="blas")
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0:
                _limiter.restore_original_limits()
                _limiter = None
