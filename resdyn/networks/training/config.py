"""What a training run depends on, besides the net and the data."""

from dataclasses import dataclass
from typing import Any, Literal, get_args

from resdyn._validation import count, nonnegative, positive, within
from resdyn.networks.architectures.contract import Preprocessing

Optimiser = Literal["sgd", "adam"]
Schedule = Literal["constant", "steps", "cosine", "one-cycle"]
Precision = Literal["32", "bf16-mixed", "16-mixed", "auto"]
Padding = Literal["zeros", "reflect"]


@dataclass(frozen=True)
class TrainingConfig:
    r"""How a net is trained: optimiser, schedule, augmentation, precision, seed.

    Attributes
    ----------
    epochs, batch_size : int
        The last batch of an epoch may be smaller. With several processes the batch is that of all together.
    optimiser : "sgd" or "adam"
    learning_rate : float
        The largest rate of the schedule.
    momentum : float
        Of "sgd".
    weight_decay : float
        Of all parameters, interpolation coefficients too.
    schedule : "constant", "steps", "cosine" or "one-cycle"
        "steps" multiplies the rate by ``factor`` at each of ``milestones``; "cosine" follows half a cosine to 0;
        "one-cycle" rises linearly from 1/25 in the first quarter of the steps, then half a cosine to 0.
    milestones : tuple of float
        In epochs.
    factor : float
    warmup, warmup_rate : float
        The first ``warmup`` epochs run at ``warmup_rate`` instead.
    pad : int
        Each image is cut out at a random place after padding by this many pixels; 0 for no crop.
    pad_mode : "zeros" or "reflect"
        Zeros are black pixels.
    flip : bool
        Whether half of the images are mirrored, left to right.
    label_smoothing : float
    precision : "32", "bf16-mixed", "16-mixed" or "auto"
        The mixed ones keep weights in single precision and multiply in half precision; "auto" is "bf16-mixed" where
        the device computes it, else "32".
    channels_last, compile : bool
        Memory format of images, and ``torch.compile``. They change the speed, and the result to rounding.
    seed : int
        Of the order of the images, of augmentation and of dropout; the initial weights are the caller's.
    mean, std : tuple of float, optional
        How pixels are normalised when the net has no ``preprocessing``; by default with the mean and the deviation of
        each channel over the training set. One number counts as one channel.

    Raises
    ------
    ValueError, TypeError
        For an unknown word, or a number out of range.
    """

    epochs: int
    batch_size: int = 128
    optimiser: Optimiser = "sgd"
    learning_rate: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 1e-4
    schedule: Schedule = "constant"
    milestones: tuple[float, ...] = ()
    factor: float = 0.1
    warmup: float = 0.0
    warmup_rate: float = 0.01
    pad: int = 0
    pad_mode: Padding = "zeros"
    flip: bool = False
    label_smoothing: float = 0.0
    precision: Precision = "32"
    channels_last: bool = False
    compile: bool = False
    seed: int = 0
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        for name, least in (("epochs", 1), ("batch_size", 1), ("pad", 0), ("seed", 0)):
            object.__setattr__(self, name, count(getattr(self, name), name, least=least))
        for name in ("learning_rate", "factor", "warmup_rate"):
            object.__setattr__(self, name, positive(getattr(self, name), name))
        for name in ("weight_decay", "warmup"):
            object.__setattr__(self, name, nonnegative(getattr(self, name), name))
        for name in ("momentum", "label_smoothing"):
            object.__setattr__(self, name, within(getattr(self, name), name, 0, 1))
        for name, words in (
            ("optimiser", Optimiser),
            ("schedule", Schedule),
            ("precision", Precision),
            ("pad_mode", Padding),
        ):
            _one_of(name, getattr(self, name), get_args(words))
        self._check_milestones()
        self._check_normalisation()

    def _check_milestones(self) -> None:
        milestones = tuple(positive(m, "a milestone") for m in self.milestones)
        if list(milestones) != sorted(milestones):
            raise ValueError(f"milestones are {milestones}; give them in ascending order.")
        if bool(milestones) != (self.schedule == "steps"):
            raise ValueError(
                f"schedule is {self.schedule!r} and milestones are {milestones}; schedule 'steps' needs milestones, "
                "in epochs, and only it takes them."
            )
        object.__setattr__(self, "milestones", milestones)

    def _check_normalisation(self) -> None:
        if (self.mean is None) != (self.std is None):
            raise ValueError(f"mean is {self.mean} and std is {self.std}; give both or neither.")
        if self.mean is not None and self.std is not None:
            checked = Preprocessing(self.mean, self.std)
            object.__setattr__(self, "mean", checked.mean)
            object.__setattr__(self, "std", checked.std)


def _one_of(name: str, word: Any, words: tuple[str, ...]) -> None:
    if word not in words:
        raise ValueError(f"{name} is {word!r}; there are {', '.join(map(repr, words))}.")
