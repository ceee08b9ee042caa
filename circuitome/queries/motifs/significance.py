"""Significance of motifs from edges alone: of an instance, and of a motif in a network. Never one for the other.

*Instance*: ``q`` of a row by target and decoy, the number of null instances with at least its score that is expected,
over the number observed. The null destroys who is wired to whom (`kernels`).

*Enrichment*: ``p`` of the number of instances in the network against a null that keeps its topology (`signs`,
`relabel`): does the network hold more than its wiring explains? One p a motif and network.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from circuitome.queries.errors import QueryError
from circuitome.queries.graph import SignedGraph
from circuitome.queries.motifs.motif import Motif
from circuitome.queries.motifs.nulls import NULLS as NULL_MODELS
from circuitome.queries.motifs.nulls import find_null

__all__ = ["NULLS", "Significance", "Task", "assess", "enrichment", "instance_q"]

NULLS: Final = 199
"""Null networks where nothing else is said: the least p is 0.005."""

Scores = Callable[[SignedGraph], np.ndarray]


@dataclass(frozen=True, slots=True)
class Task:
    """One thing to be counted in a network and in its null networks."""

    kind: str  # name of the motif
    scores: Scores  # graph -> scores of all instances
    instance_null: str  # null model of q
    null: str  # null model of p

    @classmethod
    def of(cls, motif: Motif, parameters: Mapping[str, Any] | None = None) -> Task:
        """The task of a motif of the library; `QueryError` for one that no null of edges fits."""
        scores = motif.scores
        if scores is None:
            raise QueryError(
                f"{motif.kind}: edges alone have no null model for it; leave out --null"
            )
        given = {name: value for name, value in (parameters or {}).items() if name != "limit"}
        return cls(
            motif.kind, lambda graph: scores(graph, **given), motif.instance_null, motif.null
        )


@dataclass(frozen=True, slots=True)
class Significance:
    """What null networks say of one motif in one network."""

    kind: str
    model: str
    instances: int  # found in the network
    strongest: float | None  # the highest score; none without instances
    levels: np.ndarray  # (m,) float64, the scores that occur, descending
    q: np.ndarray  # (m,) float64, q of an instance of each score
    instance_null: str  # null model of q
    p: float  # enrichment: p of the number of instances
    null: str  # null model of p
    nulls: int  # null networks of each
    null_mean: float  # instances in those of p
    null_sd: float  # standard deviation of that

    @property
    def least_q(self) -> float | None:
        """The lowest q of an instance; none without instances."""
        return float(self.q.min()) if len(self.q) else None

    def q_of(self, score: float) -> float:
        """The q of an instance with that score."""
        place = int(np.searchsorted(-self.levels, -score, side="left"))
        return float(self.q[min(place, len(self.q) - 1)])

    def annotate(self, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """Motif rows with their q and its null; their p stays empty, for p is of the motif and not of a row."""
        return [row | {"q": self.q_of(row["score"]), "null": self.instance_null} for row in rows]


def assess(
    graph: SignedGraph,
    tasks: Sequence[Task],
    *,
    nulls: int = NULLS,
    seed: int = 0,
    workers: int = 2,
) -> list[Significance]:
    """The significance of each task, in their order.

    Each null network is made once for all tasks that ask for its null model. ``workers`` threads share the null networks;
    their number changes nothing in the result, nor do the other tasks. `QueryError` for an unknown null model and for fewer than one.
    """
    if nulls < 1:
        raise QueryError(
            f"{nulls} null networks are none; ask for at least 1, and for 199 to reach p = 0.005"
        )
    graph = graph.by_receiver()
    models = list(dict.fromkeys(name for task in tasks for name in (task.instance_null, task.null)))
    jobs = [(name, place) for name in models for place in range(nulls)]
    for name in models:
        find_null(name)

    observed = [
        task.scores(graph) for task in tasks
    ]  # before its copies, which share what stays the same

    def draw(job: tuple[str, int]) -> list[np.ndarray | None]:
        name, place = job
        rewired = find_null(name)(
            graph, np.random.default_rng([seed, list(NULL_MODELS).index(name), place])
        )
        return [
            task.scores(rewired) if name in (task.instance_null, task.null) else None
            for task in tasks
        ]

    with ThreadPoolExecutor(workers) as pool:
        drawn = dict(zip(jobs, pool.map(draw, jobs), strict=True))
    return [
        _significance(
            graph,
            task,
            observed[number],
            [_there(drawn[task.instance_null, place][number]) for place in range(nulls)],
            [len(_there(drawn[task.null, place][number])) for place in range(nulls)],
        )
        for number, task in enumerate(tasks)
    ]


def instance_q(
    observed: np.ndarray, null: np.ndarray, *, nulls: int
) -> tuple[np.ndarray, np.ndarray]:
    """Scores that occur, descending, and the q of each, from all instances of ``nulls`` null networks together.

    q is the least, over all cuts that let an instance in, of (null instances above the cut + 1) / ``nulls`` over the
    observed ones above it. The one added keeps a q from being better than so many null networks can show.

    >>> instance_q(np.array([3.0, 2.0, 1.0]), np.array([1.5] * 9), nulls=10)
    (array([3., 2., 1.]), array([0.05      , 0.05      , 0.33333333]))
    """
    levels = np.unique(observed)
    above = len(observed) - np.searchsorted(np.sort(observed), levels, side="left")
    expected = (len(null) - np.searchsorted(np.sort(null), levels, side="left") + 1) / nulls
    raw = np.minimum(expected / np.maximum(above, 1), 1)
    return levels[::-1], np.minimum.accumulate(raw)[::-1]


def enrichment(observed: int, null: Sequence[int]) -> float:
    """p of a count: the share of null counts at least as large, the observed one among them.

    >>> enrichment(5, [1, 2, 5, 7])
    0.6
    """
    return (1 + sum(count >= observed for count in null)) / (1 + len(null))


def _significance(
    graph: SignedGraph,
    task: Task,
    observed: np.ndarray,
    decoys: list[np.ndarray],
    counts: list[int],
) -> Significance:
    levels, q = instance_q(observed, np.concatenate(decoys), nulls=len(decoys))
    return Significance(
        kind=task.kind,
        model=graph.model,
        instances=len(observed),
        strongest=float(levels[0]) if len(levels) else None,
        levels=levels,
        q=q,
        instance_null=task.instance_null,
        p=enrichment(len(observed), counts),
        null=task.null,
        nulls=len(counts),
        null_mean=float(np.mean(counts)),
        null_sd=float(np.std(counts)),
    )


def _there(scores: np.ndarray | None) -> np.ndarray:
    assert scores is not None  # a task is drawn for each of its null models
    return scores
