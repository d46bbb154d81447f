"""JSON that other programs read too, and that says nothing about the machine."""

import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np

from resdyn._storage import written_whole

# after the start or a separator: /folder, ../…, ~/…, $NAME/…, C:\…, \\host\…; neither 1/255 nor after/before nor
# https://…
_PATH = re.compile(
    r"""(?:^|[\s"'=(,;:\[<])(?:/[A-Za-z_.]|/[^/\s]+/|\.{1,2}[\\/]|~[\w-]*/|\$\{?\w+\}?[\\/]|%\w+%|"""
    r"""[A-Za-z]:[\\/](?!/)|\\\\\w|file://)|^/\w"""
)


def plain(value: Any) -> Any:
    """Numbers, words, lists and dicts as JSON has them; numbers that are not finite become None."""
    if isinstance(value, dict):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, bool | int | str):
        return value
    raise TypeError(f"{value!r} is a {type(value).__name__}; a summary holds numbers, words, lists and dicts of them.")


def write_json(path: Path, content: Any) -> None:
    """Whole or not at all."""
    with written_whole(path) as handle:
        handle.write((json.dumps(plain(content), indent=1, ensure_ascii=False) + "\n").encode())


def read_json(path: Path) -> Any:
    """None where there is none, or one that cannot be read."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None


def refuse_paths(content: Any, what: str) -> None:
    """Raise where a string looks like a place on this machine.

    Raises
    ------
    ValueError
    """
    for where, value in leaves(content).items():
        for text in (where, value):
            if isinstance(text, str) and _PATH.search(text):
                raise ValueError(
                    f"{what} holds {text!r} (at {where!r}), which looks like a path on this machine; "
                    "name the file without its folder."
                )


def leaves(content: Any, prefix: str = "") -> dict[str, Any]:
    """Nested dicts and lists as one dict: ``{"units.3.largest": 1.5}``."""
    entries: Any = ()
    if isinstance(content, dict):
        entries = content.items()
    elif isinstance(content, list | tuple):
        entries = enumerate(content)
    else:
        return {prefix: content}
    found: dict[str, Any] = {}
    for key, entry in entries:
        found |= leaves(entry, f"{prefix}.{key}" if prefix else str(key))
    return found
