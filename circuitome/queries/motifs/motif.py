"""What a motif is: a query whose header says all about it (`definition`), and an array form that
gives the same rows.

A motif's module has `find`, which gives all instances in a graph as arrays. Rows, scores and counts
follow from both, here.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Protocol, cast

import numpy as np

from circuitome.graphdb.bundle import Bundle
from circuitome.queries.errors import QueryError, near
from circuitome.queries.graph import SignedGraph
from circuitome.queries.motifs.definition import Definition, definition_of
from circuitome.queries.motifs.lack import Lack
from circuitome.queries.motifs.motif_row import MotifRow, QueryRow, instance, tested
from circuitome.queries.values import bind

__all__ = [
    "Bundled",
    "Instances",
    "Members",
    "Motif",
    "MotifKind",
    "Role",
    "Source",
    "Tested",
    "Value",
    "join",
    "top_of",
]

MANY_INSTANCES: int = 1_000_000
"""As many instances are listed in well under a second."""

Value = float | int | str
"""Of a threshold."""


@dataclass(frozen=True, slots=True)
class Members:
    """The neurons of a role that any number of neurons play; ``k`` in all."""

    place: np.ndarray  # (k,) int64, number of the instance
    neuron: np.ndarray  # (k,) int64

    @classmethod
    def around(cls, centres: np.ndarray, ends: np.ndarray, neurons: np.ndarray) -> Members:
        """Those among ``neurons`` whose edge ends in a centre, one centre an instance.

        ``centres``: ``(m,)``, ascending; ``ends`` and ``neurons``: ``(e,)``, both ends of edges.
        """
        held = np.isin(ends, centres)
        return cls(np.searchsorted(centres, ends[held]), neurons[held])

    def of(self, places: np.ndarray) -> list[np.ndarray]:
        """The neurons of some instances, ascending."""
        order = np.lexsort((self.neuron, self.place))
        start = np.searchsorted(self.place, places, "left", sorter=order)
        end = np.searchsorted(self.place, places, "right", sorter=order)
        return [self.neuron[order[i:j]] for i, j in zip(start, end, strict=True)]


Role = np.ndarray | Members | Sequence[np.ndarray]
"""Neurons that play a role in ``m`` instances: ``(m,)`` or ``(m, k)``, or any number an
instance.
"""


@dataclass(frozen=True, slots=True)
class Instances:
    """All instances of a motif in one graph, in no order; neurons are their numbers."""

    roles: Mapping[str, Role]  # arrays break ties of the score, in this order
    score: np.ndarray  # (m,)

    def columns(self) -> list[np.ndarray]:
        """The roles that are arrays as columns, each ``(m,)``."""
        arrays = [role for role in self.roles.values() if isinstance(role, np.ndarray)]
        return [column for role in arrays for column in _matrix(role).T]

    def order(self) -> np.ndarray:
        """Numbers of the instances, ``(m,)``: the highest score first, then by their neurons."""
        return np.lexsort((*self.columns()[::-1], -self.score))

    def named(self, role: str, places: np.ndarray, graph: SignedGraph) -> list[list[str]]:
        """Keys of the neurons that play a role in some instances."""
        neurons = self.roles[role]
        if isinstance(neurons, np.ndarray):
            return graph.keys[_matrix(neurons)[places]].tolist()
        if isinstance(neurons, Members):
            return [graph.names(some) for some in neurons.of(places)]
        return [graph.names(neurons[place]) for place in places]


def _matrix(role: np.ndarray) -> np.ndarray:
    return role if role.ndim == 2 else role[:, None]


@dataclass(frozen=True, slots=True)
class MotifKind:
    """What every motif has."""

    kind: str  # stem of its query file and of its module
    _: KW_ONLY
    evidence: str = "weights"  # or `responses`: kinds, pairs or families, which annotation measured
    needs: Callable[..., Lack | None] | None = None
    # (database, model, *, thresholds) -> what the model lacks for it; None: nothing
    choices: Mapping[str, Sequence[str]] | None = None  # threshold -> the values that it may have
    quick_count: Callable[..., int] | None = None
    # (graph, *, thresholds) -> number of instances, if there is a faster way than to list them
    about_p: str | None = None  # what p counts, if not the instances, or why there is none

    @property
    def definition(self) -> Definition:
        """What the header of its query says."""
        return definition_of(self.kind)

    @property
    def roles(self) -> tuple[str, ...]:
        """Names of its roles, in their order."""
        return tuple(part.role for part in self.definition.parts)

    def bound(self, given: Mapping[str, object]) -> dict[str, Value]:
        """Values of all thresholds: those given, and the header's defaults.

        Raises:
            QueryError: a threshold that the motif does not have, or a value that it cannot have.
        """
        values = bind(self.kind, self.definition.thresholds, given)
        for name, allowed in (self.choices or {}).items():
            if values[name] not in allowed:
                known = f"there are {', '.join(allowed)}"
                cure = near(values[name], allowed, otherwise=known)
                raise QueryError(f"{self.kind}: `{name}` cannot be {values[name]!r}; {cure}")
        return values

    def gather(self, model: str, rows: Iterable[QueryRow]) -> list[MotifRow]:
        """Motif rows from the rows of the query, in their order."""
        group = self.definition.group
        numbered = enumerate(rows)
        grouped = itertools.groupby(numbered, lambda item: item[1][group] if group else item[0])
        return [self._gathered(model, items) for _, items in grouped]

    def _gathered(self, model: str, numbered: Iterable[tuple[int, QueryRow]]) -> MotifRow:
        """One motif row from the rows of the query that make it, with their numbers."""
        rows = [row for _, row in numbered]
        score, p = cast("float", rows[0]["score"]), cast("float | None", rows[0].get("p"))
        roles = {part.role: part.of(rows) for part in self.definition.parts}
        return tested(instance(self.kind, model, score, roles), p=p, q=None, null=None)


@dataclass(frozen=True, slots=True)
class Motif(MotifKind):
    """A motif of edges: null networks say whether there are more than chance would give."""

    find: Callable[..., Instances]  # (graph, *, thresholds) -> all instances
    _: KW_ONLY
    null: str | None = "signs"  # null model of the enrichment; None: none has power, so no p
    instance_null: str = "kernels"  # null model of an instance's q
    enriched: Callable[..., int] | None = None
    # (graph, *, thresholds) -> what p counts, if it is not the number of instances
    own_nulls: Mapping[str, Callable[..., np.ndarray]] | None = None
    # other null models of the enrichment, which rewire no edges: name ->
    # (graph, generator of random numbers, *, thresholds) -> scores in one null network

    @property
    def null_models(self) -> tuple[str, ...]:
        """Null models that the enrichment may have, the usual one first."""
        return (*((self.null,) if self.null else ()), *(self.own_nulls or ()))

    def rows(
        self, graph: SignedGraph, *, limit: int | None = None, **given: Value
    ) -> list[MotifRow]:
        """The motif rows of the query, from arrays alone, strongest first."""
        thresholds = self.bound(given)
        limit = self.definition.limit if limit is None else limit
        if limit < 1 and self.quick_count is not None:
            return []
        found = self._strongest(graph, limit, thresholds)
        places = found.order()[:limit]
        scores = found.score[places].tolist()
        names = [found.named(role, places, graph) for role in self.roles]
        return [
            instance(self.kind, graph.model, score, dict(zip(self.roles, members, strict=True)))
            for score, *members in zip(scores, *names, strict=True)
        ]

    def _strongest(self, graph: SignedGraph, limit: int, thresholds: dict[str, Value]) -> Instances:
        """Instances among which the first ``limit`` are."""
        if self.quick_count is not None:
            strength, polarity = float(thresholds["strength"]), float(thresholds["polarity"])
            thresholds["strength"] = top_of(
                graph, limit, strength=strength, polarity=polarity, count=self.quick_count
            )
        return self.find(graph, **thresholds)

    def instances(self, graph: SignedGraph, **given: Value) -> Instances:
        """All instances, as arrays."""
        return self.find(graph, **self.bound(given))

    def scores(self, graph: SignedGraph, **given: Value) -> np.ndarray:
        """Scores of all instances, ``(m,)``."""
        return self.instances(graph, **given).score

    def count(self, graph: SignedGraph, **given: Value) -> int:
        """Number of instances."""
        if self.quick_count is not None:
            return self.quick_count(graph, **self.bound(given))
        return len(self.scores(graph, **given))


class Source(Protocol):
    """What the rows of a motif are made from, such as a graph."""

    @property
    def model(self) -> str:
        """Key of the model."""
        ...


@dataclass(frozen=True, slots=True)
class Tested(MotifKind):
    """A motif whose rows bring an exact test, or none: no null network of edges fits."""

    table: Callable[..., Sequence[QueryRow]]
    # (source, *, thresholds) -> all rows of the query, in its order
    _: KW_ONLY
    of_bundle: Callable[[Bundle], Source] = SignedGraph.of_bundle
    null: None = None
    instance_null: None = None
    conclude: Callable[[str, Sequence[QueryRow]], list[MotifRow]] | None = None
    # (model, all rows of the query) -> motif rows with p and q; None: the rows say all

    def rows(self, source: Source, *, limit: int | None = None, **given: Value) -> list[MotifRow]:
        """The motif rows of the query, from arrays alone, strongest first."""
        every = self.table(source, **self.bound(given))
        limit = self.definition.limit if limit is None else limit
        return (self.conclude or self.gather)(source.model, every)[:limit]

    def count(self, source: Source, **given: Value) -> int:
        """Number of instances."""
        thresholds = self.bound(given)
        if self.quick_count is not None:
            return self.quick_count(source, **thresholds)
        return len((self.conclude or self.gather)(source.model, self.table(source, **thresholds)))


@dataclass(frozen=True, slots=True)
class Bundled:
    """A motif asked of a bundle, for its kernels or its neurons' responses, which no database
    has.
    """

    kind: str  # of the motif
    find: Callable[..., tuple[list[MotifRow], list[str]]]
    # (bundle, *, nulls (None: its own number), seed, thresholds) -> rows, and what to say of them
    parameters: tuple[str, ...] = ("limit",)  # those of the motif's query that it takes


def join(left: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Indices of all pairs of equal values of two arrays of whole numbers: ``left[i] == right[j]``.

    Values are from 0; ``(n,)`` and ``(m,)`` give two arrays of one length.
    """
    order = np.argsort(right, kind="stable")
    ordered = right[order]
    size = max(left.max(initial=-1), right.max(initial=-1)) + 1
    if size <= 4 * (len(left) + len(right)):
        bounds = np.concatenate([[0], np.cumsum(np.bincount(right, minlength=size))])
        start, end = bounds[left], bounds[left + 1]
    else:
        start, end = np.searchsorted(ordered, left, "left"), np.searchsorted(ordered, left, "right")
    number = end - start
    i = np.repeat(np.arange(len(left)), number)
    offset = np.arange(len(i)) - np.repeat(np.cumsum(number) - number, number)
    return i, order[np.repeat(start, number) + offset]


def top_of(
    graph: SignedGraph, limit: int, *, strength: float, polarity: float, count: Callable[..., int]
) -> float:
    """A strength at which a motif scored by its weakest edge has ``limit`` instances, and few more.

    Nothing weaker can be among the first ``limit``, so nothing weaker needs to be listed. If there
    are many, the largest such strength is found by bisection over those that occur, one count (by
    matrix products) a step.
    """
    if count(graph, strength=strength, polarity=polarity) <= max(limit, MANY_INSTANCES):
        return strength
    levels = np.unique(graph.strength[graph.strong(strength=strength, polarity=polarity)])
    low, high = 0, len(levels)  # enough instances at levels[low], too few at levels[high]
    while high - low > 1:
        middle = (low + high) // 2
        if count(graph, strength=float(levels[middle]), polarity=polarity) >= limit:
            low = middle
        else:
            high = middle
    return float(levels[low])
