"""The one base error: every message names the input, the place and the cure."""

from __future__ import annotations

__all__ = ["CircuitomeError"]


class CircuitomeError(Exception):
    """Bad input or a failed environment, told to the user in one message without a traceback."""
