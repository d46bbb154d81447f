"""One BLAS thread while anybody needs it, also in processes that are forked meanwhile."""

import os
import signal
import threading

import pytest

from resdyn.kernels import blas


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
@pytest.mark.filterwarnings("ignore:This process.*is multi-threaded:DeprecationWarning")
def test_a_forked_process_waits_for_nobody():
    """The lock is held now and then by another thread, and its limit is in force: both end with that thread."""
    done = threading.Event()

    def in_and_out():
        while not done.is_set():
            with blas.single_threaded_blas():
                pass

    thread = threading.Thread(target=in_and_out)
    thread.start()
    try:
        outcomes = [forked() for _ in range(15)]
    finally:
        done.set()
        thread.join()
    assert outcomes == [0] * 15
    with blas.single_threaded_blas():
        assert forked(inside=1) == 0
    assert blas._inside == 0


def forked(inside=0):
    """Ends with 0 if the child can come in and out, and those who are left are its own; a deadlock ends by a signal."""
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        left = blas._inside == inside
        with blas.single_threaded_blas():
            left &= blas._inside == inside + 1
        os._exit(0 if left and (inside or blas._limiter is None) else 3)
    return os.waitpid(child, 0)[1]
