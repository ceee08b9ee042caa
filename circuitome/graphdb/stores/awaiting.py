"""Waiting for an engine so that Ctrl-C is heard: while Python's main thread is inside an
engine's code, it hears nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

__all__ = ["awaited"]

T = TypeVar("T")


def awaited(
    work: Callable[[], T], *, stop: Callable[[Future[T]], None], seconds: float | None = None
) -> T:
    """What ``work`` gives, done by another thread.

    Where Ctrl-C comes (or a signal that ends the program), or ``seconds`` are over, ``stop`` is
    called with what is still to come, and `KeyboardInterrupt` (or `SystemExit`) or `TimeoutError`
    raised.
    """
    answer: Future[T] = Future()

    def fill() -> None:
        try:
            answer.set_result(work())
        except BaseException as error:  # raised again where somebody waits for it
            answer.set_exception(error)

    threading.Thread(target=fill, daemon=True).start()
    try:
        return answer.result(seconds)
    except BaseException:
        if not answer.done():  # else it is the work's own
            stop(answer)
        raise
