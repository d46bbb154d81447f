"""Scripts found in the folders of papers, and where their results lie."""

import dataclasses
import importlib
import inspect
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).parents[1]
RESULTS = Path("results")
# a module beside the scripts may use the presets of others
_HAS_PRESETS = re.compile(r"^PRESETS\b", re.MULTILINE)
PARTS = ("Config", "PRESETS", "compute", "summarize", "plot")


@dataclass(frozen=True)
class Experiment:
    """One script of one paper."""

    module: ModuleType

    def __post_init__(self) -> None:
        missing = [name for name in PARTS if not hasattr(self.module, name)]
        if missing:
            raise AttributeError(
                f"{self.module.__name__} has no {', '.join(missing)}; an experiment has all of {PARTS}."
            )

    @cached_property
    def source(self) -> Path:
        """The file of the script."""
        return Path(inspect.getfile(self.module)).absolute()

    @property
    def name(self) -> str:
        """Of the script."""
        return self.source.stem

    @property
    def paper(self) -> str:
        """The folder, such as "rothauge2019_linearization"."""
        return self.source.parent.name

    @property
    def presets(self) -> Mapping[str, Any]:
        """Settings by name, from the smallest to the largest."""
        return self.module.PRESETS

    @property
    def tolerances(self) -> Mapping[str, float]:
        """How exactly the summary is met elsewhere, by pattern of its entries."""
        return getattr(self.module, "TOLERANCES", {})

    def folder(self, preset: str, results: Path = RESULTS) -> Path:
        """Where the results of a preset lie, or of a preset with changes."""
        return results / self.paper / self.name / preset

    def kept(self, preset: str, suffix: str) -> Path:
        """The committed summary (".json") or figure (".png") of a preset."""
        return self.source.parent / "kept" / f"{self.name}.{preset}{suffix}"

    def preset(self, name: str) -> Any:
        """The settings of this name."""
        if name not in self.presets:
            raise SystemExit(f"{self.paper}.{self.name} has no preset {name!r}; there are {', '.join(self.presets)}.")
        return self.presets[name]

    def label(self, preset: str, config: Any) -> str:
        """The preset, with what was changed in it: "laptop+images=5"."""
        base, changes = self.presets[preset], []
        for field in dataclasses.fields(config):
            value = getattr(config, field.name)
            if value != getattr(base, field.name):
                changes.append(f"{field.name}={_word(value)}")
        return "+".join([preset, *changes])


def _word(value: Any) -> str:
    """A value as a part of a file name."""
    text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
    return "".join(letter if letter.isalnum() or letter in "-.,_" else "_" for letter in text)


def experiments_in(paper: str, root: Path = ROOT, *, reading: bool = False) -> list[Experiment]:
    """The scripts of a paper, by name; to read what is kept also those that need a package which is not installed."""
    (paper,) = papers_named(paper, root)
    scripts = (
        path for path in sorted((root / paper).glob("*.py")) if _HAS_PRESETS.search(path.read_text(encoding="utf-8"))
    )
    return [Experiment(_script(f"{root.name}.{paper}.{path.stem}", path, reading)) for path in scripts]


def _script(name: str, path: Path, reading: bool) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if not reading or (error.name or "").partition(".")[0] in (name.partition(".")[0], "resdyn"):
            raise
    presets = dict.fromkeys(("smoke", "laptop", "paper"))
    presets |= {kept.name.split(".")[1]: None for kept in path.parent.glob(f"kept/{path.stem}.*.json")}
    module = ModuleType(name)
    module.__dict__.update(dict.fromkeys(PARTS), __file__=str(path), PRESETS=presets)
    return module


def papers_named(paper: str | None, root: Path = ROOT) -> list[str]:
    """The folder of a paper that is named by it or by its key ("rothauge2019"); all folders if None."""
    chosen = [name for name in papers(root) if paper is None or paper in (name, name.partition("_")[0])]
    if paper is not None and len(chosen) != 1:
        raise SystemExit(f"there is no {paper!r}; papers are {', '.join(papers(root))}.")
    return chosen


def papers(root: Path = ROOT) -> list[str]:
    """The folders of papers: those with claims."""
    return sorted({path.parent.name for path in root.glob("*/claims.py") if not path.parent.name.startswith("_")})


def experiment_of(file: str | Path) -> Experiment:
    """The experiment that this script of ours is."""
    path = Path(file).resolve()
    return Experiment(importlib.import_module(".".join(path.relative_to(ROOT.parent).with_suffix("").parts)))
