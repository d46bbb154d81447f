"""Where resdyn keeps what it can make again: compiled kernels and downloaded data."""

import os
import tempfile
from pathlib import Path


def cache_directory(*parts: str) -> Path:
    """A folder of the user's cache, made if missing.

    ``RESDYN_CACHE`` names another root. Where neither can be written (a read-only home), a
    folder of this user in the system's temporary directory serves, so that only the reuse is lost.
    """
    root = os.environ.get("RESDYN_CACHE")
    if root is None:
        import platformdirs

        root = platformdirs.user_cache_dir("resdyn", appauthor=False)
    folder = Path(root).joinpath(*parts)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.W_OK):
            return folder
    except OSError:
        pass
    user = os.getuid() if hasattr(os, "getuid") else os.environ.get("USERNAME", "user")
    folder = Path(tempfile.gettempdir(), f"resdyn-{user}").joinpath(*parts)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder
