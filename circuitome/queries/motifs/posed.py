"""Circuits of posed neurons: inputs that excite lie as they should, those that inhibit do not.

An input's *agreement* is 1 if it lies as the motif says, in orientation or hue and at its place,
and -1 if it is opposed. Excitation counts it, inhibition its opposite, so that both speak for the
motif. An instance is one neuron with enough strong posed inputs and a high mean agreement, each
input weighted by its share. The place of an input is the centre of its kernel's positive part if it
excites, of the negative part if it inhibits; kernels of 1 x 1, and all that are centred exactly,
have none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from circuitome.queries.asks import Asks
from circuitome.queries.graph import SignedGraph
from circuitome.queries.motifs.feature_circuit import kinds_of
from circuitome.queries.motifs.lack import Lack, no_kinds
from circuitome.queries.motifs.motif import Instances, Members, Motif, Role, Value
from circuitome.queries.motifs.posed_edges import Edges, means, places
from circuitome.vocabulary import with_traits

__all__ = ["HUES", "LINES", "ROUND", "Pose"]

LINES: Final = with_traits("bar")
"""Kinds with an orientation along a bar or a border."""
ROUND: Final = with_traits("round", "grey")
"""Kinds that are round and not coloured."""
HUES: Final = with_traits("middle hue")
"""Kinds of which the preferred hue is that of the middle."""


@dataclass(frozen=True, slots=True)
class Pose:
    """What a motif of posed neurons asks of its inputs."""

    kind: str  # of the motif
    role: str  # what the receiver is called
    senders: tuple[str, ...]  # kinds
    receivers: tuple[str, ...]  # kinds; empty: any
    preference: str  # column of the senders' angle
    agreement: Callable[..., np.ndarray]  # (edges, *, the motif's own thresholds) -> (m,)
    faces: bool = False  # whether the receiver needs an angle, too
    placed: bool = True  # whether an edge needs a place

    def edges(
        self, graph: SignedGraph, *, strength: float, polarity: float
    ) -> tuple[np.ndarray, Edges]:
        """Numbers of the strong edges between posed neurons, and what is known of them."""
        sends, receives = self._ends(graph)
        found = np.flatnonzero(sends[graph.sender] & receives[graph.receiver])
        # few: all else is asked of them alone
        size = graph.share[found] * graph.fan_in[graph.receiver[found]]
        found = found[(size >= strength) & (np.abs(graph.polarity[found]) >= polarity)]
        x, y = places(graph, found)
        if self.placed:
            off = (x != 0) | (y != 0)
            found, x, y = found[off], x[off], y[off]
        sender, receiver = graph.sender[found], graph.receiver[found]
        angle = np.deg2rad(graph.preferences[self.preference])
        return found, Edges(graph.kind[sender], angle[sender], angle[receiver], x, y)

    def _ends(self, graph: SignedGraph) -> tuple[np.ndarray, np.ndarray]:
        """Which neurons may send, and which may receive, each ``(n,)`` bool."""
        posed = ~np.isnan(graph.preferences[self.preference])
        sends = np.isin(graph.kind, self.senders) & posed
        receives = posed if self.faces else np.ones(len(posed), bool)
        if self.receivers:
            receives = receives & np.isin(graph.kind, self.receivers)
        return sends, receives

    def find(
        self,
        graph: SignedGraph,
        *,
        min_score: float,
        min_inputs: int,
        strength: float,
        polarity: float,
        **own: Value,
    ) -> Instances:
        """Neurons and their inputs by sign; the score is the mean agreement, to nine digits."""
        edges, known = self.edges(graph, strength=strength, polarity=polarity)
        receiver, sender, excites = graph.receiver[edges], graph.sender[edges], graph.excites[edges]
        agreement = self.agreement(known, **own)
        signed = np.where(excites, agreement, -agreement)
        score = means(receiver, signed, graph.share[edges], size=len(graph.keys), least=min_inputs)
        neurons = np.flatnonzero(score >= min_score)
        roles: dict[str, Role] = {self.role: neurons}
        for role, side in (("excited_by", excites), ("inhibited_by", ~excites)):
            roles[role] = Members.around(neurons, receiver[side], sender[side])
        return Instances(roles, score[neurons])

    def missing(self, database: Asks, model: str, **_: Value) -> Lack | None:
        """What a model lacks for this motif and how to get it; None if it has both ends."""
        kinds = kinds_of(database, model)
        if not kinds:
            return no_kinds(model)
        for what, wanted in (("that receives", self.receivers), ("that sends", self.senders)):
            if wanted and not kinds & set(wanted):
                names = ", ".join(wanted)
                return Lack(
                    f"neurons of kind {' or '.join(wanted)}",
                    f"no neuron of {model} is of a kind {what} here ({names}); annotation "
                    "found none",
                )
        return None

    def motif(self) -> Motif:
        """The motif, with its nulls: `kernels` for an instance, `labels` for the network."""
        return Motif(self.kind, self.find, null="labels", evidence="responses", needs=self.missing)
