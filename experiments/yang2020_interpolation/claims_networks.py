"""What yang2020 says about trained nets: rows of the table.

No table of the paper was at hand: its claims are those of the abstract, in our words. "more accurate" is confirmed only
where the spread over three seeds or more allows it (:func:`comparing.improvement`).
"""

from experiments._harness import Claim
from experiments._harness.claims import BEYOND, IN_WORDS
from experiments.yang2020_interpolation import judging_landscape as landscapes
from experiments.yang2020_interpolation import judging_networks as judging

RESNETS = ("smoke", "laptop", "paper", "paper-110")
RESNEXTS = ("laptop-resnext", "paper-resnext")
TITLES = {"in": "In-ResNet", "lambda-in": "λ-In-ResNet"}
NOT_TRAINED = (
    "needs nets that python -m experiments.train --plan laptop --only resnext29-4x4 in-resnext29-4x4 trains, an hour"
)
NOT_KNOWN = "not known to us"
PUBLIC_CODE = "so in the public code, numbers not known"


def _of_kind(kind: str, name: str) -> tuple[Claim, ...]:
    return (
        Claim(
            f"{kind}-clean",
            f"{name} and ResNet of equal size: accuracy on clean images",
            NOT_KNOWN,
            "training",
            judging.clean(kind),
            judging.clean_verdict(kind),
            RESNETS,
            details=judging.clean_details(kind),
        ),
        Claim(
            f"{kind}-noise",
            f"{name} is more accurate than the ResNet under stochastic noise",
            IN_WORDS,
            "noise",
            judging.noise(kind),
            judging.noise_verdict(kind),
            RESNETS,
            details=judging.noise_details(kind),
        ),
        Claim(
            f"{kind}-noise-own-standard",
            f"{name}: the same, noisy images standardised by their own mean and deviation",
            PUBLIC_CODE,
            "noise",
            judging.noise(kind, "images"),
            judging.noise_verdict(kind, "images"),
            RESNETS,
            details=judging.noise_details(kind, "images"),
        ),
        Claim(
            f"{kind}-attacks",
            f"{name} is more accurate than the ResNet under adversarial attack (mean over radii)",
            IN_WORDS,
            "attacks",
            judging.attacks(kind),
            judging.attacks_verdict(kind),
            RESNETS,
            details=judging.attacks_details(kind),
        ),
        Claim(
            f"{kind}-attacks-from-start",
            f"{name}: the same under PGD whose ball is centred on the random start",
            PUBLIC_CODE,
            "attacks",
            judging.attacks(kind, ("pgd-start",)),
            judging.attacks_verdict(kind, ("pgd-start",)),
            RESNETS,
            details=judging.attacks_details(kind, ("pgd-start",)),
        ),
        Claim(
            f"{kind}-landscape",
            f"{name}: the loss rises less than the ResNet's along the attack direction",
            IN_WORDS,
            "landscape",
            landscapes.landscape(kind),
            landscapes.landscape_verdict(kind),
            RESNETS,
            details=landscapes.landscape_details(kind),
        ),
    )


def _of_resnext(script: str, what: str, paper: str, *judged: judging.Words) -> Claim:
    """What is measured, the verdict, details."""
    measured, verdict, details = judged
    return Claim(
        f"resnext-{script}", f"In-ResNeXt{what}", paper, script, measured, verdict, RESNEXTS, NOT_TRAINED, details
    )


CLAIMS: tuple[Claim, ...] = (
    *[claim for kind, name in TITLES.items() for claim in _of_kind(kind, name)],
    Claim(
        "learned-coefficients",
        "interpolation coefficients after training, λ = 0: ResNet, λ = 1: CNN",
        "where they begin is known, where they end is not",
        "training",
        judging.learned,
        judging.learned_verdict,
        RESNETS,
        details=judging.learned_details,
    ),
    Claim(
        "attack-direction",
        "the loss rises far more along the attack direction than along a random one (control)",
        BEYOND,
        "landscape",
        landscapes.directions,
        landscapes.directions_verdict,
        RESNETS,
        details=landscapes.directions_details,
    ),
    _of_resnext(
        "training",
        " and ResNeXt of equal size: accuracy on clean images",
        NOT_KNOWN,
        judging.clean("in"),
        judging.clean_verdict("in"),
        judging.clean_details("in"),
    ),
    _of_resnext(
        "noise",
        " is more accurate than the ResNeXt under stochastic noise",
        IN_WORDS,
        judging.noise("in"),
        judging.noise_verdict("in"),
        judging.noise_details("in"),
    ),
    _of_resnext(
        "attacks",
        " is more accurate than the ResNeXt under adversarial attack (mean over radii)",
        IN_WORDS,
        judging.attacks("in"),
        judging.attacks_verdict("in"),
        judging.attacks_details("in"),
    ),
    _of_resnext(
        "landscape",
        ": the loss rises less than the ResNeXt's along the attack direction",
        IN_WORDS,
        landscapes.landscape("in"),
        landscapes.landscape_verdict("in"),
        landscapes.landscape_details("in"),
    ),
    Claim(
        "cifar100",
        "In-ResNet and ResNet on CIFAR-100",
        NOT_KNOWN,
        "training",
        judging.other_data,
        judging.other_data_verdict,
        ("laptop", "cifar100"),
        details=judging.other_data_details,
    ),
)
