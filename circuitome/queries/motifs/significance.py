"""Significance of motifs from edges alone: of an instance, and of a motif in a network.

Never one for the other.

*Instance*: ``q`` of a row by target and decoy, the number of null instances with at least its score
that is expected, over the number observed. The null destroys who is wired to whom (`kernels`).

*Enrichment*: ``p`` of the number of instances in the network against a null that keeps its topology
(`signs`, `relabel`): does the network hold more than its wiring explains? One p a motif and
network.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from circuitome.queries.errors import QueryError, near
from circuitome.queries.graph import SignedGraph
from circuitome.queries.motifs.motif import Motif, Tested, Value
from circuitome.queries.motifs.motif_row import MotifRow, tested
from circuitome.queries.motifs.nulls import NULLS as NULL_MODELS
from circuitome.queries.motifs.nulls import find_null
from circuitome.significance import empirical_p, target_decoy_q

__all__ = [
    "NULLS",
    "Drawn",
    "Progress",
    "Significance",
    "Task",
    "assess",
    "check_null_model",
    "check_nulls",
    "instance_q",
]

NULLS: Final = 199
"""Null networks if nothing else is said: the least p is 0.005."""

Scores = Callable[[SignedGraph], np.ndarray]
Count = Callable[[SignedGraph], int]
Draw = Callable[[SignedGraph, np.random.Generator], np.ndarray]
"""A graph and a generator in, scores of all instances in one null network out."""
Progress = Callable[[int, int], None]
"""Called with null networks done and null networks in all."""


@dataclass(frozen=True, slots=True)
class Task:
    """One thing to be counted in a network and in its null networks."""

    kind: str  # name of the motif
    scores: Scores  # graph -> scores of all instances
    instance_null: str  # null model of q
    null: str | None  # null model of p; None: no p
    counted: Count | None = None  # graph -> what p counts; None: all instances
    own: Mapping[str, Draw] = field(default_factory=dict)  # null models that rewire no edges

    @property
    def null_models(self) -> tuple[str, ...]:
        """That of q and that of p, if there is one."""
        return (self.instance_null,) if self.null is None else (self.instance_null, self.null)

    def count(self, graph: SignedGraph) -> int:
        """What p counts."""
        return len(self.scores(graph)) if self.counted is None else self.counted(graph)

    @classmethod
    def of(
        cls,
        motif: Motif | Tested,
        given: Mapping[str, Value] | None = None,
        *,
        null: str | None = None,
    ) -> Task:
        """The task of a motif of the library, with the header's thresholds for those not given.

        ``null`` is the null model of p, or None for the motif's usual one.

        Raises:
            QueryError: no null of edges fits the motif, or it does not have this one.
        """
        check_null_model(motif, null)
        if isinstance(motif, Tested):
            raise QueryError(
                f"{motif.kind}: edges alone have no null model for it; leave out --null"
            )
        thresholds = motif.bound(given or {})
        find, enriched = motif.find, motif.enriched
        draws = motif.own_nulls or {}
        own = {name: functools.partial(draw, **thresholds) for name, draw in draws.items()}
        return cls(
            motif.kind,
            lambda graph: find(graph, **thresholds).score,
            motif.instance_null,
            motif.null if null is None else null,
            None if enriched is None else lambda graph: enriched(graph, **thresholds),
            own,
        )


@dataclass(frozen=True, slots=True)
class Drawn:
    """What was found in null networks."""

    decoys: Sequence[np.ndarray]  # scores of all instances, of each network of `instance_null`
    counts: Sequence[int]  # what p counts, of each network of `null`; empty without it
    instance_null: str
    null: str | None


@dataclass(frozen=True, slots=True)
class Significance:
    """What null networks say of one motif in one network."""

    kind: str
    model: str
    instances: int  # found in the network
    strongest: float | None  # the highest score; None without instances
    levels: np.ndarray  # (m,) float64, the scores that occur, descending
    q: np.ndarray  # (m,) float64, q of an instance of each score
    instance_null: str  # null model of q
    counted: int  # what p counts in the network: all instances, or some of what they are made of
    p: float | None  # enrichment: p of that number; None: no null model has power
    null: str | None  # null model of p
    nulls: int  # null networks of each
    null_mean: float | None  # what p counts in those of p
    null_sd: float | None  # standard deviation of that

    @classmethod
    def of(
        cls,
        kind: str,
        model: str,
        observed: np.ndarray,
        drawn: Drawn,
        *,
        counted: int | None = None,
    ) -> Significance:
        """What null networks say of the scores of all instances, ``(m,)``.

        ``counted`` is what p counts; None: all instances.
        """
        counts, counted = drawn.counts, len(observed) if counted is None else counted
        levels, q = instance_q(observed, np.concatenate(drawn.decoys), nulls=len(drawn.decoys))
        return cls(
            kind=kind,
            model=model,
            instances=len(observed),
            strongest=float(levels[0]) if len(levels) else None,
            levels=levels,
            q=q,
            instance_null=drawn.instance_null,
            counted=counted,
            p=float(empirical_p(counted, counts)) if counts else None,
            null=drawn.null,
            nulls=len(drawn.decoys),
            null_mean=float(np.mean(counts)) if counts else None,
            null_sd=float(np.std(counts)) if counts else None,
        )

    @property
    def least_q(self) -> float | None:
        """The lowest q of an instance; None without instances."""
        return float(self.q.min()) if len(self.q) else None

    def q_of(self, score: float) -> float:
        """The q of an instance with that score."""
        place = int(np.searchsorted(-self.levels, -score, side="left"))
        return float(self.q[min(place, len(self.q) - 1)])

    def annotate(self, rows: Sequence[MotifRow]) -> list[MotifRow]:
        """Motif rows with their q and its null; their p stays empty: it is of the motif."""
        return [
            tested(row, p=row["p"], q=self.q_of(row["score"]), null=self.instance_null)
            for row in rows
        ]


def check_nulls(nulls: int) -> None:
    """`QueryError` for fewer than one null network."""
    if nulls < 1:
        raise QueryError(
            f"{nulls} null networks are none; ask for at least 1, and for 199 to reach p = 0.005"
        )


def check_null_model(motif: Motif | Tested, null: str | None) -> None:
    """`QueryError` for a null model of p that the motif does not have; None is its usual one."""
    if null is None:
        return
    if isinstance(motif, Tested):
        raise QueryError(f"{motif.kind}: its test is its own; leave out --null-model")
    known = motif.null_models
    if null in known:
        return
    if not known:
        raise QueryError(f"{motif.kind}: {motif.about_p}; leave out --null-model")
    if len(known) == 1:
        raise QueryError(
            f"{motif.kind}: its p is against `{motif.null}` and no other; leave out --null-model"
        )
    cure = near(null, known, otherwise=f"there are {', '.join(known)}")
    raise QueryError(f"{motif.kind} has no null model {null!r} (--null-model); {cure}")


def assess(
    graph: SignedGraph,
    tasks: Sequence[Task],
    *,
    nulls: int = NULLS,
    seed: int = 0,
    workers: int = 2,
    progress: Progress = lambda done, total: None,
) -> list[Significance]:
    """The significance of each task, in their order.

    Each null network is made once for all tasks that ask for its null model. ``workers`` threads
    share the null networks; their number changes nothing in the result, nor do the other tasks.
    ``progress`` is told how many null networks are done.

    Raises:
        QueryError: an unknown null model, or fewer than one null network.
    """
    check_nulls(nulls)
    models = dict.fromkeys(itertools.chain.from_iterable(map(_null_models, tasks)))
    jobs = list(itertools.product(models, range(nulls)))
    graph = graph.by_receiver()
    # before its copies, which share what stays the same
    observed = [(task.scores(graph), task.count(graph)) for task in tasks]
    with ThreadPoolExecutor(workers) as pool:
        scores = pool.map(lambda job: _found_in(graph, tasks, *job, seed=seed), jobs)
        drawn = {}
        progress(0, len(jobs))
        for done, (job, found) in enumerate(zip(jobs, scores, strict=True), start=1):
            drawn[job] = found
            progress(done, len(jobs))
    return [
        Significance.of(
            task.kind, graph.model, scores, _of_task(task, place, drawn, nulls), counted=counted
        )
        for place, (task, (scores, counted)) in enumerate(zip(tasks, observed, strict=True))
    ]


@dataclass(frozen=True, slots=True)
class _Found:
    """What one null network has of a task."""

    scores: np.ndarray  # (m,), of all instances; empty if q is against another null model
    count: int  # what p counts; 0 if p is against another one

    @classmethod
    def of(cls, task: Task, graph: SignedGraph, null: str) -> _Found:
        """What a network of that null model has."""
        scores = task.scores(graph) if null == task.instance_null else np.empty(0)
        return cls(scores, task.count(graph) if null == task.null else 0)


def _of_task(
    task: Task, place: int, drawn: Mapping[tuple[str, int], Mapping[int, _Found]], nulls: int
) -> Drawn:
    """What was found of the task at that place; ``drawn`` holds all by null network."""
    numbers = range(nulls)
    decoys = [drawn[task.instance_null, number][place].scores for number in numbers]
    if task.null is None:
        return Drawn(decoys, [], task.instance_null, None)
    counts = [drawn[task.null, number][place].count for number in numbers]
    return Drawn(decoys, counts, task.instance_null, task.null)


def _found_in(
    graph: SignedGraph, tasks: Sequence[Task], null: str, number: int, *, seed: int
) -> dict[int, _Found]:
    """Place of each task that asks for this null model -> what one null network has of it."""
    asked = [place for place, task in enumerate(tasks) if null in task.null_models]
    if null not in NULL_MODELS:
        scores = [tasks[n].own[null](graph, np.random.default_rng([seed, number])) for n in asked]
        counts = [_Found(np.empty(0), len(found)) for found in scores]
        return dict(zip(asked, counts, strict=True))
    rng = np.random.default_rng([seed, list(NULL_MODELS).index(null), number])
    rewired = find_null(null)(graph, rng)
    return {place: _Found.of(tasks[place], rewired, null) for place in asked}


def _null_models(task: Task) -> tuple[str, ...]:
    """The null models of a task; `QueryError` for an unknown one."""
    for name in task.null_models:
        if name not in task.own:
            find_null(name)
    return task.null_models


def instance_q(
    observed: np.ndarray, null: np.ndarray, *, nulls: int
) -> tuple[np.ndarray, np.ndarray]:
    """Scores that occur, descending, and the q of each, against all of ``nulls`` null networks.

    >>> instance_q(np.array([3.0, 2.0, 1.0]), np.array([1.5] * 9), nulls=10)
    (array([3., 2., 1.]), array([0.05      , 0.05      , 0.33333333]))
    """
    levels = np.unique(observed)[::-1]
    return levels, target_decoy_q(levels, null, copies=nulls, targets=observed)
