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

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa

from circuitome.queries.asks import Asks
from circuitome.queries.errors import QueryError
from circuitome.queries.graph import numbers_of
from circuitome.queries.header import parse_header
from circuitome.queries.query_file import LIBRARY, Query, load_file
from circuitome.queries.rows import Rows

__all__ = ["Circuit", "algorithms", "downstream", "strongest_paths", "upstream"]

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
    _positive("upstream", depth=depth, k=k)

    def step(frontier: Sequence[str]) -> Rows:
        return database.ask("inputs_of", neurons=list(frontier), k=k, min_share=min_share)

    return _grow(database.neuron_key(neuron), depth, step, near="receiver", far="sender")


def downstream(
    database: Asks, neuron: str, *, depth: int = 2, k: int = 5, min_share: float = 0.0
) -> Circuit:
    """The circuit that a neuron feeds: the ``k`` receivers in which it has the largest share,
    theirs, and so on.

    Receivers below a share of ``min_share`` are left out. `QueryError` for an unknown neuron or a
    ``depth`` or ``k`` below 1.
    """
    _positive("downstream", depth=depth, k=k)

    def step(frontier: Sequence[str]) -> Rows:
        rows = database.ask("outputs_of", neurons=list(frontier), min_share=min_share)
        return Rows(rows.table.take(_first_of_each(rows.table.column("sender"), k)))

    return _grow(database.neuron_key(neuron), depth, step, near="sender", far="receiver")


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
    _positive("strongest_paths", k=k)
    source, target = database.neuron_key(source), database.neuron_key(target)
    model = _common_model(database, source, target)
    ways = _Ways.over(database, model, k)
    first, last = ways.number(source), ways.number(target)
    _check_order(source, target, ways.position[first], ways.position[last])
    ways.strength[last, 0] = 1.0
    pending: dict[int, list[_Candidates]] = {}
    for position in range(ways.position[last], ways.position[first], -1):
        receivers = (
            np.array([last])
            if position == ways.position[last]
            else ways.settle(pending.pop(position, []))
        )
        if len(receivers):
            keys = ways.keys.take(pa.array(receivers)).to_pylist()
            edges = database.ask("inputs_of", neurons=keys, k=_ALL, min_share=min_share)
            candidates = ways.over_edges(edges, above=ways.position[first], source=first)
            for place, some in candidates.by_position(ways.position).items():
                pending.setdefault(place, []).append(some)
    ways.settle(pending.pop(int(ways.position[first]), []))
    slots = np.flatnonzero(ways.strength[first])
    return Rows.of(
        [ways.path(first, int(slot), place) for place, slot in enumerate(slots, 1)], _PATH
    )


@dataclass(frozen=True, slots=True)
class _Candidates:
    """Ways from senders to the target, one a row, each ``(m,)``: over an edge to ``next``, then
    that neuron's way ``slot``.
    """

    sender: np.ndarray
    strength: np.ndarray
    next: np.ndarray
    slot: np.ndarray
    share: np.ndarray
    weight: np.ndarray

    def rows(self, rows: np.ndarray) -> _Candidates:
        return _Candidates(*(getattr(self, name)[rows] for name in self.__slots__))

    def by_position(self, position: np.ndarray) -> dict[int, _Candidates]:
        """The candidates of each layer, by its position in the order of computation."""
        places = position[self.sender]
        return {int(place): self.rows(places == place) for place in np.unique(places)}


