"""What hauser2019 says, and what our numbers say about it."""

from experiments._harness import Claim

CLAIMS: tuple[Claim, ...] = ()
