"""A last resort for a user's query: what nothing else stops ends with the process, and a message.

An engine looks at its time-out between rows, and at its memory where it counts it. Inside one
expression (lists of lists, text that doubles) or while it plans, it does neither, and no other
thread can stop it. What stays out of reach: while Kuzu plans a query that has parameters, it lets
no thread of Python's run.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from circuitome.cli.output import note

__all__ = ["watched"]

_GRACE: Final = 15.0  # seconds after the time-out in which the engine has to stop by itself
_MEMORY: Final = 4.0  # GiB: an engine's pool is 1, and its rows may take as much again


@contextmanager
def watched(
    what: str, timeout: float, *, grace: float = _GRACE, memory: float = _MEMORY
) -> Iterator[Callable[[], None]]:
    """End the process with exit code 2 if a block takes too long, or too much memory.

    The limits are ``timeout`` and ``grace`` seconds (0: none) and ``memory`` more GiB.
    Else the process ends with exit code 2. What it gives is called where a new time begins.
    """
    over, start, first = threading.Event(), time.monotonic(), _peak()

    def again() -> None:
        nonlocal start
        start = time.monotonic()

    def watch() -> None:
        while not over.wait(0.1):
            if timeout and time.monotonic() - start > timeout + grace:
                _end(
                    f"{what}: the engine did not stop after {timeout:g} s; narrow the query's "
                    "lists and patterns"
                )
            if _peak() - first > memory:
                _end(
                    f"{what}: the query took more than {memory:g} GiB of memory; narrow its lists "
                    "and patterns"
                )

    threading.Thread(target=watch, daemon=True).start()
    try:
        yield again
    finally:
        over.set()


def _end(message: str) -> None:
    note(f"circuitome: {message}")
    sys.stderr.flush()
    os._exit(2)


def _peak() -> float:
    """The most memory that this process has had, in GiB; 0 where the system does not say."""
    try:
        import resource
    except ImportError:
        return 0.0
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / (1 << 30)
