"""Packages that only some functions need, asked for before any work is done."""

from importlib import import_module


def require(package: str, purpose: str) -> None:
    """Import the package, or say which function needs it and how it is installed.

    Raises
    ------
    ModuleNotFoundError
        If it is not installed.
    """
    try:
        import_module(package)
    except ModuleNotFoundError as error:
        # a package that is there and lacks one of its own says so itself
        if error.name is not None and error.name.partition(".")[0] != package:
            raise
        raise ModuleNotFoundError(
            f'{purpose} needs {package}, which is not installed; install it with: pip install "resdyn[torch]"',
            name=package,
        ) from error
