"""The library algorithms as queries: a header each, and the query whose rows it goes on from.

Hop bounds cannot be parameters in Cypher, and a pattern over many hops enumerates every path: those
over one-hop queries grow a frontier at a time. A motif that compares every sender with every reader
over every neuron between them, or that is a decomposition of a matrix, is no pattern that an engine
could join: the engine gives the edges, arrays do the sums.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import pyarrow as pa

from circuitome.queries.algorithms.branches import ROLES, layer_pairs
from circuitome.queries.algorithms.paths import downstream, strongest_paths, upstream
from circuitome.queries.algorithms.read_back import pairs
from circuitome.queries.asks import Asks
from circuitome.queries.graph import SignedGraph
from circuitome.queries.header import parse_header
from circuitome.queries.query_file import LIBRARY, Query, load_file
from circuitome.queries.rows import Rows

__all__ = ["algorithms"]

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

_READ_BACK: Final = """\
A feature that is spread over several hosts of a narrow layer and recovered by a neuron that reads
the hosts.

params:
  model (model): the model
  cosine (float = 0.6): least cosine of what the feature sends to the hosts and what the reader
    reads from them
  hosts (float = 3): least effective number of hosts
  limit (integer = 100): at most so many rows
roles: feature; host = hosts; reader
returns:
  feature: key of the sending neuron
  hosts: keys of the hosts that carry most of it, largest drive first; as many as the spread has
    whole ones
  reader: key of the neuron that reads it back
  spread: effective number of hosts, (sum of drives)^2 / sum of squared drives
  score: the cosine, rounded to nine digits so that both engines order alike

`(f)-[:EXCITES|INHIBITS]->(h)-[:EXCITES|INHIBITS]->(r)` over all hosts h of a layer that is no wider
than what it reads, and all readers r of layers that read nothing else. Weights are taken less their
mean over the senders (of a host) and over the readers (of a host). The feature and the reader are
each other's best match by cosine; the drive through a host is the product of the two weights where
it is positive. That is ten million paths around one layer of SqueezeNet, more than an engine has
memory for: a library algorithm over `edges`.

A row by itself is **not a finding**: ask for its q (`circuitome motifs superposition_read_back
--null 199`, with `--null-model reflect` for the stricter null of p), and most rows have q above
0.05. It is no mark of training: a hardly trained ResNet-20 has 18 against 12.1 with reflected
readers (p = 0.02), the trained ones 2 to 12.

Source: this project; superposition as in Elhage et al., *Toy Models of Superposition*, 2022.
"""

_LATENT_BRANCHES: Final = """\
A pair of layers whose connections fall into two groups, as if they were two branches.

params:
  model (model): the model
  members (integer = 8): so many neurons of each group are named
  nulls (integer = 99): shuffled matrices that each pair of layers is compared with
  seed (integer = 0): seed of the shuffling
  limit (integer = 100): at most so many rows
roles: sender_1; receiver_1; sender_2; receiver_2
returns:
  sends: key of the sending layer
  receives: key of the receiving layer
  sender_1: keys of senders at one end of the second singular vector, outermost first
  receiver_1: keys of the receivers that these prefer
  sender_2: keys of senders at its other end
  receiver_2: keys of the receivers that those prefer
  share: part of the second singular value in what the first leaves of the squared matrix
  null_mean: mean of that over the shuffled matrices
  score: share over its mean where shuffled, rounded to nine digits
  p: how often a shuffled matrix has at least this share, the matrix itself among them

Row: a pair of layers. The matrix holds the norms of the kernels, its rows and columns scaled to a
mean of one, so that neither who sends much nor who reads much counts; its second singular vectors
sort the neurons of both layers into two groups that keep to themselves. Shuffled: each sender's
norms dealt to other receivers. Pairs that are no more than one edge a receiver, and layers with
fewer than `members` neurons at either end, are left out. A singular value decomposition is no
query: a library algorithm over `edges`.

A large share is **not a finding** by itself: most layers of trained networks have more structure
than shuffled ones. What the groups are takes annotation.

Source: Voss et al., *Branch Specialization*, Distill 2021.
"""

_READ_BACK_ROW: Final = pa.schema(
    [
        ("feature", pa.string()),
        ("hosts", pa.list_(pa.string())),
        ("reader", pa.string()),
        ("spread", pa.float64()),
        ("score", pa.float64()),
    ]
)
_LATENT_ROW: Final = pa.schema(
    [
        ("sends", pa.string()),
        ("receives", pa.string()),
        *((name, pa.list_(pa.string())) for name in ROLES),
        *((name, pa.float64()) for name in ("share", "null_mean", "score", "p")),
    ]
)


def _run_upstream(database: Asks, **parameters: Any) -> Rows:
    return upstream(database, **parameters).edges


def _run_downstream(database: Asks, **parameters: Any) -> Rows:
    return downstream(database, **parameters).edges


def _over_edges(
    rows: Callable[..., Sequence[Mapping[str, object]]], schema: pa.Schema
) -> Callable[..., Rows]:
    """The function that makes ``rows`` from the edges of a model in a database."""

    def run(database: Asks, *, model: str | None = None, **parameters: Any) -> Rows:
        graph = SignedGraph.of_database(database, model=model)
        return Rows.of(rows(graph, **parameters), schema)

    return run


def algorithms() -> dict[str, Query]:
    """The algorithms as queries of the library, by name; ``text`` is that of the query they ask."""
    read_back = _over_edges(pairs, _READ_BACK_ROW)
    branches = _over_edges(layer_pairs, _LATENT_ROW)
    edges = "connections/edges.cypher"
    declared = (
        _query("paths", "downstream", _DOWNSTREAM, _run_downstream, "paths/outputs_of.cypher"),
        _query(
            "paths", "strongest_paths", _STRONGEST_PATHS, strongest_paths, "paths/inputs_of.cypher"
        ),
        _query("paths", "upstream", _UPSTREAM, _run_upstream, "paths/inputs_of.cypher"),
        _query("motifs", "latent_branches", _LATENT_BRANCHES, branches, edges),
        _query("motifs", "superposition_read_back", _READ_BACK, read_back, edges),
    )
    return {query.name: query for query in declared}


def _query(topic: str, name: str, text: str, run: Callable[..., Rows], file: str) -> Query:
    header, step = parse_header(text, where=name), load_file(LIBRARY / file)
    return Query(
        name=name,
        topic=topic,
        title=header.title,
        doc=header.doc,
        parameters=header.parameters or (),
        returns=header.returns,
        text=step.text,
        algorithm=run,
        step=step,
        notes=header.notes,
    )
