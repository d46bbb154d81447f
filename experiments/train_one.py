"""One worker of :mod:`experiments.train`: the process that trains one net.

    python -m experiments.train_one PLAN NAME DEADLINE [DEVICE]

The deadline is in seconds since 1970. The worker ends with the process that started it.
"""

import os
import signal
import sys
import threading
import time

from experiments.train import OUT_OF_TIME, PLANS, RUNNING_ELSEWHERE, RunningElsewhere, train


def main(plan: str, name: str, deadline: str, device: str | None = None) -> int:
    """0 if the net is trained and stored, another number if the time was too short."""
    net = next(net for net in PLANS[plan] if net.file_name == name)
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C reaches the workers too, and needs no traceback of each
    end_with_parent()
    try:
        return 0 if train(net, float(deadline), device) else OUT_OF_TIME
    except RunningElsewhere:
        return RUNNING_ELSEWHERE


def end_with_parent(every: float = 1.0) -> None:
    """End this process, in the middle of an epoch, when the one that started it is gone (killed, say)."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(every)
        os._exit(OUT_OF_TIME)

    threading.Thread(target=watch, daemon=True).start()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
