"""Train the two networks that ship with resdyn: shared-weight logistic residual nets (torch, CPU, minutes).

    python -m experiments.train_demo_networks [digits] [circles]

x_{k+1} = x_k + σ(W x_k + b) for 15 layers with one W, then a linear classifier; full-batch Adam on the cross
entropy, one-cycle learning rate. Each net is trained from several seeds and the one with the smallest
*training* loss is kept; test data decide nothing. Weights, log and card go to resdyn/systems/weights/.
"""

import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

import resdyn
from resdyn import _storage
from resdyn.systems import trained

WEIGHTS = Path(resdyn.__file__).parent / "systems" / "weights"


@dataclass(frozen=True)
class Config:
    """What a run depends on."""

    name: str
    units: int
    inputs: int
    classes: int
    scale: float
    depth: int = 15
    epochs: int = 1500
    learning_rate: float = 0.02
    weight_decay: float = 0.0
    input_noise: float = 0.0
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)


CONFIGS = {
    "digits": Config(
        "digits",
        64,
        64,
        10,
        1 / 16,
        epochs=800,
        learning_rate=0.01,
        weight_decay=2e-3,
        input_noise=0.1,
        seeds=(0, 1, 2),
    ),
    "circles": Config("circles", 3, 2, 2, 1.0),
}


class SharedLogisticNetwork(nn.Module):
    """The network, with the initial scale that keeps the pre-activations of 15 layers of order one."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        n = config.units
        self.depth = config.depth
        self.W = nn.Parameter(torch.randn(n, n) / n**0.5 * (0.3 if n > 3 else 1.0))
        self.b = nn.Parameter(torch.zeros(n))
        self.readout = nn.Linear(n, config.classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for _ in range(self.depth):
            x = x + torch.sigmoid(nn.functional.linear(x, self.W, self.b))
        return self.readout(x)


def load_data(config: Config) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """Training inputs and labels, test inputs and labels, and the arrays that say which samples are which."""
    if config.name == "circles":
        x, y = resdyn.data.circles(1000, rng=0)
        return x, y, *resdyn.data.circles(1000, rng=1), {}
    x, y = resdyn.data.digits()
    order = np.random.default_rng(0).permutation(len(x))
    test, train = np.sort(order[:360]), order[360:]
    return x[train], y[train], x[test], y[test], {"test_index": test}


def train(config: Config, seed: int, x: np.ndarray, y: np.ndarray, log: Any) -> tuple[float, SharedLogisticNetwork]:
    """One run; returns the final training loss (without input noise) and the network."""
    torch.manual_seed(seed)
    net = SharedLogisticNetwork(config)
    states = torch.zeros(len(x), config.units)
    states[:, : config.inputs] = torch.as_tensor(x * config.scale, dtype=torch.float32)
    labels = torch.as_tensor(y)
    optimizer = torch.optim.AdamW(net.parameters(), weight_decay=config.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, config.learning_rate, total_steps=config.epochs)
    for epoch in range(config.epochs):
        noisy = states + config.input_noise * torch.randn_like(states) if config.input_noise else states
        loss = nn.functional.cross_entropy(net(noisy), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if (epoch + 1) % 100 == 0:
            log(f"  seed {seed} epoch {epoch + 1:4d} loss {loss.item():.5f}")
    with torch.no_grad():
        return float(nn.functional.cross_entropy(net(states), labels)), net


def run(config: Config) -> None:
    """Train from every seed, keep the best on the training set, write weights, card and log."""
    lines: list[str] = []

    def log(line: str) -> None:
        print(line, flush=True)
        lines.append(line)

    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    log(f"{config}\ntorch {torch.__version__}, commit {commit or 'unknown'}")
    start = time.perf_counter()
    x, y, x_test, y_test, extra = load_data(config)
    runs = [train(config, seed, x, y, log) for seed in config.seeds]
    losses = [loss for loss, _ in runs]
    best = int(np.argmin(losses))
    log(f"training losses {[round(loss, 5) for loss in losses]}: keeping seed {config.seeds[best]}")
    net = runs[best][1]
    card = {
        "kind": "TrainedNetwork",
        "command": f"python -m experiments.train_demo_networks {config.name}",
        "seed": config.seeds[best],
        "commit": commit,
        **asdict(config),
    }
    arrays = {
        "W": net.W.detach().numpy(),
        "b": net.b.detach().numpy(),
        "readout_weights": net.readout.weight.detach().numpy(),
        "readout_bias": net.readout.bias.detach().numpy(),
        **extra,
    }
    path = WEIGHTS / f"{config.name}.npz"
    _storage.write_npz(path, arrays, card)
    # measured on what was written, through the package
    loaded = trained(config.name)  # type: ignore[arg-type]
    accuracy = {
        "train_accuracy": float((loaded.predict(x) == y).mean()),
        "test_accuracy": float((loaded.predict(x_test) == y_test).mean()),
    }
    _storage.write_npz(path, arrays, card | accuracy)
    log(f"{accuracy}, {time.perf_counter() - start:.0f} s")
    path.with_suffix(".log").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    torch.set_num_threads(1)
    for chosen in sys.argv[1:] or CONFIGS:
        run(CONFIGS[chosen])
