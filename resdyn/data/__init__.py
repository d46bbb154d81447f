"""Data sets, without torch."""

from resdyn.data.toys import circles, digits

__all__ = ["circles", "digits"]
