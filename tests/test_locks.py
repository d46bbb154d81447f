"""Lock files, held by one process at a time and freed by its death."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from resdyn._locks import is_locked, locked

ROOT = Path(__file__).parents[1]
HOLDER = """
import sys, time
from pathlib import Path
from resdyn._locks import locked
with locked(Path(sys.argv[1])) as free:
    print(free, flush=True)
    time.sleep(600)
"""
pytestmark = pytest.mark.skipif(os.name != "posix", reason="the system has no such locks")


@pytest.mark.parametrize("stays", [True, False])
def test_it_is_held_once_and_left_or_removed(tmp_path, stays):
    path = tmp_path / "lock"
    assert not is_locked(path)
    with locked(path, stays=stays) as first, locked(path, stays=stays) as second:
        assert (first, second) == (True, False)
        assert is_locked(path)
    assert path.exists() is stays
    assert not is_locked(path)
    with locked(path) as free:
        assert free


def test_asking_makes_no_file_and_leaves_it_free(tmp_path):
    path = tmp_path / "lock"
    assert not is_locked(path)
    assert not path.exists()
    path.touch()
    assert not is_locked(path / "below")
    assert not is_locked(path)
    with locked(path) as free:
        assert free


def test_it_is_free_when_its_holder_is_killed(tmp_path):
    path = tmp_path / "lock"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "True\n"
        assert is_locked(path)
        with locked(path) as free:
            assert not free
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert not is_locked(path)
    with locked(path) as free:
        assert free


def test_a_file_that_its_last_holder_removes_in_between_is_made_anew(tmp_path, monkeypatch):
    import fcntl

    path, calls = tmp_path / "lock", []

    def flock(handle, how, real=fcntl.flock):
        calls.append(how)
        if len(calls) == 1:
            # the holder before removes the file after it was opened here
            path.unlink()
        real(handle, how)

    monkeypatch.setattr(fcntl, "flock", flock)
    with locked(path) as free:
        assert free
        assert len(calls) == 2
        assert path.exists()


def test_where_the_file_system_has_no_locks_a_warning_says_so(tmp_path, monkeypatch):
    import fcntl

    def refuse(*_):
        raise OSError("not supported")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.warns(UserWarning, match="cannot be locked"), locked(tmp_path / "lock") as free:
        assert free


def test_an_error_within_frees_it(tmp_path):
    path = tmp_path / "lock"
    with pytest.raises(OSError, match="within"), locked(path, stays=False):
        raise OSError("within")
    assert not path.exists()
