"""The catalogue: toy systems from the theory, weight matrices, and small trained networks."""

from collections.abc import Callable

from resdyn._types import System
from resdyn.matrix_family import LogisticResiduals, ResidualMap
from resdyn.systems.matrices import (
    competitive_weights,
    cooperative_weights,
    cyclic_weights,
    random_weights,
    skew_weights,
    symmetric_weights,
)
from resdyn.systems.pretrained import Readout, TrainedNetwork, trained
from resdyn.systems.toys import (
    bistable,
    delayed_logistic,
    duffing,
    henon,
    hopf,
    linear,
    logistic_map,
    lorenz,
    newton_map,
    pitchfork,
    standard_map,
    van_der_pol,
)

__all__ = [
    "Readout",
    "TrainedNetwork",
    "bistable",
    "catalogue",
    "competitive_weights",
    "cooperative_weights",
    "cyclic_weights",
    "delayed_logistic",
    "duffing",
    "henon",
    "hopf",
    "linear",
    "logistic_map",
    "lorenz",
    "newton_map",
    "pitchfork",
    "random_weights",
    "skew_weights",
    "standard_map",
    "symmetric_weights",
    "trained",
    "van_der_pol",
]


def catalogue() -> dict[str, Callable[[], System]]:
    """One system of every kind that resdyn ships, by name: what the contract tests and benchmarks go through."""
    return {
        "linear": linear,
        "pitchfork": pitchfork,
        "logistic map": logistic_map,
        "delayed logistic map": delayed_logistic,
        "Hénon map": henon,
        "Lorenz flow": lorenz,
        "Duffing oscillator": duffing,
        "Newton map": newton_map,
        "bistable network": bistable,
        "van der Pol oscillator": van_der_pol,
        "Hopf normal form": hopf,
        "standard map": standard_map,
        "residual network": lambda: ResidualMap.residual(random_weights(5), [0.1, -0.2, 0.0, 0.3, -0.1], step=0.5),
        "plain network": lambda: ResidualMap.mlp(random_weights(4), activation="tanh"),
        "interpolated network": lambda: ResidualMap.interpolated(random_weights(3), coefficient=0.25),
        "λ-interpolated network": lambda: ResidualMap.lambda_interpolated(
            random_weights(6, depth=4), coefficient=[0.0, 0.2, 0.6, 1.0], activation="softplus"
        ),
        "leaky RNN": lambda: ResidualMap.leaky_rnn(random_weights(40, scale=0.9), leak=0.3),
        "Hopfield network": lambda: ResidualMap.hopfield(symmetric_weights(12), tau=2.0),
        "logistic residuals": lambda: LogisticResiduals(cyclic_weights(), step=0.1),
        "logistic residuals of many units": lambda: LogisticResiduals(random_weights(30), step=0.2),
        "digits": lambda: trained("digits").system,
        "circles": lambda: trained("circles").system,
    }