@dataclass(frozen=True, slots=True)
class _Ways:
    """The ``k`` strongest ways from every neuron to the target, strongest first; arrays are ``(n,
    k)``.

    Neurons are numbered in the order of their keys, so that ties are broken by keys.
    """

    keys: pa.Array  # (n,) sorted
    position: np.ndarray  # (n,) position of each neuron's layer in the order of computation
    strength: np.ndarray  # 0 where there are fewer ways
    next: np.ndarray  # number of the neuron that the way goes to; -1 at the target
    slot: np.ndarray  # and which of that neuron's ways it goes on with
    share: np.ndarray
    weight: np.ndarray

    @classmethod
    def over(cls, database: Asks, model: str, k: int) -> _Ways:
        order = {row["layer"]: row["index"] for row in database.ask("layers", model=model)}
        neurons = database.ask("neurons", model=model).table.sort_by("neuron")
        position = np.array([order[layer] for layer in neurons.column("layer").to_pylist()])
        shape = (neurons.num_rows, k)
        floats = [np.zeros(shape) for _ in range(3)]
        ints = [np.full(shape, -1), np.zeros(shape, np.int64)]
        return cls(
            neurons.column("neuron").combine_chunks(), position, floats[0], *ints, *floats[1:]
        )

    def number(self, key: str) -> int:
        return self.keys.index(key).as_py()

    def settle(self, pending: list[_Candidates]) -> np.ndarray:
        """Keep the strongest candidates of each sender; numbers of the senders."""
        if not pending:
            return np.zeros(0, np.int64)
        found = _Candidates(
            *(
                np.concatenate([getattr(some, name) for some in pending])
                for name in _Candidates.__slots__
            )
        )
        found = found.rows(np.lexsort((found.slot, found.next, -found.strength, found.sender)))
        place = _place_in_run(found.sender)
        found, place = (
            found.rows(place < self.strength.shape[1]),
            place[place < self.strength.shape[1]],
        )
        for name in ("strength", "next", "slot", "share", "weight"):
            getattr(self, name)[found.sender, place] = getattr(found, name)
        return np.unique(found.sender)

    def over_edges(self, edges: Rows, *, above: int, source: int) -> _Candidates:
        """Ways over the given edges, from senders computed after position ``above``, and from
        the source itself.
        """
        sender, receiver = (
            numbers_of(edges.table.column(name), self.keys) for name in ("sender", "receiver")
        )
        share, weight = (
            np.asarray(edges.table.column(name), np.float64) for name in ("share", "weight")
        )
        rows = np.flatnonzero((self.position[sender] > above) | (sender == source))
        strongest = share * self.strength[receiver, 0]
        rows = rows[np.lexsort((receiver[rows], -strongest[rows], sender[rows]))]
        k = self.strength.shape[1]
        rows = rows[
            _place_in_run(sender[rows]) < k
        ]  # no other edge can be on one of the sender's k strongest ways
        edge, slot = np.nonzero(self.strength[receiver[rows]])
        rows = rows[edge]
        strength = share[rows] * self.strength[receiver[rows], slot]
        return _Candidates(sender[rows], strength, receiver[rows], slot, share[rows], weight[rows])

    def path(self, neuron: int, slot: int, place: int) -> dict[str, Any]:
        """One row of the answer."""
        strength, numbers, shares, weights = float(self.strength[neuron, slot]), [neuron], [], []
        while self.next[neuron, slot] >= 0:
            shares.append(float(self.share[neuron, slot]))
            weights.append(float(self.weight[neuron, slot]))
            neuron, slot = int(self.next[neuron, slot]), int(self.slot[neuron, slot])
            numbers.append(neuron)
        effect = _effect(float(np.prod([1.0 if weight >= 0 else -1.0 for weight in weights])))
        row = {"place": place, "strength": strength, "effect": effect, "hops": len(shares)}
        return row | {
            "neurons": self.keys.take(pa.array(numbers)).to_pylist(),
            "shares": shares,
            "weights": weights,
        }


def _place_in_run(values: np.ndarray) -> np.ndarray:
    """Place of each element in its run of equal values, from 0."""
    if not len(values):
        return np.zeros(0, np.int64)
    starts = np.flatnonzero(np.r_[True, values[1:] != values[:-1]])
    return np.arange(len(values)) - np.repeat(starts, np.diff(np.r_[starts, len(values)]))


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


def _effect(weight: float) -> str:
    return "excites" if weight >= 0 else "inhibits"


def _grow(neuron: str, depth: int, step: Any, *, near: str, far: str) -> Circuit:
    distances, edges, frontier = {neuron: 0}, [], [neuron]
    for distance in range(1, depth + 1):
        rows = step(frontier).to_dicts()
        edges += [
            {"distance": distance, "effect": _effect(row["weight"]), **row}
            for row in _by_share(rows)
        ]
        frontier = sorted({row[far] for row in rows} - distances.keys())
        distances |= dict.fromkeys(frontier, distance)
        if not frontier:
            break
    nodes = sorted(
        ({"neuron": key, "distance": hops} for key, hops in distances.items()),
        key=lambda n: (n["distance"], n["neuron"]),
    )
    return Circuit(neuron, Rows.of(nodes, _NODE), Rows.of(edges, _EDGE))


