"""``python -m experiments``: see what was run, report claims, keep results."""

from experiments._harness.command_line import all_experiments

if __name__ == "__main__":
    all_experiments()
