"""One package per group of questions, one file per question: a function, and the frozen dataclass that answers it."""
