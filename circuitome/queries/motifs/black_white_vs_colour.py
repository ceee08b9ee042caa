"""Black and white against colour: grey inputs of one sign and coloured inputs of the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from circuitome.queries.arrays import quotient
from circuitome.queries.graph import SignedGraph
from circuitome.queries.motifs.feature_circuit import lacking_kinds, of_kind, sent_by
from circuitome.queries.motifs.motif import Instances, Members, Motif
from circuitome.vocabulary import with_traits

__all__ = ["MOTIF", "find"]

_GREY: Final = with_traits("grey")
_COLOURED: Final = with_traits("coloured")


@dataclass(frozen=True, slots=True)
class _Side:
    """The inputs of one sort, grey or coloured; ``m`` edges, ``n`` neurons."""

    edges: np.ndarray  # (m,)
    net: np.ndarray  # (n,) sum of share times polarity
    weight: np.ndarray  # (n,) sum of share

    @classmethod
    def of(cls, graph: SignedGraph, read: np.ndarray, kinds: Sequence[str]) -> _Side:
        """Those among the edges ``read``, ``(e,)`` bool, that neurons of some kinds send."""
        edges = sent_by(graph, kinds, read)
        receiver, share, n = graph.receiver[edges], graph.share[edges], len(graph.keys)
        net = np.bincount(receiver, share * graph.polarity[edges], n)
        return cls(edges, net, np.bincount(receiver, share, n))

    def agreeing(self, graph: SignedGraph, detectors: np.ndarray) -> Members:
        """Senders of the edges into detectors that have the sign of the detector's net."""
        agrees = graph.polarity[self.edges] * self.net[graph.receiver[self.edges]] > 0
        edges = self.edges[agrees]
        return Members.around(detectors, graph.receiver[edges], graph.sender[edges])


def find(graph: SignedGraph, *, strength: float, min_score: float) -> Instances:
    """Detectors and the grey and coloured inputs that agree; the score is to nine digits."""
    read = of_kind(graph, "bw_vs_colour")[graph.receiver] & (graph.strength >= strength)
    grey, colour = _Side.of(graph, read, _GREY), _Side.of(graph, read, _COLOURED)
    weaker = np.minimum(np.abs(grey.net), np.abs(colour.net))
    score = np.round(quotient(2 * weaker, grey.weight + colour.weight), 9)
    detector = np.flatnonzero((grey.net * colour.net < 0) & (score >= min_score))
    inputs = {"grey": grey.agreeing(graph, detector), "colour": colour.agreeing(graph, detector)}
    return Instances({"detector": detector, **inputs}, score[detector])


MOTIF: Final = Motif(
    "black_white_vs_colour",
    find,
    null="labels",
    evidence="responses",
    needs=lacking_kinds(("bw_vs_colour",), _COLOURED, _GREY),
)
