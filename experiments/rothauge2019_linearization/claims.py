"""What rothauge2019 says about linearizations, and what our numbers say about it."""

from experiments._harness import Claim

CLAIMS: tuple[Claim, ...] = ()
