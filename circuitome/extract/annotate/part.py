"""What a part of the annotation is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from circuitome.extract.annotate.session import Session
from circuitome.graphdb.annotation import Findings
from circuitome.graphdb.bundle import Bundle

__all__ = ["Part"]


def _holds(bundle: Bundle, seed: int) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Part:
    """How one part of the annotation is made."""

    find: Callable[[Session, Bundle], Findings]
    """What goes into the bundle, which has the parts that it needs."""
    measure: Callable[[Session], None] | None = None
    """Looks at the network first, and keeps what is finished in the session's records."""
    holds: Callable[[Bundle, int], bool] = _holds
    """Whether what a bundle has of it still holds, made with a seed."""
