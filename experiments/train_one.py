"""One worker of :mod:`experiments.train`: the process that trains one net.

    python -m experiments.train_one PLAN NAME DEADLINE [DEVICE]

The deadline is in seconds since 1970.
"""

import sys

from experiments.train import OUT_OF_TIME, PLANS, train


def main(plan: str, name: str, deadline: str, device: str | None = None) -> int:
    """0 if the net is trained and stored, another number if the time was too short."""
    net = next(net for net in PLANS[plan] if net.file_name == name)
    return 0 if train(net, float(deadline), device) else OUT_OF_TIME


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