def _by_share(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(rows, key=lambda row: (-row["share"], row["receiver"], row["sender"]))


def _first_of_each(column: pa.ChunkedArray, k: int) -> pa.Array:
    """Numbers of the first ``k`` rows of every run of equal values."""
    return pa.array(np.flatnonzero(_place_in_run(np.array(column.to_pylist(), dtype=object)) < k))


def _positive(algorithm: str, **numbers: int) -> None:
    for name, number in numbers.items():
        if number < 1:
            raise QueryError(
                f"{algorithm}: `{name}` cannot be {number}; give a whole number from 1"
            )


_EDGES_DOC: Final = """\
  distance: hops from the neuron, from 1
  sender: key of the sending neuron
  receiver: key of the receiving neuron
  effect: `excites` or `inhibits`
  share: share of the receiver's squared fan-in norm
  weight: signed sum of the kernel
  polarity: -1 (only inhibits) to 1 (only excites)
"""

_UPSTREAM: Final = f"""\
The circuit that feeds a neuron: its strongest inputs, and theirs.

params:
  neuron (neuron): the neuron
  depth (integer = 2): hops
  k (integer = 5): at most so many inputs of each neuron
  min_share (float = 0): least share of the receiver's squared fan-in norm
renamed: least -> min_share
returns:
{_EDGES_DOC}
One query a hop: a library algorithm over `inputs_of`. In Python
`circuitome.queries.algorithms.paths.upstream` gives the nodes with their distances, too.
"""

_DOWNSTREAM: Final = f"""\
The circuit that a neuron feeds: the receivers in which it has the largest share, and theirs.

params:
  neuron (neuron): the neuron
  depth (integer = 2): hops
  k (integer = 5): at most so many receivers of each neuron
  min_share (float = 0): least share of the receiver's squared fan-in norm
renamed: least -> min_share
returns:
{_EDGES_DOC}
One query a hop: a library algorithm over `outputs_of`. In Python
`circuitome.queries.algorithms.paths.downstream` gives the nodes with their distances, too.
"""

_STRONGEST_PATHS: Final = """\
The strongest paths from one neuron to another.

params:
  source (neuron): where the paths begin
  target (neuron): where they end, in a later layer
  k (integer = 10): so many paths
  min_share (float = 0): least share of every edge
renamed: least -> min_share
returns:
  place: 1 for the strongest
  strength: product of the shares of its edges
  effect: `excites` or `inhibits`: the product of the signs of its edges
  hops: number of edges
  neurons: keys along the path
  shares: share of each edge
  weights: signed sum of the kernel of each edge

The strength is the probability that a walk from the target, choosing at every neuron one input by
its share, goes along this path (the w²-rule of Montavon et al., *Deep Taylor decomposition*, 2017).
Exact, by dynamic programming from the target down, one query a layer: a library algorithm over
`inputs_of`. A path is a walk over weights alone: which of them matter for an image is not asked.
"""


def _run_upstream(database: Asks, **parameters: Any) -> Rows:
    return upstream(database, **parameters).edges


def _run_downstream(database: Asks, **parameters: Any) -> Rows:
    return downstream(database, **parameters).edges


def algorithms() -> dict[str, Query]:
    """The algorithms as queries of the library, by name; ``text`` is their one-hop query."""
    declared = (
        ("downstream", _DOWNSTREAM, "outputs_of", _run_downstream),
        ("strongest_paths", _STRONGEST_PATHS, "inputs_of", strongest_paths),
        ("upstream", _UPSTREAM, "inputs_of", _run_upstream),
    )
    queries = {}
    for name, text, step, run in declared:
        header = parse_header(text, where=name)
        hop = load_file(LIBRARY / "paths" / f"{step}.cypher")
        declared_here = header.parameters or ()
        queries[name] = Query(
            name,
            "paths",
            header.title,
            header.doc,
            declared_here,
            header.returns,
            hop.text,
            algorithm=run,
            step=hop,
        )
    return queries
