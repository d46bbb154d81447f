"""One file per question: a function of a system or a trajectory, and the frozen dataclass that answers it."""
