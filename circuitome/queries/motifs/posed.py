"""Circuits of posed neurons: what excites a neuron lies as it should, in orientation or hue and at its place; what inhibits it not.

An input's *agreement* is 1 where it lies as the motif says, -1 where it is opposed. Excitation counts it as it is and
inhibition the other way round, so that both speak for the motif. An instance is one neuron with enough strong posed inputs
and a high mean agreement, each input weighted by its share. The place of an input is the centre of its kernel's positive part
where it excites, of the negative part where it inhibits; kernels of 1 x 1, and all that are centred exactly, have none.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from circuitome.queries.graph import SignedGraph
from circuitome.queries.motifs.motif import Motif, instance

if TYPE_CHECKING:
    from circuitome.queries.database import Database

__all__ = ["HUES", "LINES", "ROUND", "Edges", "Pose"]

LINES: Final = ("edge", "gabor", "grating", "line")
"""Kinds with an orientation along a bar or a border."""
ROUND: Final = ("centre_surround", "circle")
"""Kinds that are round and not coloured."""
HUES: Final = ("colour_centre_surround", "hue")
"""Kinds of which the preferred hue is that of the middle."""


@dataclass(frozen=True, slots=True)
class Edges:
    """Some edges and what is known of their ends; ``m`` edges, angles in radians, counter-clockwise on the screen."""

    kind: np.ndarray  # (m,) str, of the sender
    turn: np.ndarray  # (m,) orientation or hue of the sender
    facing: np.ndarray  # (m,) the same of the receiver; NaN where it has none
    x: np.ndarray  # (m,) pixels right of the kernel's centre; NaN where no place is asked
    y: np.ndarray  # (m,) pixels below it

    def along(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Cosine between each sender's orientation and a direction, ``x`` to the right and ``y`` down, ``(m,)``."""
        return (np.cos(self.turn) * x - np.sin(self.turn) * y) / np.sqrt(x * x + y * y)


@dataclass(frozen=True, slots=True)
class Pose:
    """What a motif of posed neurons asks of its inputs."""

    kind: str  # of the motif
    role: str  # what the receiver is called
    senders: tuple[str, ...]  # kinds
    receivers: tuple[str, ...]  # kinds; none: any
    preference: str  # column of the senders' angle
    agreement: Callable[..., np.ndarray]  # (edges, *, the motif's own parameters) -> (m,)
    faces: bool = False  # whether the receiver needs an angle, too
    placed: bool = True  # whether an edge needs a place

    def edges(
        self, graph: SignedGraph, *, strength: float, polarity: float
    ) -> tuple[np.ndarray, Edges]:
        """Numbers of the strong edges between posed neurons, and what is known of them."""
        angle = graph.preferences[self.preference]
        sends = np.isin(graph.kind, self.senders) & ~np.isnan(angle)
        receives = (
            np.isin(graph.kind, self.receivers)
            if self.receivers
            else np.ones(len(graph.keys), bool)
        )
        if self.faces:
            receives &= ~np.isnan(angle)
        found = np.flatnonzero(
            sends[graph.sender] & receives[graph.receiver]
        )  # few: all else is asked of them alone
        size = graph.share[found] * graph.fan_in[graph.receiver[found]]
        found = found[(size >= strength) & (np.abs(graph.polarity[found]) >= polarity)]
        x, y = (
            np.where(graph.excites[found], e[found], i[found])
            for e, i in ((graph.ex, graph.ix), (graph.ey, graph.iy))
        )
        placed = (x != 0) | (y != 0) if self.placed else np.ones(len(found), bool)
        found, x, y = found[placed], x[placed], y[placed]
        sender, radians = graph.sender[found], np.deg2rad(angle)
        return found, Edges(
            graph.kind[sender], radians[sender], radians[graph.receiver[found]], x, y
        )

    def found(
        self,
        graph: SignedGraph,
        *,
        min_score: float = 0.5,
        min_inputs: int = 3,
        strength: float = 1.0,
        polarity: float = 0.2,
        **own: Any,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Instances as numbers of neurons ``(i,)``, their scores ``(i,)``, and the edges that were looked at."""
        n = len(graph.keys)
        edges, known = self.edges(graph, strength=strength, polarity=polarity)
        sign = np.where(graph.excites[edges], 1.0, -1.0)
        receiver, share = graph.receiver[edges], graph.share[edges]
        total = np.bincount(receiver, share, n)
        agreed = np.bincount(receiver, share * sign * self.agreement(known, **own), n)
        neurons = np.flatnonzero((np.bincount(receiver, minlength=n) >= min_inputs) & (total > 0))
        score = np.round(agreed[neurons] / total[neurons], 9)
        return neurons[score >= min_score], score[score >= min_score], edges

    def twin(
        self, graph: SignedGraph, *, limit: int = 100, **parameters: Any
    ) -> list[dict[str, Any]]:
        """The motif rows of the query, from arrays alone."""
        neurons, score, edges = self.found(graph, **parameters)
        order = np.lexsort((neurons, -score))[:limit]
        rows = []
        for neuron, value in zip(neurons[order], score[order].tolist(), strict=True):
            into = edges[graph.receiver[edges] == neuron]
            excites = graph.excites[into]
            roles = {self.role: np.array([neuron])}
            roles |= {
                "excited_by": graph.sender[into[excites]],
                "inhibited_by": graph.sender[into[~excites]],
            }
            named = {role: graph.names(np.sort(who)) for role, who in roles.items()}
            rows.append(instance(self.kind, graph.model, value, named))
        return rows

    def scores(self, graph: SignedGraph, **parameters: Any) -> np.ndarray:
        """Scores of all instances."""
        return self.found(graph, **parameters)[1]

    def count(self, graph: SignedGraph, **parameters: Any) -> int:
        """Number of instances."""
        return len(self.scores(graph, **parameters))

    def missing(self, database: Database, model: str, **_: Any) -> str | None:
        """What a model lacks for this motif and how to get it, in words; none where it has both ends."""
        kinds = set(database.ask("neurons", model=model).table.column("kind").to_pylist()) - {None}
        if not kinds:
            return f"no neuron of {model} has a kind; `circuitome annotate BUNDLE` measures them, then load the bundle again"
        for what, wanted in (("that receives", self.receivers), ("that sends", self.senders)):
            if wanted and not kinds & set(wanted):
                return f"no neuron of {model} is of a kind {what} here ({', '.join(wanted)}); annotation found none"
        return None

    def conclude(self, model: str, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Motif rows from the rows of the query, one an input: its neurons by what they do."""
        found = []
        for key, group in itertools.groupby(rows, key=lambda row: row[self.role]):
            inputs = list(group)
            roles = {self.role: [key]}
            for role, does in (("excited_by", "excites"), ("inhibited_by", "inhibits")):
                roles[role] = [row["input"] for row in inputs if row["effect"] == does]
            found.append(instance(self.kind, model, inputs[0]["score"], roles))
        return found

    def motif(self) -> Motif:
        """The motif, with its nulls: `kernels` for an instance, `labels` for the network."""
        return Motif(
            self.kind,
            roles={self.role: (self.role,), "excited_by": ("input",), "inhibited_by": ("input",)},
            twin=self.twin,
            count=self.count,
            group=self.role,
            scores=self.scores,
            null="labels",
            conclude=self.conclude,
            missing=self.missing,
            evidence="responses",
        )
