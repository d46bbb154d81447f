"""What all experiments share: settings, computing or reloading, summary, figure, provenance, claims.

An experiment is a script ``experiments/<paper>_<topic>/<name>.py`` with

- ``Config``, a frozen dataclass of numbers, words and tuples of them,
- ``PRESETS``, a dict of them from the smallest to the largest: "smoke", "laptop", "paper", and others where needed,
  such as "resnet110" for one network that takes a GPU: a claim may name it alone,
- ``compute(config, run) -> dict of arrays``: the work, with ``run`` (:class:`Run`) for progress (``run.progress``), for
  what is found again when the work is stopped half-way (``run.part``), for what outlasts a change of the analysis that
  follows it, such as a trained network (``run.part(…, keep=True)``), and for checkpoints (``run.folder``),
- ``summarize(config, arrays) -> dict`` of numbers, words, lists and dicts: what claims are judged by,
- ``plot(config, arrays, summary) -> Figure``,
- ``TOLERANCES``, a dict from patterns of summary entries ("units.*.largest") to absolute tolerances: what
  ``expected.json`` holds, and how exactly it is met elsewhere,

and, at its end, ``main(__file__)`` under ``if __name__ == "__main__"``. Beside it stand ``claims.py`` with ``CLAIMS``,
a tuple of :class:`Claim`, and a README.md with the markers between which the table of claims is written. Trained nets are
found by their names (:mod:`experiments._harness.nets`: ``require`` all of them before the work begins); the digests of
those that a run reads stand in its provenance, and a net that was trained anew makes it run again.
"""

from experiments._harness.claims import Claim as Claim
from experiments._harness.command_line import main as main
from experiments._harness.running import Run as Run
from experiments._harness.running import finished as finished
