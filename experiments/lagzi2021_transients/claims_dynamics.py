"""Placeholder."""

from experiments._harness import Claim

CLAIMS: tuple[Claim, ...] = ()
