"""The part *signatures*: responses to a gallery that all networks are shown, for comparing them."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from circuitome.extract.annotate.part import Part
from circuitome.extract.annotate.session import Session
from circuitome.extract.responses.signatures import signature_findings
from circuitome.extract.stimuli.gallery import gallery
from circuitome.extract.wiring import Wiring
from circuitome.graphdb.annotation import Findings
from circuitome.graphdb.bundle import Bundle, BundleError
from circuitome.graphdb.signatures import of_today

__all__ = ["PART"]


def _find(session: Session, bundle: Bundle) -> Findings:
    """At the network's own size, from the bundle's own kernels."""
    own, options = Wiring.from_json(bundle.wiring), session.options
    subject = replace(session.subject, wiring=own, arrays=bundle.kernels.arrays(), biases=())
    shown = gallery(options.images)
    return signature_findings(subject, shown, seed=options.seed, progress=options.report)


def _holds(bundle: Bundle, seed: int) -> bool:
    """Signatures of an earlier version were compared with other null networks; a file that is not
    readable is made again.
    """
    try:
        return of_today(bundle)
    except BundleError:
        return False


PART: Final = Part(_find, holds=_holds)
