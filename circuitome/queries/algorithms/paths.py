"""Circuits and paths: library algorithms over one-hop queries.

Hop bounds cannot be parameters in Cypher, and a pattern over many hops enumerates every path. So a
circuit is grown a frontier at a time, one query a hop, and the strongest paths are found by dynamic
programming, one query a layer.

**Strength of a path** is the product of the shares of its edges. A share is an edge's part of its
receiver's squared fan-in norm, and the shares of one neuron's inputs sum to 1; so the strength is
the probability that a walk from the target, choosing at every neuron one input by its share, goes
exactly along this path. That is how the w²-rule of deep Taylor decomposition hands relevance back
(Montavon et al., *Explaining nonlinear classification decisions with deep Taylor decomposition*,
Pattern Recognition 65, 2017), and what *Visualizing Weights* (Voss et al., Distill 2021) calls
following the strongest connections. The **effect** of a path is the product of the signs of its
edges.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa

from circuitome.queries.algorithms.ways import Candidates, Ways, effect
from circuitome.queries.arrays import place_in_run
from circuitome.queries.asks import Asks
from circuitome.queries.errors import QueryError
from circuitome.queries.rows import Rows
from circuitome.queries.values import at_least_one

__all__ = ["Circuit", "downstream", "strongest_paths", "upstream"]

_ALL: Final = 1_000_000_000  # a rank that no input has
_EDGE: Final = pa.schema(
    [
        ("distance", pa.int64()),
        ("sender", pa.string()),
        ("receiver", pa.string()),
        ("effect", pa.string()),
        ("share", pa.float64()),
        ("weight", pa.float64()),
        ("polarity", pa.float64()),
    ]
)
_NODE: Final = pa.schema([("neuron", pa.string()), ("distance", pa.int64())])
_PATH: Final = pa.schema(
    [
        ("place", pa.int64()),
        ("strength", pa.float64()),
        ("effect", pa.string()),
        ("hops", pa.int64()),
        ("neurons", pa.list_(pa.string())),
        ("shares", pa.list_(pa.float64())),
        ("weights", pa.list_(pa.float64())),
    ]
)


_Step = Callable[[Sequence[str]], Rows]
"""Edges from a frontier, one hop on."""


@dataclass(frozen=True, slots=True)
class Circuit:
    """What lies around one neuron."""

    neuron: str  # key of the neuron that it was grown from
    nodes: Rows  # neuron, distance: fewest hops from it; by distance, then key
    # distance, sender, receiver, effect, share, weight, polarity; by distance, share (largest
    # first), keys
    edges: Rows


def upstream(
    database: Asks, neuron: str, *, depth: int = 2, k: int = 5, min_share: float = 0.0
) -> Circuit:
    """The circuit that feeds a neuron: its ``k`` strongest inputs, theirs, and so on, ``depth``
    hops up.

    Inputs below a share of ``min_share`` are left out. `QueryError` for an unknown neuron or a
    ``depth`` or ``k`` below 1.
    """
    at_least_one("upstream", depth=depth, k=k)

    def step(frontier: Sequence[str]) -> Rows:
        return database.ask("inputs_of", neurons=list(frontier), k=k, min_share=min_share)

    return _grow(database.neuron_key(neuron), depth, step, far="sender")


def downstream(
    database: Asks, neuron: str, *, depth: int = 2, k: int = 5, min_share: float = 0.0
) -> Circuit:
    """The circuit that a neuron feeds: the ``k`` receivers in which it has the largest share,
    theirs, and so on.

    Receivers below a share of ``min_share`` are left out. `QueryError` for an unknown neuron or a
    ``depth`` or ``k`` below 1.
    """
    at_least_one("downstream", depth=depth, k=k)

    def step(frontier: Sequence[str]) -> Rows:
        rows = database.ask("outputs_of", neurons=list(frontier), min_share=min_share)
        return Rows(rows.table.take(_first_of_each(rows.table.column("sender"), k)))

    return _grow(database.neuron_key(neuron), depth, step, far="receiver")


def strongest_paths(
    database: Asks, source: str, target: str, *, k: int = 10, min_share: float = 0.0
) -> Rows:
    """The ``k`` strongest paths from one neuron to another, strongest first.

    Exact, by dynamic programming over the layers from the target down: of every neuron between the
    two its ``k`` strongest paths to the target are kept, and one query a layer fetches the inputs
    of all of them. Edges below a share of ``min_share`` are not followed. Ties are broken by the
    keys along the path, from the source on.

    Rows: ``place``, ``strength``, ``effect``, ``hops``, and the lists ``neurons``, ``shares`` and
    ``weights`` along the path. There are none where no path leads from the one to the other.
    `QueryError` for unknown neurons, neurons of two models, or a target that is computed before the
    source.
    """
    at_least_one("strongest_paths", k=k)
    source, target = database.neuron_key(source), database.neuron_key(target)
    model = _common_model(database, source, target)
    ways = Ways.over(database, model, k)
    first, last = ways.number(source), ways.number(target)
    _check_order(source, target, ways.position[first], ways.position[last])
    _fill(ways, database, first, last, min_share=min_share)
    slots = np.flatnonzero(ways.strength[first]).tolist()
    return Rows.of([ways.path(first, slot, place) for place, slot in enumerate(slots, 1)], _PATH)


def _fill(ways: Ways, database: Asks, first: int, last: int, *, min_share: float) -> None:
    """Find the ways from the first neuron to the last, and of all between, a query a layer."""
    start, end = int(ways.position[first]), int(ways.position[last])
    pending = {end: [Candidates.target(last)]}
    for position in range(end, start, -1):
        receivers = ways.settle(pending.pop(position, []))
        if len(receivers):
            keys = ways.keys.take(pa.array(receivers)).to_pylist()
            edges = database.ask("inputs_of", neurons=keys, k=_ALL, min_share=min_share)
            candidates = ways.over_edges(edges, above=start, source=first)
            for place, some in candidates.by_position(ways.position).items():
                pending.setdefault(place, []).append(some)
    ways.settle(pending.pop(start, []))


def _common_model(database: Asks, source: str, target: str) -> str:
    models = {
        row["neuron"]: row["model"] for row in database.ask("look_up", neurons=[source, target])
    }
    if models[source] != models[target]:
        raise QueryError(
            f"strongest_paths: {source} and {target} are neurons of two models, and no edge "
            "joins models; "
            "name two neurons of one model"
        )
    return models[source]


def _check_order(source: str, target: str, first: int, last: int) -> None:
    if first >= last:
        raise QueryError(
            f"strongest_paths: {target} is not computed after {source}, so no path leads there; "
            "exchange the two, "
            "or name a target in a later layer"
        )


def _grow(neuron: str, depth: int, step: _Step, *, far: str) -> Circuit:
    distances, edges, frontier = {neuron: 0}, [], [neuron]
    for distance in range(1, depth + 1):
        rows = step(frontier).to_dicts()
        rows.sort(key=lambda row: (-row["share"], row["receiver"], row["sender"]))
        edges += [{"distance": distance, "effect": effect(row["weight"]), **row} for row in rows]
        frontier = sorted({row[far] for row in rows} - distances.keys())
        distances |= dict.fromkeys(frontier, distance)
        if not frontier:
            break
    ordered = sorted(distances.items(), key=lambda pair: (pair[1], pair[0]))
    nodes = [{"neuron": key, "distance": hops} for key, hops in ordered]
    return Circuit(neuron, Rows.of(nodes, _NODE), Rows.of(edges, _EDGE))


def _first_of_each(column: pa.ChunkedArray, k: int) -> pa.Array:
    """Numbers of the first ``k`` rows of every run of equal values."""
    return pa.array(np.flatnonzero(place_in_run(np.array(column.to_pylist(), dtype=object)) < k))
