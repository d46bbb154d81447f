"""BLAS without threads of its own, for code that runs on threads of ours or in small blocks."""

import os
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
_of_thread = threading.local()


def _leave_others_behind() -> None:
    """In a forked process, only the thread that forked goes on: others that were inside will not come out."""
    global _inside, _limiter
    _inside = getattr(_of_thread, "inside", 0)
    if _inside == 0 and _limiter is not None:
        _limiter.restore_original_limits()
        _limiter = None
    _lock.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_leave_others_behind)


@contextmanager
def single_threaded_blas() -> Iterator[None]:
    """One BLAS thread while any caller is inside; the first one in sets it, the last one out restores it."""
    global _inside, _limiter
    with _lock:
        if _inside == 0:
            _limiter = _blas().limit(limits=1, user_api="blas")
        _inside += 1
    _of_thread.inside = getattr(_of_thread, "inside", 0) + 1
    try:
        yield
    finally:
        _of_thread.inside -= 1
        with _lock:
            _inside -= 1
            if _inside == 0:
                _limiter.restore_original_limits()
                _limiter = None
