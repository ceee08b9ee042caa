"""The one base error: every message names the input, the place and the cure."""

from __future__ import annotations

__all__ = ["CircuitomeError", "first_line"]


class CircuitomeError(Exception):
    """Bad input or a failed environment, told to the user in one message without a traceback."""


def first_line(error: BaseException | str) -> str:
    """What went wrong, in one line without a full stop.

    >>> first_line(ValueError("no such table.\\nlook at the schema"))
    'no such table'
    """
    lines = str(error).strip().splitlines()
    return (lines[0] if lines else type(error).__name__).rstrip(".")
