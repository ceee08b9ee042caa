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
from circuitome.queries.motifs.feature_circuit import NO_KINDS, kinds_of
from circuitome.queries.motifs.motif import Instances, Members, Motif, Value
from circuitome.vocabulary import with_traits

__all__ = ["HUES", "LINES", "ROUND", "Edges", "Pose"]

LINES: Final = with_traits("bar")
"""Kinds with an orientation along a bar or a border."""
ROUND: Final = with_traits("round", "grey")
"""Kinds that are round and not coloured."""
HUES: Final = with_traits("middle hue")
"""Kinds of which the preferred hue is that of the middle."""


@dataclass(frozen=True, slots=True)
class Edges:
    """Some edges and what is known of their ends; ``m`` edges.

    Angles are in radians, counter-clockwise on the screen.
    """

    kind: np.ndarray  # (m,) str, of the sender
    turn: np.ndarray  # (m,) orientation or hue of the sender
    facing: np.ndarray  # (m,) the same of the receiver; NaN if it has none
    x: np.ndarray  # (m,) pixels right of the kernel's centre; NaN if no place is asked
    y: np.ndarray  # (m,) pixels below it

    def along(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Cosine between each sender's orientation and a direction, ``(m,)``; ``y`` is down."""
        return (np.cos(self.turn) * x - np.sin(self.turn) * y) / np.sqrt(x * x + y * y)


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
        angle = graph.preferences[self.preference]
        sends = np.isin(graph.kind, self.senders) & ~np.isnan(angle)
        receives = np.ones(len(graph.keys), bool)
        if self.receivers:
            receives = np.isin(graph.kind, self.receivers)
        if self.faces:
            receives &= ~np.isnan(angle)
        # few: all else is asked of them alone
        found = np.flatnonzero(sends[graph.sender] & receives[graph.receiver])
        size = graph.share[found] * graph.fan_in[graph.receiver[found]]
        found = found[(size >= strength) & (np.abs(graph.polarity[found]) >= polarity)]
        excites = graph.excites[found]
        x = np.where(excites, graph.ex[found], graph.ix[found])
        y = np.where(excites, graph.ey[found], graph.iy[found])
        placed = (x != 0) | (y != 0) if self.placed else np.ones(len(found), bool)
        found, x, y = found[placed], x[placed], y[placed]
        sender, radians = graph.sender[found], np.deg2rad(angle)
        facing = radians[graph.receiver[found]]
        return found, Edges(graph.kind[sender], radians[sender], facing, x, y)

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
        n = len(graph.keys)
        edges, known = self.edges(graph, strength=strength, polarity=polarity)
        excites = graph.excites[edges]
        receiver, share = graph.receiver[edges], graph.share[edges]
        total = np.bincount(receiver, share, n)
        agreement = self.agreement(known, **own)
        agreed = np.bincount(receiver, share * np.where(excites, 1.0, -1.0) * agreement, n)
        neurons = np.flatnonzero((np.bincount(receiver, minlength=n) >= min_inputs) & (total > 0))
        score = np.round(agreed[neurons] / total[neurons], 9)
        neurons, score = neurons[score >= min_score], score[score >= min_score]
        place = np.full(n, -1)
        place[neurons] = np.arange(len(neurons))
        inputs = [edges[(place[receiver] >= 0) & side] for side in (excites, ~excites)]
        roles = {
            self.role: neurons,
            "excited_by": Members(place[graph.receiver[inputs[0]]], graph.sender[inputs[0]]),
            "inhibited_by": Members(place[graph.receiver[inputs[1]]], graph.sender[inputs[1]]),
        }
        return Instances(roles, score)

    def missing(self, database: Asks, model: str, **_: Value) -> str | None:
        """What a model lacks for this motif and how to get it; None if it has both ends."""
        kinds = kinds_of(database, model)
        if not kinds:
            return NO_KINDS.format(model)
        ends = (("that receives", self.receivers), ("that sends", self.senders))
        for what, wanted in ends:
            if wanted and not kinds & set(wanted):
                names = ", ".join(wanted)
                return (
                    f"no neuron of {model} is of a kind {what} here ({names}); annotation "
                    "found none"
                )
        return None

    def motif(self) -> Motif:
        """The motif, with its nulls: `kernels` for an instance, `labels` for the network."""
        return Motif(self.kind, self.find, null="labels", evidence="responses", needs=self.missing)
