"""The part *circuits*: families whose weights depend on the relative offset of their members."""

from __future__ import annotations

from typing import Final

from circuitome.extract.annotate.feeds import current, feeds_findings
from circuitome.extract.annotate.part import Part
from circuitome.extract.annotate.session import Session
from circuitome.graphdb.annotation import Findings
from circuitome.graphdb.bundle import Bundle

__all__ = ["PART"]


def _find(session: Session, bundle: Bundle) -> Findings:
    options = session.options
    return feeds_findings(bundle, seed=options.seed, progress=options.report)


def _holds(bundle: Bundle, seed: int) -> bool:
    """Families may have been curated since."""
    return current(bundle, seed=seed)


PART: Final = Part(_find, holds=_holds)
